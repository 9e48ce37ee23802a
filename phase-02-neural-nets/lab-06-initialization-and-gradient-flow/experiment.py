"""What a start does to a deep network: signal, gradient, and whether it trains.

First theory made visible: 20 layers of 512 units, started in nine ways, and what is
left of signal and gradient at every depth. Then training: networks of nine hidden
layers (lab 2.5's) learn the digits from each start, each at its own best learning rate;
a bad start is rescued by measuring; the learning rate kills units until clipping tames
it; and a constant start is trained. Five seeds everywhere. Takes about one minute; with
`full`, ten seeds and more epochs, about four.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from common import datasets, labs, plotting, seeding
from common.results import Results

SEED = 6
SHOWN = (1, 5, 10, 15, 20)  # layers whose histograms are drawn
INPUTS = 64  # rows that are sent through the 20 layers
GOAL = 0.95  # accuracy on held-out digits that counts as trained
TUNED = (0.00003, 0.0003, 0.003, 0.03, 0.1, 0.3, 1.0)  # learning rates to choose from
DEADLY = (0.03, 0.1, 0.2, 0.5, 1.0, 2.0)
HIDDEN, UNITS, BATCH = 9, 64, 32
LIMIT = 1.0  # the norm that gradients are clipped to


@dataclass(frozen=True)
class Scheme:
    """A way to start a network, and how it is drawn in the plots."""

    key: str  # in the names of metrics
    name: str
    activation: str
    draw: Callable  # (lab, shape, rng) -> weights
    colour: str
    style: str = "-"


BLUE, RED, GREEN, PINK, ORANGE, SKY, _, BLACK = plotting.PALETTE


def small(m, shape, r):
    """Normal weights of deviation 0.01, the habit before 2010."""
    return 0.01 * r.standard_normal(shape)


def xavier(factor: float) -> Callable:
    """Xavier's normal weights with a gain."""
    return lambda m, shape, r: m.xavier_normal(shape, gain=factor, rng=r)


def he(factor: float) -> Callable:
    """He's normal weights times a factor."""
    return lambda m, shape, r: factor * m.he_normal(shape, rng=r)


def orthogonal(m, shape, r):
    """Orthogonal weights with ReLU's gain."""
    return m.orthogonal(shape, gain=m.gain("relu"), rng=r)


SCHEMES = (
    Scheme("relu_he", "ReLU, He", "relu", he(1.0), BLUE),
    Scheme("relu_orthogonal", "ReLU, orthogonal √2", "relu", orthogonal, SKY),
    Scheme("relu_xavier", "ReLU, Xavier", "relu", xavier(1.0), ORANGE),
    Scheme("relu_small", "ReLU, deviation 0.01", "relu", small, RED),
    Scheme("relu_2he", "ReLU, twice He", "relu", he(2.0), BLACK),
    Scheme("tanh_xavier", "tanh, Xavier", "tanh", xavier(1.0), GREEN, "--"),
    Scheme("tanh_five_thirds", "tanh, Xavier × 5/3", "tanh", xavier(5 / 3), BLUE, "--"),
    Scheme("tanh_3", "tanh, Xavier × 3", "tanh", xavier(3.0), RED, "--"),
    Scheme("sigmoid_xavier", "sigmoid, Xavier", "sigmoid", xavier(1.0), PINK, ":"),
)
RESCUED = Scheme("relu_rescued", "ReLU, 0.01, rescued", "relu", small, GREEN)
HISTOGRAMS = ("relu_he", "relu_xavier", "tanh_xavier", "tanh_3", "sigmoid_xavier")


