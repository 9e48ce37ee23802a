"""What singular values tell, on real and on random matrices.

Measures how few principal components carry scikit-learn's digits; fine-tunes a small
network on turned digits and asks how low the rank of the change may be, once by cutting
the finished change off and once by training it as LoRA does; shows rank collapse in
attention without skips, the stretch of a Gaussian matrix, signals through 20 layers,
and the speed of the randomized SVD. Needs no download. The network is torch's, all
else is the lab's. Takes 15 to 30 seconds; with `full` (20 seeds) a minute or two.
"""

from __future__ import annotations

import time
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
from sklearn.utils.extmath import randomized_svd
from threadpoolctl import threadpool_limits  # comes with scikit-learn

from common import datasets, device, plotting, seeding
from common.device import timeit
from common.results import Results

SEED = 0
FRACTIONS = (50, 80, 90, 95, 99)  # % of the variance
SHOWN = (2, 5, 13, 29, 64)  # components of the pictures that are shown
N_SHOWN = 6  # pictures
TEST = 450  # of the 1,797 digits
SIZES = (64, 128, 128, 10)
SHAPES = list(pairwise(SIZES))
LAYERS = [f"layer {i}: {a} x {b}" for i, (a, b) in enumerate(SHAPES, 1)]
CUT_RANKS = (1, 2, 4, 8, 16)
LORA_RANKS = (1, 2, 4, 8)
ALPHA = 16.0
EPOCHS, BATCH, RATE = 30, 64, 1e-3  # the same for every training here
TOKENS, WIDTH, DEPTH = 32, 64, 12  # of the attention stack
REPORTED = (0, 1, 2, 3, 4, DEPTH)  # layers
DRAWS = 5  # random stacks and matrices
GAINS = {"1": 1.0, "√2": 2**0.5, "2": 2.0}
TALL = (2000, 500, 20)  # rows, columns and k of the timed SVD


def main(lab, out: Path, quick: bool = False, full: bool = False) -> None:
    """Run the experiment.

    Args:
        lab: the module under test: the solution, or a learner's lab.py.
        out: folder for metrics.json, report.md and the three plots.
        quick: one seed, short training, small matrices; a few seconds.
        full: 20 seeds for the fine-tuning instead of 5.
    """
    title = "Lab 1.7: what singular values tell"
    results = Results(out, title, seed=SEED, steps=6, quick=quick)
    duration = "4 seconds" if quick else "2 minutes" if full else "30 seconds"
    results.say(f"Makes 3 plots and a report in about {duration}.")
    with threadpool_limits(1):  # on busy cores, threads mostly wait for each other
        components_of_digits(lab, results)
        fine_tune(lab, results, seeds=1 if quick else 20 if full else 5, quick=quick)
        through_the_layers(lab, results)
        gaussian_stretch(lab, results, size=128 if quick else 512)
        speed(lab, results, *((400, 100, 5) if quick else TALL))
    results.step("writing metrics.json and report.md")
    results.save()


# --- Principal components of digits -------------------------------------------------


def components_of_digits(lab, results: Results) -> None:
    """How many components hold how much of the variance of 8 by 8 pixel digits."""
    results.step("principal components of the digits")
    X, _ = datasets.digits()
    p = lab.pca_fit(X, X.shape[1])
    s = np.sqrt(np.maximum(p.explained_variance, 0))  # rounding may go below 0
    needed = {f: lab.rank_for_energy(s, f / 100) for f in FRACTIONS}
    for fraction, k in needed.items():
        results.metric(f"pca.components.{fraction}", k, "components")
    results.text("## Principal components of the digits")
    results.table(
        ["share of the variance", *(f"{f} %" for f in FRACTIONS)],
        [("components, of 64", *needed.values())],
    )
    fig, (left, right) = plotting.figure(1, 2, size=(8.5, 3.8))
    draw_variance(left, p.explained_variance_ratio, needed)
    draw_digits(lab, right, X)
    caption = "Variance held by the first components, and digits made from them"
    results.figure(fig, "digits.png", caption)


