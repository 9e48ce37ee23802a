"""What a line can say about probabilities, and what a gradient checker can see.

Measures the error of the checker against its step (the U-curve, beside wrong
gradients), what a confident mistake costs under three losses, how far any line gets on
two moons, whether the lab's descent and scikit-learn agree on the breast-cancer data,
what happens to the weights when the classes can be separated, and what balanced weights
buy and cost when positives are rare. Takes about 20 seconds; with `full`, which draws
five times as often, about a minute and a half.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.colors import LinearSegmentedColormap
from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import LogisticRegression

from common import plotting, seeding
from common.datasets import toy
from common.results import Results

SEED = 23
BLUE, RED, GREEN, PURPLE, ORANGE = plotting.PALETTE[:5]
SHADES = LinearSegmentedColormap.from_list("classes", [BLUE, "white", RED])
STEPS = 10.0 ** np.linspace(-13, 0, 40)  # of the checker
RARE = 0.048  # share of positives


def main(lab, out: Path, quick: bool = False, full: bool = False) -> None:
    """Run the experiment.

    Args:
        lab: the module under test: the solution, or a learner's lab.py.
        out: folder for metrics.json, report.md and the five plots.
        quick: two draws and fewer epochs; a few seconds.
        full: 50 draws instead of 10.
    """
    title = "Lab 2.3: probabilities from a line"
    results = Results(out, title, seed=SEED, steps=7, quick=quick)
    draws = 2 if quick else 50 if full else 10
    duration = "4 seconds" if quick else "90 seconds" if full else "20 seconds"
    results.say(f"Makes 5 plots, 3 tables and a report in about {duration}.")
    cancer = load_breast_cancer(return_X_y=True)
    results.step("the U-curve of the gradient checker")
    u_curve(lab, results, *cancer, 1 if quick else draws)
    results.step("what a confident mistake costs")
    costs(lab, results)
    results.step("two moons, two blobs, one line each")
    boundaries(lab, results, draws)
    results.step("breast cancer, beside scikit-learn")
    beside_sklearn(lab, results, *cancer, draws, 2_000 if quick else 10_000)
    results.step("separable data")
    separable(lab, results, 1_000 if quick else 10_000)
    results.step("rare positives")
    imbalance(lab, results, draws)
    results.step("writing metrics.json and report.md")
    results.save()


def standardise(train: np.ndarray, *others: np.ndarray) -> list[np.ndarray]:
    """Every column to mean 0 and deviation 1, as measured on the first array."""
    mean, deviation = train.mean(axis=0), train.std(axis=0)
    return [(X - mean) / deviation for X in (train, *others)]


def pm(values, digits: int = 3) -> str:
    """Mean and standard deviation over the draws."""
    return f"{np.mean(values):.{digits}f} ± {np.std(values, ddof=1):.{digits}f}"


def stable_rate(X: np.ndarray, lam: float) -> float:
    """1 / L, with L a bound on the curvature of the unweighted loss."""
    A = np.column_stack([X, np.ones(len(X))])
    return 1 / (np.linalg.norm(A, 2) ** 2 / (4 * len(X)) + lam)


# --- The checker ------------------------------------------------------------------


def u_curve(lab, results: Results, X: np.ndarray, y: np.ndarray, draws: int) -> None:
    """Relative error against h of right and of wrong gradients, drawn parameters."""
    (X,) = standardise(X)
    lam = 0.01
    curves = {name: [] for name in ("central", "forward", "single", "twice", "no_lam")}
    for draw in range(draws):
        w = seeding.rng(SEED, "u-curve", draw).normal(0, 0.3, X.shape[1])

        def f(w):
            return lab.loss_and_grad(w, 0.2, X, y, lam=lam)[0]

        right = lab.loss_and_grad(w, 0.2, X, y, lam=lam)[1]
        central = [lab.numerical_gradient(f, w, h=h) for h in STEPS]
        forward = [one_sided(f, w, h) for h in STEPS]
        single = [in_single(lab, w, X, y, lam, h) for h in STEPS]
        curves["central"].append(errors(central, right))
        curves["forward"].append(errors(forward, right))
        curves["single"].append(errors(single, right))
        curves["twice"].append(errors(central, 2 * right))
        curves["no_lam"].append(errors(central, right - lam * w))
    at = {h: int(np.argmin(np.abs(STEPS - h))) for h in (1e-10, 1e-5)}
    for name, found in curves.items():
        typical = np.median(found, axis=0)
        for h, i in at.items():
            results.metric(f"checker.{name}_at_{h:.0e}", typical[i], "relative error")
        if name in ("central", "forward", "single"):
            best = int(np.argmin(typical))
            results.metric(f"checker.{name}_best", typical[best], "relative error")
            results.metric(f"checker.{name}_best_h", STEPS[best], "")
    results.text(
        f"## The checker\nRelative error ‖a − n‖ / (‖a‖ + ‖n‖) of the loss on breast "
        f"cancer, median of {draws} drawn models; n is the numerical gradient."
    )
    rows = [
        (label, *[f"{v:.0e}" for v in numbers(curves[name], at.values())])
        for name, (label, _, _) in LINES.items()
    ]
    results.table(["gradient and differences", "h = 1e-10", "h = 1e-5", "best"], rows)
    results.figure(draw_u(curves), "u-curve.png", "Error of the checker against h")


PLACES = {  # of the labels in the picture
    "forward": (9e-10, 1.5e-6),
    "single": (1e-13, 1.6),
    "central": (6e-5, 8e-12),
    "twice": (1e-13, 0.1),
    "no_lam": (1e-11, 1e-3),
}
LINES = {
    "forward": ("right, forward differences", RED, "-"),
    "single": ("right, central, but in float32", ORANGE, "-"),
    "central": ("right, central differences", BLUE, "-"),
    "twice": ("wrong: twice too large", "black", "--"),
    "no_lam": ("wrong: penalty forgotten", "black", ":"),
}


def numbers(found: list, places) -> list[float]:
    """The median curve at the places, and its lowest value."""
    typical = np.median(found, axis=0)
    return [*[float(typical[i]) for i in places], float(typical.min())]


def errors(numeric: list[np.ndarray], a: np.ndarray) -> list[float]:
    """‖a − n‖ / (‖a‖ + ‖n‖) for the gradients of all steps."""
    size = np.linalg.norm
    return [float(size(a - n) / (size(a) + size(n))) for n in numeric]


def one_sided(f, w: np.ndarray, h: float) -> np.ndarray:
    """Forward differences, which the lab does not have."""
    here = f(w)
    return np.array([(f(w + h * e) - here) / h for e in np.eye(len(w))])


def in_single(lab, w, X, y, lam: float, h: float) -> np.ndarray:
    """The lab's checker on a loss whose every number is float32."""
    X, y, w = (np.asarray(a, dtype=np.float32) for a in (X, y, w))

    def f(w):
        z = X @ w + np.float32(0.2)
        penalty = np.float32(lam / 2) * (w @ w)
        return np.mean(np.logaddexp(np.float32(0), z) - y * z) + penalty

    return lab.numerical_gradient(f, w, h=h)