def main(lab, out: Path, quick: bool = False, full: bool = False) -> None:
    """Run the experiment.

    Args:
        lab: the module under test: the solution, or a learner's lab.py.
        out: folder for metrics.json, report.md and the four plots.
        quick: narrow networks, two seeds, one epoch, few learning rates.
        full: ten seeds instead of five, 20 epochs instead of 12.
    """
    title = "Lab 2.6: what a start does to a deep network"
    results = Results(out, title, seed=SEED, steps=5, quick=quick)
    duration = "4 seconds" if quick else "4 minutes" if full else "a minute"
    results.say(f"Makes 4 plots, 3 tables and a report in about {duration}.")
    seeds = range(2 if quick else 10 if full else 5)
    results.step("signal and gradient through 20 layers")
    flow(lab, results, seeds, 64 if quick else 512)
    bench = Bench(lab, epochs=1 if quick else 20 if full else 12)
    results.step("training from each start, each at its best learning rate")
    learning(results, bench, seeds, TUNED[4:5] if quick else TUNED)
    results.step("learning rates, dead units and clipping")
    deaths(results, bench, seeds, DEADLY[::5] if quick else DEADLY)
    results.step("a constant start")
    symmetry(results, bench, seeds)
    results.step("writing metrics.json and report.md")
    results.save()


# --- Signal and gradient ----------------------------------------------------------


@dataclass
class Flow:
    """Of one scheme: moments and gradient norms (seeds, layers), and the diagnoses."""

    moments: np.ndarray
    norms: np.ndarray
    names: list[str]


def flow(lab, results: Results, seeds: range, width: int) -> None:
    """Second moments and gradient norms by depth: a table and two plots."""
    flows = {s.key: measure(lab, s, seeds, width) for s in SCHEMES}
    results.text(
        f"## Signal and gradient through 20 layers\n{width} units a layer, {INPUTS} "
        f"normal inputs, a normal gradient of variance 1/{INPUTS}² at the output. "
        "E[h²] is the mean square of a layer's output, ‖dW‖ the norm of its gradient; "
        f"geometric means of {len(seeds)} seeds, in brackets smallest and largest."
    )
    rows = []
    for s in SCHEMES:
        found = flows[s.key]
        ratio = found.norms[:, 0] / found.norms[:, -1]
        for layer in (1, 5, 20):
            value = middle(found.moments[:, layer - 1])
            results.metric(f"flow.{s.key}.moment.{layer}", value, "")
        results.metric(f"flow.{s.key}.gradient.first", middle(found.norms[:, 0]), "")
        results.metric(f"flow.{s.key}.gradient.last", middle(found.norms[:, -1]), "")
        results.metric(f"flow.{s.key}.gradient.ratio", middle(ratio), "ratio")
        name = " or ".join(sorted(set(found.names)))
        results.metric(f"flow.{s.key}.diagnosis", name, "")
        last = spread(found.moments[:, -1])
        results.metric(f"flow.{s.key}.lowest", found.moments[:, -1].min(), "")
        results.metric(f"flow.{s.key}.highest", found.moments[:, -1].max(), "")
        five = f"{middle(found.moments[:, 4]):.2g}"
        rows.append(
            (
                s.name,
                five,
                last,
                f"{middle(found.norms[:, 0]):.2g}",
                spread(ratio),
                name,
            )
        )
    header = ["start", "E[h²], layer 5", "layer 20", "‖dW‖, first layer"]
    results.table([*header, "first / last", "`diagnose`"], rows)
    results.figure(draw_histograms(lab, width), "histograms.png", "What layers put out")
    results.figure(draw_depth(flows), "depth.png", "Signal and gradient by depth")


def measure(lab, scheme: Scheme, seeds: range, width: int) -> Flow:
    """Run one scheme through 20 layers, forward and backward, for each seed."""
    moments, norms, names = [], [], []
    for seed in seeds:
        x, weights, rng = deep(lab, scheme, seed, width)
        dy = rng.standard_normal(x.shape) / len(x)
        stats = lab.forward_stats(x, weights, scheme.activation)
        grads = lab.gradient_norms(x, weights, scheme.activation, dy)
        moments.append([layer.second_moment for layer in stats])
        norms.append(grads)
        names.append(lab.diagnose(stats, grads))
    return Flow(np.array(moments), np.array(norms), names)


def deep(lab, scheme: Scheme, seed: int, width: int):
    """Normal inputs and the weights of 20 layers; and the generator, for more."""
    rng = seeding.rng(SEED, "flow", scheme.key, seed)
    x = rng.standard_normal((INPUTS, width))
    return x, [scheme.draw(lab, (width, width), rng) for _ in range(20)], rng


