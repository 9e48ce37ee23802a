"""A model is a compressor, and a score is a draw: two experiments with the lab's tools.

First character n-grams on Tiny Shakespeare: bits per byte on unseen text beside zlib,
lzma and bz2, which get the same training text; Bayes' rule picks the order. Then what a
test score is worth: how often a bootstrap interval holds the truth, how fast means
become normal, and how large a difference between two classifiers must be. Takes about
30 seconds, most of them for the coverage; `full` takes ten times as many trials.
"""

from __future__ import annotations

import bz2
import lzma
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import scipy.special
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier

from common import datasets, device, plotting, seeding
from common.results import Results

SEED = 0
QUICK_BYTES = 150_000
HELD_OUT = 0.1  # the last tenth of the text is the unseen part
ORDERS = (1, 2, 3, 4, 5, 6)
ALPHA = 0.01  # added to every count; fixed beforehand, not tuned on the unseen part
OTHER_ALPHAS = (1.0, 0.1)
COMPRESSORS: dict[str, Callable[[bytes], bytes]] = {
    "zlib": lambda data: zlib.compress(data, 9),
    "lzma": lambda data: lzma.compress(data, preset=9 | lzma.PRESET_EXTREME),
    "bz2": lambda data: bz2.compress(data, 9),
}
SAMPLE_SIZES = (10, 20, 50, 200)
CLT_SIZES = (2, 10, 50)
ACCURACIES = (0.98, 0.9, 0.7)
TEST_SIZES = (100, 360, 1000, 3000, 10_000)
SHIFTS = (0, 1e4, 1e6, 1e8)
BYTE = np.uint64(8)  # an n-gram is one number, its bytes side by side


def main(lab, out: Path, quick: bool = False, full: bool = False) -> None:
    """Run the experiment.

    Args:
        lab: the module under test: the solution, or a learner's lab.py.
        out: folder for metrics.json, report.md and the plots.
        quick: less text and fewer trials; a few seconds.
        full: ten times as many trials for the coverage; three minutes.
    """
    title = "Lab 1.6: what a model is worth in bits, and a score in points"
    results = Results(out, title, seed=SEED, steps=7, quick=quick)
    duration = "3 seconds" if quick else "3 minutes" if full else "30 seconds"
    results.say(f"Makes 4 plots, 4 tables and a report in about {duration}.")
    results.step("n-gram models and compressors on unseen text")
    text = load(results, quick)
    compress(lab, results, text)
    trials = 100 if quick else 10_000 if full else 1000
    coverage(lab, results, trials, n_resamples=100 if quick else 500)
    normal_means(lab, results, trials=1000 if quick else 20_000)
    classifiers(lab, results, n_resamples=200 if quick else 10_000)
    large_means(lab, results)
    speed(lab, results)
    results.step("writing metrics.json and report.md")
    results.save()


# --- N-grams ----------------------------------------------------------------------


class Text(NamedTuple):
    """A text in bytes, cut into a training part and an unseen part."""

    title: str
    data: bytes
    cut: int

    @property
    def unseen_bytes(self) -> int:
        return len(self.data) - self.cut

    @property
    def alphabet(self) -> int:
        return len(set(self.data))


def load(results: Results, quick: bool) -> Text:
    """Tiny Shakespeare, or the Python documentation where it cannot be had."""
    try:
        title, text = "Tiny Shakespeare", datasets.tiny_shakespeare()
    except datasets.DatasetCorrupt:
        raise  # a broken copy is for the reader to mend, not to pass over
    except datasets.DatasetMissing:
        title, text = "the Python documentation", datasets.python_docs()
        sentence = "Tiny Shakespeare is not here and cannot be downloaded;"
        results.say(f"{sentence} {title} takes its place.")
        results.text(f"{sentence} {title} takes its place.")
    data = text.encode()[: QUICK_BYTES if quick else None]
    return Text(title, data, round(len(data) * (1 - HELD_OUT)))


def grams(data: bytes, n: int) -> np.ndarray:
    """Each n bytes in a row as one number, (len(data) - n + 1,)."""
    values = np.frombuffer(data, dtype=np.uint8).astype(np.uint64)
    keys = np.zeros(len(values) - n + 1, dtype=np.uint64)
    for i in range(n):
        keys = (keys << BYTE) | values[i : i + len(keys)]
    return keys


