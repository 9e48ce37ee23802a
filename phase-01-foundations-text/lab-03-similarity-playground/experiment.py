"""What closeness means in many dimensions, on drawn points, digits and words.

Measures with the lab's functions how the contrast between near and far fades as vectors
grow longer, why real data keep more of it, that inner product and cosine find the same
neighbours among unit vectors (beside FAISS where it is installed), what the Gram trick
costs in digits, and how fast an exact search is beside scikit-learn. Takes about 30
seconds; with `full`, which draws five times as many points, about two minutes.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
from scipy.stats import norm
from sklearn.neighbors import NearestNeighbors
from threadpoolctl import threadpool_limits

from common import datasets, plotting, seeding
from common.device import timeit
from common.results import Results

SEED = 3
DIMENSIONS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)
QUOTED = (2, 10, 100, 1000)  # dimensions in the table
DISTANCES = {"manhattan": "L1", "euclidean": "L2", "chebyshev": "L∞"}
COLOURS = dict(zip(DISTANCES, plotting.PALETTE, strict=False))
REAL, SHUFFLED = plotting.PALETTE[0], plotting.PALETTE[1]
WORDS = ("two", "january", "music", "north", "played")
SHIFTS = tuple(10.0**i for i in range(9))


def main(lab, out: Path, quick: bool = False, full: bool = False) -> None:
    """Run the experiment.

    Args:
        lab: the module under test: the solution, or a learner's lab.py.
        out: folder for metrics.json, report.md and the three plots.
        quick: fewer points, dimensions and words; a few seconds.
        full: 10,000 drawn points instead of 2,000.
    """
    title = "Lab 1.3: what near means in many dimensions"
    results = Results(out, title, seed=SEED, steps=7, quick=quick)
    duration = "4 seconds" if quick else "2 minutes" if full else "30 seconds"
    results.say(f"Makes 3 plots, 5 tables and a report in about {duration}.")
    n_points = 300 if quick else 10_000 if full else 2_000
    concentration(lab, results, n_points, DIMENSIONS[:7] if quick else DIMENSIONS)
    vectors = load_words(results, 1_000 if quick else None)
    real_data(lab, results, vectors, 200 if quick else 1_000)
    if vectors:
        results.step("neighbours of words")
        results.text("## Neighbours of words")
        neighbours(lab, results, *vectors)
        identity(lab, results, vectors[1])
    results.step("digits lost by the Gram trick")
    cancellation(lab, results)
    results.step("speed beside scikit-learn")
    speed(lab, results, 2_000 if quick else 20_000)
    results.step("writing metrics.json and report.md")
    results.save()


# --- Concentration ----------------------------------------------------------------


def concentration(lab, results: Results, n_points: int, dimensions: tuple) -> None:
    """Contrast against dimension, and the spread of cosines of random directions."""
    results.step("contrast of drawn points")
    drawn = {"uniform": np.random.Generator.random, "Gaussian": normal}
    curves = {
        (kind, metric): [contrast(lab, draw, n_points, d, metric) for d in dimensions]
        for kind, draw in drawn.items()
        for metric in DISTANCES
    }
    results.step("cosines of random directions")
    spread = {d: cosine_spread(lab, d) for d in dimensions}
    results.text(
        "## Contrast fades with the dimension\n"
        f"Median over 100 queries of (Dmax - Dmin) / Dmin among {n_points:,} points. "
        f"Cosine of two random directions, d = 100: standard deviation "
        f"{spread[100]:.4f}; theory 1/√d = {1 / math.sqrt(100):.4f}."
    )
    rows = []
    for (kind, metric), values in curves.items():
        at = dict(zip(dimensions, values, strict=True))
        for d in dimensions:
            results.metric(f"contrast.{kind.lower()}.{metric}.{d}", at[d], "ratio")
        cells = [f"{at[d]:.2f}" if d in at else "" for d in QUOTED]
        if (kind, metric) != ("Gaussian", "manhattan"):  # close to the uniform row
            rows.append((f"{kind}, {DISTANCES[metric]}", *cells))
    results.table(["points", *[f"d = {d}" for d in QUOTED]], rows)
    for d, value in spread.items():
        results.metric(f"cosine_std.{d}", value, "")
    fig = draw_concentration(dimensions, curves, list(spread.values()), n_points)
    results.figure(fig, "concentration.png", "Contrast and cosine spread against d")


def normal(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    """Independent normal coordinates."""
    return rng.standard_normal(shape)


def contrast(lab, draw, n_points: int, d: int, metric: str) -> float:
    """Relative contrast of drawn points; the first 100 are the queries too."""
    points = draw(seeding.rng(SEED, "points", d), (n_points, d))
    return lab.relative_contrast(points[:100], points, metric)


def cosine_spread(lab, d: int) -> float:
    """Standard deviation of 90,000 cosines of random directions."""
    U, V = seeding.rng(SEED, "directions", d).standard_normal((2, 300, d))
    return float(lab.cosine_similarity(U, V).std())


def theory(dimensions: np.ndarray, n_points: int) -> np.ndarray:
    """Contrast of uniform points under L2, by the central limit theorem.

    A squared distance is a sum of d terms with mean 1/6 and, for a fixed query, with
    variance 1/30 on average; among n points it spans about 2 z deviations, where z is
    the normal quantile of the largest of n.
    """
    z = norm.ppf((n_points - 0.375) / (n_points + 0.25))
    mean, deviation = dimensions / 6, np.sqrt(dimensions / 30)
    return np.sqrt((mean + z * deviation) / (mean - z * deviation)) - 1


def draw_concentration(dimensions, curves: dict, spread: list, n_points: int):
    """Left the contrasts, right the cosines, each with its theory."""
    fig, (left, right) = plotting.figure(1, 2, size=(8.4, 3.9))
    for (kind, metric), values in curves.items():
        style = "o-" if kind == "uniform" else "s:"
        label = f"{DISTANCES[metric]}, {kind}"
        left.plot(
            dimensions, values, style, color=COLOURS[metric], label=label, markersize=4
        )
    fine = np.geomspace(50, max(dimensions), 40)  # the approximation is for large d
    expected = theory(fine, n_points)
    left.plot(fine, expected, "k--", linewidth=1.3, label="L2, uniform, theory")
    left.set(ylabel="relative contrast (Dmax − Dmin) / Dmin")
    left.set_title(f"{n_points:,} points: near and far become alike")
    right.plot(dimensions, spread, "o", color=REAL, label="measured")
    right.plot(dimensions, 1 / np.sqrt(dimensions), "k--", linewidth=1, label="1 / √d")
    right.set(ylabel="standard deviation of the cosine")
    right.set_title("random directions become orthogonal")
    for ax in (left, right):
        ax.set(xscale="log", yscale="log", xlabel="dimension d (log scale)")
        ax.legend(fontsize="small")
    return fig


# --- Real data --------------------------------------------------------------------


def load_words(results: Results, most: int | None) -> tuple[list, np.ndarray] | None:
    """Word vectors without the zero rows; None, and a sentence, where they miss."""
    try:
        words, X = datasets.word_vectors()
    except datasets.DatasetCorrupt:
        raise  # a broken copy is for the reader to mend, not to pass over
    except datasets.DatasetMissing:
        sentence = "WikiText-2: not on this machine and no download; no words."
        results.say(sentence)
        results.text(sentence)
        return None
    keep = np.flatnonzero(np.abs(X).sum(axis=1) > 0)[:most]
    return [words[i] for i in keep], X[keep]


def real_data(lab, results: Results, vectors: tuple | None, n_queries: int) -> None:
    """Contrast and intrinsic dimension of real rows and of shuffled columns."""
    results.step("contrast of digits and words")
    about = (
        "«shuffled»: each column permuted on its own, so every single column is as "
        "before and only what the columns have to do with each other is gone."
    )
    if vectors:
        about += (
            " The intrinsic dimension sees the bulk of the distances, the contrast the "
            "nearest: unit word vectors spread nearly like random directions, yet have "
            "neighbours."
        )
    results.text(f"## Real data keep contrast\n{about}")
    rows, samples = [], {}
    for name, kind, X in data_sets(lab, vectors):
        queries = X[:n_queries]
        samples[name, kind] = D = distances(lab, queries, X)
        contrast, dimension = (
            lab.relative_contrast(queries, X),
            lab.intrinsic_dimension(D),
        )
        rows.append((name, kind, X.shape[1], f"{contrast:.2f}", f"{dimension:.1f}"))
        key = f"{name.replace(', ', '_')}.{kind}"
        results.metric(f"{key}.contrast", contrast, "ratio")
        results.metric(f"{key}.intrinsic_dimension", dimension, "dimensions")
    results.table(["data", "columns", "d", "contrast", "intrinsic dimension"], rows)
    fig = draw_distances({k: v for k, v in samples.items() if k[0] != "words, raw"})
    results.figure(fig, "distances.png", "Distances in real and in shuffled data")


def data_sets(lab, vectors: tuple | None):
    """(name, real or shuffled, rows in random order) of every data set."""
    raw = {"digits": datasets.digits()[0]} | ({"words": vectors[1]} if vectors else {})
    for name, X in raw.items():
        rng = seeding.rng(SEED, "shuffle", name)
        X = rng.permutation(X)  # rows, so that the first ones are drawn queries
        kinds = {"real": X, "shuffled": rng.permuted(X, axis=0)}  # each column alone
        for kind, rows in kinds.items():
            yield name if name == "digits" else f"{name}, raw", kind, rows
        for kind, rows in kinds.items() if name == "words" else ():
            yield f"{name}, normalized", kind, lab.normalize(rows)


def distances(lab, queries: np.ndarray, X: np.ndarray) -> np.ndarray:
    """Euclidean distances of the first rows of X to all rows after each of them."""
    D = lab.euclidean(queries, X)
    return D[np.triu_indices(len(D), k=1, m=len(X))]


def draw_distances(samples: dict):
    """Histograms of distance over its mean: a narrow peak is little contrast."""
    names = list(dict.fromkeys(name for name, _ in samples))
    fig, axes = plotting.figure(1, len(names), size=(4.2 * len(names), 3.6))
    for ax, name in zip(np.atleast_1d(axes), names, strict=True):
        for kind, colour in (("shuffled", SHUFFLED), ("real", REAL)):
            D = samples[name, kind]
            bins = np.linspace(0.25, 1.75, 91)
            ax.hist(
                D / D.mean(), bins, density=True, alpha=0.6, color=colour, label=kind
            )
        ax.set(xlabel="distance / mean distance", ylabel="density", title=name)
        ax.legend()
    return fig


# --- Words ------------------------------------------------------------------------


def neighbours(lab, results: Results, words: list[str], X: np.ndarray) -> None:
    """The nearest words by cosine and by the dot product of the raw vectors."""
    chosen = [words.index(word) for word in WORDS if word in words]
    lists = {}
    for metric in ("cosine", "dot"):
        ids, _ = lab.top_k(X[chosen], X, 6, metric=metric)
        lists[metric] = [
            ", ".join([words[i] for i in row if i != query][:4])
            for query, row in zip(chosen, ids, strict=True)
        ]
    rows = list(zip([words[i] for i in chosen], *lists.values(), strict=True))
    results.table(["word", "nearest by cosine", "by raw dot product"], rows)
    for word, by_cosine, _ in rows:
        results.metric(f"neighbours.{word}", by_cosine, "")


def identity(lab, results: Results, X: np.ndarray) -> None:
    """Whether four ways to ask for the ten nearest words give the same ids."""
    unit = lab.normalize(X)
    cosine, _ = lab.top_k(X, X, 10)
    found = {
        "inner product of unit vectors": lab.top_k(unit, unit, 10, metric="dot")[0],
        "Euclidean distance of unit vectors": lab.top_k(
            unit, unit, 10, metric="euclidean"
        )[0],
        "inner product of raw vectors": lab.top_k(X, X, 10, metric="dot")[0],
    }
    if faiss := import_faiss():
        found[f"FAISS {faiss.__version__}, IndexFlatIP on unit vectors, float32"] = (
            search(faiss, unit, unit, 10)
        )
    keys = ("inner_product", "euclidean", "raw_inner_product", "faiss")
    rows = []
    for key, (name, ids) in zip(keys, found.items(), strict=False):
        same = 100 * float(np.mean((ids == cosine).all(axis=1)))
        shared = [len(set(a) & set(b)) / 10 for a, b in zip(ids, cosine, strict=True)]
        results.metric(f"same_as_cosine.{key}", same, "%")
        results.metric(f"shared_with_cosine.{key}", 100 * float(np.mean(shared)), "%")
        rows.append((name, f"{same:.2f} %", f"{100 * np.mean(shared):.2f} %"))
    header = [f"10 nearest, {len(X):,} queries", "same list as by cosine", "ids shared"]
    results.table(header, rows)


def import_faiss():
    """The faiss module, or None: it is not needed, only compared with."""
    try:
        import faiss
    except ImportError:
        return None
    return faiss


def search(faiss, queries: np.ndarray, items: np.ndarray, k: int) -> np.ndarray:
    """Ids (n, k) of the largest inner products, by FAISS's exact index."""
    index = faiss.IndexFlatIP(items.shape[1])
    index.add(np.ascontiguousarray(items, dtype=np.float32))
    return index.search(np.ascontiguousarray(queries, dtype=np.float32), k)[1]


