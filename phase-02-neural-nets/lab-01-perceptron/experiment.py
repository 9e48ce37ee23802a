"""What a perceptron does while it learns, and what it does where it cannot.

Draws the boundary after every update on two clouds and on XOR, compares the updates
with Novikoff's bound, follows the accuracy on two kinds of iris that no plane separates
beside the averaged perceptron, asks on drawn data when averaging helps, and shows two
ways around XOR. Takes about 20 seconds; with `full`, five times as many draws.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from sklearn.datasets import load_iris

from common import plotting, seeding
from common.results import Results

SEED = 5
BLUE, RED, GREEN, PURPLE, ORANGE = plotting.PALETTE[:5]
EPOCHS = 200  # on iris


def main(lab, out: Path, quick: bool = False, full: bool = False) -> None:
    """Run the experiment.

    Args:
        lab: the module under test: the solution, or a learner's lab.py.
        out: folder for metrics.json, report.md and the plots.
        quick: fewer draws and epochs; a few seconds.
        full: 100 draws instead of 20.
    """
    title = "Lab 2.1: a line that learns from its mistakes"
    results = Results(out, title, seed=SEED, steps=6, quick=quick)
    draws = 4 if quick else 100 if full else 20
    duration = "3 seconds" if quick else "a minute" if full else "20 seconds"
    results.say(f"Makes 5 plots, 3 tables and a report in about {duration}.")
    results.step("two clouds, frame by frame")
    learning(lab, results)
    results.step("XOR, frame by frame")
    round_and_round(lab, results)
    results.step("updates against Novikoff's bound")
    bound(lab, results, draws)
    results.step("two kinds of iris that no plane separates")
    iris(lab, results, 40 if quick else EPOCHS, draws)
    results.step("when averaging helps, and two ways around XOR")
    averaging(lab, results, draws)
    around(lab, results, draws)
    results.step("writing metrics.json and report.md")
    results.save()


def pm(values, digits: int = 3) -> str:
    """Mean and standard deviation over the draws."""
    return f"{np.mean(values):.{digits}f} ± {np.std(values, ddof=1):.{digits}f}"


def clouds(n: int, rng, *, apart: float, spread: float):
    """Two round clouds of n points each, `apart` along a slanted direction."""
    y = rng.permutation(np.repeat([-1, 1], n))
    centre = np.array([2.0, 1.5]) + np.outer(y, [0.6, 0.8]) * apart / 2
    return centre + spread * rng.standard_normal((2 * n, 2)), y


def accuracy(lab, X: np.ndarray, y: np.ndarray, fit) -> float:
    """Share of rows that a trained model gets right."""
    return float(np.mean(lab.predict(X, fit.w, fit.b) == y))


# --- Frames -----------------------------------------------------------------------


def history(lab, X: np.ndarray, y: np.ndarray, n_rows: int) -> list[tuple]:
    """(row, result) after each of the first updates, rows shown in their order.

    One epoch over the first n rows of the data, laid end to end, leaves the weights as
    they are after n rows of the real training.
    """
    order = np.arange(n_rows) % len(X)
    found, before = [], 0
    for n in range(1, n_rows + 1):
        fit = lab.perceptron_fit(X[order[:n]], y[order[:n]], max_epochs=1)
        if fit.n_updates > before:
            found.append((int(order[n - 1]), fit))
        before = fit.n_updates
    return found


def frame(lab, ax, X: np.ndarray, y: np.ndarray, fit, row: int | None) -> None:
    """The half planes of a model; a ring marks the row that changed it last."""
    plotting.decision_boundary(
        ax, lambda P: lab.predict(P, fit.w, fit.b) > 0, X, y > 0, resolution=150
    )
    if row is not None:
        ring = {"facecolors": "none", "edgecolors": "black", "linewidths": 1.6}
        ax.scatter(*X[row], s=110, **ring)
    right = accuracy(lab, X, y, fit)
    ax.set_xlabel(f"{100 * right:.0f} % right")
    ax.set(ylabel="", xticks=[], yticks=[])


def learning(lab, results: Results) -> None:
    """A frame of the boundary after every update on separable clouds."""
    X, y = clouds(30, seeding.rng(SEED, "clouds", 7), apart=2.8, spread=0.6)
    fit = lab.perceptron_fit(X, y, max_epochs=50)  # a handful is enough
    n_epochs = len(fit.mistakes_per_epoch)
    steps = history(lab, X, y, len(X) * n_epochs)
    results.metric("clouds.updates", fit.n_updates, "updates")
    results.metric("clouds.epochs", n_epochs, "epochs")
    columns = -(-len(steps) // 2)
    fig, axes = plotting.figure(2, columns, size=(10.0, 3.9))
    for ax in axes.flat[len(steps) :]:
        ax.set_axis_off()
    for k, (ax, (row, state)) in enumerate(zip(axes.flat, steps, strict=False)):
        frame(lab, ax, X, y, state, row)
        ax.set_title(f"update {k + 1}" + (": done" if k + 1 == len(steps) else ""))
        if k % columns == 0:
            ax.set_ylabel("second feature")
    fig.supxlabel("first feature (each frame shows all points)", fontsize="small")
    results.text(
        f"## Two clouds\n{fit.n_updates} updates in {n_epochs} epochs; mistakes per "
        f"epoch: {', '.join(map(str, fit.mistakes_per_epoch))}."
    )
    results.figure(fig, "learning.png", "The boundary while the perceptron learns")


def round_and_round(lab, results: Results) -> None:
    """Frames of the boundary on XOR, which no line separates."""
    corner, label = lab.make_xor()
    corners = lab.perceptron_fit(corner, label, max_epochs=1)
    results.metric("xor.corner_weights", float(np.abs(corners.w).max()), "")
    results.metric("xor.corner_updates", corners.n_updates, "updates per epoch")
    corners_twice = history(
        lab, 2 * corner - 1, label, 6
    )  # at -1 and 1, to see the line
    rng = seeding.rng(SEED, "xor")
    noisy, labels = lab.make_xor(6, noise=0.25, rng=rng)
    order = rng.permutation(len(noisy))
    X, y = noisy[order], labels[order]
    late = history(lab, 2 * X - 1, y, 20 * len(X))[-6:]
    fig, axes = plotting.figure(2, 6, size=(10.0, 4.1))
    rows = (2 * corner - 1, label, corners_twice), (2 * X - 1, y, late)
    rights = []
    for line, (points, classes, steps) in zip(axes, rows, strict=True):
        for ax, (row, fit) in zip(line, steps, strict=True):
            frame(lab, ax, points, classes, fit, row)
            zero = " = start" if not fit.w.any() and fit.b == 0 else ""
            ax.set_title(f"update {fit.n_updates}{zero}")
            rights.append(accuracy(lab, points, classes, fit))
        line[0].set_ylabel("2·x2 − 1")
    fig.supxlabel("2·x1 − 1 (each frame shows all points)", fontsize="small")
    best = lab.best_linear_accuracy(X, y)
    results.metric("xor.best_line", best, "share")
    results.metric("xor.best_frame", max(rights), "share")
    results.metric("xor.worst_frame", min(rights), "share")
    results.text(
        f"## XOR\nAt the four corners an epoch makes {corners.n_updates} updates and "
        f"ends with weights and bias 0, where it began. With noise the line goes round "
        f"for ever; the best of all lines gets {best:.2f}."
    )
    results.figure(
        fig, "xor-round.png", "Updates in a row on XOR: four corners, and noisy corners"
    )


# --- The bound --------------------------------------------------------------------


def bound(lab, results: Results, draws: int) -> None:
    """Updates that were made, beside the bound of the line the data were drawn by."""
    gaps = np.geomspace(0.02, 1.0, 9)
    made, allowed = np.zeros((2, len(gaps), draws))
    for i, gap in enumerate(gaps):
        for draw in range(draws):
            X, y, w, b = with_gap(60, gap, seeding.rng(SEED, "gap", draw))
            made[i, draw] = lab.perceptron_fit(X, y, max_epochs=100_000).n_updates
            allowed[i, draw] = lab.novikoff_bound(X, y, w, b)
    share = made / allowed
    results.metric("bound.largest_share", float(share.max()), "updates / bound")
    results.metric("bound.median_share", float(np.median(share)), "updates / bound")
    X, y = load_iris(return_X_y=True)
    X, y = X[:100], np.where(y[:100] == 0, -1, 1)
    fit = lab.perceptron_fit(X, y)
    w, b = np.array([-0.30945588, -0.42971161, 1.0455034, 0.61782508]), -0.16361379
    easy = lab.novikoff_bound(X, y, w, b)  # the widest margin, as in test_lab.py
    results.metric("iris.easy_updates", fit.n_updates, "updates")
    results.metric("iris.easy_epochs", len(fit.mistakes_per_epoch), "epochs")
    results.metric("iris.easy_bound", easy, "updates")
    orders = [seeding.rng(SEED, "orders", i) for i in range(10 * draws)]
    shuffled = [lab.perceptron_fit(X, y, rng=rng).n_updates for rng in orders]
    for name in ("min", "median", "max"):
        value = float(getattr(np, name)(shuffled))
        results.metric(f"iris.easy_shuffled_{name}", value, "updates")
    fig, ax = plotting.figure(size=(6.4, 4.0))
    ax.plot(allowed.ravel(), made.ravel(), "o", color=BLUE, alpha=0.35, markersize=4)
    ax.plot(easy, fit.n_updates, "*", color=RED, markersize=13)
    note = "iris: setosa, versicolor"
    arrow = {"arrowstyle": "-", "color": RED, "relpos": (0, 0)}
    spot = (easy, fit.n_updates)
    ax.annotate(note, spot, (easy, 60), color=RED, arrowprops=arrow)
    ends = np.array([allowed.min() / 2, allowed.max() * 2])
    ax.plot(ends, ends, "k--", linewidth=1.2)
    ax.fill_between(ends, ends, ends[1], color="black", alpha=0.07, linewidth=0)
    ax.text(ends[0] * 2, ends[1] / 6, "impossible", fontsize="large")
    ax.set(xscale="log", yscale="log", ylim=(1, ends[1]), xlim=ends)
    ax.set(
        xlabel="Novikoff's bound (R / γ)²", ylabel="updates until no mistake is left"
    )
    ax.text(ends[1] / 3, ends[1] / 60, "updates = bound", ha="right")
    results.text(
        f"## The bound\n{made.size} drawn sets of 60 points with gaps from 0.02 to "
        f"1 around a line; the bound is that line's. Updates over bound: median "
        f"{np.median(share):.3f}, largest {share.max():.3f}. Iris, setosa and "
        f"versicolor: {fit.n_updates} updates, bound {easy:.1f}; in {len(shuffled)} "
        f"shuffled orders {min(shuffled)} to {max(shuffled)}, median "
        f"{np.median(shuffled):g}."
    )
    results.figure(fig, "bound.png", "Updates against the bound")


def with_gap(n: int, gap: float, rng):
    """n points of a square, none nearer than `gap` to a drawn line, and that line."""
    angle = rng.uniform(0, 2 * np.pi)
    w, b = np.array([np.cos(angle), np.sin(angle)]), rng.uniform(-0.3, 0.3)
    X = rng.uniform(-2, 2, (100 * n, 2))
    X = X[np.abs(X @ w + b) >= gap][:n]
    return X, np.where(X @ w + b > 0, 1, -1), w, b


# --- Iris -------------------------------------------------------------------------


def iris(lab, results: Results, epochs: int, draws: int) -> None:
    """Accuracy after each epoch on versicolor and virginica, last and averaged."""
    X, y = load_iris(return_X_y=True)
    X, y = X[50:], np.where(y[50:] == 1, -1, 1)
    fixed = lab.perceptron_fit(X, y, max_epochs=1000)
    results.metric("iris.hard_updates", fixed.n_updates, "updates in 1,000 epochs")
    results.metric("iris.hard_converged", fixed.converged, "")

    def run(fit, epochs, draw):
        rng = seeding.rng(SEED, "iris", draw)
        return accuracy(lab, X, y, fit(X, y, max_epochs=epochs, rng=rng))

    steps = np.arange(1, epochs + 1)
    last = [run(lab.perceptron_fit, e, 0) for e in steps]
    coarse = steps[(steps <= 10) | (steps % 5 == 0)]
    mean = [run(lab.averaged_perceptron_fit, e, 0) for e in coarse]
    half = len(last) // 2
    late = coarse > half
    ends = {
        "last": [run(lab.perceptron_fit, epochs, draw) for draw in range(draws)],
        "averaged": [
            run(lab.averaged_perceptron_fit, epochs, draw) for draw in range(draws)
        ],
    }
    results.metric("iris.last_worst", min(last[half:]), "share")
    results.metric("iris.last_best", max(last[half:]), "share")
    results.metric("iris.averaged_worst", min(np.array(mean)[late]), "share")
    results.metric("iris.averaged_best", max(np.array(mean)[late]), "share")
    for name, values in ends.items():
        results.metric(f"iris.{name}_mean", float(np.mean(values)), "share")
        results.metric(f"iris.{name}_std", float(np.std(values, ddof=1)), "share")
    results.text(
        f"## Iris, versicolor and virginica\nIn the order of the file: "
        f"{fixed.n_updates:,} updates in 1,000 epochs, and no end. Shuffled, over the "
        f"last {epochs - half} of {epochs} epochs: between {min(last[half:]):.2f} and "
        f"{max(last[half:]):.2f} with the newest weights, between "
        f"{min(np.array(mean)[late]):.2f} and {max(np.array(mean)[late]):.2f} with the "
        f"average. Over {draws} orders, after {epochs} epochs: {pm(ends['last'])} and "
        f"{pm(ends['averaged'])}. All on the training data."
    )
    fig, ax = plotting.figure(size=(8.0, 3.6))
    ax.plot(steps, last, color=BLUE, linewidth=1, label="newest weights")
    ax.plot(coarse, mean, color=RED, linewidth=2.2, label="average of all weights")
    ax.set(xlabel="epoch", ylabel="share of 100 flowers right", xlim=(0, epochs))
    ax.set_title("Versicolor and virginica: the newest weights never come to rest")
    ax.legend(loc="lower right")
    results.figure(fig, "iris.png", "Accuracy after each epoch, newest and averaged")


# --- Averaging, and XOR solved ------------------------------------------------------


def averaging(lab, results: Results, draws: int) -> None:
    """Accuracy on new points for clouds that are apart, touch, or overlap."""
    rows = []
    for name, apart in (("apart", 5.0), ("touching", 3.0), ("overlapping", 1.5)):
        found = {"last": [], "averaged": [], "best": []}
        for draw in range(draws):
            rng = seeding.rng(SEED, "averaging", name, draw)
            X, y = clouds(30, rng, apart=apart, spread=0.8)
            new = clouds(1000, rng, apart=apart, spread=0.8)
            for key in ("last", "averaged"):
                fit = lab.perceptron_fit
                fit = fit if key == "last" else lab.averaged_perceptron_fit
                order = seeding.rng(SEED, "order", name, draw)
                model = fit(X, y, max_epochs=50, rng=order)
                found[key].append(accuracy(lab, *new, model))
            w = np.array([0.6, 0.8])  # between the centres, which nobody is told
            ideal = lab.predict(new[0], w, -float(w @ [2.0, 1.5]))
            found["best"].append(float(np.mean(ideal == new[1])))
        gain = np.subtract(found["averaged"], found["last"])
        results.metric(f"averaging.{name}_gain", float(gain.mean()), "share")
        error = float(gain.std(ddof=1) / np.sqrt(draws))
        results.metric(f"averaging.{name}_gain_error", error, "share")
        cells = [pm(found[key]) for key in ("last", "averaged", "best")]
        rows.append((name, *cells, f"{gain.mean():+.3f} ± {error:.3f}"))
    results.text(
        f"## When averaging helps\nTwo clouds of 30 points, 50 shuffled epochs, share "
        f"of 2,000 new points right; mean and standard deviation over {draws} draws. "
        f"The gain has its standard error."
    )
    header = ["clouds", "newest weights", "averaged", "ideal line", "gain"]
    results.table(header, rows)


def around(lab, results: Results, draws: int) -> None:
    """The best line, a line in three features, and the network made by hand."""
    rows, epochs = {"line": [], "features": [], "network": []}, []
    for draw in range(draws):
        X, y = lab.make_xor(10, noise=0.2, rng=seeding.rng(SEED, "around", draw))
        rows["line"].append(lab.best_linear_accuracy(X, y))
        lifted = lab.quadratic_features(X)
        fit = lab.perceptron_fit(lifted, y, max_epochs=10_000)
        epochs.append(len(fit.mistakes_per_epoch))
        rows["features"].append(accuracy(lab, lifted, y, fit))
        rows["network"].append(float(np.mean(lab.xor_network(X) == y)))
    for name, values in rows.items():
        results.metric(f"around.{name}_mean", float(np.mean(values)), "share")
        results.metric(f"around.{name}_worst", float(min(values)), "share")
    results.metric("around.features_epochs", float(np.median(epochs)), "epochs")
    titles = ("best line", "x1, x2, x1·x2", "three units by hand")
    results.text(f"## Two ways around XOR\n{draws} draws of 40 points, noise 0.2.")
    results.table(
        ["model", "right, mean", "right, worst"],
        [
            (title, f"{np.mean(values):.3f}", f"{min(values):.3f}")
            for title, values in zip(titles, rows.values(), strict=True)
        ],
    )
    models = {
        "the best line": lambda P: lab.predict(P, [1, 1], -0.5),
        "with x1·x2 as a feature": lambda P: lab.predict(
            lab.quadratic_features(P), fit.w, fit.b
        ),
        "three units by hand": lab.xor_network,
    }
    fig, axes = plotting.figure(1, 3, size=(9.6, 3.4))
    for ax, (title, predict) in zip(axes, models.items(), strict=True):
        plotting.decision_boundary(ax, lambda P, f=predict: f(P) > 0, X, y > 0)
        right = 100 * np.mean(predict(X) == y)
        ax.set(xlabel="x1", ylabel="x2", title=f"{title}\n{right:.0f} % right")
    results.figure(fig, "around-xor.png", "XOR by a line, by features, by a network")