def draw_u(curves: dict):
    """The picture to remember: right gradients make a U, wrong ones a flat line."""
    fig, ax = plotting.figure(size=(7.6, 4.6))
    for name, (label, colour, style) in LINES.items():
        found = np.maximum(curves[name], 1e-14)
        ax.plot(STEPS, np.median(found, axis=0), style, color=colour)
        ax.text(*PLACES[name], label, color=colour, fontsize=9)
        ax.fill_between(
            STEPS, found.min(axis=0), found.max(axis=0), color=colour, alpha=0.15, lw=0
        )
    ax.axvline(1e-5, color="grey", linewidth=1)
    ax.text(1.25e-5, 2e-13, "h = 1e-5,\nthe default", color="grey", fontsize=8)
    ax.text(2e-13, 2e-9, "rounding:\nnearly equal numbers\nare subtracted", fontsize=8)
    ax.text(2e-2, 2e-9, "curvature:\nthe step is\ntoo wide", fontsize=8)
    ax.set(xscale="log", yscale="log", xlabel="step h", ylim=(5e-14, 8))
    ax.set(ylabel="relative error of the gradient")
    ax.set_title("A right gradient falls into a valley; a wrong one never does")
    return fig


# --- The cost of a mistake --------------------------------------------------------


def costs(lab, results: Results) -> None:
    """Cost and gradient of one positive example against its logit."""
    z = np.linspace(-45, 12, 400)
    p, one = lab.sigmoid(z), np.array([1])
    loss = [lab.bce_with_logits(z[i : i + 1], one) for i in range(len(z))]
    slope = [lab.bce_grad(z[i : i + 1], one)[0] for i in range(len(z))]
    fig, (left, right) = plotting.figure(1, 2, size=(8.4, 3.5))
    left.plot(z, loss, color=BLUE, label="cross-entropy from logits")
    left.plot(z, -np.log(p + 1e-12), "--", color=RED, label="−log(p + 1e-12)")
    left.plot(z, (1 - p) ** 2, color=GREEN, label="squared error (1 − p)²")
    left.set(xlabel="logit z of an example with y = 1", ylabel="cost")
    left.legend(fontsize=8)
    near = z > -12
    right.plot(z[near], np.array(slope)[near], color=BLUE, label="cross-entropy: p − y")
    squared = (2 * (p - 1) * p * (1 - p))[near]
    right.plot(z[near], squared, color=GREEN, label="squared error")
    right.set(
        xlabel="logit z of an example with y = 1", ylabel="derivative of the cost"
    )
    right.legend(fontsize=8, loc="lower right")
    left.set_title("What a mistake costs")
    right.set_title("How hard it pulls")
    results.text(
        "## A mistake\nUnder squared error an example that is wrong and sure of it "
        "costs at most 1 and hardly pulls; under cross-entropy it pulls hardest."
    )
    results.figure(fig, "costs.png", "Three costs of one positive example")