def middle(values: np.ndarray) -> float:
    """The geometric mean: what spans powers of ten is averaged by its logarithm."""
    return float(np.exp(np.log(values).mean()))


def spread(values: np.ndarray) -> str:
    """Geometric mean, smallest and largest."""
    return f"{middle(values):.2g} ({values.min():.2g} to {values.max():.2g})"


def draw_histograms(lab, width: int):
    """What comes out of five layers, a row per scheme; zeros as a share in words."""
    schemes = [s for s in SCHEMES if s.key in HISTOGRAMS]
    fig, axes = plotting.figure(len(schemes), len(SHOWN), size=(8.6, 7.4))
    ranges = {"relu": (0, 3), "tanh": (-1, 1), "sigmoid": (0, 1)}
    for i, scheme in enumerate(schemes):
        x, weights, _ = deep(lab, scheme, 0, width)
        _, h = lab.forward(x, weights, scheme.activation)
        low, high = ranges[scheme.activation]
        for ax, layer in zip(axes[i], SHOWN, strict=True):
            out = h[layer].ravel()
            bins = np.linspace(low, high, 41)
            ax.hist(out[out != 0], bins, color=scheme.colour, density=True)
            ax.set(xlim=(low, high), yticks=[], xlabel="h" if i == 4 else "")
            above = f"layer {layer}\n" if i == 0 else ""
            ax.set_title(f"{above}E[h²] = {np.mean(out**2):.2g}", fontsize="small")
            ax.tick_params(labelsize="small")
        axes[i][0].set_ylabel(scheme.name.replace(", ", "\n") + "\n\ndensity")
    fig.suptitle("What comes out of the layers (ReLU: without its zeros)")
    return fig


def draw_depth(flows: dict[str, Flow]):
    """Left the signal on its way forward, right the gradient on its way back."""
    fig, axes = plotting.figure(1, 2, size=(9.6, 4.6))
    for ax, field in zip(axes, ("moments", "norms"), strict=True):
        for s in SCHEMES:
            values = getattr(flows[s.key], field)
            layers = np.arange(1, values.shape[1] + 1)
            mean = np.exp(np.log(values).mean(axis=0))
            ax.plot(layers, mean, s.style, color=s.colour, label=s.name, linewidth=1.8)
            ax.fill_between(
                layers, values.min(axis=0), values.max(axis=0), color=s.colour,
                alpha=0.2, linewidth=0,
            )  # fmt: skip
        ax.set(xlabel="layer", yscale="log", xticks=(1, 5, 10, 15, 20))
    axes[0].set(ylabel="E[h²], mean square of the output", ylim=(1e-14, 1e14))
    axes[0].set_title("Forward: the signal")
    axes[1].set(ylabel="‖dL/dW‖, norm of the gradient", ylim=(1e-15, 1e9))
    axes[1].set_title("Backward: the gradient, read from right to left")
    handles, names = axes[0].get_legend_handles_labels()
    fig.legend(handles, names, loc="outside lower center", ncols=5, fontsize="small")
    return fig


# --- Training ---------------------------------------------------------------------