def look_up(keys: np.ndarray, known: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """How often each key was counted; 0 where it is not known."""
    at = np.minimum(np.searchsorted(known, keys), len(known) - 1)
    return np.where(known[at] == keys, counts[at], 0)


def ngram_nll(text: Text, n: int, alpha: float, *, unseen: bool = True) -> np.ndarray:
    """Loss in nats of each byte, given the n - 1 before it.

    Add-alpha: (count of the n-gram + alpha) / (count of its context + alpha * K), K the
    size of the alphabet. Counts come from the training part and stay as they are.
    """
    train = text.data[: text.cut]
    known, counts = np.unique(grams(train, n), return_counts=True)
    contexts, group = np.unique(known >> BYTE, return_inverse=True)
    totals = np.bincount(group, weights=counts)
    # the first unseen byte has the last training bytes as its context
    keys = grams(text.data[text.cut - n + 1 :] if unseen else train, n)
    found = look_up(keys, known, counts)
    seen = look_up(keys >> BYTE, contexts, totals)
    return -np.log((found + alpha) / (seen + alpha * text.alphabet))


def compress(lab, results: Results, text: Text) -> None:
    """Bits per byte of the n-grams and of the compressors; then Bayes' choice."""
    losses = {n: ngram_nll(text, n, ALPHA) for n in ORDERS}
    unseen = [lab.bits_per_byte(nll, text.unseen_bytes) for nll in losses.values()]
    train = []
    for n in ORDERS:
        nll = ngram_nll(text, n, ALPHA, unseen=False)
        train.append(lab.bits_per_byte(nll, len(nll)))
    squeezed = {name: added_bits(text, zip_) for name, zip_ in COMPRESSORS.items()}
    results.text("## A model is a compressor")
    table(lab, results, text, unseen, train)
    for name, (after, alone) in squeezed.items():
        results.metric(f"{name}.unseen", after, "bits/byte")
        results.metric(f"{name}.unseen_alone", alone, "bits/byte")
    found = "; ".join(f"{n} {a:.2f} ({b:.2f})" for n, (a, b) in squeezed.items())
    results.text(
        f"Compressors on the same unseen part after the same training part: {found}. "
        "Each cost is size(train + unseen) - size(train), the extra bits for the "
        "unseen part; in brackets the unseen part compressed alone. They go on "
        "learning while they read the unseen part, the n-grams do not; zlib looks back "
        "32 kB, bz2 within blocks of 900 kB, lzma over all of it. Neither side pays "
        "for the training text or the program."
    )
    results.step("Bayes' rule picks the order")
    posterior = pick_order(lab, results, losses)
    fig = draw_compression(unseen, train, squeezed, posterior)
    results.figure(fig, "compression.png", "Bits per byte, and the order Bayes picks")
    other_tokens(lab, results, text, losses[ORDERS[int(np.argmin(unseen))]])


def added_bits(text: Text, zip_: Callable[[bytes], bytes]) -> tuple[float, float]:
    """Bits per unseen byte: on top of the training part, and without it."""
    train, unseen = text.data[: text.cut], text.data[text.cut :]
    after = len(zip_(train + unseen)) - len(zip_(train))
    return 8 * after / len(unseen), 8 * len(zip_(unseen)) / len(unseen)


def table(lab, results: Results, text: Text, unseen: list, train: list) -> None:
    """The n-gram table: unseen text, training text, entropy, other alphas."""
    block = [0.0]
    for n in ORDERS:
        _, counts = np.unique(grams(text.data, n), return_counts=True)
        block.append(lab.entropy(counts / counts.sum(), base=2))
    entropies = np.diff(block)  # of a byte, given the n - 1 before it
    others = [
        [lab.bits_per_byte(ngram_nll(text, n, a), text.unseen_bytes) for n in ORDERS]
        for a in OTHER_ALPHAS
    ]
    for n, bits, seen, h in zip(ORDERS, unseen, train, entropies, strict=True):
        results.metric(f"ngram.{n}.unseen", bits, "bits/byte")
        results.metric(f"ngram.{n}.train", seen, "bits/byte")
        results.metric(f"entropy.{n}", h, "bits/byte")
    results.metric("ngram.best", ORDERS[int(np.argmin(unseen))], "order")
    for alpha, bits in zip(OTHER_ALPHAS, others, strict=True):
        best = ORDERS[int(np.argmin(bits))]
        results.metric(f"ngram.best_alpha_{alpha:g}", best, "order")
    names = [f"unseen, alpha {alpha:g}" for alpha in (ALPHA, *OTHER_ALPHAS)]
    rows = zip(unseen, *others, train, entropies, strict=True)
    results.table(
        ["n", *names, "train", "entropy"],
        [(n, *(f"{v:.2f}" for v in row)) for n, row in zip(ORDERS, rows, strict=True)],
    )
    results.text(
        f"Bits per byte on {text.title}: {text.cut:,} bytes to train, the last "
        f"{text.unseen_bytes:,} unseen, {text.alphabet} different bytes. «train» is "
        "the model on its own training part. «entropy» is that of a byte given the "
        "n - 1 before it, counted in the whole text: no model of that order can do "
        "better on this very text, and none does as well on the next. The best order "
        "depends on alpha, which was fixed beforehand."
    )


def pick_order(lab, results: Results, losses: dict) -> tuple[np.ndarray, np.ndarray]:
    """The posterior over the orders after so many unseen bytes, from equal priors."""
    likelihood = np.exp(-np.stack(list(losses.values()), axis=1))  # (bytes, orders)
    steps = np.unique(np.geomspace(1, len(likelihood), 120).round().astype(int))
    prior = np.full(len(ORDERS), 1 / len(ORDERS))
    posterior = [lab.bayes_posterior(prior, likelihood[:step]) for step in steps]
    final = np.stack(posterior)[:, int(np.argmax(posterior[-1]))]
    unsure = np.flatnonzero(final < 0.99)
    settled = int(steps[min(unsure[-1] + 1, len(steps) - 1)])
    picked = ORDERS[int(np.argmax(posterior[-1]))]
    results.metric("bayes.order", picked, "order")
    results.metric("bayes.settled", settled, "bytes")
    results.text(
        f"Bayes' rule, all orders equally likely at first: order {picked} has a "
        f"posterior above 99 % after {settled:,} unseen bytes and at every later look "
        f"({len(steps)} looks in all)."
    )
    return steps, np.stack(posterior)


def draw_compression(unseen, train, squeezed, posterior):
    """Left: bits per byte by order. Right: what Bayes believes after n bytes."""
    fig, (left, right) = plotting.figure(1, 2, size=(9.0, 4.0))
    left.plot(ORDERS, unseen, "o-", color=plotting.PALETTE[0], label="unseen text")
    left.plot(ORDERS, train, "o:", color=plotting.PALETTE[0], label="training text")
    lowest = min(after for after, _ in squeezed.values())
    for (name, (after, _)), colour in zip(
        squeezed.items(), plotting.PALETTE[1:], strict=False
    ):
        left.axhline(after, color=colour, linewidth=1.2, linestyle="--")
        side = "top" if after == lowest else "bottom"  # two lines may lie close
        left.text(1, after, f"{name} {after:.2f}", color=colour, va=side)
    left.set(xlabel="order n of the n-gram (bytes)", ylabel="bits per byte")
    left.set(title="Longer memory helps until it overfits", ylim=(1.4, None))
    left.legend(loc="upper right")
    steps, believed = posterior
    for n, line in zip(ORDERS, believed.T, strict=True):
        right.plot(steps, line, label=f"n = {n}")
    right.set(xscale="log", xlabel="unseen bytes read (log scale)")
    right.set(ylabel="posterior probability", title="Which order Bayes believes in")
    right.legend(fontsize="small", loc="center right")
    return fig


def other_tokens(lab, results: Results, text: Text, nll: np.ndarray) -> None:
    """The same losses, counted per byte and per word."""
    unseen = np.frombuffer(text.data[text.cut :], dtype=np.uint8)
    space = np.isin(unseen, np.frombuffer(b" \n", dtype=np.uint8))
    starts = np.flatnonzero(np.append(True, space[1:]))  # a space opens the next word
    rows = []
    for name, losses in (("byte", nll), ("word", np.add.reduceat(nll, starts))):
        perplexity = lab.perplexity(losses)
        bits = lab.bits_per_byte(losses, text.unseen_bytes)
        results.metric(f"perplexity.per_{name}", perplexity, "tokens")
        rows.append((name, len(losses), f"{perplexity:,.1f}", f"{bits:.2f}"))
    results.table(
        ["best order, a token is a", "tokens", "perplexity", "bits/byte"], rows
    )


# --- What a score is worth --------------------------------------------------------


def coverage(lab, results: Results, trials: int, n_resamples: int) -> None:
    """How often a 95 % interval for the mean of skewed data holds the true mean."""
    results.step("coverage of the bootstrap interval")
    rng = seeding.rng(SEED, "coverage")
    shares, started = [], time.perf_counter()
    for n in SAMPLE_SIZES:
        held = 0
        for _ in range(trials):
            low, high = lab.bootstrap_ci(
                rng.exponential(size=n), mean, n_resamples=n_resamples, rng=rng
            )
            held += low <= 1.0 <= high  # 1 is the mean of the exponential
        shares.append(100 * held / trials)
    seconds = time.perf_counter() - started
    for n, share in zip(SAMPLE_SIZES, shares, strict=True):
        results.metric(f"coverage.{n}", share, "%", seconds)
    results.metric("coverage.trials", trials, "trials")
    found = ", ".join(
        f"{share:.1f} % at n = {n}"
        for n, share in zip(SAMPLE_SIZES, shares, strict=True)
    )
    results.text("## What a score is worth")
    results.text(
        f"A 95 % percentile interval for the mean of exponential data holds the true "
        f"mean in {found} ({trials:,} trials of {n_resamples:,} resamples). Small "
        "samples of a skewed distribution miss its tail, and their intervals are too "
        "narrow."
    )
    fig = draw_coverage(shares, trials)
    results.figure(fig, "coverage.png", "Coverage of the 95 % interval by sample size")


def mean(sample: np.ndarray) -> float:
    """np.mean without its overhead: it is called a million times."""
    return sample.sum() / len(sample)


def draw_coverage(shares: list[float], trials: int):
    """Coverage against the sample size, with two standard errors of the share."""
    fig, ax = plotting.figure(size=(6.0, 3.2))
    share = np.array(shares) / 100
    errors = 200 * np.sqrt(share * (1 - share) / trials)
    ax.axhline(95, color="black", linestyle="--", linewidth=1, label="promised: 95 %")
    ax.errorbar(SAMPLE_SIZES, shares, errors, fmt="o-", capsize=3, label="found")
    ax.set(xscale="log", xlabel="sample size n (log scale)", ylim=(75, 100))
    ax.set_xticks(SAMPLE_SIZES, labels=SAMPLE_SIZES)
    ax.minorticks_off()
    ax.set(ylabel="intervals that hold the mean (%)")
    ax.set(title="A bootstrap interval of ten skewed numbers promises too much")
    ax.legend(loc="lower right")
    return fig


def normal_means(lab, results: Results, trials: int) -> None:
    """Means of n skewed numbers, in standard errors, beside the normal curve."""
    results.step("means of skewed numbers become normal")
    rng = seeding.rng(SEED, "clt")
    fig, ax = plotting.figure(size=(6.0, 3.2))
    bins = np.linspace(-4, 4, 65)
    skews = []
    for n in CLT_SIZES:
        z = (rng.exponential(size=(trials, n)).mean(axis=1) - 1) * np.sqrt(n)
        ax.hist(z, bins, density=True, histtype="step", linewidth=1.5, label=f"n = {n}")
        moments = lab.RunningMoments()
        for cube in z**3:
            moments.push(float(cube))
        skews.append(moments.mean)
        results.metric(f"clt.skewness.{n}", moments.mean, "")
    z = np.linspace(-4, 4, 200)
    ax.plot(z, np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi), "k--", label="normal")
    ax.set(xlabel="mean minus true mean (standard errors)", ylabel="density")
    ax.set(title="The mean of exponential numbers forgets their shape")
    ax.legend()
    found = ", ".join(
        f"{s:.2f} at n = {n} (theory {2 / np.sqrt(n):.2f})"
        for n, s in zip(CLT_SIZES, skews, strict=True)
    )
    results.text(f"Skewness of means of exponential numbers: {found}.")
    results.figure(fig, "clt.png", "Distribution of means against the normal curve")


