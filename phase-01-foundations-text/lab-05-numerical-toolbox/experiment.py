"""Where determinism ends: what a seed fixes, and what float32 sums do with n.

Trains a small network on the spirals again and again with the lab's seeds, split and
mini-batches, and changes one thing at a time: nothing, the order of rows in a batch,
the last bit of one weight, the dtype, the seed. Then sums a tenth up to ten million
times in three ways. Takes about 10 seconds, half of it in Kahan's loop; needs no
dataset. `full` sums thirty million.
"""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import NamedTuple

import numpy as np

from common import datasets, plotting
from common.results import Results

SEED = 0
POINTS, HIDDEN, BATCH = 300, 32, 32
TENTH = np.float32(0.1)
CALM, WILD = "learning rate 0.05", "learning rate 1.0"
RATES = {CALM: 0.05, WILD: 1.0}
CHANGES = {
    "nothing": {},
    "rows of each batch reversed": {"reverse": True},
    "last bit of one weight": {"nudge": True},
    "float64 instead of float32": {"dtype": np.float64},
    "another seed": {"seed": SEED + 1},
}
COLOURS = dict(zip(("naive", "pairwise", "kahan"), plotting.PALETTE, strict=False))


def main(lab, out: Path, quick: bool = False, full: bool = False) -> None:
    """Run the experiment.

    Args:
        lab: the module under test: the solution, or a learner's lab.py.
        out: folder for metrics.json, report.md and the three plots.
        quick: 30 epochs and 100,000 numbers instead of 150 and ten million.
        full: thirty million numbers.
    """
    title = "Lab 1.5: where determinism ends"
    results = Results(out, title, seed=SEED, steps=5, quick=quick)
    duration = "3 seconds" if quick else "20 seconds" if full else "10 seconds"
    results.say(f"Makes 3 plots, 3 tables and a report in about {duration}.")
    data = spirals(lab)
    runs = determinism(lab, results, data, epochs=30 if quick else 150)
    threads(lab, results, 10**6 if quick else 10**7)
    sums(lab, results, 10**5 if quick else 3 * 10**7 if full else 10**7)
    gallery(lab, results, data, runs)
    results.step("writing metrics.json and report.md")
    results.save()


# --- A small network --------------------------------------------------------------


class Data(NamedTuple):
    """The points of three spirals and the rows of the two parts."""

    X: np.ndarray  # (N, 2)
    y: np.ndarray  # (N,)
    train: np.ndarray
    val: np.ndarray


class Run(NamedTuple):
    """One training: the loss of each step, and the trained parameters."""

    losses: np.ndarray
    parameters: list[np.ndarray]


def spirals(lab) -> Data:
    """Three arms, a fifth of each held out."""
    rng = lab.seed_everything(SEED)
    X, y = datasets.toy.spirals(POINTS, rng=rng)
    train, val = lab.train_val_split(POINTS, val_fraction=0.2, rng=rng, stratify=y)
    return Data(2 * X, y, train, val)


def train(
    lab,
    data: Data,
    rate: float,
    epochs: int,
    *,
    seed: int = SEED,
    dtype: type = np.float32,
    nudge: bool = False,
    reverse: bool = False,
) -> Run:
    """Train by plain gradient descent on mini-batches.

    Args:
        nudge: move the first weight to the next float32 number.
        reverse: hand the rows of each batch over in reverse: the same batch, and the
            same gradient on paper, but its sums are formed in another order.
    """
    weights, order = lab.spawn_generators(seed, 2)
    parameters = [p.astype(dtype) for p in initial(weights, nudge)]
    X, y = data.X[data.train].astype(dtype), data.y[data.train]
    losses = []
    for _ in range(epochs):
        for rows in lab.minibatches(X, y, batch_size=BATCH, rng=order):
            xs, ys = (part[::-1] for part in rows) if reverse else rows
            loss, gradients = step(parameters, xs, ys)
            losses.append(loss)
            for p, g in zip(parameters, gradients, strict=True):
                p -= dtype(rate) * g
    return Run(np.array(losses), parameters)


def initial(rng: np.random.Generator, nudge: bool) -> list[np.ndarray]:
    """Weights and biases of a 2-32-32-3 network, in float32."""
    shapes = [(2, HIDDEN), (HIDDEN, HIDDEN), (HIDDEN, 3)]
    scales = [1.0, math.sqrt(2 / HIDDEN), math.sqrt(1 / HIDDEN)]
    drawn = [rng.normal(0, s, shape) for s, shape in zip(scales, shapes, strict=True)]
    weights = [w.astype(np.float32) for w in drawn]
    if nudge:
        weights[0][0, 0] = np.nextafter(weights[0][0, 0], np.float32(np.inf))
    return [*weights, *(np.zeros(shape[1], np.float32) for shape in shapes)]


