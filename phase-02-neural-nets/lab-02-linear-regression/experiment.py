"""Every way a learning rate can fail, and when a line is enough.

On the diabetes data of scikit-learn (442 patients, 10 measurements in their own units):
what the scale of the columns does to descent, four learning rates around the limit, and
what small batches cost. On drawn data: three losses against outliers, and polynomials
that know too little or too much. About half a minute; `full` draws ten times as often.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from sklearn.datasets import load_diabetes
from sklearn.linear_model import LinearRegression

from common import labs, plotting, seeding
from common.datasets import toy
from common.results import Results

SEED = 2
BLUE, RED, GREEN, PURPLE, ORANGE = plotting.PALETTE[:5]
RATES = (0.01, 1.0, 1.9, 2.1)  # learning rates in units of 1/L
VERDICTS = ("stalls", "fine", "oscillates", "explodes")
PAIR = ("bmi", "bp")  # body mass index in kg/m², mean blood pressure in mmHg
BATCHES = {  # name: batch size, learning rate in units of 1/L, colour
    "all rows, 1/L": (None, 1.0, BLUE),
    "32 rows, 0.5/L": (32, 0.5, GREEN),
    "1 row, 0.05/L": (1, 0.05, RED),
    "1 row, 0.005/L": (1, 0.005, ORANGE),
}
LOSSES = {"mse": RED, "mae": GREEN, "huber": BLUE}
DEGREES = tuple(range(1, 15))
LAM = 1e-3  # the ridge penalty of the polynomials, not tuned


def main(lab, out: Path, quick: bool = False, full: bool = False) -> None:
    """Run the experiment.

    Args:
        lab: the module under test: the solution, or a learner's lab.py.
        out: folder for metrics.json, report.md and the five plots.
        quick: fewer draws and epochs; about three seconds.
        full: ten times as many draws; about three minutes.
    """
    title = "Lab 2.2: a line by algebra and by walking downhill"
    results = Results(out, title, seed=SEED, steps=7, quick=quick)
    duration = "3 seconds" if quick else "3 minutes" if full else "20 seconds"
    results.say(f"Makes 5 plots, 4 tables and a report in about {duration}.")
    draws = 4 if quick else 1000 if full else 100
    data = load_diabetes(scaled=False)  # the scaled version hides the point
    scaling(lab, results, data.data, data.target)
    paths(lab, results, data)
    rates(lab, results, data.data, data.target)
    batches(lab, results, data.data, data.target, 3 if quick else 10, quick)
    outliers(lab, results, max(draws // 2, 4), 200 if quick else 1500)
    polynomials(lab, results, draws)
    results.step("writing metrics.json and report.md")
    results.save()


def curvatures(X: np.ndarray) -> np.ndarray:
    """Eigenvalues of the Hessian of mse in (w, b), the largest last."""
    A = np.column_stack([X, np.ones(len(X))])
    return np.linalg.eigvalsh(2 / len(X) * (A.T @ A))


def best_loss(lab, X: np.ndarray, y: np.ndarray) -> float:
    """The mse of the closed form: what descent is compared with."""
    return lab.mse(y, lab.predict(X, *lab.normal_equation(X, y)))


# --- Scaling ----------------------------------------------------------------------


def scaling(lab, results: Results, X: np.ndarray, y: np.ndarray) -> None:
    """Condition numbers and what they do to descent; held-out R² over 20 splits."""
    results.step("raw and standardised columns")
    Z = lab.Standardizer().fit(X).transform(X)
    rows = []
    for kind, columns in {"raw": X, "standardised": Z}.items():
        eigenvalues, best = curvatures(columns), best_loss(lab, columns, y)
        condition = eigenvalues[-1] / eigenvalues[0]
        one = lab.max_stable_lr(columns) / 2  # 1/L
        found = {
            "after_1000": lab.gradient_descent(columns, y, lr=one, epochs=1000),
            "diverged": lab.gradient_descent(columns, y, lr=2.1 * one, epochs=100),
        }
        ratio = {name: fit.losses[-1] / best for name, fit in found.items()}
        results.metric(f"condition.{kind}", condition, "")
        for name, value in ratio.items():
            results.metric(f"loss.{name}.{kind}", value, "of optimum")
        rows.append((kind, f"{condition:.3g}", f"{ratio['after_1000']:.4f}"))
    results.text(
        "## Scale decides how fast descent is\n"
        f"Diabetes, {len(X)} rows, {X.shape[1]} columns. 1/L is half the largest "
        "stable learning rate. The best loss is the same for both rows."
    )
    header = ["columns", "condition of the Hessian", "loss / best, 1,000 steps of 1/L"]
    results.table(header, rows)
    results.metric("loss.best", best_loss(lab, X, y), "squared points")
    held_out(lab, results, X, y)


def held_out(lab, results: Results, X: np.ndarray, y: np.ndarray) -> None:
    """R² on a quarter of the rows that was not fitted, with and without ridge."""
    split = labs.solution("1.5").train_val_split
    ours, peers, ridges = [], [], []
    for i in range(20):
        rng = seeding.rng(SEED, "split", i)
        train, val = split(len(y), val_fraction=0.25, rng=rng)
        Z = (scaler := lab.Standardizer().fit(X[train])).transform(X[train])
        spread = np.var(y[val])

        def r2(w, b, rows=val, spread=spread):
            return 1 - lab.mse(y[rows], lab.predict(X[rows], w, b)) / spread

        ours.append(r2(*lab.normal_equation(X[train], y[train])))
        ridges.append(r2(*scaler.unscale(*lab.ridge(Z, y[train], lam=0.1))))
        peer = LinearRegression().fit(X[train], y[train])
        peers.append(peer.score(X[val], y[val]))
    apart = float(np.max(np.abs(np.subtract(ours, peers))))
    gain = np.subtract(ridges, ours)
    results.metric("r2.mean", np.mean(ours), "")
    results.metric("r2.std", np.std(ours, ddof=1), "")
    results.metric("r2.apart_from_sklearn", apart, "")
    results.metric("r2.ridge_gain", np.mean(gain), "")
    results.metric("r2.ridge_gain_std", np.std(gain, ddof=1), "")
    results.remark(
        f"R² on held-out quarters, 20 splits: {np.mean(ours):.3f} ± "
        f"{np.std(ours, ddof=1):.3f} (mean, standard deviation); at most {apart:.0e} "
        f"from scikit-learn. Ridge with lam = 0.1 changes it by {np.mean(gain):+.4f} ± "
        f"{np.std(gain, ddof=1):.4f}, which is less than the splits differ: with this "
        "many rows for 10 columns there is little to gain."
    )


# --- Paths ------------------------------------------------------------------------


def path_of(lab, X: np.ndarray, y: np.ndarray, lr: float, steps: int) -> np.ndarray:
    """(w, b) before each step and after the last: (steps + 1, D + 1)."""
    fits = [lab.gradient_descent(X, y, lr=lr, epochs=k) for k in range(steps + 1)]
    return np.array([np.append(fit.w, fit.b) for fit in fits])


def paths(lab, results: Results, data) -> None:
    """Two weights, so that the loss is a landscape: raw against standardised."""
    results.step("paths on the loss surface")
    X = data.data[:, [data.feature_names.index(name) for name in PAIR]]
    X, y = X - X.mean(axis=0), data.target - data.target.mean()  # b stays 0
    Z = lab.Standardizer().fit(X).transform(X)
    kinds = {"raw": X, "standardised": Z}
    fig, axes = plotting.figure(1, 2, size=(9.0, 4.3))
    for ax, (kind, columns) in zip(axes, kinds.items(), strict=True):
        weights = np.linalg.eigvalsh(2 / len(X) * (columns.T @ columns))
        condition = weights[-1] / weights[0]
        results.metric(f"condition.two_columns.{kind}", condition, "")
        one = 1 / weights[-1]  # the steepest weight; the bias has nothing to do here
        ends = {}
        for share, colour in ((1.0, BLUE), (1.9, RED)):
            path = path_of(lab, columns, y, share * one, 40)[:, :2]
            steps = steps_needed(lab, columns, y, share * one)
            results.metric(f"steps.{kind}.{share}", steps, "steps")
            label = f"{'1' if share == 1 else share}/L: {steps} steps to 1.001 × best"
            ends[label] = path, colour
        draw_surface(ax, lab, columns, y, ends)
        unit = "w_bmi (per kg/m²)", "w_bp (per mmHg)"
        if kind == "standardised":
            unit = "w_bmi (per deviation)", "w_bp (per deviation)"
        ax.set(xlabel=unit[0], ylabel=unit[1])
        title = "own units" if kind == "raw" else kind
        ax.set_title(f"{title}: condition number {condition:.1f}")
    results.figure(fig, "paths.png", "Descent on the loss surface of two columns")


def steps_needed(lab, X: np.ndarray, y: np.ndarray, lr: float) -> int:
    """Steps until the loss is within a thousandth of the best."""
    losses = lab.gradient_descent(X, y, lr=lr, epochs=300).losses
    return int(np.argmax(np.array(losses) <= 1.001 * best_loss(lab, X, y))) + 1


def draw_surface(ax, lab, X: np.ndarray, y: np.ndarray, ends: dict) -> None:
    """Contours of the loss over two weights, same scale on both axes, and the paths."""
    w, _ = lab.normal_equation(X, y)
    points = np.concatenate([path for path, _ in ends.values()])
    reach = 1.25 * np.max(np.abs(points - w))
    xs, ys = (np.linspace(c - reach, c + reach, 80) for c in w)
    losses = [[lab.mse(y, X @ np.array([a, c])) for a in xs] for c in ys]
    best = best_loss(lab, X, y)
    levels = best * (1 + np.geomspace(0.003, np.max(losses) / best - 1, 14))
    ax.contour(xs, ys, losses, levels=levels, colors="0.6", linewidths=0.7)
    for label, (path, colour) in ends.items():
        ax.plot(*path.T, "o-", color=colour, label=label, markersize=3.5, linewidth=1.2)
    ax.plot(*w, "*", color="black", markersize=11, label="closed form")
    ax.plot(0, 0, "s", color="black", markersize=6, label="start")
    ax.set_aspect("equal")
    ax.grid(False)
    ax.legend(fontsize="small", loc="upper left")


# --- Learning rates ---------------------------------------------------------------


def rates(lab, results: Results, X: np.ndarray, y: np.ndarray) -> None:
    """Four learning rates: the loss, and the place along the steepest direction."""
    results.step("four learning rates")
    Z = lab.Standardizer().fit(X).transform(X)
    A = np.column_stack([Z, np.ones(len(Z))])
    steepest = np.linalg.eigh(A.T @ A)[1][:, -1]
    goal, best = np.append(*lab.normal_equation(Z, y)), best_loss(lab, Z, y)
    one = lab.max_stable_lr(Z) / 2
    fig, axes = plotting.figure(2, 4, size=(10.0, 4.6))
    rows = []
    for column, share, verdict in zip(axes.T, RATES, VERDICTS, strict=True):
        losses = lab.gradient_descent(Z, y, lr=share * one, epochs=100).losses
        place = (path_of(lab, Z, y, share * one, 30) - goal) @ steepest
        place /= place[0]
        colour = GREEN if verdict == "fine" else RED
        column[0].plot(range(1, 101), np.array(losses) / best, color=colour)
        column[0].set(yscale="log", xlabel="step")
        column[0].set_title(f"{share:g}/L {verdict}", fontweight="bold")
        column[1].plot(place, "o-", color=colour, markersize=2.5, linewidth=1)
        column[1].axhline(0, color="black", linewidth=0.8)
        column[1].set(xlabel="step")
        if verdict == "explodes":
            column[0].set(ylim=(0.9, None))
        else:
            column[0].set(ylim=(0.9, 11))
            column[1].set(ylim=(-1.1, 1.1))
        results.metric(f"rates.{share:g}", losses[-1] / best, "of optimum")
        after = losses[9] / best, losses[-1] / best
        rows.append((f"{share:g}/L", verdict, *(f"{value:.4g}" for value in after)))
    axes[0, 0].set(ylabel="loss / best (log scale)")
    axes[1, 0].set(ylabel="distance along the\nsteepest direction")
    results.text(
        "## Four learning rates\n"
        "Standardised columns, batch descent from zero. On a parabola the loss falls "
        "even while the weights swing; it is the place that shows it (lower row)."
    )
    header = ["lr", "what it does", "loss / best, 10 steps", "100 steps"]
    results.table(header, rows)
    results.figure(fig, "rates.png", "Four learning rates around the limit 2/L")


# --- Batch sizes ------------------------------------------------------------------


def batches(lab, results: Results, X, y, seeds: int, quick: bool) -> None:
    """Excess loss against passes over the data, median and range over the seeds."""
    results.step("batch sizes")
    epochs = 10 if quick else 60
    Z = lab.Standardizer().fit(X).transform(X)
    one, best = lab.max_stable_lr(Z) / 2, best_loss(lab, Z, y)
    fig, ax = plotting.figure(size=(7.4, 4.2))
    rows = []
    for name, (size, share, colour) in BATCHES.items():
        runs = []
        for i in range(1 if size is None else seeds):
            rng = seeding.rng(SEED, "batches", name, i)
            given = {"lr": share * one, "epochs": epochs, "batch_size": size}
            runs.append(lab.gradient_descent(Z, y, rng=rng, **given).losses)
        excess = np.array(runs) / best - 1
        steps = range(1, epochs + 1)
        ax.plot(steps, np.median(excess, axis=0), color=colour, label=name)
        ax.fill_between(
            steps, excess.min(axis=0), excess.max(axis=0), color=colour, alpha=0.2
        )
        late = excess[:, -max(epochs // 6, 1) :]
        key = name.replace(" ", "_").replace(",", "")
        results.metric(f"excess.{key}", 100 * np.median(late), "%")
        results.metric(f"excess_after_3.{key}", 100 * np.median(excess[:, 2]), "%")
        updates = epochs * (1 if size is None else -(-len(y) // size))
        percents = [f"{100 * np.median(e):.3f} %" for e in (excess[:, 2], late)]
        rows.append((name, updates, *percents))
    ax.set(yscale="log", xlabel="passes over the data (epochs)")
    ax.set(ylabel="loss above the best, as a share of it")
    ax.set_title(f"Standardised diabetes: median and range of {seeds} shuffles")
    ax.legend(fontsize="small")
    results.text(
        "## Batch sizes at the same reading cost\n"
        f"Loss above the best, median of {seeds} shuffles. Small batches make many "
        "steps in a pass and are ahead at first. At a fixed rate they then stay on a "
        "floor of noise, which is lower for a lower rate. What is left of the whole "
        "batch and of the slowest is the flat direction of the valley, not noise."
    )
    header = ["rows in a step, rate", "steps", "after 3 epochs", "last epochs"]
    results.table(header, rows)
    results.figure(fig, "batches.png", "Batch, mini-batch and single rows")


# --- Outliers ---------------------------------------------------------------------


def outliers(lab, results: Results, draws: int, epochs: int) -> None:
    """Error of the slope for three losses, with none and with four outliers in 40."""
    results.step("outliers and three losses")
    fig, (left, right) = plotting.figure(1, 2, size=(9.0, 3.9))
    errors: dict[tuple[str, int], list[float]] = {}
    for i in range(draws):
        for spoiled in (0, 4):
            x, y = line_with_outliers(seeding.rng(SEED, "outliers", i), spoiled)
            lines = {loss: fit_line(lab, x, y, loss, epochs) for loss in LOSSES}
            for loss, (w, _) in lines.items():
                errors.setdefault((loss, spoiled), []).append(abs(w - 2.0))
            if i == 0 and spoiled:
                draw_lines(left, x, y, lines)
    for offset, (loss, colour) in zip((-0.2, 0, 0.2), LOSSES.items(), strict=True):
        for at, spoiled in enumerate((0, 4)):
            found = errors[loss, spoiled]
            low, middle, high = np.quantile(found, [0.25, 0.5, 0.75])
            label = loss if at == 0 else None
            bars = [[middle - low], [high - middle]]
            right.errorbar(
                at + offset, middle, bars, fmt="o", color=colour, label=label, capsize=4
            )
            results.metric(f"slope_error.{loss}.{spoiled}", middle, "")
    right.set_xticks([0, 1], labels=["none", "4 of 40"])
    right.set(xlabel="outliers", ylabel="error of the slope (true slope 2)")
    right.set(xlim=(-0.5, 1.5), ylim=(0, None))
    right.set_title(f"Median and quartiles of {draws} draws")
    right.legend()
    said = [
        ", ".join(f"{np.median(errors[loss, n]):.3f} with {loss}" for loss in LOSSES)
        for n in (0, 4)
    ]
    results.text(
        "## Three losses and four wrong points\n"
        f"Median error of the slope over {draws} draws of 40 points: {said[0]}; with "
        f"four outliers {said[1]}. Without outliers mae pays for its robustness; huber "
        "hardly does."
    )
    results.figure(fig, "outliers.png", "Three losses against outliers")


def line_with_outliers(rng, spoiled: int) -> tuple[np.ndarray, np.ndarray]:
    """40 points of y = 2x + 1 with noise 0.5; some at the right fall far below."""
    x = np.sort(rng.uniform(-2, 2, 40))
    y = 2 * x + 1 + rng.normal(0, 0.5, 40)
    places = 20 + rng.permutation(20)[:spoiled]
    y[places] -= rng.uniform(8, 12, 4)[:spoiled]
    return x, y


def fit_line(lab, x, y, loss: str, epochs: int) -> tuple[float, float]:
    """Slope and intercept; the closed form for mse, descent for the others."""
    if loss == "mse":
        w, b = lab.normal_equation(x[:, None], y)
        return float(w[0]), b
    fit = lab.gradient_descent(x[:, None], y, loss=loss, lr=0.03, epochs=epochs)
    return float(fit.w[0]), fit.b


def draw_lines(ax, x, y, lines: dict) -> None:
    """The points and the three lines of one draw."""
    ax.plot(x, y, "o", color="0.55", markersize=4)
    for loss, (w, b) in lines.items():
        ax.plot(x, w * x + b, color=LOSSES[loss], label=f"{loss}: slope {w:.2f}")
    ax.plot(x, 2 * x + 1, "k:", linewidth=1.2, label="truth: slope 2")
    ax.set(xlabel="x", ylabel="y")
    ax.set_title("4 of 40 points are wrong")
    ax.legend(fontsize="small")


# --- Polynomials ------------------------------------------------------------------


def polynomials(lab, results: Results, draws: int) -> None:
    """15 noisy points of a sine: too simple, right, too flexible, and the ridge."""
    results.step("polynomials of degree 1 to 14")
    errors: dict[str, list] = {"fitted": [], "new": [], "ridge": []}
    for i in range(draws):
        x, y = toy.sine(15, 0.2, rng=seeding.rng(SEED, "sine", i))
        x_new, y_new = toy.sine(500, 0.2, rng=seeding.rng(SEED, "new", i))
        fitted, new = lab.degree_errors(x, y, x_new, y_new, DEGREES)
        errors["fitted"].append(fitted)
        errors["new"].append(new)
        more = lab.degree_errors(x, y, x_new, y_new, DEGREES, lam=LAM)
        errors["ridge"].append(more[1])
    fig, (left, right) = plotting.figure(1, 2, size=(9.4, 4.0))
    draw_curves(left, lab, *toy.sine(15, 0.2, rng=seeding.rng(SEED, "sine", 0)))
    names = {"fitted": "the 15 points", "new": "new points"}
    names["ridge"] = f"new points, ridge {LAM:g}"
    for (kind, found), colour in zip(errors.items(), (BLUE, RED, GREEN), strict=True):
        low, middle, high = np.quantile(found, [0.25, 0.5, 0.75], axis=0)
        right.plot(DEGREES, middle, "o-", color=colour, label=names[kind], markersize=4)
        right.fill_between(DEGREES, low, high, color=colour, alpha=0.2)
        for degree, value in zip(DEGREES, middle, strict=True):
            results.metric(f"poly.{kind}.{degree}", value, "")
    right.axhline(0.04, color="black", linestyle=":", linewidth=1.2, label="noise")
    right.set(yscale="log", ylim=(1e-5, 1e5), xlabel="degree of the polynomial")
    right.set(ylabel="mean squared error (log scale)")
    right.set_title(f"Median and quartiles of {draws} draws")
    right.legend(fontsize="small", loc="upper left")
    results.text(
        "## Polynomials on 15 points\n"
        f"Sine with noise 0.2, median mse over {draws} draws; no model gets below 0.04 "
        "on new points. Ridge tames degree 14; it does not beat a well-chosen degree."
    )
    chosen = (1, 3, 5, 9, 14)
    rows = [
        [names[kind], *(f"{np.median(found, axis=0)[d - 1]:.3g}" for d in chosen)]
        for kind, found in errors.items()
    ]
    results.table(["mse on", *(f"degree {d}" for d in chosen)], rows)
    results.figure(fig, "polynomials.png", "Under- and overfitting")


def draw_curves(ax, lab, x: np.ndarray, y: np.ndarray) -> None:
    """Fitted curves of four kinds through the same 15 points."""
    fine = np.linspace(-np.pi, np.pi, 400)
    kinds = {
        "degree 1": (1, 0.0, ORANGE),
        "degree 5": (5, 0.0, BLUE),
        "degree 14": (14, 0.0, RED),
        f"degree 14, ridge {LAM:g}": (14, LAM, GREEN),
    }
    for label, (degree, lam, colour) in kinds.items():
        features = lab.polynomial_features(x, degree)
        scaler = lab.Standardizer().fit(features)
        Z = scaler.transform(features)
        model = lab.ridge(Z, y, lam=lam) if lam else lab.normal_equation(Z, y)
        Z = scaler.transform(lab.polynomial_features(fine, degree))
        ax.plot(fine, lab.predict(Z, *model), color=colour, label=label, linewidth=1.6)
    ax.plot(x, y, "ko", markersize=5, label="15 points")
    ax.set(xlabel="x", ylabel="y", ylim=(-2.6, 2.6))
    ax.set_title("One draw")
    ax.legend(fontsize="small", loc="upper left")
