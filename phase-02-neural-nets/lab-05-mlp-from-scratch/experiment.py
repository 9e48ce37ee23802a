"""What hidden layers buy: boundaries in the plane, and handwritten digits.

First the gradients are checked. Then decision boundaries are filmed while networks
learn, and networks of equal size but different depth race on five spirals. On
scikit-learn's digits, softmax regression meets networks of several shapes and
activations, each at its own best learning rate; pictures show what the first layer
looks for and which digits stay wrong. Last, one training step is timed beside torch.
Takes about a minute; with `full`, which uses three times as many seeds, about three.
"""

from __future__ import annotations

import itertools
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

from common import datasets, labs, plotting, seeding
from common.datasets import toy
from common.device import one_torch_thread, timeit
from common.results import Results

SEED = 5
BATCH = 32
FRAMES = (0, 1, 4, 12, 40, 200)  # epochs at which the film takes a picture
DEPTHS = {0: [2, 5], 1: [2, 37, 5], 2: [2, 12, 12, 5], 3: [2, 9, 9, 9, 5]}
SPIRAL_RATES = (0.03, 0.1, 0.3, 1.0)
DIGIT_RATES = (0.1, 0.2, 0.5, 1.0, 2.0, 4.0)
STEPS = {  # sizes, batch, steps per timing
    "small": ((64, 64, 10), 32, 40),
    "deeper": ((64, 128, 64, 10), 32, 20),
    "batch_256": ((64, 128, 64, 10), 256, 10),
    "large": ((64, 1024, 1024, 10), 256, 2),
}
SPLITS = "digit splits"

train_val_split = labs.solution("1.5").train_val_split


@dataclass(frozen=True)
class Shape:
    """A network for the digits, and what it is called in metrics and tables."""

    key: str
    name: str
    sizes: tuple[int, ...]
    activation: str = "ReLU"


SHAPES = (
    Shape("softmax_regression", "no hidden layer", (64, 10)),
    Shape("relu_16", "16, ReLU", (64, 16, 10)),
    Shape("relu_64", "64, ReLU", (64, 64, 10)),
    Shape("tanh_64", "64, tanh", (64, 64, 10), "Tanh"),
    Shape("sigmoid_64", "64, sigmoid", (64, 64, 10), "Sigmoid"),
    Shape("relu_256", "256, ReLU", (64, 256, 10)),
    Shape("relu_128_64", "128 and 64, ReLU", (64, 128, 64, 10)),
)
DRAWN = ("softmax_regression", "relu_64", "relu_128_64")


def main(lab, out: Path, quick: bool = False, full: bool = False) -> None:
    """Run the experiment.

    Args:
        lab: the module under test: the solution, or a learner's lab.py.
        out: folder for metrics.json, report.md and the five plots.
        quick: one seed, short trainings, no torch; a few seconds.
        full: three times as many seeds.
    """
    title = "Lab 2.5: what hidden layers buy"
    results = Results(out, title, seed=SEED, steps=7, quick=quick)
    duration = "4 seconds" if quick else "3 minutes" if full else "a minute"
    results.say(f"Makes 5 plots, 3 tables and a report in about {duration}.")
    seeds = 1 if quick else 30 if full else 10
    with threadpool_limits(1):
        gradients(lab, results)
        film(lab, results, FRAMES[:4] if quick else FRAMES)
        depth(lab, results, min(seeds, 5 if not full else 15), 10 if quick else 300)
        runs = digits(lab, results, seeds, 2 if quick else 40)
        pictures(lab, results, runs)
        results.step("speed beside torch")
        if not quick:
            speed(lab, results)
    results.step("writing metrics.json and report.md")
    results.save()


# --- Trust, but check -------------------------------------------------------------


def gradients(lab, results: Results) -> None:
    """The largest relative error of any gradient entry, on seven digits."""
    results.step("checking every gradient entry")
    X, y = datasets.digits()
    rows = seeding.rng(SEED, "checked").choice(len(y), 7, replace=False)
    worst = {}
    for name in ("ReLU", "Tanh", "Sigmoid"):
        rng = seeding.rng(SEED, "checked", name)
        model = lab.mlp([64, 16, 10], rng=rng, activation=getattr(lab, name))
        loss = lab.SoftmaxCrossEntropy()
        worst[name] = max(lab.check_gradients(model, loss, X[rows], y[rows]).values())
        results.metric(f"gradient_error.{name.lower()}", worst[name], "relative")
    words = ", ".join(f"{name} {error:.0e}" for name, error in worst.items())
    results.text(
        "## Gradients first\nLargest relative error over all 1,210 entries of a "
        f"64-16-10 network against central differences: {words}. "
        "What is left is the rounding of derivatives near 0, where sigmoid has most."
    )