class Bench:
    """The digits, and lab 2.5's networks to train on them."""

    def __init__(self, lab, epochs: int):
        """Split once for all runs: 1,437 to train on, 360 held out; centred, scaled."""
        self.lab, self.epochs, self.nets = lab, epochs, labs.solution("2.5")
        self.minibatches = labs.solution("1.5").minibatches
        X, y = datasets.digits()
        order = seeding.rng(SEED, "split").permutation(len(X))
        train, held = order[:1437], order[1437:]
        X = (X - X[train].mean(axis=0)) / X[train].std()
        self.X, self.y, self.X_held, self.y_held = X[train], y[train], X[held], y[held]

    def build(self, scheme: Scheme, rng: np.random.Generator, hidden: int = HIDDEN):
        """A network with biases of 0 and weights that the lab drew."""
        kinds = {"relu": "ReLU", "tanh": "Tanh", "sigmoid": "Sigmoid"}
        kind = getattr(self.nets, kinds[scheme.activation])
        sizes = [64, *[UNITS] * hidden, 10]
        net = self.nets.mlp(sizes, rng=rng, activation=kind)
        for linear in self.linears(net):
            shape = linear.weight.data.shape
            linear.weight.data[...] = scheme.draw(self.lab, shape, rng)
        if scheme is RESCUED:
            self.rescue(net)
        return net

    def linears(self, net) -> list:
        """The layers that have weights."""
        return [x for x in net.layers if isinstance(x, self.nets.Linear)]

    def rescue(self, net) -> None:
        """Layer after layer, divide the weights so that E[h²] becomes 1 on real data.

        The idea of Mishkin and Matas (2016), "All you need is a good init".
        """
        weights = [linear.weight.data for linear in self.linears(net)]
        for i, W in enumerate(weights):
            stats = self.lab.forward_stats(self.X[:256], weights[: i + 1], "relu")
            W /= np.sqrt(stats[-1].second_moment)

    def train(self, net, lr: float, rng: np.random.Generator, clip: bool = False):
        """Plain SGD; returns the loss of the last epoch and held-out accuracies."""
        params, loss = net.parameters(), self.nets.SoftmaxCrossEntropy()
        accuracies = []
        with np.errstate(all="ignore"):  # some of these networks are meant to overflow
            for _ in range(self.epochs):
                losses = []
                for X, y in self.minibatches(self.X, self.y, batch_size=BATCH, rng=rng):
                    self.nets.zero_grad(params)
                    losses.append(loss.forward(net.forward(X), y))
                    net.backward(loss.backward())
                    if clip:
                        self.lab.clip_grad_norm([p.grad for p in params], LIMIT)
                    self.nets.sgd_step(params, lr=lr)
                right = self.nets.accuracy(net, self.X_held, self.y_held)
                accuracies.append(right)
        return float(np.mean(losses)), np.array(accuracies)


def learning(results: Results, bench: Bench, seeds: range, rates: tuple) -> None:
    """Learning curves from every start, each at the rate that suits it."""
    schemes = (*SCHEMES, RESCUED)
    curves, rows = {}, []
    for s in schemes:
        lr = best_rate(bench, s, rates)
        runs = [run(bench, s, lr, seed) for seed in seeds]
        losses = np.array([loss for loss, _ in runs])
        curves[s.key] = np.array([accuracies for _, accuracies in runs])
        final = curves[s.key][:, -1]
        reached = int((final >= GOAL).sum())
        results.metric(f"train.{s.key}.rate", lr, "")
        results.metric(f"train.{s.key}.accuracy", final.mean(), "share")
        results.metric(f"train.{s.key}.deviation", final.std(ddof=1), "share")
        results.metric(f"train.{s.key}.reached", reached, "seeds")
        first = curves[s.key][:, 0].mean()
        results.metric(f"train.{s.key}.first_epoch", first, "share")
        fine = losses[np.isfinite(losses)]
        if len(fine) == len(losses):
            results.metric(f"train.{s.key}.loss", fine.mean(), "nats")
        loss = f"{fine.mean():.2g}" if len(fine) == len(losses) else "NaN in some"
        accuracy = f"{final.mean():.3f} ± {final.std(ddof=1):.3f}"
        rows.append((s.name, lr, loss, accuracy, f"{reached} of {len(seeds)}"))
    results.text(
        f"## Which starts train\n{HIDDEN} hidden layers of {UNITS} on the digits, "
        f"{bench.epochs} epochs of plain SGD, batches of {BATCH}. Each start has the "
        f"best of {len(rates)} learning rates, by the training loss of a seed that is "
        "not used again. Mean and standard deviation over seeds. «rescued»: the same "
        "weights of deviation 0.01, each layer divided so that E[h²] = 1."
    )
    header = ["start", "rate", "training loss", "held-out accuracy", "reach 95 %"]
    results.table(header, rows)
    cells = {s.key: row[3] for s, row in zip(schemes, rows, strict=True)}
    results.text(
        "What the theory does not decide at this depth: with its own learning rate "
        f"Xavier under ReLU ends at {cells['relu_xavier']} beside He's "
        f"{cells['relu_he']}, orthogonal weights at {cells['relu_orthogonal']}; under "
        f"tanh the gain 5/3 ends at {cells['tanh_five_thirds']}, beside "
        f"{cells['tanh_xavier']} without."
    )
    trained = [s.name for s, row in zip(schemes, rows, strict=True) if row[4][0] != "0"]
    results.metric("train.names", "; ".join(trained), "")
    results.figure(draw_learning(curves), "learning.png", "Held-out accuracy by epoch")


