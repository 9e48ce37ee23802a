"""Softmax regression on digits, and which of its numbers can be believed.

Trains the lab's model on scikit-learn's handwritten digits beside scikit-learn's own,
shows what it learned as pictures, what a second softmax does to the loss, whether
models are as sure as they are right (before and after one temperature), and what
accuracy hides when one class is rare. Takes about half a minute; with `full`, which
uses four times as many splits, about two minutes.
"""

from __future__ import annotations

import math
import warnings
from pathlib import Path

import numpy as np
from scipy.optimize import minimize_scalar
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier
from threadpoolctl import threadpool_limits

from common import datasets, labs, plotting, seeding
from common.device import one_torch_thread, timeit
from common.results import Results

SEED = 4
K = 10
WRONG = 0.2  # share of training labels replaced by another digit
N_BINS = 15
RIGHT, TOO_SURE, TOO_SHY = "#9ECAE8", plotting.PALETTE[1], plotting.PALETTE[2]

train_val_split = labs.solution("1.5").train_val_split


def main(lab, out: Path, quick: bool = False, full: bool = False) -> None:
    """Run the experiment.

    Args:
        lab: the module under test: the solution, or a learner's lab.py.
        out: folder for metrics.json, report.md and the four plots.
        quick: one split, short trainings, no torch; a few seconds.
        full: 40 splits and 20 networks instead of 10 and 5.
    """
    title = "Lab 2.4: many classes, and numbers that can be believed"
    results = Results(out, title, seed=SEED, steps=6, quick=quick)
    duration = "4 seconds" if quick else "2 minutes" if full else "40 seconds"
    results.say(f"Makes 4 plots, 4 tables and a report in about {duration}.")
    n_splits = 1 if quick else 40 if full else 10
    n_networks = 1 if quick else 20 if full else 5
    X, y = datasets.digits()
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # fixed length is meant
        digits(lab, results, X, y, n_splits, epochs=30 if quick else 300)
        twice(lab, results, X, y, steps=100 if quick else 1500)
        calibration(lab, results, X, y, n_networks, epochs=15 if quick else 100)
        rare_class(lab, results, X, y, n_splits, epochs=30 if quick else 100)
        results.step("speed beside torch")
        if not quick:
            speed(lab, results)
    results.step("writing metrics.json and report.md")
    results.save()


def splits(y: np.ndarray, n: int, name: str):
    """n times (number, rows to train on, rows to test on): 80 % and 20 %."""
    for i in range(n):
        rng = seeding.rng(SEED, name, i)
        yield i, *train_val_split(len(y), val_fraction=0.2, rng=rng, stratify=y)


def spread(values: list[float], form: str = ".3f") -> str:
    """Mean and standard deviation over the splits."""
    return f"{np.mean(values):{form}} ± {deviation(values):{form}}"


def deviation(values: list[float]) -> float:
    """Standard deviation over the splits; 0 of a single one."""
    return float(np.std(values, ddof=1)) if len(values) > 1 else 0.0


def train(lab, X, y, *, lam: float, epochs: int, rng, classes=K, **options):
    """A model after two thirds of the epochs at 0.5 and the rest at 0.05."""
    model = lab.SoftmaxRegression(X.shape[1], classes)
    for lr, share in ((0.5, 2 / 3), (0.05, 1 / 3)):
        length = max(1, round(epochs * share))
        model.fit(
            X, y, lr=lr, epochs=length, batch_size=64, lam=lam, rng=rng, **options
        )
    return model


# --- Digits -----------------------------------------------------------------------