# --- In the plane -----------------------------------------------------------------


def fit(lab, sizes, data, rate, epochs, seed, activation="ReLU", held_out=None):
    """A trained network and its history; the seed fixes weights and batches."""
    rng = seeding.rng(SEED, "weights", seed)
    model = lab.mlp(list(sizes), rng=rng, activation=getattr(lab, activation))
    X_val, y_val = held_out or (None, None)
    rng = seeding.rng(SEED, "batches", seed)
    args = {"epochs": epochs, "batch_size": BATCH, "lr": rate, "rng": rng}
    with np.errstate(all="ignore"):  # too large a rate may run off to infinity
        history = lab.train(model, *data, X_val=X_val, y_val=y_val, **args)
    return model, history


def classes(model):
    """The class with the largest logit, for `decision_boundary`."""
    return lambda points: model.forward(points).argmax(axis=1)


def film(lab, results: Results, frames: tuple[int, ...]) -> None:
    """Decision boundaries while two networks learn."""
    results.step("filming two networks while they learn")
    sets = {
        "moons": (toy.moons(200, 0.15, rng=seeding.rng(SEED, "moons")), [2, 16, 16, 2]),
        "spirals": (
            toy.spirals(300, 3, 0.04, rng=seeding.rng(SEED, "spirals")),
            [2, 16, 16, 3],
        ),
    }
    fig, axes = plotting.figure(2, len(frames), size=(1.75 * len(frames) + 0.3, 4.0))
    for row, (name, ((X, y), sizes)) in zip(axes, sets.items(), strict=True):
        model = lab.mlp(sizes, rng=seeding.rng(SEED, "film", name))
        rng, done = seeding.rng(SEED, "film batches", name), 0
        for ax, epoch in zip(row, frames, strict=True):
            args = {"epochs": epoch - done, "batch_size": BATCH, "lr": 0.1, "rng": rng}
            lab.train(model, X, y, **args)
            done = epoch
            plotting.decision_boundary(ax, classes(model), X, y, resolution=120)
            share = 100 * lab.accuracy(model, X, y)
            ax.collections[-1].set_sizes([5])
            ax.set(xticks=[], yticks=[], xlabel="", ylabel="")
            ax.set_title(f"epoch {epoch}: {share:.0f} %", fontsize=9)
        row[0].set_ylabel(f"{name}, {dashed(sizes)}\nsecond feature")
        results.metric(f"film.{name}.accuracy", share, "%")
    for ax in axes[-1]:
        ax.set_xlabel("first feature", fontsize=9)
    results.figure(fig, "film.png", "Decision boundaries while learning")


def depth(lab, results: Results, seeds: int, epochs: int) -> None:
    """About 260 to 300 parameters, in 0 to 3 hidden layers, on five spirals."""
    results.step("equal size, different depth, five spirals")
    rates = SPIRAL_RATES[-2:] if epochs < 50 else SPIRAL_RATES
    found = {}  # (hidden layers, rate) -> accuracy of each seed, in percent
    drawn = {}
    for seed in range(seeds):
        data = toy.spirals(400, 5, 0.03, rng=seeding.rng(SEED, "five", seed))
        fresh = toy.spirals(2000, 5, 0.03, rng=seeding.rng(SEED, "fresh", seed))
        for hidden, sizes in DEPTHS.items():
            for rate in rates:
                model, _ = fit(lab, sizes, data, rate, epochs, seed)
                share = 100 * lab.accuracy(model, *fresh)
                found.setdefault((hidden, rate), []).append(share)
                if seed == 0:
                    drawn[hidden, rate] = model, data
    best = {k: max(rates, key=lambda r, k=k: np.mean(found[k, r])) for k in DEPTHS}
    report_depth(results, found, best, rates, seeds, epochs)
    fig, axes = plotting.figure(1, len(DEPTHS), size=(10.4, 3.1))
    for ax, (hidden, sizes) in zip(axes, DEPTHS.items(), strict=True):
        model, data = drawn[hidden, best[hidden]]
        plotting.decision_boundary(ax, classes(model), *data, resolution=160)
        ax.collections[-1].set_sizes([6])
        ax.set(xticks=[], yticks=[])
        share = np.mean(found[hidden, best[hidden]])
        ax.set_title(f"hidden layers: {hidden} ({dashed(sizes)})\n{share:.1f} % right")
    results.figure(
        fig, "depth.png", "Five spirals, fresh points right: 0 to 3 hidden layers"
    )