def draw_variance(ax, ratio: np.ndarray, needed: dict[int, int]) -> None:
    """Cumulated share of the variance, with the components needed for round shares."""
    held = 100 * np.cumsum(ratio)
    ax.plot(np.arange(1, len(held) + 1), held)
    ax.plot(needed.values(), held[[k - 1 for k in needed.values()]], "o")
    for fraction, k in needed.items():
        ax.annotate(f"{k}: {fraction} %", (k + 1, held[k - 1] - 6))
    ax.set(xlabel="principal components kept", ylabel="variance held (%)")
    ax.set(title="Digits: 64 pixels, far fewer directions", ylim=(0, 103))


def draw_digits(lab, ax, X: np.ndarray) -> None:
    """A few digits, each made from more and more components."""
    rows = []
    for k in SHOWN:
        p = lab.pca_fit(X, k)
        back = lab.pca_inverse(p, lab.pca_transform(p, X[:N_SHOWN]))
        padded = np.pad(back.reshape(N_SHOWN, 8, 8), ((0, 0), (1, 1), (1, 1)))
        rows.append(np.hstack(padded))
    ax.imshow(np.vstack(rows), cmap="gray_r", vmin=0, vmax=1)
    ax.grid(False)
    ax.set_xticks([])
    ax.set_yticks([10 * i + 4.5 for i in range(len(SHOWN))], labels=SHOWN)
    ax.set(ylabel="components kept", title="Six digits made from their components")


# --- Low-rank fine-tuning -------------------------------------------------------------


class Run(NamedTuple):
    """What one seed gives; accuracies in % on turned test digits."""

    base: float  # upright test digits, before fine-tuning
    before: float
    full: float
    cut: list[float]  # one per rank in CUT_RANKS
    lora: list[float]  # one per rank in LORA_RANKS
    energy: list[np.ndarray]  # cumulated share of the update's energy, per layer


def fine_tune(lab, results: Results, seeds: int, quick: bool) -> None:
    """Move a digit classifier to digits turned by 90 degrees, at several ranks."""
    results.step(f"low-rank fine-tuning, {seeds} seed{'s' * (seeds > 1)}")
    start = time.perf_counter()
    with device.one_torch_thread():
        runs = [one_seed(lab, SEED + i, quick) for i in range(seeds)]
    results.text("## Low-rank fine-tuning")
    seconds = time.perf_counter() - start
    tell_accuracies(results, runs, seconds)
    tell_parameters(lab, results)
    tell_energy(results, runs)
    fig, (left, right) = plotting.figure(1, 2, size=(8.5, 3.8))
    draw_accuracies(left, runs)
    draw_energy(right, runs)
    caption = f"Mean of {seeds} seeds; bars and band: one standard deviation"
    results.figure(fig, "fine_tuning.png", caption)


def one_seed(lab, seed: int, quick: bool) -> Run:
    """Train on upright digits, then fine-tune on turned ones in three ways."""
    rng = seeding.rng(seed, "fine-tuning")
    train, test = split(rng)
    epochs = 1 if quick else EPOCHS
    weights = []
    for a, b in SHAPES:
        weights += [rng.normal(0, lab.init_std(a), (a, b)), np.zeros(b)]
    base = fit(weights, train["upright"], train["y"], epochs, seed)
    tuned = fit(base, train["turned"], train["y"], epochs, seed)
    x, y = test["turned"], test["y"]
    # only the weights are cut: biases are few and have no rank
    updates = [new - old for new, old in zip(tuned[::2], base[::2], strict=True)]
    cut = [accuracy(cut_off(lab, base, tuned, updates, r), x, y) for r in CUT_RANKS]
    lora = []
    for r in LORA_RANKS:
        merged = fit_lora(lab, base, train["turned"], train["y"], r, epochs, seed)
        lora.append(accuracy(merged, x, y))
    energy = [np.cumsum(np.linalg.svd(u, compute_uv=False) ** 2) for u in updates]
    return Run(
        base=accuracy(base, test["upright"], y),
        before=accuracy(base, x, y),
        full=accuracy(tuned, x, y),
        cut=cut,
        lora=lora,
        energy=[e / e[-1] for e in energy],
    )


def split(rng: np.random.Generator) -> tuple[dict, dict]:
    """Digits upright and turned by 90 degrees, in a training and a test part."""
    X, y = datasets.digits()
    turned = np.rot90(X.reshape(-1, 8, 8), axes=(1, 2)).reshape(X.shape)
    order = rng.permutation(len(X))
    data = {"upright": X, "turned": turned, "y": y}
    test = {name: values[order[:TEST]] for name, values in data.items()}
    train = {name: values[order[TEST:]] for name, values in data.items()}
    return train, test