def forward(parameters: list[np.ndarray], X: np.ndarray) -> tuple[np.ndarray, ...]:
    """Both hidden layers and the class probabilities."""
    W1, W2, W3, b1, b2, b3 = parameters
    first = np.tanh(X @ W1 + b1)
    second = np.tanh(first @ W2 + b2)
    logits = second @ W3 + b3
    e = np.exp(logits - logits.max(axis=1, keepdims=True))
    return first, second, e / e.sum(axis=1, keepdims=True)


def step(
    parameters: list[np.ndarray], X: np.ndarray, y: np.ndarray
) -> tuple[float, list[np.ndarray]]:
    """Mean cross-entropy of a batch and its gradients (lab 2.5 derives them)."""
    first, second, p = forward(parameters, X)
    _, W2, W3, *_ = parameters
    loss = float(np.mean(cross_entropy(p, y)))
    d3 = p.copy()
    d3[np.arange(len(y)), y] -= 1
    d3 /= len(y)
    d2 = (d3 @ W3.T) * (1 - second**2)
    d1 = (d2 @ W2.T) * (1 - first**2)
    by_weight = [X.T @ d1, first.T @ d2, second.T @ d3]
    return loss, [*by_weight, d1.sum(axis=0), d2.sum(axis=0), d3.sum(axis=0)]