def report_depth(results: Results, found, best, rates, seeds, epochs) -> None:
    """The table of accuracies over depth and learning rate."""
    results.text(
        "## Depth, at about the same number of parameters\n"
        f"Accuracy in % on 2,000 fresh points of five spirals, 400 points and {epochs} "
        f"epochs of plain SGD, mean ± standard deviation over {seeds} seeds. The last "
        "column is the best of the row. Two layers reach it with smaller steps and one "
        "wide layer needs a large rate; a third layer adds nothing here."
        if epochs >= 50 and seeds > 1
        else "## Depth\nToo short to conclude."
    )
    rows = []
    for hidden, sizes in DEPTHS.items():
        cells = [spread(found[hidden, rate]) for rate in rates]
        for rate in rates:
            mean = float(np.mean(found[hidden, rate]))
            results.metric(f"depth.{hidden}.rate_{rate:g}", mean, "%")
        top = float(np.mean(found[hidden, best[hidden]]))
        results.metric(f"depth.{hidden}.best", top, "%")
        results.metric(f"depth.{hidden}.best_rate", best[hidden], "")
        rows.append((dashed(sizes), count(sizes), *cells, f"{top:.1f}"))
    header = ["network", "parameters", *[f"lr {rate:g}" for rate in rates], "best"]
    results.table(header, rows)


def count(sizes) -> int:
    """Number of weights and biases."""
    return sum((d_in + 1) * d_out for d_in, d_out in itertools.pairwise(sizes))


def dashed(sizes) -> str:
    """Sizes as text: 64-10."""
    return "-".join(map(str, sizes))


def spread(values) -> str:
    """Mean ± standard deviation."""
    return f"{np.mean(values):.1f} ± {np.std(values):.1f}"


# --- Digits -----------------------------------------------------------------------


@dataclass
class Run:
    """One shape on every split: final accuracies, histories, and the first model."""

    rate: float
    accuracies: np.ndarray  # in percent, on held-out digits
    histories: list
    model: object


def split_digits(seed: int | str, X, y):
    """80 % to learn from, 20 % held out, each class in its share."""
    rng = seeding.rng(SEED, SPLITS, seed)
    ours, theirs = train_val_split(len(y), val_fraction=0.2, rng=rng, stratify=y)
    return (X[ours], y[ours]), (X[theirs], y[theirs])


def best_rate(lab, shape: Shape, data, tunings: int, epochs: int) -> float:
    """The learning rate with the best accuracy on parts of the training rows."""

    def score(rate: float) -> float:
        shares = []
        for seed in range(tunings):
            learn, check = split_digits(f"tuning {seed}", *data)
            args = learn, rate, epochs, f"tuning {seed}", shape.activation
            shares.append(lab.accuracy(fit(lab, shape.sizes, *args)[0], *check))
        return float(np.mean(shares))

    return max(DIGIT_RATES, key=score)


def digits(lab, results: Results, seeds: int, epochs: int) -> dict[str, Run]:
    """Every shape at its own best learning rate, on the same splits."""
    results.step("digits: a learning rate for each network, then all splits")
    X, y = datasets.digits()
    runs = {}
    for shape in SHAPES:
        rate = best_rate(lab, shape, split_digits(0, X, y)[0], min(seeds, 3), epochs)
        shares, histories, first = [], [], None
        for seed in range(seeds):
            learn, held = split_digits(seed, X, y)
            args = learn, rate, epochs, seed, shape.activation, held
            model, history = fit(lab, shape.sizes, *args)
            shares.append(100 * history.val_accuracy[-1])
            histories.append(history)
            first = first or model
        runs[shape.key] = Run(rate, np.array(shares), histories, first)
    report_digits(results, runs, seeds, epochs)
    draw_curves(results, runs)
    return runs