# --- One line in the plane --------------------------------------------------------


def boundaries(lab, results: Results, draws: int) -> None:
    """Accuracy on moons and blobs, beside the best of all lines."""
    found = {name: [] for name in ("moons.train", "moons.test", "moons.best_line")}
    found["blobs.test"] = []
    for draw in range(draws):
        rng = seeding.rng(SEED, "moons", draw)
        X, y, X_test, y_test = (
            *toy.moons(500, 0.2, rng=rng),
            *toy.moons(2000, 0.2, rng=rng),
        )
        model = lab.fit(X, y, lr=1.0, epochs=500)
        found["moons.train"].append(accuracy(lab, model, X, y))
        found["moons.test"].append(accuracy(lab, model, X_test, y_test))
        found["moons.best_line"].append(best_line(X_test, y_test))
        rng = seeding.rng(SEED, "blobs", draw)
        blobs = toy.blobs(500, 2, 1.0, rng=rng)
        model_blobs = lab.fit(*blobs, lr=0.5, epochs=500)
        found["blobs.test"].append(
            accuracy(lab, model_blobs, *toy.blobs(2000, 2, 1.0, rng=rng))
        )
    for name, values in found.items():
        results.metric(f"{name}_accuracy", np.mean(values), "share")
        results.metric(f"{name}_accuracy_sd", np.std(values, ddof=1), "share")
    results.text(
        f"## One line\nAccuracy over {draws} draws, 500 points to fit, 2,000 to test: "
        f"moons {pm(found['moons.test'])}, blobs {pm(found['blobs.test'])}. The best "
        "of all lines for the moons, found by trying 360 directions and every offset "
        f"on the test points themselves, has {pm(found['moons.best_line'])}: the model "
        "loses little, the line loses the rest."
    )
    fig, axes = plotting.figure(1, 2, size=(8.4, 3.6))
    draw_plane(lab, axes[0], model, X, y, "moons")
    draw_plane(lab, axes[1], model_blobs, *blobs, "blobs")
    axes[0].legend(fontsize=8, loc="upper right")
    results.figure(
        fig, "boundaries.png", "Probabilities and lines of p = 0.1, 0.5, 0.9"
    )