def run(bench: Bench, scheme: Scheme, lr: float, seed: int | str):
    """One training run; its stream decides the weights and the order of the rows."""
    rng = seeding.rng(SEED, "train", scheme.key, seed)
    return bench.train(bench.build(scheme, rng), lr, rng)


def best_rate(bench: Bench, scheme: Scheme, rates: tuple) -> float:
    """The rate with the smallest training loss on a seed of its own; NaN is worst."""
    losses = [run(bench, scheme, lr, "choice of the rate")[0] for lr in rates]
    return rates[int(np.argmin(np.nan_to_num(losses, nan=np.inf)))]


def draw_learning(curves: dict[str, np.ndarray]):
    """Accuracy by epoch, ReLU left, the others right; bands from worst to best seed."""
    fig, axes = plotting.figure(1, 2, size=(9.6, 5.0))
    for ax, relu in zip(axes, (True, False), strict=True):
        for s in (*SCHEMES, RESCUED):
            if (s.activation == "relu") != relu:
                continue
            values = 100 * curves[s.key]
            epochs = np.arange(1, values.shape[1] + 1)
            ax.plot(epochs, values.mean(axis=0), color=s.colour, label=s.name)
            ax.fill_between(
                epochs, values.min(axis=0), values.max(axis=0), color=s.colour,
                alpha=0.2, linewidth=0,
            )  # fmt: skip
        ax.axhline(100 * GOAL, color="black", linewidth=0.8, linestyle=":")
        ax.set(xlabel="epoch", ylabel="held-out accuracy (%)", ylim=(0, 102))
        ax.set_xticks(range(2, values.shape[1] + 1, 2))
        ax.set_title("ReLU" if relu else "tanh and sigmoid")
        place = {"loc": "upper center", "bbox_to_anchor": (0.5, -0.16), "ncols": 2}
        ax.legend(fontsize="small", **place)
    fig.suptitle(
        f"The same {HIDDEN} hidden layers, each start at its best learning rate"
    )
    return fig


# --- Learning rates, dead units, clipping -----------------------------------------


def deaths(results: Results, bench: Bench, seeds: range, rates: tuple) -> None:
    """Share of dead units and accuracy against the learning rate, clipped or not."""
    he_start, found = SCHEMES[0], {}
    before = []
    for clip in (False, True):
        for lr in rates:
            for seed in seeds:
                rng = seeding.rng(SEED, "deaths", seed)  # the same start at every rate
                net = bench.build(he_start, rng)
                if not clip and lr == rates[0]:
                    before.append(dead_share(bench, net)[0])
                _, accuracies = bench.train(net, lr, rng, clip)
                found[clip, lr, seed] = (*dead_share(bench, net), accuracies[-1])
    table = {
        key: np.array([found[*key, seed] for seed in seeds], dtype=float)
        for key in {(clip, lr): None for clip, lr, _ in found}
    }  # (seeds, 3): dead share, finite, accuracy
    results.metric("dead.start", float(np.mean(before)), "share")
    rows = []
    for lr in rates:
        cells = [lr]
        for clip in (False, True):
            dead, finite, right = table[clip, lr].T
            key = f"dead.{'clipped' if clip else 'plain'}.{lr}"
            results.metric(f"{key}.accuracy", right.mean(), "share")
            results.metric(f"{key}.overflowed", int((finite == 0).sum()), "seeds")
            alive = dead[finite == 1]
            if len(alive):
                results.metric(f"{key}.share", alive.mean(), "share")
            share = f"{100 * alive.mean():.1f}" if len(alive) else "none finite"
            cells += [share, int((finite == 0).sum()), f"{right.mean():.3f}"]
        rows.append(cells)
    results.text(
        f"## The learning rate kills\nReLU and He, {bench.epochs} epochs. A unit is "
        "dead that is off for every training digit. Networks that overflowed to NaN "
        "are counted, and left out of the share. At the start "
        f"{100 * np.mean(before):.1f} % are dead. Clipped: the gradient's norm is at "
        f"most {LIMIT}."
    )
    three = ["dead %", "NaN", "accuracy"]
    header = ["rate", *three, *[f"{name}, clipped" for name in three]]
    results.table(header, rows)
    results.figure(draw_deaths(rates, table), "rates.png", "Learning rates and deaths")