def report_digits(results: Results, runs: dict[str, Run], seeds, epochs) -> None:
    """Accuracies, and the gain over no hidden layer on the same splits."""
    results.text(
        f"## Digits\n1,437 digits to learn from, 360 held out, {seeds} splits, "
        f"{epochs} epochs, batches of {BATCH}, plain SGD at the learning rate that did "
        "best on parts of the training rows of the first split. ± is the standard "
        "deviation over splits; after the gain over no hidden layer it is the standard "
        "error of the mean."
    )
    base, rows = runs["softmax_regression"].accuracies, []
    for shape in SHAPES:
        run = runs[shape.key]
        gain = run.accuracies - base
        error = float(gain.std(ddof=min(1, seeds - 1)) / np.sqrt(seeds))
        results.metric(f"digits.{shape.key}.accuracy", run.accuracies.mean(), "%")
        results.metric(f"digits.{shape.key}.deviation", run.accuracies.std(), "%")
        results.metric(f"digits.{shape.key}.rate", run.rate, "")
        results.metric(f"digits.{shape.key}.gain", gain.mean(), "points")
        results.metric(f"digits.{shape.key}.gain_error", error, "points")
        plus = f"{gain.mean():+.2f} ± {error:.2f}" if gain.any() else ""
        share = f"{run.accuracies.mean():.2f} ± {run.accuracies.std():.2f}"
        rows.append((shape.name, count(shape.sizes), f"{run.rate:g}", share, plus))
    header = ["hidden layers", "parameters", "lr", "held-out accuracy, %", "gain"]
    results.table(header, rows)


def draw_curves(results: Results, runs: dict[str, Run]) -> None:
    """Left the losses, right the held-out error, means over the splits."""
    fig, (left, right) = plotting.figure(1, 2, size=(9.0, 3.8))
    for key, colour in zip(DRAWN, plotting.PALETTE, strict=False):
        name = next(s.name for s in SHAPES if s.key == key)
        name = name if key == DRAWN[0] else f"hidden: {name}"
        run = runs[key]
        train, held = (
            np.mean([getattr(h, part) for h in run.histories], axis=0)
            for part in ("train_loss", "val_loss")
        )
        errors = 100 - 100 * np.array([h.val_accuracy for h in run.histories])
        epochs = np.arange(1, len(train) + 1)
        left.plot(epochs, train, color=colour, label=f"{name}")
        left.plot(epochs, held, "--", color=colour)
        mean, deviation = errors.mean(axis=0), errors.std(axis=0)
        right.plot(epochs, mean, color=colour, label=name)
        low, high = np.maximum(mean - deviation, 0), mean + deviation
        right.fill_between(epochs, low, high, color=colour, alpha=0.15, linewidth=0)
    left.set(yscale="log", xlabel="epoch", ylabel="loss (nats)")
    left.set_title("solid: training, dashed: held out")
    right.set(ylim=(0, 12), xlabel="epoch", ylabel="held-out error (%)")
    right.set_title("mean ± standard deviation over splits")
    left.legend(fontsize="small")
    right.legend(fontsize="small")
    results.figure(fig, "curves.png", "Learning curves on the digits")


# --- Pictures ---------------------------------------------------------------------


def pictures(lab, results: Results, runs: dict[str, Run]) -> None:
    """What the first layers look for, and the digits that stay wrong."""
    results.step("first layers and worst errors as pictures")
    fig, axes = plotting.figure(2, 1, size=(8.0, 3.9))
    axes[0].get_gridspec().set_height_ratios([1.2, 2.2])
    titles = "no hidden layer: what raises each digit's logit", "the 64 hidden units"
    for ax, key, title, wide in zip(axes, DRAWN[:2], titles, (10, 16), strict=True):
        images = runs[key].model.layers[0].weight.data.T.reshape(-1, 8, 8)
        limit = float(np.abs(images).max())
        image = ax.imshow(mosaic(images, wide), "RdBu_r", vmin=-limit, vmax=limit)
        fig.colorbar(image, ax=ax, label="weight")
        ax.set(xticks=[], yticks=[], title=title)
        ax.grid(False)
        ax.spines[:].set_visible(False)
    axes[0].set_xticks(10 * np.arange(10) + 4.5, labels=range(10))
    axes[0].tick_params(length=0)
    axes[1].set_xlabel("8 by 8 pixels each; red: ink raises the unit's number")
    results.figure(fig, "weights.png", "First-layer weights as images")
    worst_errors(lab, results, runs["relu_64"].model)