# --- Digits lost ------------------------------------------------------------------


def cancellation(lab, results: Results) -> None:
    """Relative error of a small squared distance as both points move away from 0."""
    true = 64 * 1e-6  # 64 axes, 1e-3 apart along each
    U = seeding.rng(SEED, "cancellation").random((50, 64))
    errors = {"gram": [], "direct": []}
    for shift in SHIFTS:
        for method, found in errors.items():
            D = np.diag(lab.euclidean(shift + U, shift + U + 1e-3, method=method))
            found.append(float(np.median(np.abs(D**2 / true - 1))))
    plain = np.full((1, 64), 1e4)
    for method in errors:
        D = lab.euclidean(plain, plain + 1e-3, method=method)
        results.metric(f"cancellation.{method}_at_1e4", float(D[0, 0] ** 2), "")
        error = errors[method][SHIFTS.index(1e4)]
        results.metric(f"cancellation.{method}_error_at_1e4", error, "share")
    fig, ax = plotting.figure(size=(6.4, 3.6))
    for (method, found), colour in zip(errors.items(), (SHUFFLED, REAL), strict=True):
        ax.plot(SHIFTS, np.maximum(found, 1e-17), "o-", color=colour, label=method)
    ax.axhline(1, color="black", linewidth=1, linestyle=":", label="no digit is right")
    ax.set(
        xscale="log", yscale="log", xlabel="distance of both points from 0, per axis"
    )
    ax.set(ylabel="relative error of |u − v|²")
    ax.set_title("Two points 0.001 apart along each of 64 axes, float64")
    ax.legend()
    results.figure(fig, "gram.png", "What the Gram trick costs in digits")