def classifiers(lab, results: Results, n_resamples: int) -> None:
    """Two classifiers on 360 digits: intervals, and whether the difference is noise."""
    results.step("two classifiers on 360 digits")
    rng = seeding.rng(SEED, "digits")
    X, y = datasets.digits()
    order = rng.permutation(len(y))
    test, train = order[:360], order[360:]
    models = {
        "nearest neighbours": KNeighborsClassifier(3),
        "logistic regression": LogisticRegression(max_iter=300),
    }
    right, rows = [], []
    for name, model in models.items():
        right.append(model.fit(X[train], y[train]).predict(X[test]) == y[test])
        low, high = lab.bootstrap_ci(right[-1], n_resamples=n_resamples, rng=rng)
        accuracy, ends = 100 * right[-1].mean(), (100 * low, 100 * high)
        rows.append((name, f"{accuracy:.1f}", "{:.1f} to {:.1f}".format(*ends)))
        results.metric(f"digits.{name.split()[0]}.accuracy", accuracy, "%")
    p = lab.paired_permutation_test(*right, n_resamples=n_resamples, rng=rng)
    only = [int(np.sum(right[i] & ~right[1 - i])) for i in (0, 1)]
    results.metric("digits.p_value", p, "")
    results.table(["on 360 unseen digits", "accuracy (%)", "95 % interval"], rows)
    results.text(
        f"Paired permutation test: p = {p:.3f}. {only[0]} digits only the first gets "
        f"right, {only[1]} only the second; the rest says nothing about the difference."
    )
    fig = draw_widths(lab, results, n_resamples, rng)
    results.figure(fig, "width.png", "Half the width of the 95 % interval of accuracy")


