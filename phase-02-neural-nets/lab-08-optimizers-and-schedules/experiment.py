"""What optimizers do: on two landscapes you can look at, and on a network of digits.

Draws the paths of five optimizers through a ravine and in Rosenbrock's valley, counts
steps against the condition number, sweeps the learning rate, compares schedules at an
equal budget, stops early, and shows where the decay of Adam and of AdamW goes. Each
optimizer gets the best rate of a grid, never one that was picked by eye. Takes about a
minute; with `full`, which has more seeds, about three.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np

from common import datasets, labs, plotting, seeding
from common.device import one_torch_thread, timeit
from common.results import Results

SEED = 8
COLOURS = dict(
    zip(
        ("SGD", "momentum", "Nesterov", "RMSProp", "Adam", "AdamW"),
        plotting.PALETTE,
        strict=False,
    )
)
SHORT = 32  # rows in a batch


def optimizers(lab) -> dict[str, Callable]:
    """How each is made from parameters and a learning rate."""
    momentum = partial(lab.SGD, momentum=0.9)
    return {
        "SGD": lab.SGD,
        "momentum": momentum,
        "Nesterov": partial(momentum, nesterov=True),
        "RMSProp": lab.RMSProp,
        "Adam": lab.Adam,
        "AdamW": lab.AdamW,
    }


def main(lab, out: Path, quick: bool = False, full: bool = False) -> None:
    """Run the experiment.

    Args:
        lab: the module under test: the solution, or a learner's lab.py.
        out: folder for metrics.json, report.md and the plots.
        quick: one seed, fewer rates and epochs, no torch; a few seconds.
        full: ten seeds instead of three to six.
    """
    title = "Lab 2.8: optimizers and schedules"
    results = Results(out, title, seed=SEED, steps=9, quick=quick)
    duration = "4 seconds" if quick else "3 minutes" if full else "1 minute"
    results.say(f"Makes 5 plots, 4 tables and a report in about {duration}.")
    seeds = 10 if full else 1 if quick else 3
    landscapes(lab, results, 6 if quick else 41)
    condition_numbers(lab, results, (10, 100) if quick else (10, 30, 100, 300, 1000))
    rates(lab, results, seeds, quick)
    schedules(lab, results, max(seeds, 1 if quick else 5), quick)
    stopping(lab, results, 2 if quick else 10, 6 if quick else 60)
    decay(lab, results, max(seeds, 1 if quick else 5), 1 if quick else 30)
    beside_torch(lab, results, quick)
    results.step("writing metrics.json and report.md")
    results.save()


# --- Two landscapes ---------------------------------------------------------------


class Point:
    """A parameter of two numbers."""

    def __init__(self, data: tuple[float, float]):
        self.data = np.array(data, np.float64)
        self.grad = np.zeros(2)


def ravine(x, y):
    """30 times as steep across as along."""
    return 0.5 * (x**2 + 30 * y**2)


def ravine_grad(x, y):
    return x, 30 * y


def rosenbrock(x, y):
    """A flat, bent valley; its lowest point is (1, 1)."""
    return (1 - x) ** 2 + 100 * (y - x**2) ** 2


def rosenbrock_grad(x, y):
    return -2 * (1 - x) - 400 * x * (y - x**2), 200 * (y - x**2)


LANDSCAPES = {
    "ravine": (ravine, ravine_grad, (-9.0, 2.0), 40),
    "Rosenbrock": (rosenbrock, rosenbrock_grad, (-1.4, 2.2), 400),
}


def landscapes(lab, results: Results, n_rates: int) -> None:
    """Paths, each at the rate with the smallest mean loss on the way."""
    results.step("paths through a ravine and Rosenbrock's valley")
    found = {
        name: {kind: best_path(make, *place, n_rates) for kind, make in five(lab)}
        for name, place in LANDSCAPES.items()
    }
    said = (
        "Each optimizer at the rate of a grid with the smallest mean loss on the way. "
    )
    for name, (height, _, _, steps) in LANDSCAPES.items():
        ends = []
        for kind, (lr, points) in found[name].items():
            end = float(height(*points[-1]))
            results.metric(f"path.{name.lower()}.{kind}.lr", lr, "")
            results.metric(f"path.{name.lower()}.{kind}.loss", end, "")
            ends.append(f"{kind} {end:.1g}")
        said += f"{name}, loss after {steps} steps: {', '.join(ends)}. "
    results.text(f"## Two landscapes\n{said}")
    results.figure(draw_paths(found), "paths.png", "Paths on two landscapes")


def five(lab) -> list[tuple[str, Callable]]:
    """All but AdamW, which is Adam where nothing decays."""
    return list(optimizers(lab).items())[:5]


def best_path(make, height, slope, start, steps, n_rates) -> tuple[float, np.ndarray]:
    """The rate with the smallest mean loss, and the path (steps + 1, 2) at that rate.

    The last loss alone would reward a swing that happens to pass the minimum then.
    """
    best = (math.inf, 0.0, np.array([start]))
    for lr in np.geomspace(1e-4, 10, n_rates):
        p = Point(start)
        opt, points = make([p], float(lr)), [p.data.copy()]
        with np.errstate(over="ignore", invalid="ignore"):
            for _ in range(steps):
                p.grad[...] = slope(*p.data)
                opt.step()
                points.append(p.data.copy())
            path = np.array(points)
            mean = height(*path.T).mean()
        if mean < best[0]:  # never so for NaN
            best = (mean, float(lr), path)
    return best[1:]


def draw_paths(found: dict):
    """One map for each landscape and optimizer; the large dot is where it got to."""
    fig, axes = plotting.figure(2, 5, size=(10.4, 4.9))
    spans = {
        "ravine": ((-10, 5), (-2.6, 2.6)),
        "Rosenbrock": ((-1.8, 1.8), (-0.8, 2.8)),
    }
    for row, (name, paths) in zip(axes, found.items(), strict=True):
        height, _, _, steps = LANDSCAPES[name]
        (x0, x1), (y0, y1) = spans[name]
        x, y = np.meshgrid(np.linspace(x0, x1, 160), np.linspace(y0, y1, 160))
        levels = np.geomspace(0.05, 3000, 12)
        for ax, (kind, (lr, points)) in zip(row, paths.items(), strict=True):
            ax.contour(x, y, height(x, y), levels, colors="0.75", linewidths=0.5)
            ax.plot(*points.T, ".-", ms=3, lw=1, color=COLOURS[kind])
            ax.plot(
                *(0, 0) if name == "ravine" else (1, 1),
                "*",
                color="black",
                ms=10,
                zorder=6,
            )
            ax.plot(*points[-1], "o", color=COLOURS[kind], ms=9, mec="white", zorder=5)
            end = f"loss {height(*points[-1]):.1g}"
            ax.set(xlim=(x0, x1), ylim=(y0, y1))
            ax.set_title(f"{kind}, lr {lr:.2g}\n{end}", fontsize="small")
            ax.grid(False)
            if ax is not row[0]:
                ax.set_yticklabels([])
        row[0].set(ylabel=f"{name}, {steps} steps\nsecond weight")
    for ax in axes[1]:
        ax.set(xlabel="first weight")
    return fig


# --- The condition number ---------------------------------------------------------


def condition_numbers(lab, results: Results, kappas: tuple[int, ...]) -> None:
    """Steps to a millionth of the loss, for plain descent and for heavy ball."""
    results.step("steps against the condition number")
    rows, counts = [], []
    for kappa in kappas:
        root = math.sqrt(kappa)
        plain = steps_to(lab.SGD, kappa, 2 / (1 + kappa))
        heavy = partial(lab.SGD, momentum=((root - 1) / (root + 1)) ** 2)
        ball = steps_to(heavy, kappa, (2 / (root + 1)) ** 2)
        results.metric(f"kappa.{kappa}.descent", plain, "steps")
        results.metric(f"kappa.{kappa}.heavy_ball", ball, "steps")
        rows.append(f"κ = {kappa:,}: {plain:,} and {ball:,}")
        counts.append((plain, ball))
    powers = [
        float(np.polyfit(np.log(kappas), np.log(column), 1)[0])
        for column in np.transpose(counts)
    ]
    results.metric("kappa.power.descent", powers[0], "")
    results.metric("kappa.power.heavy_ball", powers[1], "")
    results.text(
        "Steps to a millionth of the first loss on ½ (x² + κ y²), from (1, 1), descent "
        "and heavy ball, rates and momentum from theory (Polyak 1964): "
        f"{'; '.join(rows)}. They grow as κ to the power {powers[0]:.2f} and "
        f"{powers[1]:.2f}; theory says 1 and ½."
    )


def steps_to(make, kappa: float, lr: float) -> int:
    """How many steps until the loss is a millionth of the first."""
    p = Point((1.0, 1.0))
    opt, scale, steps = make([p], lr), np.array([1.0, kappa]), 0
    while float(scale @ p.data**2) > 1e-6 * (1 + kappa):
        p.grad[...] = scale * p.data
        opt.step()
        steps += 1
    return steps


# --- Training on digits -----------------------------------------------------------


def digits(seed: int) -> tuple[np.ndarray, ...]:
    """1,437 images to train on, 360 to validate: X, y, X_val, y_val."""
    X, y = datasets.digits()
    order = seeding.rng(SEED, "split", seed).permutation(len(y))
    return X[order[360:]], y[order[360:]], X[order[:360]], y[order[:360]]


def batches(model, opt, X, y, *, epochs, rng, batch_size=SHORT, lr_at=None) -> Iterator:
    """Train the model and yield the loss of each batch, before its step."""
    nets = labs.solution("2.5")
    loss, t = nets.SoftmaxCrossEntropy(), 0
    for _ in range(epochs):
        for xb, yb in nets.minibatches(X, y, batch_size=batch_size, rng=rng):
            if lr_at is not None:
                opt.lr = lr_at(t)
            opt.zero_grad()
            value = loss.forward(model.forward(xb), yb)
            model.backward(loss.backward())
            opt.step()
            t += 1
            yield value


def network(seed: int, sizes: tuple[int, ...] = (64, 64, 10)):
    """A fresh network; the same for every optimizer of a seed."""
    return labs.solution("2.5").mlp(sizes, rng=seeding.rng(SEED, "weights", seed))


def evaluate(model, X, y) -> float:
    """Mean loss in nats."""
    return labs.solution("2.5").SoftmaxCrossEntropy().forward(model.forward(X), y)


def final(make, seed: int, epochs: int, lr_at=None, batch_size: int = SHORT) -> tuple:
    """Train a fresh network: loss on the training and validation set, accuracy in %.

    A run that has exploded has the loss infinity.
    """
    X, y, X_val, y_val = digits(seed)
    model, rng = network(seed), seeding.rng(SEED, "order", seed)
    opt = make(model.parameters())
    settings = {"epochs": epochs, "rng": rng, "lr_at": lr_at, "batch_size": batch_size}
    with np.errstate(all="ignore"):
        for value in batches(model, opt, X, y, **settings):
            if not value < 1e4:
                return math.inf, math.inf, 10.0
        right = labs.solution("2.5").accuracy(model, X_val, y_val)
        return evaluate(model, X, y), evaluate(model, X_val, y_val), 100 * right


def mean_pm(values: list[float]) -> tuple[float, float]:
    """Mean and standard error."""
    n = len(values)
    return float(np.mean(values)), float(np.std(values, ddof=n > 1) / math.sqrt(n))


# --- The learning rate ------------------------------------------------------------

GIVEN = (
    ("SGD", 0.1),
    ("momentum", 0.1),
    ("Nesterov", 0.1),
    ("RMSProp", 1e-3),
    ("Adam", 1e-3),
    ("Adam", 1e-2),
)


def rates(lab, results: Results, seeds: int, quick: bool) -> None:
    """Steps at usual rates, then the final loss against the rate."""
    limit = 2.2 if quick else 0.3
    results.step(f"steps until the loss is below {limit}, at usual rates")
    fast = {}
    for kind, lr in GIVEN:
        make = partial(optimizers(lab)[kind], lr=lr)
        counts = [steps_below(make, seed, limit) for seed in range(seeds)]
        fast[kind, lr] = mean_pm(counts)
        results.metric(f"steps_below.{kind}.{lr:g}", fast[kind, lr][0], "steps")
    results.step("sweep of the learning rate")
    grid = np.geomspace(1e-4, 10, 4 if quick else 11)
    epochs = 1 if quick else 10
    losses = {
        kind: np.array(
            [
                [final(partial(make, lr=float(lr)), s, epochs)[0] for lr in grid]
                for s in range(seeds)
            ]
        )
        for kind, make in optimizers(lab).items()
    }
    results.text(
        f"## Digits: the rate decides more than the name ({seeds} seeds)\n"
        "A network 64-64-10, batches of 32. Left: steps until the mean loss of 20 "
        f"batches is below {limit}. Right: training loss after {epochs} epochs at the "
        f"best of {len(grid)} rates (mean ± standard error), and how many decades of "
        "rates stay within 3 times that loss."
    )
    usual = {
        kind: f"{m:.0f} ± {e:.0f} at {lr:g}" for (kind, lr), (m, e) in fast.items()
    }
    usual["Adam"] = "; ".join(
        f"{fast['Adam', lr][0]:.0f} ± {fast['Adam', lr][1]:.0f} at {lr:g}"
        for lr in (1e-3, 1e-2)
    )
    rows = []
    for kind, values in losses.items():
        means = values.mean(axis=0)
        best = int(means.argmin())
        value, error = mean_pm(list(values[:, best]))
        wide = float(np.sum(means < 3 * value) * np.log10(grid[1] / grid[0]))
        results.metric(f"best_rate.{kind}", float(grid[best]), "")
        results.metric(f"best_loss.{kind}", value, "nats")
        results.metric(f"decades.{kind}", wide, "decades")
        rows.append(
            (
                kind,
                usual.get(kind, "not run"),
                f"{grid[best]:.2g}",
                f"{value:.1e} ± {error:.0e}",
                f"{wide:.1f}",
            )
        )
    results.table(
        ["optimizer", f"steps to {limit}", "best rate", "loss there", "decades"], rows
    )
    results.figure(
        draw_rates(grid, losses, epochs), "rates.png", "Loss against the rate"
    )


def steps_below(make, seed: int, limit: float) -> int:
    """Steps until the mean loss of the last 20 batches is below the limit."""
    X, y, _, _ = digits(seed)
    model, rng = network(seed), seeding.rng(SEED, "order", seed)
    recent: list[float] = []
    opt = make(model.parameters())
    for value in batches(model, opt, X, y, epochs=60, rng=rng):
        recent.append(value)
        if len(recent) >= 20 and sum(recent[-20:]) / 20 < limit:
            break
    return len(recent)


def draw_rates(grid: np.ndarray, losses: dict, epochs: int):
    """One line for each optimizer; the bars are the smallest and largest seed."""
    fig, ax = plotting.figure(size=(7.2, 4.4))
    roof = 10.0
    for i, (kind, values) in enumerate(losses.items()):
        shown = np.minimum(values, roof)
        middle = shown.mean(axis=0)
        spread = [middle - shown.min(axis=0), shown.max(axis=0) - middle]
        shifted = grid * 1.03 ** (i - 2.5)  # or the bars would hide each other
        style = "s--" if kind == "AdamW" else "o-"
        ax.errorbar(
            shifted, middle, spread, fmt=style, color=COLOURS[kind], label=kind, ms=4
        )
    ax.set(xscale="log", yscale="log", xlabel="learning rate")
    ax.set(ylabel=f"training loss after {epochs} epochs (nats, cut at 10)")
    ax.set(title="Every optimizer has its own range; beyond it, all fail")
    ax.axhline(math.log(10), color="0.4", lw=1, ls=":")
    ax.annotate("guessing", (0.03, 2.5), fontsize="small", color="0.4")
    ax.legend(fontsize="small", ncols=2)
    return fig


# --- Schedules --------------------------------------------------------------------


def schedules(lab, results: Results, seeds: int, quick: bool) -> None:
    """Four schedules at an equal number of steps, each over several base rates."""
    results.step("schedules at an equal budget")
    epochs, batch = (1 if quick else 10), 8
    total = epochs * math.ceil(1437 / batch)
    shapes = {
        "constant": lambda t, base: base,
        "steps": lambda t, base: lab.step_lr(
            t, base=base, step_size=total // 3, gamma=0.2
        ),
        "cosine": lambda t, base: lab.cosine_lr(t, base=base, total=total),
        "warm-up, cosine": lambda t, base: lab.warmup_cosine_lr(
            t, base=base, warmup=total // 10, total=total
        ),
    }
    bases = [1e-3, 3e-3, 1e-2, 3e-2]
    runs = {
        (name, base): [
            final(
                partial(lab.Adam, lr=base), s, epochs, partial(shape, base=base), batch
            )
            for s in range(seeds)
        ]
        for name, shape in shapes.items()
        for base in (bases[::3] if quick else bases)
    }
    results.text(
        f"## Schedules, Adam, batches of {batch}, {total:,} steps ({seeds} seeds)\n"
        "Each schedule at its best base rate; the difference to the constant rate is "
        "taken seed by seed, because the splits differ more than the schedules."
    )
    rows, constant = [], None
    for name in shapes:
        mine = {base: runs[name, base] for base in bases if (name, base) in runs}
        best = min(mine, key=lambda base: np.mean([r[1] for r in mine[base]]))
        losses = np.array([r[1] for r in mine[best]])
        constant = losses if constant is None else constant
        pairs = [mean_pm(losses), mean_pm(losses - constant)]
        pairs.append(mean_pm([r[2] for r in mine[best]]))
        key = name.replace(", ", "_").replace("-", "")
        results.metric(f"schedule.{key}.base", best, "")
        for kind, (value, error) in zip(
            ("loss", "gain", "accuracy"), pairs, strict=True
        ):
            results.metric(f"schedule.{key}.{kind}", value, "")
            results.metric(f"schedule.{key}.{kind}_error", error, "")
        cells = [f"{m:.3f} ± {e:.3f}" for m, e in pairs[:2]]
        if name == "constant":
            cells[1] = ""
        rows.append(
            (name, f"{best:g}", *cells, f"{pairs[2][0]:.1f} ± {pairs[2][1]:.1f} %")
        )
    header = ["schedule", "base", "validation loss", "less constant's", "accuracy"]
    results.table(header, rows)
    used = bases[::3] if quick else bases
    fig = draw_schedules(shapes, runs, used, total)
    results.figure(fig, "schedules.png", "Four schedules")


def draw_schedules(shapes: dict, runs: dict, bases: list, total: int):
    """Left the rates, right the loss against the base rate."""
    fig, (left, right) = plotting.figure(1, 2, size=(8.6, 3.8))
    for i, (name, shape) in enumerate(shapes.items()):
        left.plot([shape(t, 1.0) for t in range(total + 1)], label=name, lw=2)
        loss = [mean_pm([r[1] for r in runs[name, base]]) for base in bases]
        middle, error = zip(*loss, strict=True)
        shifted = np.array(bases) * 1.04 ** (i - 1.5)
        right.errorbar(shifted, middle, error, fmt="o-", capsize=3, label=name)
    left.set(xlabel="step", ylabel="rate / base rate", title="Schedules")
    left.legend(fontsize="small", loc="center right")
    right.set(xscale="log", xlabel="base rate", ylim=(0, None))
    right.set(ylabel="validation loss (nats)", title="After the last step")
    right.set_xticks(bases, [f"{b:g}" for b in bases])
    right.minorticks_off()
    return fig


# --- Early stopping ---------------------------------------------------------------


def stopping(lab, results: Results, seeds: int, epochs: int) -> None:
    """300 images, a fifth with a wrong label: the network learns them by heart."""
    results.step("early stopping on wrong labels")
    runs = [overfit(lab, seed, epochs) for seed in range(seeds)]
    at = {"best": [], "stop": [], "last": []}
    for curves, stopper, stop in runs:
        for name, epoch in zip(at, (stopper.best_step, stop, epochs - 1), strict=True):
            at[name].append((epoch + 1, *curves[epoch, 2:]))
    results.text(
        f"## Early stopping, patience 8 ({seeds} seeds)\n"
        "300 images, 20 % of the labels wrong; stopped on 200 validation images (right "
        "labels), measured on 1,000 others."
    )
    rows, titles = [], {"best": "best epoch", "stop": "stop", "last": "no stop"}
    for name, values in at.items():
        epoch, loss, right = np.mean(values, axis=0)
        errors = np.std(values, axis=0, ddof=1) / math.sqrt(seeds)
        results.metric(f"stopping.{name}.epoch", epoch, "epochs")
        results.metric(f"stopping.{name}.loss", loss, "nats")
        results.metric(f"stopping.{name}.accuracy", right, "%")
        cells = (f"{loss:.3f} ± {errors[1]:.3f}", f"{right:.1f} ± {errors[2]:.1f} %")
        rows.append((titles[name], f"{epoch:.1f}", *cells))
    results.table(["weights of", "epoch", "test loss", "test accuracy"], rows)
    results.figure(draw_stopping(*runs[0]), "stopping.png", "Early stopping")


def overfit(lab, seed: int, epochs: int) -> tuple:
    """Curves (epochs, 4): train, validation and test loss, test accuracy in %."""
    X, y = datasets.digits()
    rng = seeding.rng(SEED, "early", seed)
    train, valid, test = np.split(rng.permutation(len(y))[:1500], [300, 500])
    labels = y[train].copy()
    labels[:60] = (labels[:60] + rng.integers(1, 10, 60)) % 10
    model = network(seed)
    opt, stopper = lab.Adam(model.parameters(), lr=1e-2), lab.EarlyStopping(8)
    curves, stop = [], epochs - 1
    for epoch in range(epochs):
        losses = list(batches(model, opt, X[train], labels, epochs=1, rng=rng))
        value = evaluate(model, X[valid], y[valid])
        right = labs.solution("2.5").accuracy(model, X[test], y[test])
        test_loss = evaluate(model, X[test], y[test])
        curves.append((np.mean(losses), value, test_loss, 100 * right))
        if stopper.update(value) and stop == epochs - 1:
            stop, best = epoch, (stopper.best, stopper.best_step)
    if stop < epochs - 1:  # a later improvement would not have been seen
        stopper.best, stopper.best_step = best
    return np.array(curves), stopper, stop


def draw_stopping(curves: np.ndarray, stopper, stop: int):
    """Loss and accuracy of one seed, with the epochs that count."""
    fig, (left, right) = plotting.figure(1, 2, size=(8.6, 3.6))
    names = ("training, 20 % wrong labels", "validation", "test")
    epochs = np.arange(1, len(curves) + 1)
    for name, values in zip(names, curves.T, strict=False):
        left.plot(epochs, values, label=name, lw=1.8)
    right.plot(epochs, curves[:, 3], color=plotting.PALETTE[2], lw=1.8)
    marks = ((stopper.best_step, "-", "best on validation"), (stop, "--", "stop"))
    for ax in (left, right):
        for epoch, style, name in marks:
            ax.axvline(epoch + 1, color="0.3", ls=style, lw=1.2, label=name)
        ax.set(xlabel="epoch")
    left.set(ylabel="loss (nats)", title="Loss", ylim=(0, None))
    left.legend(fontsize="x-small")
    right.set(ylabel="test accuracy (%)", title="Accuracy on new images")
    right.legend(fontsize="x-small")
    return fig


# --- Decay ------------------------------------------------------------------------


def decay(lab, results: Results, seeds: int, epochs: int) -> None:
    """The same decay as a part of the gradient and beside it."""
    results.step("Adam with L2 beside AdamW")
    lr = 3e-3
    X = datasets.digits()[0]
    dark = (X == 0).all(axis=0)  # pixels that never light up: their gradient is 0
    maps, rows = {}, []
    for kind, make, strengths in (
        ("Adam with L2", lab.Adam, (0.0, 1e-3, 0.1)),
        ("AdamW", lab.AdamW, (0.1,)),
    ):
        for wd in strengths:
            made = partial(make, lr=lr, weight_decay=wd)
            runs = [weights_after(made, seed, epochs) for seed in range(seeds)]
            before, after, right = (list(column) for column in zip(*runs, strict=True))
            kept = [
                [np.linalg.norm(a[k]) / np.linalg.norm(b[k]) for k in (dark, ~dark)]
                for b, a in zip(before, after, strict=True)
            ]
            name = kind if wd else "no decay"
            longer = np.linalg.norm(after, axis=2) / np.linalg.norm(before, axis=2)
            maps[name, wd] = longer.mean(axis=0).reshape(8, 8)
            dark_kept, lit_kept = np.mean(kept, axis=0)
            value, error = mean_pm(right)
            key = name.lower().replace(" ", "_")
            results.metric(f"decay.{key}.{wd:g}.dark", dark_kept, "share")
            results.metric(f"decay.{key}.{wd:g}.lit", lit_kept, "share")
            results.metric(f"decay.{key}.{wd:g}.accuracy", value, "%")
            cells = (
                f"{dark_kept:.3g}",
                f"{lit_kept:.3g}",
                f"{value:.1f} ± {error:.1f} %",
            )
            rows.append((name, f"{wd:g}", *cells))
    steps = epochs * math.ceil(1437 / SHORT)
    results.metric("decay.theory.0.1", (1 - lr * 0.1) ** steps, "share")
    results.text(
        f"## Decay, {steps:,} steps at rate {lr:g} ({seeds} seeds)\n"
        f"Length of the first layer's weights, as a multiple of its start: for the "
        f"{dark.sum()} pixels that are dark in every image, where decay is the only "
        "gradient, and for the others."
    )
    results.table(["optimizer", "decay", "dark", "lit", "validation accuracy"], rows)
    results.figure(draw_decay(maps), "decay.png", "Where the decay goes")


def weights_after(make, seed: int, epochs: int) -> tuple[np.ndarray, np.ndarray, float]:
    """The first layer's weights (64, 64) before and after, and the accuracy in %."""
    X, y, X_val, y_val = digits(seed)
    model, rng = network(seed), seeding.rng(SEED, "order", seed)
    weight = model.layers[0].weight.data
    before = weight.copy()
    for _ in batches(model, make(model.parameters()), X, y, epochs=epochs, rng=rng):
        pass
    return before, weight, 100 * labs.solution("2.5").accuracy(model, X_val, y_val)