def digits(lab, results: Results, X, y, n_splits: int, epochs: int) -> None:
    """Accuracy and macro F1 beside scikit-learn, and the weights as pictures."""
    results.step("softmax regression on digits")
    results.text(
        "## Ten digits, one linear layer\n"
        f"{n_splits} random splits, 80 % to train. Mean ± standard deviation over the "
        "splits. scikit-learn minimises the same loss with the same penalty."
    )
    rows = []
    for name, strength in (("almost_none", 0.01), ("C1", 1.0)):
        columns = {key: [] for key in ("ours", "sklearn", "macro_f1", "apart", "above")}
        for i, fit, test in splits(y, n_splits, "digits"):
            lam, truth = strength / len(fit), y[test]
            rng = seeding.rng(SEED, "batches", i)
            model = train(lab, X[fit], y[fit], lam=lam, epochs=epochs, rng=rng)
            peer = LogisticRegression(C=1 / strength, max_iter=2000).fit(X[fit], y[fit])
            cm = lab.confusion_matrix(truth, model.predict(X[test]), K)
            theirs = float(np.mean(peer.predict(X[test]) == truth))
            columns["ours"].append(lab.accuracy(cm))
            columns["sklearn"].append(theirs)
            columns["macro_f1"].append(lab.precision_recall_f1(cm, average="macro")[2])
            columns["apart"].append((lab.accuracy(cm) - theirs) * len(test))
            reached = objective(lab, model.W, model.b, X[fit], y[fit], lam)
            lowest = objective(lab, peer.coef_.T, peer.intercept_, X[fit], y[fit], lam)
            columns["above"].append(reached - lowest)
        for key, values in columns.items():
            unit = {"apart": "images", "above": "nats"}.get(key, "share")
            results.metric(f"digits.{name}.{key}", float(np.mean(values)), unit)
            results.metric(f"digits.{name}.{key}_sd", deviation(values), unit)
        ours, sklearn, macro_f1, apart, above = columns.values()
        cells = spread(ours), spread(sklearn), spread(macro_f1)
        net = f"{np.mean(apart):+.1f} of {len(test)}"
        rows.append((f"{strength:g} / N", *cells, net, f"{np.mean(above):.4f}"))
    header = ["lam", "accuracy", "scikit-learn", "macro F1"]
    results.table([*header, "more right than it", "loss above its"], rows)
    results.text(
        "Where the penalty is weak, the descent has not arrived yet after "
        f"{epochs} epochs (last column, nats); stopping early is a penalty, too."
    )
    results.figure(draw_weights(model.W), "weights.png", "Each digit's 64 weights")


def objective(lab, W, b, X, y, lam: float) -> float:
    """Loss with penalty."""
    return lab.cross_entropy(X @ W + b, y) + lam / 2 * float(np.sum(W**2))


def draw_weights(W: np.ndarray):
    """Column k of W as an image: ink on blue speaks for digit k, on red against it."""
    fig, axes = plotting.figure(2, 5, size=(7.6, 3.7))
    top = float(np.abs(W).max())
    for k, ax in enumerate(axes.flat):
        image = ax.imshow(W[:, k].reshape(8, 8), cmap="RdBu", vmin=-top, vmax=top)
        ax.set_title(f"digit {k}")
        ax.axis("off")
    bar = fig.colorbar(image, ax=axes, shrink=0.9)
    bar.set_label("weight of the pixel: ink here\nspeaks for (+) or against (−)")
    return fig


# --- A second softmax -------------------------------------------------------------


def twice(lab, results: Results, X, y, steps: int) -> None:
    """The loss curve of a model whose loss gets probabilities instead of logits."""
    results.step("what a second softmax does")
    curves, scores = {}, {}
    for name, second in (("one softmax", False), ("softmax twice", True)):
        model, losses = lab.SoftmaxRegression(64, K), []
        for _ in range(steps):
            z = model.logits(X)
            seen = lab.softmax(z) if second else z
            losses.append(lab.cross_entropy(seen, y))
            d = lab.cross_entropy_gradient(seen, y)
            if second:  # back through the first softmax
                d = seen * (d - np.sum(seen * d, axis=1, keepdims=True))
            model.W, model.b = model.W - 0.5 * X.T @ d, model.b - 0.5 * d.sum(axis=0)
        curves[name] = losses
        scores[name] = float(np.mean(model.predict(X) == y))
    floor = -math.log(math.e / (math.e + K - 1))
    results.metric("twice.floor", floor, "nats")
    for name, key in (("one softmax", "once"), ("softmax twice", "twice")):
        results.metric(f"{key}.first_loss", curves[name][0], "nats")
        results.metric(f"{key}.last_loss", curves[name][-1], "nats")
        results.metric(f"{key}.train_accuracy", scores[name], "share")
    results.text(
        "## A second softmax\n"
        f"{steps:,} steps on all digits, lr 0.5. Probabilities fed to a loss that "
        f"expects logits cannot cost less than {floor:.3f} nats. Training still works "
        f"after a fashion, so nobody notices: accuracy on the training data "
        f"{scores['softmax twice']:.3f}, with one softmax {scores['one softmax']:.3f}."
    )
    fig = draw_twice(curves, floor)
    results.figure(fig, "twice.png", "Loss with one softmax and with two")