# --- Speed ------------------------------------------------------------------------


def speed(lab, results: Results, n_items: int) -> None:
    """Ten nearest of 100 queries by cosine, one thread each, best of 7."""
    rng = seeding.rng(SEED, "speed")
    items = rng.standard_normal((n_items, 128), dtype=np.float32)
    queries = rng.standard_normal((100, 128), dtype=np.float32)
    peer = NearestNeighbors(n_neighbors=10, algorithm="brute", metric="cosine")
    peer.fit(items)
    ways = {
        "lab": lambda: lab.top_k(queries, items, 10)[0],
        "sklearn": lambda: peer.kneighbors(queries, return_distance=False),
        "argsort": lambda: np.argsort(-lab.cosine_similarity(queries, items))[:, :10],
    }
    if faiss := import_faiss():
        faiss.omp_set_num_threads(1)
        ways["faiss"] = lambda: search(faiss, unit(queries), unit(items), 10)
    with threadpool_limits(1):
        took = {name: timeit(way, repeats=7) for name, way in ways.items()}
        ids = {name: way() for name, way in ways.items()}
    titles = {
        "lab": "`top_k`",
        "sklearn": "scikit-learn, brute force",
        "argsort": "`cosine_similarity` and a full `np.argsort`",
        "faiss": "FAISS, normalize, add and search",
    }
    rows = []
    for name, seconds in took.items():
        same = 100 * float(np.mean(ids[name] == ids["lab"]))
        ratio = seconds / took["lab"]
        if name != "lab":
            results.metric(f"speed.over_{name}", ratio, "ratio", seconds)
            results.metric(f"speed.same_ids_{name}", same, "%")
        rows.append(
            (titles[name], f"{1e3 * seconds:.1f}", f"{ratio:.2f}", f"{same:.1f} %")
        )
    results.text(
        "## Speed of an exact search\n"
        f"100 queries in {n_items:,} x 128 float32, ten nearest by cosine, one thread, "
        "best of 7, all in one process."
    )
    results.table(["way", "ms", "times `top_k`'s time", "same ids"], rows)


def unit(X: np.ndarray) -> np.ndarray:
    """Rows of length 1."""
    return X / np.linalg.norm(X, axis=1, keepdims=True)