def fit(weights: list[np.ndarray], X, y, epochs: int, seed: int) -> list[np.ndarray]:
    """Train every weight and bias; returns new arrays."""
    import torch

    params = [torch.tensor(w, dtype=torch.float32) for w in weights]

    def forward(x):
        return network(x, lambda i, h: h @ params[2 * i] + params[2 * i + 1])

    descend(forward, params, X, y, epochs, seed)
    return [p.detach().numpy().astype(np.float64) for p in params]


def fit_lora(lab, base, X, y, r: int, epochs: int, seed: int) -> list[np.ndarray]:
    """Train A and B of every layer beside frozen weights; returns merged weights."""
    import torch

    rng = seeding.rng(seed, "lora", r)
    frozen = [torch.tensor(w, dtype=torch.float32) for w in base]
    pairs = [lab.lora_init(*w.shape, r, rng=rng) for w in base[::2]]
    params = [torch.tensor(m, dtype=torch.float32) for pair in pairs for m in pair]

    def layer(i, h):
        W, bias, A, B = *frozen[2 * i : 2 * i + 2], *params[2 * i : 2 * i + 2]
        return h @ W + (ALPHA / r) * ((h @ A) @ B) + bias

    descend(lambda x: network(x, layer), params, X, y, epochs, seed)
    learned = [p.detach().numpy().astype(np.float64) for p in params]
    merged = list(base)
    for i in range(len(pairs)):
        A, B = learned[2 * i : 2 * i + 2]
        merged[2 * i] = lab.lora_merge(base[2 * i], A, B, ALPHA)
    return merged


def network(x, layer):
    """Three layers with ReLU between them, in torch."""
    for i in range(len(SIZES) - 1):
        x = layer(i, x.relu() if i else x)
    return x