def draw_twice(curves: dict, floor: float):
    """Both curves, where they start, and the floor that one cannot pass."""
    fig, ax = plotting.figure(size=(6.8, 3.8))
    plotting.loss_curve(ax, curves, ylabel="reported loss (nats)")
    end = len(curves["one softmax"])
    ax.axhline(math.log(K), color="grey", linewidth=1, linestyle=":")
    ax.text(end, math.log(K) + 0.03, "ln 10 = 2.303: knows nothing", ha="right")
    ax.axhline(floor, color=TOO_SURE, linewidth=1, linestyle="--")
    note = f"{floor:.3f}: with two, no model gets below this"
    ax.text(end, floor - 0.04, note, ha="right", va="top")
    ax.set(ylim=(0, 2.5))
    ax.set_title("Softmax before a loss that applies it: the curve stalls")
    ax.legend(loc="lower left", bbox_to_anchor=(0.25, 0.1))
    return fig


# --- Calibration ------------------------------------------------------------------


def calibration(lab, results: Results, X, y, n_models: int, epochs: int) -> None:
    """Confidence against accuracy of three models, before and after a temperature."""
    results.step("calibration before and after a temperature")
    found: dict[str, list] = {name: [] for name in MODELS}
    for i, fit, rest in splits_with_validation(y, n_models):
        rng = seeding.rng(SEED, "noise", i)
        wrong = rng.random(len(y)) < WRONG
        noisy = np.where(wrong, (y + rng.integers(1, K, len(y))) % K, y)
        linear = train(
            lab, X[fit], y[fit], lam=1 / len(fit), epochs=2 * epochs, rng=rng
        )
        large = network((128, 128), 16 * X[fit], noisy[fit], epochs, i)
        small = network((64,), X[fit], noisy[fit], epochs, i)
        for name, z, truth in (
            ("linear", linear.logits(X), y),
            ("memory", network_logits(large, 16 * X), y),
            ("noisy", network_logits(small, X), noisy),
        ):
            found[name].append(rescaled(lab, z, truth, *rest))
    rows = []
    for name, (title, _) in MODELS.items():
        runs = found[name]
        for key, unit in QUANTITIES.items():
            mean = float(np.mean([run[key] for run in runs]))
            results.metric(f"{name}.{key}", mean, unit)
        T, before, after, nll, cooled, share = (
            spread([run[key] for run in runs], ".3f" if key != "T" else ".2f")
            for key in QUANTITIES
        )
        rows.append((title, T, f"{before} → {after}", f"{nll} → {cooled}", share))
    results.text(
        "## Is 90 % sure right nine times in ten?\n"
        f"{n_models} splits into 60 % to train, 20 % to find the temperature T, 20 % "
        f"to test; {N_BINS} bins. The networks learned from labels of which "
        f"{100 * WRONG:.0f} % are wrong; the last one is tested on such labels, too. "
        "The plot has all splits together; each bar says how many examples it holds."
    )
    results.table(["model", "T", "ECE", "NLL (nats)", "accuracy, both"], rows)
    rose = sum(run["ece_after"] > run["ece"] for run in found["noisy"])
    results.text(
        "T never changes a prediction, so the accuracy stays. It is chosen for the "
        f"NLL, not for the ECE, which rises for the last model in {rose} of {n_models} "
        "splits: one number cannot make a model less sure where it errs and surer "
        "elsewhere."
    )
    results.metric("noisy.ece_rose", rose, "splits")
    pooled = {name: pool(lab, found[name]) for name in ("linear", "memory")}
    fig = draw_reliability(pooled)
    results.figure(fig, "reliability.png", "Confidence against accuracy")


MODELS = {  # as the table calls them, and as the plot does
    "linear": ("softmax regression", "softmax regression"),
    "memory": ("large network, wrong labels", "network, wrong labels"),
    "noisy": ("small network, tested on wrong labels too", ""),
}
QUANTITIES = {
    "T": "",
    "ece": "share",
    "ece_after": "share",
    "nll": "nats",
    "nll_after": "nats",
    "accuracy": "share",
}


def splits_with_validation(y: np.ndarray, n: int):
    """n times (number, rows to train on, (rows to find T on, rows to test on))."""
    for i, rest, test in splits(y, n, "calibration"):
        rng = seeding.rng(SEED, "validation", i)
        fit, tune = train_val_split(
            len(rest), val_fraction=0.25, rng=rng, stratify=y[rest]
        )
        yield i, rest[fit], (rest[tune], test)