def accuracy(lab, model, X: np.ndarray, y: np.ndarray) -> float:
    """Share of right predictions at threshold 0.5."""
    return float(np.mean(lab.predict(X, model.w, model.b) == y))


def best_line(X: np.ndarray, y: np.ndarray) -> float:
    """Accuracy of the best of all lines: 360 directions, every offset, both sides."""
    best = 0
    for angle in np.linspace(0, np.pi, 360, endpoint=False):
        order = np.argsort(X @ [np.cos(angle), np.sin(angle)])
        # right if the first k in this direction are called 0 and the others 1
        right = np.cumsum(1 - 2 * y[order]) + y.sum()
        best = max(best, right.max(), len(y) - right.min())
    return best / len(y)


def draw_plane(lab, ax, model, X: np.ndarray, y: np.ndarray, title: str) -> None:
    """Shades of the probability, the points, and three lines of equal probability."""
    low, high = X.min(axis=0) - 0.3, X.max(axis=0) + 0.3
    xs, ys = np.linspace(low, high, 120).T
    grid = np.stack(np.meshgrid(xs, ys), axis=-1).reshape(-1, 2)
    p = lab.predict_proba(grid, model.w, model.b).reshape(120, 120)
    ax.pcolormesh(xs, ys, p, cmap=SHADES, vmin=0, vmax=1, alpha=0.45, rasterized=True)
    ax.scatter(*X.T, c=y, cmap=SHADES, s=9, edgecolors="white", linewidths=0.3)
    for threshold, style in [(0.1, ":"), (0.5, "-"), (0.9, "--")]:
        x2 = lab.boundary_x2(model.w, model.b, xs, threshold=threshold)
        ax.plot(xs, x2, style, color="black", linewidth=1.3, label=f"p = {threshold}")
    ax.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]), title=title)
    ax.set(xlabel="first feature", ylabel="second feature")
    ax.grid(False)


# --- Breast cancer ----------------------------------------------------------------


def beside_sklearn(lab, results: Results, X, y, draws: int, epochs: int) -> None:
    """Random splits, 70 % to train; both minimise the same loss, by different ways."""
    right, same, apart, baseline = [], [], [], []
    for draw in range(draws):
        order = seeding.rng(SEED, "cancer", draw).permutation(len(y))
        train, test = np.split(order, [int(0.7 * len(y))])
        A, B = standardise(X[train], X[test])
        lam = 1 / len(train)  # scikit-learn's default, C = 1 / (N lam) = 1
        model = lab.fit(A, y[train], lr=stable_rate(A, lam), epochs=epochs, lam=lam)
        peer = LogisticRegression(C=1.0, tol=1e-10, max_iter=10_000).fit(A, y[train])
        ours = lab.predict(B, model.w, model.b)
        right.append(np.mean(ours == y[test]))
        same.append(np.mean(ours == peer.predict(B)))
        apart.append(np.abs(model.w - peer.coef_[0]).max())
        baseline.append(max(np.mean(y[test]), 1 - np.mean(y[test])))
    results.metric("cancer.accuracy", 100 * np.mean(right), "%")
    results.metric("cancer.accuracy_sd", 100 * np.std(right, ddof=1), "%")
    results.metric("cancer.most_frequent", 100 * np.mean(baseline), "%")
    results.metric("cancer.same_as_sklearn", 100 * np.mean(same), "%")
    results.metric("cancer.coefficients_apart", max(apart), "")
    results.text(
        f"## Breast cancer\n{draws} splits, accuracy in %: "
        f"{pm(100 * np.array(right), 1)}; always the larger class: "
        f"{100 * np.mean(baseline):.1f}. Predictions that agree with scikit-learn: "
        f"{100 * np.mean(same):.2f} %; coefficients differ by at most "
        f"{max(apart):.0e} after {epochs:,} steps."
    )