def draw_widths(lab, results: Results, n_resamples: int, rng: np.random.Generator):
    """Half widths by test size: bootstrap as points, the binomial formula as lines."""
    fig, ax = plotting.figure(size=(6.5, 3.8))
    dense = np.geomspace(TEST_SIZES[0], TEST_SIZES[-1], 50)
    for accuracy, colour in zip(ACCURACIES, plotting.PALETTE, strict=False):
        halves = []
        for n in TEST_SIZES:
            right = np.arange(n) < round(accuracy * n)
            low, high = lab.bootstrap_ci(right, mean, n_resamples=n_resamples, rng=rng)
            halves.append(50 * (high - low))
        results.metric(f"half_width.{accuracy:g}.360", halves[1], "points")
        ax.plot(TEST_SIZES, halves, "o", color=colour)
        spread = 196 * np.sqrt(accuracy * (1 - accuracy) / dense)
        ax.plot(dense, spread, "-", color=colour, label=f"accuracy {accuracy:g}")
    ax.set(xscale="log", yscale="log", xlabel="test examples (log scale)")
    ax.set_xticks(TEST_SIZES, labels=[f"{n:,}" for n in TEST_SIZES])
    ax.set_yticks((0.3, 1, 3, 9), labels=("0.3", "1", "3", "9"))
    ax.minorticks_off()
    ax.set(ylabel="± points of accuracy (log scale)")
    ax.set(title="95 % interval: bootstrap (points), binomial formula (lines)")
    ax.legend()
    return fig