def network(hidden: tuple, X, y, epochs: int, seed: int) -> MLPClassifier:
    """scikit-learn's network, trained to the end: nothing keeps it from memorising."""
    net = MLPClassifier(
        hidden,
        alpha=0.0,
        batch_size=32,
        max_iter=epochs,
        tol=0.0,
        n_iter_no_change=epochs,
        random_state=seed,
    )
    return net.fit(X, y)


def network_logits(net: MLPClassifier, X: np.ndarray) -> np.ndarray:
    """What the network computes before its softmax."""
    *hidden, last = zip(net.coefs_, net.intercepts_, strict=True)
    for W, b in hidden:
        X = np.maximum(X @ W + b, 0.0)
    return X @ last[0] + last[1]


def rescaled(lab, z, truth, tune, test) -> dict:
    """T found on the rows `tune`, and what it does on the rows `test`."""
    found = minimize_scalar(
        lambda log_T: lab.cross_entropy(z[tune] / math.exp(log_T), truth[tune]),
        bounds=(-3, 3),
        method="bounded",
    )
    T, y = math.exp(found.x), truth[test]
    before, after = lab.softmax(z[test]), lab.softmax(z[test] / T)
    return {
        "T": T,
        "ece": lab.expected_calibration_error(before, y, n_bins=N_BINS),
        "ece_after": lab.expected_calibration_error(after, y, n_bins=N_BINS),
        "nll": lab.cross_entropy(z[test], y),
        "nll_after": lab.cross_entropy(z[test] / T, y),
        "accuracy": float(np.mean(z[test].argmax(axis=1) == y)),
        "probs": (before, after, y),
    }


def pool(lab, runs: list[dict]) -> tuple:
    """All test predictions of a model's runs, before and after, for one picture."""
    columns = zip(*(run["probs"] for run in runs), strict=True)
    parts = [np.concatenate(column) for column in columns]
    *both, y = parts
    T = float(np.mean([run["T"] for run in runs]))
    return T, [
        (
            lab.reliability(probs, y, n_bins=N_BINS),
            float(np.mean([run[key] for run in runs])),
        )
        for probs, key in zip(both, ("ece", "ece_after"), strict=True)
    ]


def draw_reliability(pooled: dict):
    """Rows: models; left as trained, right after the temperature."""
    fig, axes = plotting.figure(2, 2, size=(7.6, 7.6))
    for row, (name, (T, sides)) in zip(axes, pooled.items(), strict=True):
        moments = "as trained", f"logits divided by T = {T:.2f}"
        for ax, side, when in zip(row, sides, moments, strict=True):
            draw_bins(ax, *side)
            ax.set_title(f"{MODELS[name][1]},\n{when}")
    for ax in axes[:, 0]:
        ax.set(ylabel="share that is right")
    for ax in axes[1]:
        ax.set(xlabel="confidence of the prediction")
    handles, names = axes[1, 0].get_legend_handles_labels()
    fig.legend(handles, names, loc="outside lower center", ncols=len(names))
    return fig


def draw_bins(ax, bins: tuple, ece: float) -> None:
    """Bars of accuracy, the gap to the confidence on them, the counts below."""
    conf, acc, count = bins
    at, width = (np.arange(N_BINS) + 0.5) / N_BINS, 0.92 / N_BINS
    ax.bar(at, acc, width, color=RIGHT, label="right")
    for sign, colour, name in (
        (1, TOO_SURE, "too sure"),
        (-1, TOO_SHY, "not sure enough"),
    ):
        gap = np.where(count > 0, np.maximum(sign * (conf - acc), 0.0), 0.0)
        low = np.minimum(conf, acc)
        ax.bar(at, gap, width, bottom=low, color=colour, alpha=0.8, label=name)
    ax.plot([0, 1], [0, 1], "k--", linewidth=1, label="as sure as right")
    for x, n in zip(at[count > 0], count[count > 0], strict=True):
        ax.text(x, 0.012, f"{n}", ha="center", va="bottom", rotation=90, fontsize=7)
    ax.text(0.04, 0.91, f"ECE {ece:.3f}", transform=ax.transAxes, weight="bold")
    ax.set(xlim=(0, 1), ylim=(0, 1.02), aspect="equal")


# --- A rare class -----------------------------------------------------------------