def dead_share(bench: Bench, net) -> tuple[float, bool]:
    """The share of dead hidden units, and whether the network is finite at all."""
    dead, h = [], bench.X
    with np.errstate(all="ignore"):
        for layer in net.layers:
            z, h = h, layer.forward(h)
            if isinstance(layer, bench.nets.ReLU) and np.isfinite(z).all():
                dead.append(bench.lab.dead_units(z))
    finite = bool(np.isfinite(h).all())
    return (float(np.mean(np.concatenate(dead))) if finite else 1.0), finite


def draw_deaths(rates: tuple, table: dict):
    """Left the dead share of finite networks, right the accuracy; a dot per seed."""
    fig, axes = plotting.figure(1, 2, size=(9.2, 3.9))
    for clip, colour, name in ((False, RED, "plain SGD"), (True, BLUE, "clipped to 1")):
        nudge = 1.04 if clip else 1 / 1.04
        for ax, column in zip(axes, (0, 2), strict=True):
            means = []
            for lr in rates:
                values = 100 * table[clip, lr][:, column]
                finite = table[clip, lr][:, 1] == 1
                x = np.full(len(values), lr * nudge)
                ax.plot(x[finite], values[finite], ".", color=colour, alpha=0.5)
                ax.plot(x[~finite], values[~finite], "x", color=colour, alpha=0.7)
                means.append(values.mean() if finite.all() or column else np.nan)
            ax.plot(rates, means, "-", color=colour, label=name)
            ax.set(xscale="log", xlabel="learning rate (log scale)", ylim=(-4, 104))
    axes[0].plot([], [], "x", color="black", label="overflowed to NaN: no share")
    axes[0].set(ylabel="dead hidden units (%)")
    axes[0].legend(loc="center left")
    axes[1].set(ylabel="held-out accuracy (%)")
    axes[1].legend(loc="center left")
    axes[0].set_title("Units that are off for every digit")
    axes[1].set_title("What the network still knows")
    return fig


# --- Symmetry ---------------------------------------------------------------------


def symmetry(results: Results, bench: Bench, seeds: range) -> None:
    """Train one hidden layer from a constant and from a random start."""
    constant = Scheme(
        "constant", "constant 0.1", "tanh", lambda m, shape, r: np.full(shape, 0.1), RED
    )
    sentences = []
    for s in (constant, SCHEMES[5]):
        units, right = [], []
        for seed in seeds:
            rng = seeding.rng(SEED, "symmetry", s.key, seed)
            net = bench.build(s, rng, hidden=1)
            _, accuracies = bench.train(net, 0.1, rng)
            first = bench.linears(net)[0].weight.data
            units.append(bench.lab.distinct_units(first, atol=1e-9))
            right.append(accuracies[-1])
        most = max(units)
        results.metric(f"symmetry.{s.key}.units", most, "units")
        results.metric(f"symmetry.{s.key}.accuracy", float(np.mean(right)), "share")
        results.metric(f"symmetry.{s.key}.deviation", float(np.std(right, ddof=1)), "")
        sentences.append(
            f"{s.name}: {most} distinct of {UNITS} units after training, accuracy "
            f"{np.mean(right):.3f} ± {np.std(right, ddof=1):.3f}."
        )
    results.text(f"## A constant start\nOne hidden layer, tanh. {' '.join(sentences)}")
