"""Words of Wikipedia as vectors: by counting, and by predicting.

Counts which words of WikiText-2 (its validation and test part, 120 articles) stand near
each other, weighs the counts (PPMI), compresses them (SVD), trains skip-gram vectors on
the same text, and asks of each how many of a word's five nearest neighbours are of its
own family; the families are in families.toml and were written down beforehand. Ends
with analogies, planted and real; with `full` and the training part of the data set at
hand, on that too. Takes about two minutes.
"""

from __future__ import annotations

import re
import time
import tomllib
from collections.abc import Iterator
from itertools import permutations
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy.sparse import csr_matrix
from sklearn.utils.extmath import randomized_svd
from threadpoolctl import threadpool_limits

from common import datasets, labs, plotting, seeding
from common.results import Results

SEED = 1
DIM, NEGATIVES = 100, 5
ALPHA = 0.75
WINDOWS = (1, 2, 5, 10)
WINDOW = 2  # of the vectors that are looked at more closely
EPOCHS, RATE, BATCH = 5, 0.1, 128
THINNED = 1e-3  # the t of keep_probability
METHODS = {
    "raw": "raw counts",
    "ppmi": "PPMI",
    "svd": "PPMI-SVD",
    "sgns": "SGNS",
    "thinned": "SGNS, thinned",
}
ASKED = ("river", "player", "north", "january", "five", "brother", "album", "army")
GROUPED = ("june", "seven", "daughter", "battalion", "highway", "storm", "goal")
MAPPED = ("months", "numerals", "directions", "kinship", "military", "music", "roads")
NOUNS = (
    "game team player song album ship gun river road town film book school year day "
    "month member house tree bird king battle soldier engine bridge building match "
    "award episode scene character storm island student street castle stamp brigade"
)
CLUSTERS = 150
PLANTED = (6, 4, 8, 6000)  # things, qualities, words around each, sentences


class Corpus(NamedTuple):
    """A text as ids."""

    itos: list[str]
    counts: np.ndarray  # (V,)
    sentences: list[np.ndarray]

    @property
    def words(self) -> int:
        return int(self.counts.sum())

    def ids(self, words: str) -> np.ndarray:
        """The ids of those words that are in the vocabulary."""
        return np.array([self.itos.index(w) for w in words.split() if w in self.itos])


def main(lab, out: Path, quick: bool = False, full: bool = False) -> None:
    """Run the experiment.

    Args:
        lab: the module under test: the solution, or a learner's lab.py.
        out: folder for metrics.json, report.md and the plots.
        quick: one part of the text, few dimensions, one epoch; a few seconds.
        full: also singular and plural over the training part, if it is here.
    """
    title = "Lab 3.1: words as vectors"
    results = Results(out, title, seed=SEED, steps=9, quick=quick)
    duration = "4 seconds" if quick else "2 minutes"
    results.say(f"Makes 3 plots and a report in about {duration}.")
    with threadpool_limits(1):
        corpus = read(lab, results, ("valid",) if quick else ("valid", "test"), quick)
        spaces = count(lab, results, corpus, quick)
        compare_svds(lab, results, corpus, quick)
        vectors, losses = predict(lab, results, corpus, quick)
        spaces |= vectors
        families(results, corpus, spaces, losses)
        look(lab, results, corpus, spaces)
        planted(lab, results, quick)
        plurals(lab, results, corpus, spaces, full)
    results.save()


# --- The text ---------------------------------------------------------------------


def sentences_of(text: str) -> Iterator[list[str]]:
    """The words of each sentence in small letters; numbers and <unk> are left out."""
    for line in text.lower().replace("<unk>", " ").split("\n"):
        for sentence in line.split(" . "):
            if words := re.findall("[a-z]+", sentence):
                yield words


def prepare(
    lab, parts: tuple[str, ...], min_count: int, limit: int | None = None
) -> Corpus:
    """Parts of WikiText-2 as ids, without the words that are rarer than min_count."""
    text = [s for part in parts for s in sentences_of(datasets.wikitext2(part))][:limit]
    itos, counts = lab.build_vocab(text, min_count)
    return Corpus(itos, counts, lab.encode(text, itos))