def cross_entropy(p: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Loss of each example in nats."""
    return -np.log(np.maximum(p[np.arange(len(y)), y], 1e-12))


# --- What a seed fixes ------------------------------------------------------------


def determinism(lab, results: Results, data: Data, epochs: int) -> dict[str, Run]:
    """The same training with one thing changed; returns the unchanged runs."""
    results.step(f"{2 * (len(CHANGES) + 1)} trainings that differ in one thing")
    runs, nudged, table = {}, {}, {}
    for name, rate in RATES.items():
        runs[name] = train(lab, data, rate, epochs)
        for change, options in CHANGES.items():
            other = train(lab, data, rate, epochs, **options)
            if "nudge" in options:
                nudged[name] = other
            table[name, change] = difference(runs[name], other)
    results.text("## The same training, one thing changed")
    rows = [
        (change, *(words(table[name, change]) for name in RATES)) for change in CHANGES
    ]
    results.table(["changed", *(f"{name}: largest gap" for name in RATES)], rows)
    for (name, change), gap in table.items():
        kind = "calm" if name == CALM else "wild"
        key = change.replace(" ", "_")
        results.metric(f"determinism.{kind}.{key}", gap, "nats")
    results.text(
        f"Largest difference between the losses (nats) of the same step, over {epochs} "
        "epochs. With nothing changed both runs are the same. Another order of "
        "additions, another dtype or a last bit changes the last digits; whether that "
        "grows depends on the training: with the small rate it stays where it began, "
        "with the large one it becomes another run."
    )
    fig = draw_divergence(runs, nudged)
    results.figure(fig, "divergence.png", "One weight moved by its last bit")
    return runs


def difference(a: Run, b: Run) -> float:
    """Largest gap between the losses of two runs at the same step."""
    return float(np.max(np.abs(a.losses - b.losses)))


def words(gap: float) -> str:
    """A gap for the table; none at all is worth a word."""
    return f"{gap:.0e}" if gap else "0, bit for bit"


def draw_divergence(runs: dict[str, Run], nudged: dict[str, Run]):
    """The loss curves of two nearly equal runs, and their gap on a log axis."""
    fig, (left, right) = plotting.figure(1, 2, size=(9.0, 3.8))
    colours = dict(zip(RATES, (plotting.PALETTE[0], plotting.PALETTE[1]), strict=True))
    wild = {"unchanged": runs[WILD], "last bit of one weight": nudged[WILD]}
    for (name, run), colour in zip(wild.items(), ("black", colours[WILD]), strict=True):
        left.plot(smooth(run.losses), color=colour, linewidth=1.1, label=name)
    left.set(xlabel="step", ylabel="loss, mean of 25 steps (nats)", yscale="log")
    left.set(title=f"Two runs, {WILD}")
    left.legend()
    for name in RATES:
        gap = np.abs(runs[name].losses - nudged[name].losses)
        seen = np.where(gap > 0, gap, np.nan)  # a gap of 0 has no place on a log axis
        right.plot(seen, ".", markersize=2, color=colours[name], label=name)
    right.set(xlabel="step", ylabel="gap of the losses (nats)", yscale="log")
    right.set(title="How far the last bit gets")
    right.legend(markerscale=5, loc=(0.5, 0.2))
    return fig


def smooth(losses: np.ndarray) -> np.ndarray:
    """Mean of each window of 25 steps."""
    return np.convolve(losses, np.full(25, 1 / 25), mode="valid")


# --- Threads ----------------------------------------------------------------------


def threads(lab, results: Results, n: int) -> None:
    """One sum in torch with one and with two threads."""
    results.step("the same sum with one and two threads")
    import torch

    lab.seed_everything(SEED)
    x, before = torch.rand(n), torch.get_num_threads()
    counts = (1, 2) if (os.cpu_count() or 1) > 1 else (1,)
    found = []
    for count in counts:
        torch.set_num_threads(count)
        found.append(x.sum().item())
        results.metric(f"threads.{count}.sum", found[-1], "")
    torch.set_num_threads(before)
    exact = math.fsum(x.tolist())
    gap = abs(found[-1] - found[0]) / exact
    results.metric("threads.relative_gap", gap, "")
    results.text("## Threads")
    shown = " and ".join(f"{value:,.1f}" for value in found)
    results.text(
        f"torch.sum of {n:,} uniform float32 numbers, with 1 thread and with 2 where "
        f"there are two cores: {shown}; a relative gap of {gap:.0e}. To one digit the "
        f"sum is {exact:,.1f}. Each thread adds up a part of its own."
    )


# --- Sums -------------------------------------------------------------------------


def sums(lab, results: Results, largest: int) -> None:
    """Error of three ways to add up a tenth n times, in float32."""
    results.step(f"adding 0.1 up to {largest:,} times")
    ways = {"naive": lab.naive_sum, "pairwise": np.sum, "kahan": lab.kahan_sum}
    counts = [int(n) for n in 10.0 ** np.arange(2, math.log10(largest) + 1e-9, 0.5)]
    tenths = np.full(largest, TENTH)
    errors = {name: [] for name in ways}
    for n in dict.fromkeys([*counts, largest]):
        exact = n * float(TENTH)  # n copies: no rounding worth the name in float64
        for name, add in ways.items():
            total = float(add(tenths[:n]))
            errors[name].append((n, abs(total - exact) / exact))
            if n == largest:
                results.metric(f"sums.{name}.total", round(total), "")
                results.metric(f"sums.{name}.error", errors[name][-1][1], "")
    results.metric("sums.n", largest, "numbers")
    write_sums(results, largest, errors)
    results.figure(draw_sums(errors), "sums.png", "Error of a float32 sum against n")


def write_sums(results: Results, largest: int, errors: dict) -> None:
    """The table of the largest n."""
    results.text(f"## {largest:,} times 0.1 in float32")
    last = {name: curve[-1][1] for name, curve in errors.items()}
    results.table(
        ["way", "relative error"], [(way, f"{e:.1e}") for way, e in last.items()]
    )
    results.text(
        "Naive: from left to right. Pairwise: np.sum. The naive total stops following "
        "once a tenth is less than half the gap between neighbouring float32 numbers."
    )


def draw_sums(errors: dict[str, list[tuple[int, float]]]):
    """Relative error against n; an exact result is drawn at the lower edge."""
    fig, ax = plotting.figure(size=(7.0, 4.0))
    labels = {"naive": "from left to right", "pairwise": "pairwise (np.sum)"}
    labels["kahan"] = "Kahan"
    for name, curve in errors.items():
        n, error = np.array(curve).T
        shown = np.maximum(error, 1e-9)
        ax.plot(n, shown, "o-", color=COLOURS[name], label=labels[name])
    ax.axhline(2.0**-24, color="grey", linestyle=":", label="half a unit, 6e-8")
    ax.set(xscale="log", yscale="log", ylim=(5e-10, 1))
    ax.set(xlabel="how many times 0.1 (log scale)", ylabel="relative error (log scale)")
    ax.set(title="Three ways to add up the same float32 numbers")
    ax.legend()
    return fig


# --- The three plots of task 7 ----------------------------------------------------


def gallery(lab, results: Results, data: Data, runs: dict[str, Run]) -> None:
    """Loss curves, decision boundary and a histogram, by the lab's own functions."""
    results.step("the lab's own three plots")
    fig, (left, middle, right) = plotting.figure(1, 3, size=(11.0, 3.6))
    curves = {name: smooth(run.losses) for name, run in runs.items()}
    lab.plot_loss_curves(curves, ax=left, logy=True)
    parameters = runs[CALM].parameters
    X, y = data.X[data.val], data.y[data.val]

    def predict(points: np.ndarray) -> np.ndarray:
        return forward(parameters, points)[-1].argmax(axis=1)

    lab.plot_decision_boundary(predict, X, y, ax=middle)
    lab.plot_histogram(parameters[1], ax=right)
    left.set_title("plot_loss_curves: training")
    middle.set_title("plot_decision_boundary: unseen points")
    right.set_title("plot_histogram: weights of layer 2")
    accuracy = 100 * float(np.mean(predict(X) == y))
    results.metric("gallery.val_accuracy", accuracy, "%")
    results.text("## Three plots")
    results.text(f"{CALM}: {accuracy:.0f} % of {len(y)} unseen points are right.")
    results.figure(fig, "gallery.png", "The plots of task 7")