def rare_class(lab, results: Results, X, y, n_splits: int, epochs: int) -> None:
    """Is it an 8? Accuracy beside what it hides, without and with balanced weights."""
    results.step("a rare class: 8 or not")
    eight = (y == 8).astype(np.int64)
    scores: dict[str, list] = {"never 8": [], "plain": [], "balanced weights": []}
    for i, fit, test in splits(eight, n_splits, "rare"):
        weights = lab.balanced_class_weights(eight[fit], 2)
        lam = 1 / len(fit)
        truth = eight[test]
        probs = {"never 8": np.tile([1.0, 0.0], (len(test), 1))}
        for name, w in (("plain", None), ("balanced weights", weights)):
            options = {"classes": 2, "class_weight": w, "epochs": epochs, "lam": lam}
            rng = seeding.rng(SEED, "rare batches", i)
            model = train(lab, X[fit], eight[fit], rng=rng, **options)
            probs[name] = model.predict_proba(X[test])
        for name, p in probs.items():
            cm = lab.confusion_matrix(truth, p.argmax(axis=1), 2)
            P, R, F = (float(score[1]) for score in lab.precision_recall_f1(cm))
            macro = lab.precision_recall_f1(cm, average="macro")[2]
            ece = lab.expected_calibration_error(p, truth, n_bins=N_BINS)
            scores[name].append((lab.accuracy(cm), macro, P, R, F, ece))
    columns = ("accuracy", "macro F1", "precision", "recall", "F1", "ECE")
    rows = []
    for name, runs in scores.items():
        by_column = list(zip(*runs, strict=True))
        for column, values in zip(columns, by_column, strict=True):
            key = f"rare.{name}.{column}".replace(" ", "_")
            results.metric(key, float(np.mean(values)), "share")
        rows.append((name, *(spread(values) for values in by_column)))
    results.text(
        "## Is it an 8?\n"
        "One image in ten is. Precision, recall and F1 are those of the 8s; "
        f"{n_splits} splits."
    )
    results.table(["model", *columns], rows)
    fig = draw_rare(scores, columns[:5])
    results.figure(fig, "rare.png", "What accuracy hides when a class is rare")


def draw_rare(scores: dict, columns: tuple):
    """Bars with the standard deviation over the splits."""
    fig, ax = plotting.figure(size=(7.2, 3.8))
    at, width = np.arange(len(columns)), 0.27
    colours = ("#999999", plotting.PALETTE[0], plotting.PALETTE[4])
    for j, ((name, runs), colour) in enumerate(
        zip(scores.items(), colours, strict=True)
    ):
        values = np.array(runs)[:, : len(columns)]
        mean, sd = values.mean(axis=0), [deviation(column) for column in values.T]
        x = at + (j - 1) * width
        ax.bar(x, mean, width, yerr=sd, color=colour, label=name, capsize=2)
        for place, m, d in zip(x, mean, sd, strict=True):
            ax.text(place, m + d + 0.01, f"{m:.2f}", ha="center", fontsize=7)
    ax.set_xticks(
        at, [c if i < 2 else f"{c}\nof the 8s" for i, c in enumerate(columns)]
    )
    ax.set(ylabel="score (share)", ylim=(0, 1.28), yticks=np.arange(0, 1.1, 0.2))
    ax.set_title("8 or not: a model that never says 8 is 90 % accurate")
    ax.legend(loc="upper center", ncols=3)
    return fig


# --- Speed ------------------------------------------------------------------------


def speed(lab, results: Results) -> None:
    """Loss and gradient of (4096, 1000) logits beside torch, float64, one thread."""
    import torch

    rng = seeding.rng(SEED, "speed")
    z, t = rng.standard_normal((4096, 1000)), rng.integers(0, 1000, 4096)
    Z, targets = torch.tensor(z, requires_grad=True), torch.tensor(t)

    def peer() -> None:
        Z.grad = None
        torch.nn.functional.cross_entropy(Z, targets).backward()

    with one_torch_thread():
        ours = timeit(lambda: lab.softmax_cross_entropy(z, t), repeats=7)
        theirs = timeit(peer, repeats=7)
    results.metric("speed.over_torch", theirs / ours, "ratio", ours)
    results.text(
        "## Speed\n"
        "`softmax_cross_entropy` of 4,096 x 1,000 logits, float64, one thread, best of "
        f"7: {1e3 * ours:.0f} ms; torch's forward and backward "
        f"{1e3 * theirs:.0f} ms ({theirs / ours:.2f} times our time)."
    )