def mosaic(images: np.ndarray, wide: int) -> np.ndarray:
    """Images (M, 8, 8) side by side in rows of `wide`, with gaps of NaN."""
    framed = np.pad(images, ((0, 0), (1, 1), (1, 1)), constant_values=np.nan)
    rows = framed.reshape(-1, wide, 10, 10)
    return rows.transpose(0, 2, 1, 3).reshape(-1, wide * 10)


def worst_errors(lab, results: Results, model) -> None:
    """The ten held-out digits with the largest loss."""
    (_, _), (X, y) = split_digits(0, *datasets.digits())
    model.eval()
    logits = model.forward(X)
    loss = lab.SoftmaxCrossEntropy()
    losses = [loss.forward(logits[i : i + 1], y[i : i + 1]) for i in range(len(y))]
    fig, axes = plotting.figure(2, 5, size=(8.0, 4.0))
    for ax, i in zip(axes.flat, np.argsort(losses)[::-1], strict=False):
        row = np.exp(logits[i] - logits[i].max())
        p, top = row / row.sum(), int(logits[i].argmax())
        ax.imshow(X[i].reshape(8, 8), "gray_r", vmin=0, vmax=1)
        ax.set(xticks=[], yticks=[])
        ax.grid(False)
        ax.set_title(f"it is {y[i]}: {p[y[i]]:.2%}", fontsize=10)
        ax.set_xlabel(f"network says {top}: {p[top]:.1%}", fontsize=9)
    results.figure(fig, "errors.png", "The ten held-out digits with the largest loss")


# --- Speed ------------------------------------------------------------------------


def speed(lab, results: Results) -> None:
    """One training step beside torch's eager mode, float32, one thread."""
    import torch

    rows = []
    for key, (sizes, batch, loops) in STEPS.items():
        rng = seeding.rng(SEED, "speed")
        X = rng.standard_normal((batch, sizes[0])).astype(np.float32)
        y = rng.integers(sizes[-1], size=batch)
        with one_torch_thread():
            # many short timings of this process alone: others disturb them least
            ours, theirs = (
                timeit(run, repeats=40, clock=time.process_time) / loops
                for run in (
                    lab_steps(lab, sizes, X, y, loops),
                    torch_steps(torch, sizes, X, y, loops),
                )
            )
        name = f"{dashed(sizes)}, batch {batch}"
        results.metric(f"speed.{key}", theirs / ours, "x", ours)
        ratio = f"{theirs / ours:.2f}"
        rows.append((name, f"{1e6 * ours:.0f}", f"{1e6 * theirs:.0f}", ratio))
    results.text(
        "## One training step\nForward, loss, backward and a step of SGD in float32, "
        f"one thread, best of 40; torch {torch.__version__}, eager, "
        "`torch.nn` and `torch.optim.SGD`."
    )
    results.table(["network", "lab, µs", "torch, µs", "torch / lab"], rows)


def lab_steps(lab, sizes, X, y, loops):
    """A function that makes some steps with the lab's network."""
    model = lab.mlp(sizes, rng=seeding.rng(SEED, "step"), dtype=np.float32)
    params, loss = model.parameters(), lab.SoftmaxCrossEntropy()

    def run() -> None:
        for _ in range(loops):
            lab.zero_grad(params)
            loss.forward(model.forward(X), y)
            model.backward(loss.backward())
            lab.sgd_step(params, lr=0.01)

    return run


def torch_steps(torch, sizes, X, y, loops):
    """The same with torch."""
    layers = []
    for d_in, d_out in itertools.pairwise(sizes):
        layers += [torch.nn.Linear(d_in, d_out), torch.nn.ReLU()]
    model, loss = torch.nn.Sequential(*layers[:-1]), torch.nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    X, y = torch.tensor(X), torch.tensor(y)

    def run() -> None:
        for _ in range(loops):
            optimizer.zero_grad()
            loss(model(X), y).backward()
            optimizer.step()

    return run