def draw_decay(maps: dict):
    """For each pixel, how long the weights are that leave it, against their start."""
    chosen = {
        "Adam, no decay": maps["no decay", 0.0],
        "Adam with L2, 0.001": maps["Adam with L2", 1e-3],
        "AdamW, 0.1": maps["AdamW", 0.1],
    }
    fig, axes = plotting.figure(1, 3, size=(8.6, 3.1))
    top = max(values.max() for values in chosen.values())
    for ax, (name, values) in zip(axes, chosen.items(), strict=True):
        image = ax.imshow(values, cmap="viridis", vmin=0, vmax=top)
        ax.set(title=name, xlabel="pixel column", xticks=range(8), yticks=range(8))
        ax.grid(False)
    axes[0].set(ylabel="pixel row")
    fig.colorbar(image, ax=axes, label="length after / before", shrink=0.85)
    return fig


# --- Beside torch -----------------------------------------------------------------


def beside_torch(lab, results: Results, quick: bool) -> None:
    """The largest difference after 50 steps, and AdamW's speed on a million numbers."""
    results.step("beside torch.optim" + (": left out of a quick run" if quick else ""))
    if quick:
        return
    import torch
    import torch._dynamo  # the first optimizer would load it
    from threadpoolctl import threadpool_limits

    peers = {
        "SGD": torch.optim.SGD,
        "momentum": partial(torch.optim.SGD, momentum=0.9),
        "Nesterov": partial(torch.optim.SGD, momentum=0.9, nesterov=True),
        "RMSProp": torch.optim.RMSprop,
        "Adam": torch.optim.Adam,
        "AdamW": torch.optim.AdamW,
    }
    worst = 0.0
    for kind, make in optimizers(lab).items():
        rng = seeding.rng(SEED, "torch", kind)
        p = Point(tuple(rng.normal(size=2)))
        twin = torch.tensor(p.data, requires_grad=True)
        ours, theirs = (
            make([p], lr=0.01, weight_decay=0.1),
            peers[kind]([twin], lr=0.01, weight_decay=0.1),
        )
        for g in rng.normal(0, 2, (50, 2)):
            p.grad[...], twin.grad = g, torch.tensor(g)
            ours.step()
            theirs.step()
        worst = max(worst, float(np.abs(p.data - twin.detach().numpy()).max()))
    with threadpool_limits(1), one_torch_thread():
        p = Point((0.0, 0.0))
        p.data = seeding.rng(SEED).standard_normal(1_000_000).astype(np.float32)
        p.grad = seeding.rng(SEED, "g").standard_normal(1_000_000).astype(np.float32)
        twin = torch.tensor(p.data, requires_grad=True)
        twin.grad = torch.tensor(p.grad)
        theirs = timeit(torch.optim.AdamW([twin], foreach=True).step, repeats=30)
        ours = timeit(lab.AdamW([p]).step, repeats=30)
    results.metric("torch.largest_difference", worst, "")
    results.metric("torch.adamw_speed", theirs / ours, "ratio", ours)
    results.text(
        f"Beside torch {torch.__version__.split('+')[0]}: six optimizers, 50 steps in "
        f"float64, decay on, differ by {worst:.0e} at most. AdamW on a "
        f"million float32, one thread: {1e3 * ours:.1f} ms a step, "
        f"{theirs / ours:.2f} times the speed of torch's foreach version."
    )