# --- Separable data ---------------------------------------------------------------


def separable(lab, results: Results, most: int) -> None:
    """Length of w against epochs, with and without a penalty."""
    X, y = toy.blobs(100, 2, 0.5, rng=seeding.rng(SEED, "separable"))
    epochs = np.unique(np.geomspace(1, most, 14).astype(int))
    results.text(
        "## Separable data\nTwo blobs with a gap: without a penalty, longer weights "
        "are always cheaper, so w grows for ever, about as the logarithm of the epochs."
    )
    fig, (left, right) = plotting.figure(1, 2, size=(8.4, 3.4))
    for lam, colour in [(0.0, BLUE), (0.001, GREEN), (0.01, RED)]:
        models = [lab.fit(X, y, lr=0.5, epochs=int(n), lam=lam) for n in epochs]
        length = [float(np.linalg.norm(m.w)) for m in models]
        p = [lab.predict_proba(X, m.w, m.b) for m in models]
        doubt = [float(np.min(np.where(y == 1, q, 1 - q))) for q in p]
        label = "no penalty" if lam == 0 else f"lam = {lam}"
        left.plot(epochs, length, "o-", markersize=3, color=colour, label=label)
        right.plot(epochs, 1 - np.array(doubt), "o-", markersize=3, color=colour)
        results.metric(f"separable.length_lam_{lam}", length[-1], "")
    left.set(xscale="log", xlabel="epochs", ylabel="length of w")
    right.set(xscale="log", yscale="log", xlabel="epochs")
    right.set(ylabel="1 − p(true class), worst point")
    left.set_title("Weights on separable data")
    right.set_title("Certainty on separable data")
    left.legend(fontsize=8)
    results.figure(fig, "separable.png", "Separable data: weights grow without end")


# --- Rare positives ---------------------------------------------------------------


def imbalance(lab, results: Results, draws: int) -> None:
    """Always negative, plain, balanced, and the plain model with a lower threshold."""
    measures = ("accuracy", "recall", "precision", "F1", "Brier")
    found = {way: [] for way in ("negative", "plain", "balanced", "lowered")}
    area = {"plain": [], "balanced": []}
    for draw in range(draws):
        rng = seeding.rng(SEED, "rare", draw)
        X, y = rare_moons(rng)
        X_test, y_test = rare_moons(rng)
        plain = lab.fit(X, y, lr=1.0, epochs=1000)
        weight = lab.balanced_sample_weights(y)
        balanced = lab.fit(X, y, lr=1.0, epochs=1000, sample_weight=weight)
        p = lab.predict_proba(X_test, plain.w, plain.b)
        q = lab.predict_proba(X_test, balanced.w, balanced.b)
        found["negative"].append(score(np.zeros(len(y_test)), y_test))
        found["plain"].append(score(p, y_test))
        found["balanced"].append(score(q, y_test))
        found["lowered"].append(score(p, y_test, threshold=float(np.mean(y))))
        area["plain"].append(average_precision(p, y_test))
        area["balanced"].append(average_precision(q, y_test))
    labels = {
        "negative": "always negative",
        "plain": "plain",
        "balanced": "balanced weights",
        "lowered": f"plain, threshold {RARE}",
    }
    for way, rows in found.items():
        for measure, value in zip(measures, np.mean(rows, axis=0), strict=True):
            results.metric(f"rare.{way}.{measure.lower()}", value, "share")
    results.text(
        f"## Rare positives\nMoons, {100 * RARE:.1f} % positive, 2,000 points to fit "
        f"and 2,000 to test, {draws} draws, mean ± standard deviation. Brier is the "
        "mean of (p − y)²: lower is better. «always negative» has no precision: 0."
    )
    results.table(
        ["model", *measures],
        [
            (labels[way], *[pm(column) for column in np.transpose(rows)])
            for way, rows in found.items()
        ],
    )
    fig = draw_imbalance(p, q, y_test, float(np.mean(y)))
    results.figure(fig, "imbalance.png", "Precision, recall and calibration")
    for way, values in area.items():
        results.metric(f"rare.{way}.average_precision", np.mean(values), "share")
    results.text(
        f"Average precision (area under the left curve): plain {pm(area['plain'])}, "
        f"balanced {pm(area['balanced'])}. The weights do not rank the points better, "
        "and a lower threshold on the plain model buys the same recall. "
        "What the weights change is the probabilities, and these are then wrong."
    )


