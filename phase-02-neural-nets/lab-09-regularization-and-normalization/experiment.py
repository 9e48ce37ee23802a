"""What regularization and normalization are good for, on 150 handwritten digits.

First a picture of what each norm averages over, on real activations. Then five remedies
against no remedy, on clean and on noisy labels, with a test of what is chance; what
batch norm loses with small batches and in the wrong mode; what norms do for a deep
network; and a network that dropout hurts. All training is plain SGD with one learning
rate, not tuned for each remedy. Takes about two minutes; with `full`, twice the seeds.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

from common import datasets, labs, plotting, seeding
from common.results import Results

SEED = 9
TRAIN, TEST = 150, 1000  # digits to learn from, and held out
NOISE = 0.2  # share of labels drawn anew
SIZES = (2, 4, 8, 16, 32, 64)
DROPS = (0.0, 0.1, 0.25, 0.5, 0.75)
RATES = (0.003, 0.01, 0.03, 0.1, 0.3, 1.0)
STARTS = (0.1, 0.3, 1.0, 3.0, 10.0)
BLUE, RED, GREEN, PINK, ORANGE, SKY, _, BLACK = plotting.PALETTE


@dataclass(frozen=True)
class Recipe:
    """A network and how it is trained."""

    norm: str = ""  # a class of the lab, put before each ReLU
    drop: float = 0.0
    lam: float = 0.0
    width: int = 256
    depth: int = 2
    start: float = 1.0  # factor on He's start
    lr: float = 0.1
    epochs: int = 60
    batch: int = 32
    rows: int = TRAIN
    noise: float = 0.0


REMEDIES = {
    "none": Recipe(),
    "L2, λ = 0.01": Recipe(lam=0.01),
    "dropout ½": Recipe(drop=0.5),
    "batch norm": Recipe(norm="BatchNorm1d"),
    "layer norm": Recipe(norm="LayerNorm"),
    "RMS norm": Recipe(norm="RMSNorm"),
}
COLOURS = dict(zip(REMEDIES, (BLACK, ORANGE, RED, BLUE, GREEN, SKY), strict=True))
KEYS = dict(zip(REMEDIES, ("none", "l2", "dropout", "bn", "ln", "rms"), strict=True))


def main(lab, out: Path, quick: bool = False, full: bool = False) -> None:
    """Run the experiment.

    Args:
        lab: the module under test: the solution, or a learner's lab.py.
        out: folder for metrics.json, report.md and the five plots.
        quick: two seeds, one epoch, few settings; a few seconds.
        full: twice the seeds; about four minutes.
    """
    title = "Lab 2.9: what keeps networks general, and what stable"
    results = Results(out, title, seed=SEED, steps=6, quick=quick)
    duration = "4 seconds" if quick else "4 minutes" if full else "2 minutes"
    results.say(f"Makes 5 plots, 4 tables and a report in about {duration}.")
    bench = Bench(lab, quick)
    seeds = [range(2 if quick else n * (2 if full else 1)) for n in (12, 5)]
    with threadpool_limits(1):  # small matrices: threads would only wait
        results.step("what each norm averages over")
        axes_picture(lab, results, bench)
        results.step("five remedies, clean and noisy labels")
        remedies(results, bench, seeds[0])
        results.step("batch sizes, and the wrong mode")
        batch_sizes(results, bench, seeds[1], SIZES[::3] if quick else SIZES)
        wrong_mode(results, bench, seeds[1])
        results.step("ten layers with and without norm")
        deep(results, bench, seeds[1], quick)
        results.step("dropout where it hurts")
        dropout(results, bench, seeds[1], DROPS[::3] if quick else DROPS)
    results.step("writing metrics.json and report.md")
    results.save()


# --- Training ---------------------------------------------------------------------


class Bench:
    """Trains networks of lab 2.5's layers and this lab's."""

    def __init__(self, lab, quick: bool):
        self.lab, self.quick, self.nn = lab, quick, labs.solution("2.5")
        self.X, self.y = datasets.digits()

    def network(self, recipe: Recipe, seed: int):
        """Linear, norm, ReLU and dropout, `depth` times, then Linear."""
        rng, layers, width = seeding.rng(SEED, "start", seed), [], 64
        for i in range(recipe.depth):
            layers.append(self.nn.Linear(width, recipe.width, rng=rng))
            layers[-1].weight.data *= recipe.start
            width = recipe.width
            if recipe.norm:
                layers.append(getattr(self.lab, recipe.norm)(width))
            layers.append(self.nn.ReLU())
            if recipe.drop:
                coins = seeding.rng(SEED, "dropout", seed, i)
                layers.append(self.lab.Dropout(recipe.drop, rng=coins))
        return self.nn.Sequential(*layers, self.nn.Linear(width, 10, rng=rng))

    def data(self, recipe: Recipe, seed: int):
        """Training rows and labels, some of them drawn anew, and the test rows."""
        rng = seeding.rng(SEED, "data", seed)
        order = rng.permutation(len(self.y))
        train, test = order[: recipe.rows], order[-(200 if self.quick else TEST) :]
        labels = self.y[train].copy()
        wrong = rng.random(len(labels)) < recipe.noise
        labels[wrong] = rng.integers(0, 10, wrong.sum())
        return self.X[train], labels, self.X[test], self.y[test]

    def trained(self, recipe: Recipe, seed: int):
        """The network after its epochs, in eval mode."""
        X, y, *_ = self.data(recipe, seed)
        model, loss = self.network(recipe, seed), self.nn.SoftmaxCrossEntropy()
        params, rng = model.parameters(), seeding.rng(SEED, "batches", seed)
        for _ in range(1 if self.quick else recipe.epochs):
            for xb, yb in self.nn.minibatches(X, y, batch_size=recipe.batch, rng=rng):
                self.nn.zero_grad(params)
                loss.forward(model.forward(xb), yb)
                model.backward(loss.backward())
                if recipe.lam:
                    self.lab.add_l2_gradient(params, recipe.lam)
                self.nn.sgd_step(params, lr=recipe.lr)
        model.eval()
        return model

    def score(self, recipe: Recipe, seed: int) -> tuple[float, float]:
        """Accuracy and mean loss in nats on the test rows; a loss of NaN is inf."""
        with np.errstate(all="ignore"):  # some of the deep networks are meant to burst
            model = self.trained(recipe, seed)
            *_, X, y = self.data(recipe, seed)
            logits = model.forward(X)
        if not np.isfinite(logits).all():
            return 0.1, float("inf")  # no better than a guess
        nll = self.nn.SoftmaxCrossEntropy().forward(logits, y)
        return float(np.mean(logits.argmax(axis=1) == y)), nll

    def fit(self, recipe: Recipe, seed: int) -> float:
        """Accuracy on the training rows, with the labels that were learned from."""
        X, labels, *_ = self.data(recipe, seed)
        return self.nn.accuracy(self.trained(recipe, seed), X, labels)

    def scores(self, recipe: Recipe, seeds: range) -> np.ndarray:
        """(seeds, 2): accuracy and loss."""
        return np.array([self.score(recipe, seed) for seed in seeds])


def error(values: np.ndarray) -> np.ndarray:
    """Standard error of the mean over the seeds, axis 0."""
    return np.std(values, axis=0, ddof=1) / np.sqrt(len(values))


# --- What a norm averages over ----------------------------------------------------


def axes_picture(lab, results: Results, bench: Bench) -> None:
    """The same real activations before and after each norm, with what is averaged."""
    model = bench.trained(REMEDIES["none"], 0)
    x = bench.X[:14].copy()
    x[4] *= 3  # one picture three times as bright as the others
    h = model.layers[0].forward(x)[:, :20]
    panels = {
        "activations": (h, None),
        "batch norm": (lab.BatchNorm1d(20).forward(h), (8, 0, 1, 14)),
        "layer norm": (lab.LayerNorm(20).forward(h), (0, 4, 20, 1)),
        "RMS norm": (lab.RMSNorm(20).forward(h), (0, 4, 20, 1)),
    }
    says = {
        "activations": "row 4 is a picture three times as bright",
        "batch norm": "each column: mean 0, deviation 1",
        "layer norm": "each row: mean 0, deviation 1",
        "RMS norm": "each row: mean square 1, not centred",
    }
    fig, axes = plotting.figure(2, 2, size=(8.6, 6.4))
    for ax, (name, (values, box)) in zip(axes.flat, panels.items(), strict=True):
        image = ax.imshow(values, cmap="RdBu_r", vmin=-3, vmax=3, aspect="auto")
        if box:
            draw_box(ax, *box)
        ax.set(xlabel="unit", ylabel="example", title=f"{name}\n{says[name]}")
        ax.set(xticks=range(0, 20, 4), yticks=range(0, 14, 4))
        ax.grid(False)
    fig.colorbar(image, ax=axes, label="value (beyond ±3 in full colour)", shrink=0.8)
    for key, name in (
        ("raw", "activations"),
        ("bn", "batch norm"),
        ("ln", "layer norm"),
    ):
        values = np.abs(panels[name][0])
        ratio = values[4].mean() / np.delete(values, 4, axis=0).mean()
        results.metric(f"axes.bright_row.{key}", ratio, "ratio")
    results.text(
        "## What each norm averages over\n14 digits, 20 units of a trained network. "
        "Boxes: numbers that share one mean and deviation. Row 4, three times as "
        "bright, still stands out after batch norm, and no longer after layer norm."
    )
    results.figure(fig, "axes.png", "The same activations under three norms")


def draw_box(ax, left: int, top: int, width: int, height: int) -> None:
    """A frame around some cells."""
    from matplotlib.patches import Rectangle

    corner = left - 0.5, top - 0.5
    frame = {"fill": False, "linewidth": 2.5, "clip_on": False}
    ax.add_patch(Rectangle(corner, width, height, edgecolor="black", **frame))


# --- Remedies ---------------------------------------------------------------------


def remedies(results: Results, bench: Bench, seeds: range) -> None:
    """Accuracy and loss of each remedy, and whether chance could have done it."""
    test = labs.solution("1.6").paired_permutation_test
    found, rows, flips = {}, [], 100 if bench.quick else 10_000
    for labels, noise in (("clean", 0.0), ("noisy", NOISE)):
        for name, recipe in REMEDIES.items():
            scores = bench.scores(replace(recipe, noise=noise), seeds)
            found[labels, name] = scores
            mean, key = scores.mean(axis=0), f"remedy.{labels}.{KEYS[name]}"
            results.metric(f"{key}.accuracy", mean[0], "share")
            results.metric(f"{key}.accuracy_std", scores[:, 0].std(ddof=1), "share")
            results.metric(f"{key}.nll", mean[1], "nats")
            chances = [
                test(a, b, n_resamples=flips, rng=seeding.rng(SEED, "coins"))
                for a, b in zip(scores.T, found[labels, "none"].T, strict=True)
            ]
            cells = [
                f"{m:.3f} ± {e:.3f}" for m, e in zip(mean, error(scores), strict=True)
            ]
            ps = [f"{p:.4f}" for p in chances] if name != "none" else ["", ""]
            if name != "none":
                results.metric(f"{key}.accuracy_p", chances[0], "")
                results.metric(f"{key}.nll_p", chances[1], "")
            rows.append((f"{labels}, {name}", cells[0], ps[0], cells[1], ps[1]))
    results.text(
        f"## Five remedies\n{TRAIN} digits to learn from, 64-256-256-10, "
        f"{len(seeds)} seeds (each its own digits and start), mean ± standard error. "
        "p: how often chance alone gives such a difference from none (paired "
        "permutation test, lab 1.6). With five remedies, call below 0.01 a finding; "
        f"the rest is within noise. {longer(results, bench, seeds, test, flips)}"
    )
    header = ["labels, remedy", "test accuracy", "p", "test loss (nats)", "p"]
    results.table(header, rows)
    results.figure(draw_remedies(found), "remedies.png", "Remedies, seed by seed")


def longer(results: Results, bench: Bench, seeds: range, test, flips: int) -> str:
    """Noisy labels learned by heart for longer: does the verdict on the norms hold?"""
    found = {}
    for name in ("none", "dropout ½", "batch norm", "layer norm"):
        recipe = replace(REMEDIES[name], noise=NOISE, epochs=100)
        found[name] = bench.scores(recipe, seeds)[:, 0]
    says = []
    for name, hits in found.items():
        key = f"longer.{KEYS[name]}"
        results.metric(f"{key}.accuracy", hits.mean(), "share")
        if name == "none":
            continue
        p = test(hits, found["none"], n_resamples=flips, rng=seeding.rng(SEED, "coins"))
        gain = 100 * float(np.mean(hits - found["none"]))
        results.metric(f"{key}.gain", gain, "points")
        results.metric(f"{key}.p", p, "")
        says.append(f"{name} {gain:+.1f} points (p {p:.4f})")
    return (
        f"Noisy labels for 100 epochs instead of {REMEDIES['none'].epochs}, against "
        f"none: {', '.join(says)}. A verdict on small gains depends on when one stops."
    )


def draw_remedies(found: dict):
    """Difference from no remedy, of each seed and in the mean with its error."""
    fig, axes = plotting.figure(2, 2, size=(9.0, 6.0))
    names = [name for name in REMEDIES if name != "none"]
    for row, what in zip(range(2), ("accuracy (points)", "loss (nats)"), strict=True):
        for ax, labels in zip(axes[row], ("clean", "noisy"), strict=True):
            for i, name in enumerate(names):
                gain = (found[labels, name] - found[labels, "none"])[:, row]
                gain = 100 * gain if row == 0 else gain
                across = i + np.linspace(-0.2, 0.2, len(gain))
                ax.plot(
                    across, gain, "o", markersize=4, alpha=0.45, color=COLOURS[name]
                )
                ax.errorbar(
                    i,
                    gain.mean(),
                    1.96 * error(gain),
                    fmt="_",
                    color="black",
                    markersize=16,
                    capsize=5,
                )
            ax.axhline(0, color=BLACK, linewidth=1)
            ax.set_xticks(range(len(names)), names, rotation=12, fontsize="small")
            share = "clean labels" if labels == "clean" else "20 % of the labels drawn"
            better = "up is better" if row == 0 else "down is better"
            ax.set(
                title=f"{share} ({better})", ylabel=f"test {what}\nless that of none"
            )
        low, high = (f([ax.get_ylim() for ax in axes[row]]) for f in (np.min, np.max))
        for ax in axes[row]:
            ax.set_ylim(low - 0.04 * (high - low), high + 0.04 * (high - low))
    return fig


# --- Batches and modes ------------------------------------------------------------


def batch_sizes(results: Results, bench: Bench, seeds: range, sizes: tuple) -> None:
    """Accuracy against the batch size; batch norm estimates from the batch alone."""
    fig, ax = plotting.figure(size=(6.6, 3.9))
    at: dict[str, list] = {}
    for name in ("none", "layer norm", "batch norm"):
        recipe = replace(REMEDIES[name], epochs=30, lr=0.05, width=128)
        scores = [bench.scores(replace(recipe, batch=b), seeds)[:, 0] for b in sizes]
        at[name] = [(s.mean(), error(s)) for s in scores]
        for b, (mean, _) in zip(sizes, at[name], strict=True):
            results.metric(f"batch.{KEYS[name]}.{b}", mean, "share")
        for b, found in zip(sizes, scores, strict=True):
            results.metric(f"batch.{KEYS[name]}.{b}.worst", found.min(), "share")
        mean, spread = np.transpose(at[name])
        look = {"color": COLOURS[name], "label": name, "capsize": 3}
        ax.errorbar(sizes, 100 * mean, 100 * spread, fmt="o-", **look)
    ax.set(
        xscale="log", xlabel="rows in a batch (log scale)", ylabel="test accuracy (%)"
    )
    ax.set_xticks(sizes, [str(b) for b in sizes])
    ax.minorticks_off()
    ax.set_title("30 epochs at the same rate; bars: standard error over seeds")
    ax.legend()
    results.text(
        f"## Small batches\n128 units, 30 epochs, rate 0.05, {len(seeds)} seeds, test "
        "accuracy ± standard error. Below the plot: who forgets `eval()`. In training "
        "mode a batch-norm network sees only how rows differ from their neighbours; "
        "among rows of one digit, what they have in common is gone."
    )
    rows = [(n, *[f"{m:.3f} ± {e:.3f}" for m, e in v]) for n, v in at.items()]
    results.table(["rows in a batch", *[str(b) for b in sizes]], rows)
    results.figure(fig, "batches.png", "Test accuracy against the batch size")


def wrong_mode(results: Results, bench: Bench, seeds: range) -> None:
    """Test accuracy in eval mode, and if one forgets to leave training mode."""
    ways = {
        "training, 64 mixed rows at a time": ("mixed_64", 64, False),
        "training, 4 mixed rows at a time": ("mixed_4", 4, False),
        "training, 64 rows sorted by digit": ("sorted_64", 64, True),
    }
    rows = []
    for name in ("batch norm", "dropout ½"):
        found: dict[str, list] = {"eval": []} | {key: [] for key, *_ in ways.values()}
        for seed in seeds:
            model = bench.trained(REMEDIES[name], seed)
            *_, X, y = bench.data(REMEDIES[name], seed)
            found["eval"].append(bench.nn.accuracy(model, X, y))
            for key, *how in ways.values():
                found[key].append(mode_score(model, X, y, *how))
        for key, hits in found.items():
            results.metric(f"mode.{KEYS[name]}.{key}", np.mean(hits), "share")
        rows.append((name, *[f"{np.mean(hits):.3f}" for hits in found.values()]))
    results.table(["network", "eval", *ways], rows)


def mode_score(model, X: np.ndarray, y: np.ndarray, size: int, ordered: bool) -> float:
    """Share of right answers, asked `size` rows at a time in training mode."""
    model.train()
    order = np.argsort(y, kind="stable") if ordered else np.arange(len(y))
    parts = np.array_split(order, len(y) // size)
    hits = [model.forward(X[part]).argmax(axis=1) == y[part] for part in parts]
    return float(np.mean(np.concatenate(hits)))


# --- Depth ------------------------------------------------------------------------


def deep(results: Results, bench: Bench, seeds: range, quick: bool) -> None:
    """Ten hidden layers: which learning rates and which starts still train."""
    fig, axes = plotting.figure(1, 2, size=(9.0, 3.9))
    base = Recipe(depth=10, width=64, epochs=15, rows=500)
    sweeps = {
        "lr": (RATES[1::9] if quick else RATES, "learning rate"),
        "start": (STARTS[::9] if quick else STARTS, "start: He's weights times"),
    }
    for ax, (field, (values, label)) in zip(axes, sweeps.items(), strict=True):
        for name in ("none", "RMS norm", "layer norm", "batch norm"):
            recipe = replace(base, norm=REMEDIES[name].norm, lr=0.03)
            scores = np.array(
                [
                    bench.scores(replace(recipe, **{field: v}), seeds)[:, 0]
                    for v in values
                ]
            )
            for v, mean in zip(values, scores.mean(axis=1), strict=True):
                results.metric(f"deep.{field}.{KEYS[name]}.{v}", mean, "share")
            results.metric(
                f"deep.{field}.{KEYS[name]}.trains",
                int((scores.mean(axis=1) > 0.8).sum()),
                f"of {len(values)}",
            )
            look = {"color": COLOURS[name], "label": name, "capsize": 3}
            ax.errorbar(
                values,
                100 * scores.mean(axis=1),
                100 * error(scores.T),
                fmt="o-",
                **look,
            )
        ax.set(xscale="log", xlabel=f"{label} (log scale)", ylim=(0, 102))
        ax.set(ylabel="test accuracy (%)")
    axes[0].set_title("He's start, different rates")
    axes[1].set_title("rate 0.03, different starts")
    axes[0].legend(fontsize="small", loc="lower center")
    results.text(
        f"## Ten hidden layers of 64 units\n500 digits, 15 epochs, {len(seeds)} seeds. "
        "Norms widen what works. Weights times s in front of a norm give the same "
        "output and learn as with the rate η/s²: a start of 0.1 is a rate 100 times as "
        "high, which batch norm stands and layer norm does not."
    )
    results.figure(fig, "deep.png", "Ten layers: learning rates and starts that train")


# --- Dropout where it hurts -------------------------------------------------------


def dropout(results: Results, bench: Bench, seeds: range, drops: tuple) -> None:
    """Accuracy against p, for a network that overfits and for one that underfits."""
    cases: dict[str, tuple[Recipe, str, str]] = {
        "256 units, 150 noisy digits": (Recipe(noise=NOISE), "wide", RED),
        "8 units, 700 clean digits": (
            Recipe(width=8, depth=1, rows=700, epochs=30),
            "narrow",
            BLUE,
        ),
    }
    fig, ax = plotting.figure(size=(6.6, 3.9))
    rows, fitted = [], {}
    for name, (recipe, key, colour) in cases.items():
        scores = [bench.scores(replace(recipe, drop=p), seeds)[:, 0] for p in drops]
        mean, spread = np.mean(scores, axis=1), [error(s) for s in scores]
        fitted[key] = np.mean([bench.fit(recipe, seed) for seed in seeds])
        results.metric(f"dropout.{key}.fit", fitted[key], "share")
        for p, value in zip(drops, mean, strict=True):
            results.metric(f"dropout.{key}.{p}", value, "share")
        look = {"color": colour, "label": name, "capsize": 3}
        ax.errorbar(drops, 100 * mean, 100 * np.array(spread), fmt="o-", **look)
        cells = [f"{m:.3f} ± {e:.3f}" for m, e in zip(mean, spread, strict=True)]
        rows.append((name, *cells))
    ax.set(xlabel="p, chance to be dropped", ylabel="test accuracy (%)")
    ax.set_title("Dropout takes capacity: good where there is too much of it")
    ax.legend()
    results.text(
        "## Dropout where it hurts\nWithout dropout the wide network gets "
        f"{fitted['wide']:.1%} of its training labels right, the wrong ones by heart; "
        f"the narrow one {fitted['narrow']:.1%}: it has no unit to spare. "
        f"{len(seeds)} seeds."
    )
    results.table(["network", *[f"p = {p}" for p in drops]], rows)
    results.figure(fig, "dropout.png", "Dropout on too wide and too narrow networks")