def read(lab, results: Results, parts: tuple[str, ...], quick: bool) -> Corpus:
    """The vocabulary, and how fast pairs are counted."""
    results.step(f"reading WikiText-2: {' and '.join(parts)}")
    corpus = prepare(lab, parts, min_count=10, limit=2500 if quick else None)
    V = len(corpus.itos)
    start = time.perf_counter()
    C = lab.cooccurrence(corpus.sentences, V, 5)
    seconds = time.perf_counter() - start
    part = corpus.sentences[: len(corpus.sentences) // 10]
    start = time.perf_counter()
    loop = pair_loop(part, V, 5)
    slow = time.perf_counter() - start
    start = time.perf_counter()
    fast_counts = lab.cooccurrence(part, V, 5)
    fast = time.perf_counter() - start
    differ = float(abs(loop - fast_counts).max())
    results.metric("corpus.words", corpus.words, "words")
    results.metric("corpus.vocabulary", V, "words")
    results.metric("corpus.pairs", float(C.sum()) / 2, "pairs", seconds)
    results.metric("counting.speed", slow / fast, "ratio")
    results.text(
        f"WikiText-2, {' and '.join(parts)}: {corpus.words:,} words in "
        f"{len(corpus.sentences):,} sentences, {V:,} different ones. "
        f"{C.sum() / 2:,.0f} pairs within 5 places, counted in {seconds:.1f} s, on a "
        f"tenth of the text {slow / fast:.0f} times as fast as by a loop over pairs "
        f"(largest difference {differ:.0f})."
    )
    return corpus


def pair_loop(sentences: list[np.ndarray], V: int, window: int) -> csr_matrix:
    """The counts by plain Python."""
    cells: dict[tuple[int, int], float] = {}
    for words in sentences:
        ids = words.tolist()
        for i, a in enumerate(ids):
            for b in ids[i + 1 : i + 1 + window]:
                cells[a, b] = cells.get((a, b), 0.0) + 1.0
                cells[b, a] = cells.get((b, a), 0.0) + 1.0
    rows, columns = zip(*cells, strict=True)
    return csr_matrix((list(cells.values()), (rows, columns)), (V, V))


# --- Counting ---------------------------------------------------------------------


def read_families() -> dict[str, dict[str, str]]:
    """families.toml: {"kinds" or "topics": {family: its words}}."""
    path = Path(__file__).with_name("families.toml")
    return tomllib.loads(path.read_text(encoding="utf-8"))


def precisions(E: np.ndarray, corpus: Corpus) -> dict[str, dict[str, float]]:
    """Of the 5 nearest neighbours of a family's words, the share in it, in %."""
    known = {
        (sort, family): corpus.ids(words)
        for sort, named in read_families().items()
        for family, words in named.items()
    }
    asked = np.unique(np.concatenate([*known.values()]))
    near, _ = labs.solution("1.3").top_k(E[asked], E, 6)
    five = {
        i: [n for n in row if n != i][:5] for i, row in zip(asked, near, strict=True)
    }
    found: dict[str, dict[str, float]] = {"kinds": {}, "topics": {}}
    for (sort, family), ids in known.items():
        inside = np.isin([five[i] for i in ids], ids)
        found[sort][family] = 100 * float(inside.mean()) if len(ids) else 0.0
    return found


def mean_precisions(E: np.ndarray, corpus: Corpus) -> dict[str, float]:
    """The means over the ten kinds and over the six topics, in %."""
    found = precisions(E, corpus)
    return {sort: float(np.mean([*named.values()])) for sort, named in found.items()}


def count(lab, results: Results, corpus: Corpus, quick: bool) -> dict[str, np.ndarray]:
    """Raw counts, PPMI and PPMI-SVD for several windows; the spaces of one of them."""
    results.step("counting, PPMI and SVD for several windows")
    V, dim = len(corpus.itos), 20 if quick else DIM
    curves: dict[str, dict[str, list[float]]] = {"kinds": {}, "topics": {}}
    chosen = {}
    windows = (WINDOW,) if quick else WINDOWS
    for window in windows:
        C = lab.cooccurrence(corpus.sentences, V, window, "distance")
        M = lab.ppmi(C, alpha=ALPHA)
        E = lab.svd_embeddings(M, dim)
        spaces = {"raw": C.toarray(), "ppmi": M.toarray(), "svd": E}
        for method, space in spaces.items():
            for sort, value in mean_precisions(space, corpus).items():
                curves[sort].setdefault(method, []).append(value)
                results.metric(f"p5.{sort}.{method}.window{window}", value, "%")
        if window == WINDOW:
            chosen = spaces
            results.metric("counts.entries", int(C.nnz), "entries")
            results.metric("ppmi.entries", int(M.nnz), "entries")
            lengths = {
                m: singular_values(lab, X, dim) for m, X in (("raw", C), ("ppmi", M))
            }
    results.figure(
        draw_windows(windows, curves, lengths), "windows.png", "Windows and spectra"
    )
    return chosen


def singular_values(lab, M: csr_matrix, dim: int) -> np.ndarray:
    """From the lengths of the columns of U S."""
    return np.linalg.norm(lab.svd_embeddings(M, dim, power=1.0), axis=0)


def draw_windows(windows, curves: dict, lengths: dict[str, np.ndarray]):
    """Precision against the window, and the singular values."""
    fig, axes = plotting.figure(1, 3, size=(10.5, 3.6))
    titles = {"kinds": "Words of one kind", "topics": "Words of one topic"}
    for ax, (sort, lines) in zip(axes, curves.items(), strict=False):
        for method, marker in zip(lines, "os^", strict=True):
            ax.plot(windows, lines[method], marker + "-", label=METHODS[method])
        ax.set(xscale="log", xlabel="window (words to each side)", title=titles[sort])
        ax.set(ylabel="precision of 5 neighbours (%)", ylim=(0, 70))
        ax.set_xticks(windows, [str(w) for w in windows])
        ax.minorticks_off()
    axes[0].legend(fontsize="small")
    for method, s in lengths.items():
        x = np.arange(1, len(s) + 1)
        axes[2].plot(x, s / s[0], label=METHODS[method])
    axes[2].set(xscale="log", yscale="log", xlabel="number of the singular value")
    axes[2].set(
        ylabel="singular value / the largest", title=f"Spectra, window {WINDOW}"
    )
    axes[2].legend(fontsize="small")
    return fig


def compare_svds(lab, results: Results, corpus: Corpus, quick: bool) -> None:
    """ARPACK beside two randomized SVDs: seconds, and how far apart the vectors are."""
    results.step("three ways to the SVD")
    V, dim = len(corpus.itos), 20 if quick else DIM
    M = lab.ppmi(lab.cooccurrence(corpus.sentences, V, WINDOW, "distance"), alpha=ALPHA)

    def arpack():
        return lab.svd_embeddings(M, dim)

    def sklearn():
        U, s, _ = randomized_svd(M, dim, random_state=SEED)
        return U * np.sqrt(s)

    def ours():
        rng = seeding.rng(SEED, "svd")
        U, s, _ = labs.solution("1.7").randomized_svd(M.toarray(), dim, rng=rng)
        return U * np.sqrt(s)

    rows, exact = [], None
    for key, title, way in (
        ("arpack", "ARPACK (`svds`)", arpack),
        ("sklearn", "randomized, scikit-learn", sklearn),
        ("lab17", "randomized, lab 1.7 (dense, 2 passes)", ours),
    ):
        start = time.perf_counter()
        E = way()
        seconds = time.perf_counter() - start
        exact = E if exact is None else exact
        off, held = gram_distance(E, exact), energy(E) / energy(exact)
        kinds = mean_precisions(E, corpus)["kinds"]
        results.metric(f"svd.{key}.seconds", seconds, "s", seconds)
        results.metric(f"svd.{key}.off", 100 * off, "%")
        results.metric(f"svd.{key}.energy", 100 * held, "%")
        cells = (f"{100 * held:.1f} %", f"{100 * off:.1f} %", f"{kinds:.1f} %")
        rows.append((title, f"{seconds:.2f} s", *cells))
    s = np.linalg.norm(exact, axis=0) ** 2
    results.metric("ppmi.flatness", float(s[-1] / s[0]), "ratio")
    results.text(
        f"## Three ways to {dim} singular vectors of {V:,} × {V:,}\n"
        f"Singular value {dim} is {s[-1] / s[0]:.2f} of the largest. Where values lie "
        "close together, few passes find the energy Σ σ², but mix the vectors."
    )
    header = [
        "way",
        "time",
        "energy, of ARPACK's",
        "E Eᵀ differs by",
        "precision, kinds",
    ]
    results.table(header, rows)


def energy(E: np.ndarray) -> float:
    """Σ σ², from vectors U S^½."""
    return float((np.linalg.norm(E, axis=0) ** 4).sum())


def gram_distance(A: np.ndarray, B: np.ndarray) -> float:
    """‖A Aᵀ - B Bᵀ‖ / ‖B Bᵀ‖, without the large products."""
    a, b, ab = (np.sum((X.T @ Y) ** 2) for X, Y in ((A, A), (B, B), (A, B)))
    return float(np.sqrt(max(a + b - 2 * ab, 0.0) / b))


# --- Predicting -------------------------------------------------------------------


def predict(lab, results: Results, corpus: Corpus, quick: bool) -> tuple[dict, dict]:
    """Skip-gram vectors of the text, and of it with its frequent words thinned out."""
    rng = seeding.rng(SEED, "thinned")
    keep = lab.keep_probability(corpus.counts, THINNED)
    thinned = [ids[rng.random(len(ids)) < keep[ids]] for ids in corpus.sentences]
    vectors, losses = {}, {}
    for method, sentences in (("sgns", corpus.sentences), ("thinned", thinned)):
        words = sum(map(len, sentences))
        results.step(f"training {METHODS[method]} on {words:,} words")
        epochs = 1 if quick else EPOCHS
        start = time.perf_counter()
        vectors[method], losses[method] = lab.train_sgns(
            sentences,
            corpus.counts,
            20 if quick else DIM,
            WINDOW,
            NEGATIVES,
            epochs,
            RATE,
            BATCH,
            seeding.rng(SEED, method),
        )
        seconds = time.perf_counter() - start
        results.metric(f"{method}.loss", float(losses[method][-100:].mean()), "nats")
        results.metric(f"{method}.speed", epochs * words / seconds, "words/s", seconds)
    return vectors, losses


def families(
    results: Results, corpus: Corpus, spaces: dict, losses: np.ndarray
) -> None:
    """How well each space keeps families together."""
    results.step("ten kinds and six topics")
    tables = {}
    for method, E in spaces.items():
        tables[method] = precisions(E, corpus)
        for sort, named in tables[method].items():
            results.metric(
                f"p5.{sort}.{method}", float(np.mean([*named.values()])), "%"
            )
    mean = {m: np.mean([*t["kinds"].values()]) for m, t in tables.items()}
    for method in ("svd", "sgns"):
        ratio = float(mean[method] / mean["raw"])
        results.metric(f"p5.kinds.{method}_to_raw", ratio, "ratio")
    results.text(
        f"## Of 5 nearest neighbours, how many are of the family (window {WINDOW}, %)\n"
        "Means over ten kinds (months, numerals, ...: words that could replace each "
        "other) and six topics. Counts are weighted by 1/distance, alpha is "
        f"{ALPHA:g}, SVD and SGNS have {spaces['svd'].shape[1]} dimensions. On kinds, "
        f"PPMI-SVD has {mean['svd'] / mean['raw']:.2f} times the precision of raw "
        f"counts, SGNS {mean['sgns'] / mean['raw']:.2f} times."
    )
    rows = []
    for method, sorts in tables.items():
        means = [f"{np.mean([*named.values()]):.1f}" for named in sorts.values()]
        best = sorted(sorts["kinds"].items(), key=lambda item: -item[1])
        shown = ", ".join(f"{f} {p:.0f}" for f, p in (*best[:2], best[-1]))
        rows.append((METHODS[method], *means, shown))
    results.table(["vectors", "kinds", "topics", "best two and worst kind"], rows)
    results.figure(draw_methods(tables, losses), "methods.png", "Four kinds of vectors")


def draw_methods(tables: dict, losses: dict):
    """The precision of every kind for each method, and SGNS's loss."""
    fig, (left, right) = plotting.figure(1, 2, size=(10.0, 4.2))
    names = list(tables["raw"]["kinds"])
    width = 0.8 / len(tables)
    for i, (method, sorts) in enumerate(tables.items()):
        at = np.arange(len(names)) + width * (i - (len(tables) - 1) / 2)
        left.barh(at, [sorts["kinds"][f] for f in names], width, label=METHODS[method])
    left.set_yticks(range(len(names)), names)
    left.invert_yaxis()
    left.set(xlabel="precision of 5 neighbours (%)", title="Kind by kind")
    left.legend(fontsize="x-small")
    for (method, values), colour in zip(
        losses.items(), plotting.PALETTE[3:], strict=False
    ):
        piece = max(1, len(values) // 100)
        means = values[: len(values) // piece * piece].reshape(-1, piece).mean(axis=1)
        share = np.linspace(0, 100, len(means))
        right.plot(share, means, color=colour, label=METHODS[method])
    chance = (1 + NEGATIVES) * np.log(2)
    right.axhline(chance, color="0.4", ls="--", lw=1)
    right.annotate(
        f"{1 + NEGATIVES} ln 2: knows nothing", (40, chance - 0.05), va="top"
    )
    right.set(xlabel="share of the training (%)", ylabel="loss (nats per pair)")
    right.set(title="SGNS: a staircase, one step an epoch")
    right.legend(fontsize="small", loc="center right")
    return fig


# --- Looking ----------------------------------------------------------------------


def look(lab, results: Results, corpus: Corpus, spaces: dict) -> None:
    """Neighbours, clusters and a map."""
    results.step("neighbours, clusters and a map")
    results.text("## Nearest neighbours")
    rows = []
    for word in ASKED:
        if len(at := corpus.ids(word)):
            near = [
                lab.most_similar(spaces[m], int(at[0]), 4)[0] for m in ("svd", "sgns")
            ]
            rows.append((word, *(", ".join(corpus.itos[i] for i in n) for n in near)))
    results.table(["word", METHODS["svd"], METHODS["sgns"]], rows)
    E, k = spaces["svd"], min(CLUSTERS, len(corpus.itos) // 10)
    labels, _ = lab.cluster(E, k, seeding.rng(SEED, "clusters"))
    sizes = np.bincount(labels, minlength=k)
    results.metric("clusters.median", float(np.median(sizes)), "words")
    results.text(f"## Clusters: spherical k-means, k = {k}, of the PPMI-SVD vectors")
    rows = []
    for word in GROUPED:
        if len(at := corpus.ids(word)):
            members = np.flatnonzero(labels == labels[at[0]])  # frequent ones first
            shown = ", ".join(corpus.itos[i] for i in members[:9])
            rows.append((word, len(members), shown))
    results.table(["cluster of", "words", "the most frequent of them"], rows)
    results.figure(draw_map(corpus, E), "map.png", "A map of seven families")


def draw_map(corpus: Corpus, E: np.ndarray):
    """The first two principal components of some families' unit vectors."""
    fig, ax = plotting.figure(size=(9.0, 6.6))
    known = {f: w for named in read_families().values() for f, w in named.items()}
    ids = {name: corpus.ids(known[name]) for name in MAPPED}
    everything = np.concatenate([*ids.values()])
    unit, svd_lab = labs.solution("1.3").normalize(E[everything]), labs.solution("1.7")
    fitted = svd_lab.pca_fit(unit, 2)
    points = svd_lab.pca_transform(fitted, unit)
    colours = np.repeat(MAP_COLOURS, [len(members) for members in ids.values()])
    for name, colour in zip(ids, MAP_COLOURS, strict=True):
        ax.scatter(*points[colours == colour].T, s=9, color=colour, label=name)
    share = 100 * fitted.explained_variance_ratio
    ax.set(xlabel=f"first principal component ({share[0]:.0f} % of the variance)")
    ax.set(ylabel=f"second ({share[1]:.0f} %)")
    ax.set(title=f"Seven families on two of {E.shape[1]} axes")
    ax.legend(fontsize="small")
    write_words(ax, [corpus.itos[i] for i in everything], points, colours)
    return fig


def write_words(ax, words: list[str], points: np.ndarray, colours) -> None:
    """Each word beside its point, where it covers no other word and no point."""
    per_point = np.ptp(points, axis=0) / (500, 350)  # data units in 1/72 inch, roughly
    taken = [(x - 2, y, 4.0) for x, y in points / per_point]  # left end, middle, width
    for i in np.lexsort(points.T):
        (x, y), width = points[i] / per_point, 4.2 * len(words[i])
        for ring in range(0, 60, 4):
            spots = [(x + 4, y + s * ring) for s in (1, -1)]
            spots += [(x - 4 - width, y + s * ring) for s in (1, -1)]
            spot = next((p for p in spots if is_free(p, width, taken)), None)
            if spot:
                break
        spot = spot or (x + 4, y)
        taken.append((*spot, width))
        line = {"arrowstyle": "-", "color": colours[i], "lw": 0.4} if ring > 4 else None
        ax.annotate(
            words[i],
            points[i],
            np.array(spot) * per_point,
            fontsize=7,
            color=colours[i],
            va="center",
            arrowprops=line,
        )


def is_free(spot: tuple[float, float], width: float, taken: list) -> bool:
    """Whether a word of this width fits there; words are 8 points high."""
    x, y = spot
    return all(
        abs(y - other_y) >= 8 or x + width < other_x or other_x + other_width < x
        for other_x, other_y, other_width in taken
    )


MAP_COLOURS = [c for c in plotting.PALETTE if c != "#F0E442"]  # yellow text is faint


# --- Analogies --------------------------------------------------------------------


def planted(lab, results: Results, quick: bool) -> None:
    """A corpus in which every word is a thing with a quality, and its analogies."""
    results.step("analogies on a planted corpus")
    sentences, V = planted_corpus(600 if quick else PLANTED[3])
    things, qualities = PLANTED[:2]
    C = lab.cooccurrence(sentences, V, 10)
    vectors = {"svd": lab.svd_embeddings(lab.ppmi(C), 12)}
    counts = np.bincount(np.concatenate(sentences), minlength=V)
    rng = seeding.rng(SEED, "planted sgns")
    vectors["sgns"], _ = lab.train_sgns(sentences, counts, 12, 6, 5, 2, 0.1, 256, rng)
    solved = {}
    for method, E in vectors.items():
        solved[method] = sum(
            lab.analogy(E, i * qualities + p, i * qualities + q, j * qualities + p)[0][
                0
            ]
            == j * qualities + q
            for i, j in permutations(range(things), 2)
            for p, q in permutations(range(qualities), 2)
        )
        results.metric(f"planted.{method}", int(solved[method]), "analogies")
    asked = things * (things - 1) * qualities * (qualities - 1)
    results.metric("planted.asked", asked, "analogies")
    results.text(
        f"## Analogies\nOn a planted corpus, where each of {things * qualities} words "
        f"is one of {things} things with one of {qualities} qualities and stands among "
        f"words of both: PPMI-SVD solves {solved['svd']} of {asked}, SGNS "
        f"{solved['sgns']} (12 dimensions)."
    )


def planted_corpus(count: int) -> tuple[list[np.ndarray], int]:
    """Sentences of a word (thing i, quality j) among 3 words of i and 3 of j."""
    things, qualities, around = PLANTED[:3]
    rng = seeding.rng(SEED, "planted")
    first = things * qualities  # the ids from here on are the words around
    sentences = []
    for _ in range(count):
        i, j = int(rng.integers(things)), int(rng.integers(qualities))
        words = [
            first + f * around + rng.integers(around, size=3) for f in (i, things + j)
        ]
        sentences.append(rng.permutation([i * qualities + j, *words[0], *words[1]]))
    return sentences, first + (things + qualities) * around


def plurals(lab, results: Results, corpus: Corpus, spaces: dict, full: bool) -> None:
    """Singular is to plural as singular is to plural, also on the training part."""
    here = full and datasets.available("wikitext-2-train")
    results.step(
        "singular and plural" + (", also on the training part" if here else "")
    )
    answers = []
    for method in ("svd", "sgns"):
        right, asked = ask_plurals(lab, corpus, spaces[method])
        share = 100 * right / max(asked, 1)
        results.metric(f"plurals.{method}", share, "%")
        answers.append(f"{METHODS[method]} solves {right:,}, {share:.1f} %")
    results.metric("plurals.asked", asked, "analogies")
    text = (
        f"song : songs = ship : ..., {asked:,} such questions: {', '.join(answers)}; "
    )
    text += f"guessing, {100 / len(corpus.itos):.2f} %. "
    if not here:
        results.text(
            f"{text}The training part of WikiText-2, more than four times as much "
            "text, was not used: that takes a full run, with the file on the machine."
        )
        return
    corpus = prepare(lab, ("train", "valid", "test"), min_count=20)
    V = len(corpus.itos)
    C = lab.cooccurrence(corpus.sentences, V, WINDOW, "distance")
    E = lab.svd_embeddings(lab.ppmi(C, alpha=ALPHA), DIM)
    right, asked = ask_plurals(lab, corpus, E)
    results.metric("plurals.train.svd", 100 * right / asked, "%")
    results.text(
        f"{text}PPMI-SVD on all of WikiText-2 ({corpus.words:,} words, {V:,} "
        f"different): {right:,} of {asked:,}, {100 * right / asked:.1f} %."
    )


def ask_plurals(lab, corpus: Corpus, E: np.ndarray) -> tuple[int, int]:
    """(solved, asked) over all pairs of the nouns that have both forms."""
    E = labs.solution("1.3").normalize(E)
    found = [corpus.ids(f"{noun} {noun}s").tolist() for noun in NOUNS.split()]
    pairs = [both for both in found if len(both) == 2]
    asked = list(permutations(pairs, 2))
    right = sum(int(lab.analogy(E, a, b, c)[0][0]) == d for (a, b), (c, d) in asked)
    return right, len(asked)