def rare_moons(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """2,000 points of two moons, of which the share RARE is from the lower."""
    X, y = toy.moons(4_000, 0.2, rng=rng)
    n = round(2_000 * RARE)
    keep = np.concatenate([np.flatnonzero(y == 0)[: 2_000 - n], np.flatnonzero(y)[:n]])
    keep = rng.permutation(keep)
    return X[keep], y[keep]


def score(p: np.ndarray, y: np.ndarray, threshold: float = 0.5) -> list[float]:
    """Accuracy, recall, precision, F1 and Brier score."""
    called = p >= threshold
    hits = float(np.sum(called & (y == 1)))
    recall, precision = hits / y.sum(), hits / max(1, called.sum())
    f1 = 2 * hits / (called.sum() + y.sum())
    return [np.mean(called == y), recall, precision, f1, np.mean((p - y) ** 2)]


def average_precision(p: np.ndarray, y: np.ndarray) -> float:
    """Mean, over the positives, of the precision among those ranked as high."""
    ranked = y[np.argsort(-p)]
    precision = np.cumsum(ranked) / np.arange(1, len(y) + 1)
    return float(precision[ranked == 1].mean())


def draw_imbalance(p: np.ndarray, q: np.ndarray, y: np.ndarray, share: float):
    """Left precision against recall of the last draw, right its calibration."""
    fig, (left, right) = plotting.figure(1, 2, size=(8.4, 3.7))
    for name, values, colour in [("plain", p, BLUE), ("balanced", q, RED)]:
        order = np.argsort(-values)
        hits = np.cumsum(y[order])
        style = "-" if name == "plain" else "--"
        left.plot(
            hits / y.sum(),
            hits / np.arange(1, len(y) + 1),
            style,
            color=colour,
            label=name,
        )
        _, recall, precision, *_ = score(values, y)
        left.plot(recall, precision, "o", color=colour, markersize=8)
        parts = np.array_split(order, 10)
        said = [float(values[part].mean()) for part in parts]
        was = [float(y[part].mean()) for part in parts]
        right.plot(said, was, "o-", color=colour, markersize=4, label=name)
    _, recall, precision, *_ = score(p, y, share)
    left.plot(recall, precision, "s", color=BLUE, markersize=11, mfc="none")
    left.set(xlabel="recall", ylabel="precision", xlim=(0, 1.02), ylim=(0, 1.05))
    left.set_title("● threshold 0.5    □ plain, threshold lowered", fontsize=9)
    right.plot([0, 1], [0, 1], ":", color="black", label="what it says is what comes")
    right.set(
        xlabel="predicted probability (mean of a tenth)", ylabel="share of positives"
    )
    right.set_title("Calibration", fontsize=9)
    left.legend(fontsize=8)
    right.legend(fontsize=8, loc="upper left")
    return fig