def descend(forward, params, X, y, epochs: int, seed: int) -> None:
    """Adam on mini-batches; changes the parameters in place."""
    import torch

    order = seeding.torch_generator(seed)
    X, y = torch.tensor(X, dtype=torch.float32), torch.tensor(y)
    for p in params:
        p.requires_grad_()
    optimizer = torch.optim.Adam(params, lr=RATE)
    for _ in range(epochs):
        for batch in torch.randperm(len(X), generator=order).split(BATCH):
            loss = torch.nn.functional.cross_entropy(forward(X[batch]), y[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()


def cut_off(lab, base, tuned, updates, r: int) -> list[np.ndarray]:
    """The fine-tuned network with each update replaced by its best rank r."""
    weights = list(tuned)
    for i, update in enumerate(updates):
        k = min(r, *update.shape)
        weights[2 * i] = base[2 * i] + lab.best_rank_k(update, k)
    return weights


def accuracy(weights: list[np.ndarray], X: np.ndarray, y: np.ndarray) -> float:
    """Share of right answers in %, computed with NumPy."""
    for i in range(0, len(weights), 2):
        X = relu(X) @ weights[i] + weights[i + 1]  # pixels are never below 0
    return 100 * float(np.mean(X.argmax(axis=1) == y))


def tell_accuracies(results: Results, runs: list[Run], seconds: float) -> None:
    """Means and standard deviations over the seeds, as metrics and as a table."""
    for name in ("base", "before", "full"):
        spread(results, f"fine_tuning.{name}", [getattr(r, name) for r in runs])
    rows = {
        "change cut off": ("cut", CUT_RANKS),
        "trained as LoRA": ("lora", LORA_RANKS),
    }
    table = []
    for title, (name, ranks) in rows.items():
        cells = dict.fromkeys(CUT_RANKS, "")
        for i, r in enumerate(ranks):
            values = [getattr(run, name)[i] for run in runs]
            mean, sd = spread(results, f"fine_tuning.{name}.r{r}", values)
            cells[r] = f"{mean:.0f} ± {sd:.0f}"
        table.append((title, *cells.values()))
    results.metric("fine_tuning.seeds", len(runs), "seeds", seconds)
    base, before, full = (
        np.mean([getattr(run, name) for run in runs])
        for name in ("base", "before", "full")
    )
    results.text(
        f"A network {'-'.join(map(str, SIZES))} knows {base:.1f} % of {TEST} upright "
        f"test digits and {before:.1f} % of the same digits turned by 90 degrees. "
        f"Fine-tuning everything on turned ones gives {full:.1f} %. With less rank, in "
        f"% (mean ± standard deviation of {len(runs)} seeds: split, start, batches):"
    )
    results.table(["rank of the change", *CUT_RANKS], table)


def spread(results: Results, name: str, values: list[float]) -> tuple[float, float]:
    """Keep mean and standard deviation as metrics, and return them."""
    mean, sd = float(np.mean(values)), deviation(values)
    results.metric(f"{name}.mean", mean, "%")
    results.metric(f"{name}.sd", sd, "%")
    return mean, sd


def deviation(values: list[float]) -> float:
    """Sample standard deviation; 0 for a single value."""
    return float(np.std(values, ddof=1)) if len(values) > 1 else 0.0


def tell_parameters(lab, results: Results) -> None:
    """How many numbers LoRA trains, of all."""
    total = sum(a * b + b for a, b in SHAPES)
    results.metric("fine_tuning.parameters", total, "numbers")
    counts = []
    for r in LORA_RANKS:
        count = sum(lab.lora_param_count(a, b, r) for a, b in SHAPES)
        results.metric(f"fine_tuning.lora.r{r}.parameters", count, "numbers")
        counts.append(f"{count:,}")
    ranks = ", ".join(map(str, LORA_RANKS))
    results.text(
        f"LoRA with rank {ranks} trains {', '.join(counts)} of {total:,} numbers, with "
        f"alpha = {ALPHA:g} and the optimizer of the full fine-tuning."
    )


def tell_energy(results: Results, runs: list[Run]) -> None:
    """Directions that hold 90 % of the energy of each layer's update."""
    found = []
    for i, name in enumerate(LAYERS):
        needed = [int(np.searchsorted(run.energy[i], 0.9)) + 1 for run in runs]
        mean = float(np.mean(needed))
        results.metric(f"update.energy90.layer{i + 1}", mean, "directions")
        found.append(f"{name}, {mean:.1f}")
    results.text(
        "Directions that hold 90 % of the energy of the full update, mean over the "
        f"seeds: {'; '.join(found)}."
    )


def draw_accuracies(ax, runs: list[Run]) -> None:
    """Accuracy against rank for both ways, between doing nothing and everything."""
    kinds = [("LoRA: trained at this rank", "lora", LORA_RANKS)]
    kinds.append(("full change, cut off behind", "cut", CUT_RANKS))
    for title, name, ranks in kinds:
        values = np.array([getattr(run, name) for run in runs])  # (seeds, ranks)
        sd = [deviation(column) for column in values.T]
        ax.errorbar(ranks, values.mean(0), sd, fmt="o-", capsize=3, label=title)
    level(ax, [run.full for run in runs], plotting.PALETTE[2], "whole change")
    level(ax, [run.before for run in runs], "grey", "no change")
    ax.set_xscale("log", base=2)
    ax.set_xticks(CUT_RANKS, labels=CUT_RANKS)
    ax.set(xlabel="rank of the change (log scale)", ylim=(0, 103))
    ax.set(ylabel="accuracy on turned digits (%)", title="How little rank is enough?")
    ax.legend(fontsize="small", loc="lower right", bbox_to_anchor=(1, 0.13))


def level(ax, values: list[float], colour: str, label: str) -> None:
    """A line across the plot with a band of one standard deviation."""
    mean, sd = np.mean(values), deviation(values)
    ax.axhline(mean, color=colour, linestyle="--", linewidth=1.2, label=label)
    ax.axhspan(mean - sd, mean + sd, color=colour, alpha=0.15, linewidth=0)


def draw_energy(ax, runs: list[Run]) -> None:
    """Energy that the first directions of each layer's update hold."""
    for i, name in enumerate(LAYERS):
        held = 100 * np.mean([run.energy[i] for run in runs], axis=0)
        ax.plot(np.arange(1, len(held) + 1), held, label=name)
    ax.axhline(90, color="grey", linestyle=":", linewidth=1.2)
    ax.set_xscale("log", base=2)
    ax.set_xticks(ticks := [1, 2, 4, 8, 16, 32, 64, 128], labels=ticks)
    ax.set(xlabel="directions kept (log scale)", ylabel="energy held (%)")
    ax.set(title="Few directions hold the full change", ylim=(0, 103))
    ax.legend(fontsize="small", loc="lower right")


# --- Through the layers ---------------------------------------------------------------


def through_the_layers(lab, results: Results) -> None:
    """Rank collapse in attention, and the size of signals in a ReLU network."""
    results.step("attention without skips, and signals through 20 layers")
    results.text("## Through the layers")
    fig, (left, right) = plotting.figure(1, 2, size=(8.5, 3.8))
    rank_collapse(results, left)
    signal_size(lab, results, right)
    caption = f"Median and range of {DRAWS} random networks each"
    results.figure(fig, "layers.png", caption)


def rank_collapse(results: Results, ax) -> None:
    """Random attention layers make all tokens the same unless they are skipped."""
    kinds, rows = {"without skips": False, "with skips": True}, []
    for (title, skip), marker in zip(kinds.items(), "os", strict=True):
        rngs = [seeding.rng(SEED, "collapse", i) for i in range(DRAWS)]
        far = np.array([attention_stack(rng, skip) for rng in rngs])  # (draws, layers)
        band(ax, far, title, marker)
        key = title.replace(" ", "_")
        middle = [float(np.median(far[:, i])) for i in REPORTED]
        for i, value in zip(REPORTED, middle, strict=True):
            results.metric(f"collapse.{key}.{i}", value, "")
        rows.append((title, *(f"{value:.1g}" for value in middle)))
    ax.set(yscale="log", ylim=(1e-17, 10), xlabel="attention layers")
    ax.set(ylabel="distance to rank one", title="Attention alone makes tokens equal")
    ax.legend(fontsize="small", loc="center right")
    results.text(
        "Rank collapse: how much of X (tokens by width) is left, as a share of its "
        "norm, when the mean token is subtracted from every token, after layers of "
        "random softmax attention with layer norm. 0 means that all tokens are equal, "
        "a matrix of rank one; 1e-16 is what float64 can tell from 0. "
        f"Median of {DRAWS} random stacks:"
    )
    results.table(["layers", *REPORTED], rows)


def attention_stack(rng: np.random.Generator, skip: bool) -> list[float]:
    """Distance to rank one before the first of `DEPTH` layers and behind each."""
    X = rng.standard_normal((TOKENS, WIDTH))
    far = [from_rank_one(X)]
    for _ in range(DEPTH):
        Wq, Wk, Wv = rng.standard_normal((3, WIDTH, WIDTH)) / np.sqrt(WIDTH)
        H = (X - X.mean(1, keepdims=True)) / X.std(1, keepdims=True)  # layer norm
        scores = (H @ Wq) @ (H @ Wk).T / np.sqrt(WIDTH)
        P = np.exp(scores - scores.max(1, keepdims=True))
        Y = (P / P.sum(1, keepdims=True)) @ H @ Wv
        X = X + Y if skip else Y
        far.append(from_rank_one(X))
    return far


def from_rank_one(X: np.ndarray) -> float:
    """Norm of X without its mean row, as a share of the norm of X."""
    return float(np.linalg.norm(X - X.mean(axis=0)) / np.linalg.norm(X))


def signal_size(lab, results: Results, ax) -> None:
    """Second moment through 20 ReLU layers for three scales of the weights."""
    found = []
    for (title, gain), marker in zip(GAINS.items(), "os^", strict=True):
        moments = []
        for i in range(DRAWS):
            rng = seeding.rng(SEED, "moments", i)
            std = lab.init_std(256, gain=gain)
            weights = [rng.normal(0, std, (256, 256)) for _ in range(20)]
            x = rng.standard_normal((100, 256))
            moments.append(lab.propagate_second_moment(x, weights, relu))
        band(ax, np.array(moments), f"gain {title}", marker)
        last = float(np.median(np.array(moments)[:, -1]))
        results.metric(f"moments.gain_{gain:.2f}.layer20", last, "")
        found.append(f"gain {title} leaves {last:.2g}")
    ax.set(yscale="log", xlabel="ReLU layers", ylabel="mean of x²")
    ax.set(title="The scale of the weights decides", xticks=range(0, 21, 5))
    ax.legend(fontsize="small", loc="upper left")
    results.text(
        f"Of a signal with mean square 1, after 20 ReLU layers of width 256: "
        f"{', '.join(found)} (median of {DRAWS}). Each layer multiplies by gain²/2."
    )


def relu(x: np.ndarray) -> np.ndarray:
    """What is below 0 becomes 0."""
    return np.maximum(x, 0)


def band(ax, values: np.ndarray, title: str, marker: str) -> None:
    """Median and range of several curves (draws, points)."""
    x = np.arange(values.shape[1])
    line = ax.plot(x, np.median(values, 0), marker + "-", markersize=4, label=title)
    low, high = values.min(0), values.max(0)
    ax.fill_between(x, low, high, color=line[0].get_color(), alpha=0.2, linewidth=0)


# --- Stretch and speed ----------------------------------------------------------------


def gaussian_stretch(lab, results: Results, size: int) -> None:
    """The largest singular value of Gaussian matrices with std 1/√n; theory: 2."""
    results.step(f"largest singular value of {size} x {size} Gaussian matrices")
    found, off = [], []
    for i in range(DRAWS):
        rng = seeding.rng(SEED, "gaussian", i)
        A = rng.normal(0, lab.init_std(size), (size, size))
        found.append(lab.power_iteration(A, rng=rng)[0])
        off.append(abs(found[-1] - np.linalg.norm(A, 2)))
    results.metric("gaussian.sigma1.mean", float(np.mean(found)), "")
    results.metric("gaussian.sigma1.sd", deviation(found), "")
    results.metric("gaussian.off_numpy", max(off), "")
    results.text("## Stretch and speed")
    results.text(
        f"Gaussian {size} x {size}, std 1/√{size}: the largest singular value is "
        f"{np.mean(found):.3f} ± {deviation(found):.3f} in {DRAWS} draws; for large "
        f"sizes theory says 2. At most {max(off):.0e} from `np.linalg.norm(A, 2)`: the "
        "first singular values lie so close together that power iteration crawls."
    )


def speed(lab, results: Results, m: int, n: int, k: int) -> None:
    """The randomized SVD beside NumPy's full one and scikit-learn's, CPU time."""
    results.step("speed of the randomized SVD")
    rng = seeding.rng(SEED, "speed")
    A = spectrum_matrix(1 / np.arange(1.0, n + 1), m, rng)
    optimal = np.sqrt(np.sum(1 / np.arange(k + 1.0, n + 1) ** 2))
    U, s, Vt = lab.randomized_svd(A, k, rng=rng)
    error = float(np.linalg.norm(A - (U * s) @ Vt) / optimal)
    rivals = {
        "numpy_svd": lambda: np.linalg.svd(A, full_matrices=False),
        "sklearn": lambda: randomized_svd(A, k, random_state=SEED),
        "sklearn_same_passes": lambda: randomized_svd(
            A, k, n_iter=2, random_state=SEED
        ),
    }
    ours = cpu_seconds(lambda: lab.randomized_svd(A, k, rng=rng))
    times = {name: cpu_seconds(rival) / ours for name, rival in rivals.items()}
    results.metric("randomized.error_over_optimal", error, "ratio")
    for name, ratio in times.items():
        results.metric(f"speed.over_{name}", ratio, "ratio", ours)
    results.text(
        f"Randomized SVD of {m:,} x {n}, k = {k}, CPU time on one thread, best of 5: "
        f"{times['numpy_svd']:.1f} times as fast as `np.linalg.svd`, "
        f"{times['sklearn']:.1f} times as fast as scikit-learn's `randomized_svd` as "
        f"it comes, {times['sklearn_same_passes']:.1f} times with 2 passes as here (it "
        "then leaves out the orthonormal step). With singular values 1/i the error is "
        f"{error:.4f} times the least possible."
    )


def spectrum_matrix(s: np.ndarray, m: int, rng: np.random.Generator) -> np.ndarray:
    """A random (m, n) matrix whose n singular values are s."""
    U = np.linalg.qr(rng.standard_normal((m, len(s))))[0]
    V = np.linalg.qr(rng.standard_normal((len(s), len(s))))[0]
    return (U * s) @ V.T


def cpu_seconds(call) -> float:
    """CPU seconds of the fastest of 5 calls."""
    return timeit(call, repeats=5, clock=time.process_time)