def large_means(lab, results: Results) -> None:
    """The textbook variance and the running one, as the mean grows."""
    values = seeding.rng(SEED, "moments").normal(size=2000)
    rows = []
    for shift in SHIFTS:
        shifted = values + shift
        moments = lab.RunningMoments()
        for x in shifted:
            moments.push(float(x))
        textbook = np.mean(shifted**2) - np.mean(shifted) ** 2
        running = moments.variance(ddof=0)
        results.metric(f"variance.running.{shift:.0f}", running, "")
        results.metric(f"variance.textbook.{shift:.0f}", textbook, "")
        rows.append((f"{shift:,.0f}", f"{running:.6f}", f"{textbook:.6f}"))
    results.table(["mean of 2,000 numbers", "RunningMoments", "E[x²] - E[x]²"], rows)


def speed(lab, results: Results) -> None:
    """The lab's softmax beside SciPy's, turn by turn in this process."""
    results.step("speed of softmax")
    x = seeding.rng(SEED, "speed").normal(size=(10_000, 256)) * 5
    best = {}
    for _ in range(10):
        for name, function in (("lab", lab.softmax), ("scipy", scipy.special.softmax)):
            seconds = device.timeit(
                lambda f=function: f(x, axis=-1), repeats=2, clock=time.process_time
            )
            best[name] = min(seconds, best.get(name, seconds))
    ratio = best["scipy"] / best["lab"]
    results.metric("speed.softmax_over_scipy", ratio, "ratio", best["lab"])
    results.text(f"softmax on (10,000, 256): {ratio:.2f} times the speed of SciPy's.")
