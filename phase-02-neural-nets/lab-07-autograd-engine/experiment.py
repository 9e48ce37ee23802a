"""Both engines at work: one neuron, two moons, handwritten digits, and the price.

Draws the graph of one neuron with its gradients, trains a network of single numbers on
the moons and the same network of arrays from 20 starts, trains the 64-64-10 network of
lab 2.5 on digits with five seeds beside PyTorch, and compares the time of one step.
Takes about a minute; with `full`, 15 seeds on digits and 60 starts on the moons.
"""

from __future__ import annotations

import contextlib
import gc
import itertools
import math
import time
from pathlib import Path

import numpy as np
import torch
from matplotlib.patches import Patch
from threadpoolctl import threadpool_limits

from common import datasets, plotting, seeding
from common.device import one_torch_thread, timeit
from common.results import Results

SEED = 7
MOONS = (2, 16, 16, 1)
DIGITS = (64, 64, 10)
BATCH, DIGIT_RATE = 32, 0.1
BLUE, RED, GREEN = plotting.PALETTE[:3]


def main(lab, out: Path, quick: bool = False, full: bool = False) -> None:
    """Run the experiment.

    Args:
        lab: the module under test: the solution, or a learner's lab.py.
        out: folder for metrics.json, report.md and the four plots.
        quick: few steps and one seed; a few seconds.
        full: 60 starts on the moons, 15 seeds on the digits.
    """
    title = "Lab 2.7: gradients that follow from the graph"
    results = Results(out, title, seed=SEED, steps=6, quick=quick)
    duration = "5 seconds" if quick else "2 minutes" if full else "a minute"
    results.say(f"Makes 4 plots, a table and a report in about {duration}.")
    with threadpool_limits(1), one_torch_thread():
        neuron(lab, results)
        moons(lab, results, 4 if quick else 100, 2 if quick else 60 if full else 20)
        digits(lab, results, 1 if quick else 15 if full else 5, 2 if quick else 30)
        speed(lab, results, 2 if quick else BATCH)
    results.step("writing metrics.json and report.md")
    results.save()


@contextlib.contextmanager
def collector_off():
    """Python's search for reference cycles is paused.

    A graph has no cycles: when the loss is dropped, all of it is freed at once. The
    search would look through 100,000 nodes again and again and find nothing.
    """
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


# --- One neuron -------------------------------------------------------------------


def neuron(lab, results: Results) -> None:
    """The graph of the loss of one neuron, each node with its value and gradient."""
    results.step("the graph of one neuron")
    numbers = {"x1": 2, "w1": 0.5, "x2": 3, "w2": -1, "b": 4, "-t": -5}
    leaves = {name: lab.Value(float(x)) for name, x in numbers.items()}
    x1, w1, x2, w2, b, minus_t = leaves.values()
    loss = ((x1 * w1 + x2 * w2 + b).relu() + minus_t) ** 2
    loss.backward()
    for name, v in leaves.items():
        results.metric(f"neuron.{name}.grad", v.grad, "")
    results.metric("neuron.loss", loss.data, "")
    names = {id(v): name for name, v in leaves.items()} | {id(loss): "loss, **2"}
    fig = draw_graph(lab, loss, names)
    results.text(
        "## What `.backward()` computes\n"
        "Forward, left to right, each box computes its number. Backward, each box "
        "hands its gradient to its inputs, times the local derivative on the arrow."
    )
    results.figure(fig, "neuron.png", "The graph of (relu(x1 w1 + x2 w2 + b) - t)^2")


def places(lab, root) -> dict[int, tuple[float, float]]:
    """x: steps from the farthest leaf; y: the mean of the inputs, leaves one by one."""
    order, x, y = lab.topological_order(root), {}, {}
    for node in order:
        x[id(node)] = max([x[id(s)] + 1 for s, _ in node.edges], default=0)

    def rows(node):  # leaves from top to bottom in the order of the formula
        for source, _ in node.edges:
            rows(source)
        if id(node) not in y:
            below = [y[id(s)] for s, _ in node.edges]
            leaves = sum(not n.edges for n in order if id(n) in y)
            y[id(node)] = sum(below) / len(below) if below else -float(leaves)

    rows(root)
    for node in order:  # a leaf stands just before the first box that needs it
        for source, _ in node.edges:
            if not source.edges:
                x[id(source)] = x[id(node)] - 1
    return {key: (x[key], y[key]) for key in x}


def draw_graph(lab, root, names: dict[int, str]):
    """Boxes with value and gradient; arrows with the local derivative."""
    at = places(lab, root)
    fig, ax = plotting.figure(size=(10.5, 4.8))
    for node in lab.topological_order(root):
        x, y = at[id(node)]
        text = f"{names.get(id(node), node.op)}\n{node.data:g}\ngrad {node.grad:g}"
        colour = "#DCEBF7" if node.edges else "#FBE6D4"
        box = {"boxstyle": "round,pad=0.35", "facecolor": colour, "edgecolor": "0.4"}
        ax.text(x, y, text, ha="center", va="center", fontsize=9, bbox=box, zorder=3)
        for source, local in node.edges:
            sx, sy = at[id(source)]
            arrow = {"arrowstyle": "-|>", "color": "0.5", "shrinkA": 26, "shrinkB": 26}
            ax.annotate("", (x, y), (sx, sy), arrowprops=arrow, zorder=1)
            ax.text(
                (x + sx) / 2,
                (y + sy) / 2,
                f"{local:g}",
                color=RED,
                fontsize=9,
                ha="center",
                va="center",
                bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.8},
                zorder=2,
            )
    xs, ys = zip(*at.values(), strict=True)
    ax.set(xlim=(min(xs) - 0.5, max(xs) + 0.5), ylim=(min(ys) - 0.6, max(ys) + 0.6))
    ax.set_title("values flow to the right; gradients flow back, times the red numbers")
    handles = [Patch(facecolor="#FBE6D4", edgecolor="0.4", label="leaf")]
    handles += [Patch(facecolor="#DCEBF7", edgecolor="0.4", label="result")]
    handles += [Patch(facecolor=RED, label="local derivative")]
    ax.legend(handles=handles, loc="lower right", fontsize="small")
    ax.axis("off")
    return fig


# --- The same network in three engines ----------------------------------------------


def draw_weights(sizes: tuple[int, ...], rng: np.random.Generator) -> list[np.ndarray]:
    """W, b of each layer, as `MLP` draws them."""
    layers = []
    for d_in, d_out in itertools.pairwise(sizes):
        layers.append(rng.standard_normal((d_in, d_out)) * math.sqrt(2 / d_in))
        layers.append(np.zeros(d_out))
    return layers


def forward(weights: list, x):
    """x through the layers, for Tensors of the lab and of PyTorch alike."""
    for i in range(0, len(weights), 2):
        x = x @ weights[i] + weights[i + 1]
        x = x.relu() if i < len(weights) - 2 else x
    return x


def tensors(lab, weights: list[np.ndarray]) -> list:
    """The lab's tensors, on copies."""
    return [lab.Tensor(w.copy(), requires_grad=True) for w in weights]


def torch_leaves(weights: list[np.ndarray]) -> list[torch.Tensor]:
    """PyTorch's tensors, on copies."""
    return [torch.tensor(w, requires_grad=True) for w in weights]


def flat(numbers) -> np.ndarray:
    """All numbers of some arrays in one row."""
    return np.concatenate([np.ravel(x) for x in numbers])


# --- Moons ------------------------------------------------------------------------


def scalar_hinge(lab, net, X, signs):
    """Mean over the points of max(0, 1 - y * score), and the scores; all Values."""
    scores = [net(row) for row in X.tolist()]
    total = lab.Value(0.0)
    for score, sign in zip(scores, signs.tolist(), strict=True):
        total = total + (1.0 - sign * score).relu()
    return total / len(X), [score.data for score in scores]


def rate(step: int) -> float:
    """The learning rate: it falls in a straight line over 100 steps, then stays."""
    return 1.0 - 0.9 * min(step / 100, 1.0)


def scalar_moons(lab, X, signs, n_steps: int):
    """Train a network of Values; loss and accuracy before each step, and weights."""
    net = lab.MLP(MOONS, rng=seeding.rng(SEED, "moons", 0))
    curve, weights, parameters = [], [], net.parameters()
    for step in range(n_steps + 1):
        weights.append(np.array([p.data for p in parameters]))
        loss, scores = scalar_hinge(lab, net, X, signs)
        curve.append((loss.data, float(np.mean(np.sign(scores) == signs))))
        for p in parameters:
            p.grad = 0.0
        loss.backward()
        for p in parameters:
            p.data -= rate(step) * p.grad
    return np.array(curve), weights, len(lab.topological_order(loss))


def tensor_moons(lab, X, signs, n_steps: int, start: int):
    """The same training with arrays: curve, and the weights before the last step."""
    weights = tensors(lab, draw_weights(MOONS, seeding.rng(SEED, "moons", start)))
    curve = []
    for step in range(n_steps + 1):
        scores = forward(weights, lab.Tensor(X)).reshape(-1)
        loss = (1.0 - scores * signs).relu().mean()
        curve.append((float(loss.data), float(np.mean(np.sign(scores.data) == signs))))
        before = flat(w.data for w in weights)
        for w in weights:
            w.zero_grad()
        loss.backward()
        for w in weights:
            w.data -= rate(step) * w.grad
    return np.array(curve), before


def moons(lab, results: Results, n_steps: int, n_starts: int) -> None:
    """Single numbers on the moons, frame by frame; arrays from several starts."""
    results.step(f"moons, {n_steps} steps, one number at a time")
    n_points = 30 if n_steps < 10 else 100
    X, y = datasets.toy.moons(n_points, 0.1, rng=seeding.rng(SEED, "points"))
    signs = 2.0 * y - 1
    started = time.perf_counter()
    with collector_off():
        curve, weights, nodes = scalar_moons(lab, X, signs, n_steps)
    seconds = time.perf_counter() - started
    results.step(f"moons, {n_starts} starts, with arrays")
    runs = [tensor_moons(lab, X, signs, n_steps, i) for i in range(n_starts)]
    curves = np.array([run for run, _ in runs])  # (starts, steps + 1, 2)
    gap = float(np.abs(runs[0][1] - weights[-1]).max())
    solved = curves[:, :, 1] == 1.0
    first = np.where(solved.any(axis=1), solved.argmax(axis=1), n_steps + 1)
    results.metric("moons.scalar.accuracy", curve[-1, 1], "share", seconds)
    reached = int(np.argmax(curve[:, 1] == 1.0)) if (curve[:, 1] == 1.0).any() else -1
    results.metric("moons.scalar.steps_to_all_right", reached, "steps")
    results.metric("moons.scalar.nodes", nodes, "nodes")
    results.metric("moons.weights_apart", gap, "")
    results.metric("moons.starts", n_starts, "starts")
    results.metric("moons.starts_all_right", int(solved[:, -1].sum()), "starts")
    results.metric("moons.median_steps", float(np.median(first)), "steps")
    results.text(
        "## Moons, one number at a time\n"
        f"{n_points} points, network {'-'.join(map(str, MOONS))}, hinge loss, "
        f"{n_steps} steps on all points: {nodes:,} nodes a step. Accuracy at the end "
        f"{curve[-1, 1]:.2f}. The same training with arrays ends at weights that are "
        f"at most {gap:.1e} away. Of {n_starts} starts {int(solved[:, -1].sum())} have "
        "every training point right at the last step. There is no test set here: this "
        "shows the engine, not generalization."
    )
    fig = draw_moons(lab, X, y, weights, curve, curves)
    results.figure(fig, "moons.png", "The boundary while single numbers learn")


def draw_moons(lab, X, y, weights, curve, curves):
    """Four frames of the boundary and the loss."""
    last = len(weights) - 1
    shown = sorted({0, last // 20, last // 5, last})
    fig, axes = plotting.figure(1, len(shown) + 1, size=(12.5, 2.9))

    def predict(step: int):
        shapes = [w.shape for w in draw_weights(MOONS, np.random.default_rng(0))]
        ends = np.cumsum([math.prod(s) for s in shapes])[:-1]
        parts = zip(np.split(weights[step], ends), shapes, strict=True)
        layers = [lab.Tensor(w.reshape(s)) for w, s in parts]

        def classes(points: np.ndarray) -> np.ndarray:
            with lab.no_grad():
                return (forward(layers, lab.Tensor(points)).data[:, 0] > 0).astype(int)

        return classes

    for ax, step in zip(axes, shown, strict=False):
        plotting.decision_boundary(ax, predict(step), X, y, resolution=120)
        ax.set(title=f"step {step}: {curve[step, 1]:.0%} right", xlabel="x1")
        ax.set_ylabel("x2" if step == 0 else "")
    ax = axes[-1]
    for i, other in enumerate(curves):
        ax.plot(other[:, 0], color="0.75", linewidth=0.7, label=None if i else "starts")
    ax.plot(curve[:, 0], color=BLUE, label="the one shown")
    ax.set(xlabel="step", ylabel="hinge loss", title=f"{len(curves)} starts")
    ax.legend(fontsize="small")
    return fig


# --- Digits -----------------------------------------------------------------------


def split_digits():
    """Training and test part: four fifths, one fifth."""
    X, y = datasets.digits()
    order = seeding.rng(SEED, "split").permutation(len(X))
    X, y, n = X[order], y[order], len(X) * 4 // 5
    return X[:n], y[:n], X[n:], y[n:]


def batches(n: int, n_epochs: int, seed: int):
    """Row numbers of each batch, epoch by epoch, in a drawn order."""
    rng = seeding.rng(SEED, "batches", seed)
    for _ in range(n_epochs):
        order = rng.permutation(n)
        yield [order[i : i + BATCH] for i in range(0, n, BATCH)]


def lab_step(lab, weights, X, y) -> float:
    """One step of SGD with the lab's tensors."""
    loss = lab.cross_entropy(forward(weights, lab.Tensor(X)), y)
    for w in weights:
        w.zero_grad()
    loss.backward()
    for w in weights:
        w.data -= DIGIT_RATE * w.grad
    return float(loss.data)


def torch_step(weights, X, y) -> float:
    """The same step with PyTorch."""
    loss = torch.nn.functional.cross_entropy(forward(weights, X), y)
    for w in weights:
        w.grad = None
    loss.backward()
    with torch.no_grad():
        for w in weights:
            w -= DIGIT_RATE * w.grad
    return loss.item()


def digits(lab, results: Results, n_seeds: int, n_epochs: int) -> None:
    """Train with several seeds; the first one beside PyTorch, step for step."""
    results.step(f"digits, {n_seeds} seeds, {n_epochs} epochs")
    X, y, X_test, y_test = split_digits()
    curves, losses, apart = [], [], 0.0
    for seed in range(n_seeds):
        start = draw_weights(DIGITS, seeding.rng(SEED, "digits", seed))
        weights, peers = tensors(lab, start), torch_leaves(start)
        curve, loss = [], []
        for epoch in batches(len(X), n_epochs, seed):
            loss.append(np.mean([lab_step(lab, weights, X[i], y[i]) for i in epoch]))
            with lab.no_grad():
                logits = forward(weights, lab.Tensor(X_test)).data
            curve.append(float(np.mean(logits.argmax(axis=1) == y_test)))
            for i in epoch if seed == 0 else ():
                torch_step(peers, torch.tensor(X[i]), torch.tensor(y[i]))
        if seed == 0:
            theirs = flat(t.detach().numpy() for t in peers)
            apart = float(np.abs(flat(w.data for w in weights) - theirs).max())
        curves.append(curve)
        losses.append(loss)
    last = np.array(curves)[:, -1]
    deviation = float(last.std(ddof=n_seeds > 1))
    results.metric("digits.test_accuracy", last.mean(), "share")
    results.metric("digits.test_accuracy_sd", deviation, "share")
    results.metric("digits.test_accuracy_min", last.min(), "share")
    results.metric("digits.seeds", n_seeds, "seeds")
    results.metric("digits.weights_apart", apart, "")
    n_steps = n_epochs * math.ceil(len(X) / BATCH)
    results.metric("digits.steps", n_steps, "steps")
    difference = gradients(lab, X[:BATCH], y[:BATCH])
    for name, value in difference.items():
        results.metric(f"gradient_difference.{name}", value, "share")
    results.text(
        "## Digits with arrays\n"
        f"64-64-10, SGD at {DIGIT_RATE}, batches of {BATCH}, {n_epochs} epochs, "
        f"{n_seeds} seeds: test accuracy {last.mean():.4f} ± {deviation:.4f} on "
        f"{len(X_test)} images. After {n_steps:,} steps from the same start PyTorch's "
        f"weights are at most {apart:.1e} away. Largest difference of one gradient to "
        f"PyTorch's, over the largest entry: {difference['scalar']:.1e} for single "
        f"numbers, {difference['tensor']:.1e} for arrays."
    )
    results.figure(
        draw_digits(np.array(curves), np.array(losses)), "digits.png", "Digits"
    )


def gradients(lab, X, y) -> dict[str, float]:
    """Largest difference to PyTorch's gradient over its largest entry, per engine."""
    start = draw_weights(DIGITS, seeding.rng(SEED, "gradient"))
    ours, peers = tensors(lab, start), torch_leaves(start)
    lab.cross_entropy(forward(ours, lab.Tensor(X)), y).backward()
    scores = forward(peers, torch.tensor(X))
    torch.nn.functional.cross_entropy(scores, torch.tensor(y)).backward()
    found = {"tensor": (flat(w.grad for w in ours), flat(t.grad for t in peers))}
    points, labels = datasets.toy.moons(20, 0.1, rng=seeding.rng(SEED, "points"))
    signs = 2.0 * labels - 1
    net = lab.MLP(MOONS, rng=seeding.rng(SEED, "gradient"))
    peers = torch_leaves(draw_weights(MOONS, seeding.rng(SEED, "gradient")))
    scalar_hinge(lab, net, points, signs)[0].backward()
    scores = forward(peers, torch.tensor(points))[:, 0]
    (1 - scores * torch.tensor(signs)).relu().mean().backward()
    singles = np.array([p.grad for p in net.parameters()])
    found["scalar"] = singles, flat(t.grad for t in peers)
    return {
        k: float(np.abs(a - b).max() / np.abs(b).max()) for k, (a, b) in found.items()
    }


def draw_digits(curves: np.ndarray, losses: np.ndarray):
    """Left the training loss, right the test accuracy: each seed, and the mean."""
    fig, (left, right) = plotting.figure(1, 2, size=(8.4, 3.4))
    epochs = np.arange(1, curves.shape[1] + 1)
    for ax, values, colour in ((left, losses, RED), (right, 100 * curves, BLUE)):
        for i, one in enumerate(values):
            ax.plot(
                epochs, one, color="0.75", linewidth=0.8, label=None if i else "seeds"
            )
        ax.plot(epochs, values.mean(axis=0), color=colour, label="mean")
        ax.set(xlabel="epoch")
        ax.legend()
    left.set(ylabel="training loss (nats)", yscale="log", title="digits, 64-64-10")
    right.axhline(96, color="0.4", linestyle=":", linewidth=1)
    right.set(ylabel="test accuracy (%)", title="360 images that were not trained on")
    right.set_ylim(bottom=max(80, 100 * curves.min() - 1))
    return fig


# --- Speed ------------------------------------------------------------------------


def scalar_step(lab, net, X, y):
    """Forward and backward of the mean cross-entropy, all in single numbers."""
    total = lab.Value(0.0)
    for row, target in zip(X.tolist(), y.tolist(), strict=True):
        logits = net(row)
        top = max(logit.data for logit in logits)
        terms = lab.Value(0.0)
        for logit in logits:
            terms = terms + (logit - top).exp()
        total = total + terms.log() - (logits[target] - top)
    loss = total / len(X)
    loss.backward()
    return loss


def speed(lab, results: Results, scalar_batch: int) -> None:
    """Forward and backward of one batch of digits in three engines."""
    results.step("time of one step: numbers, arrays, PyTorch")
    X, y, _, _ = split_digits()
    X, y = X[:BATCH], y[:BATCH]
    start = draw_weights(DIGITS, seeding.rng(SEED, "speed"))
    weights, peers = tensors(lab, start), torch_leaves(start)
    net = lab.MLP(DIGITS, rng=seeding.rng(SEED, "speed"))
    TX, Ty = torch.tensor(X), torch.tensor(y)

    def tensor():
        loss = lab.cross_entropy(forward(weights, lab.Tensor(X)), y)
        loss.backward()
        return loss

    def torch_one():
        loss = torch.nn.functional.cross_entropy(forward(peers, TX), Ty)
        loss.backward()

    def scalar():
        return scalar_step(lab, net, X[:scalar_batch], y[:scalar_batch])

    def one(engine, n: int = 1) -> float:
        return (
            timeit(
                lambda: [engine() for _ in range(n)],
                repeats=2 if n == 1 else 7,
                clock=time.process_time,
            )
            / n
        )

    with collector_off():
        took = {"scalar": one(scalar), "tensor": one(tensor, 20)}
        took["torch"] = one(torch_one, 20)
        nodes = {
            "scalar": len(lab.topological_order(scalar())) * BATCH // scalar_batch,
            "tensor": len(lab.topological_order(tensor())),
        }
    slower = one(scalar) / took["scalar"]  # the same with the collector on
    took["scalar"] *= BATCH / scalar_batch
    for name, seconds in took.items():
        results.metric(f"speed.{name}", 1e3 * seconds, "ms", seconds)
    for name, n in nodes.items():
        results.metric(f"nodes.{name}", n, "nodes")
    results.metric("speed.scalar_with_collector", slower, "ratio")
    results.metric("speed.tensor_over_scalar", took["scalar"] / took["tensor"], "ratio")
    results.metric("speed.torch_over_tensor", took["tensor"] / took["torch"], "ratio")
    results.text(
        "## What arrays buy\n"
        f"Forward and backward of {BATCH} digits through 64-64-10, float64, CPU time, "
        "one thread. The arithmetic is the same; what differs is how often Python is "
        "asked to do it. Python's search for reference cycles is off: a graph has "
        f"none, and with it single numbers take {slower:.1f} times as long."
    )
    rows = [
        ("lab, single numbers", f"{1e3 * took['scalar']:,.1f}", f"{nodes['scalar']:,}"),
        ("lab, arrays", f"{1e3 * took['tensor']:.3f}", f"{nodes['tensor']:,}"),
        ("PyTorch", f"{1e3 * took['torch']:.3f}", ""),
    ]
    results.table(["engine", "ms a step", "nodes"], rows)
    results.figure(draw_speed(took, nodes), "speed.png", "Time of one step")


def draw_speed(took: dict, nodes: dict):
    """Bars on a logarithmic axis, with their numbers."""
    fig, ax = plotting.figure(size=(7.2, 2.9))
    names = {"scalar": "single numbers", "tensor": "arrays", "torch": "PyTorch"}
    values = [1e3 * took[name] for name in names]
    bars = ax.barh(list(names.values()), values, color=[RED, BLUE, GREEN], height=0.6)
    for bar, name, value in zip(bars, names, values, strict=True):
        count = f", {nodes[name]:,} nodes" if name in nodes else ""
        middle = bar.get_y() + bar.get_height() / 2
        number = f"{value:,.0f}" if value > 99 else f"{value:.2f}"
        ax.text(value * 1.15, middle, f"{number} ms{count}", va="center", fontsize=9)
    ax.set(xscale="log", xlim=(min(values) / 3, max(values) * 200))
    ax.set_xlabel("forward and backward of 32 digits, 64-64-10 (ms, log scale)")
    ax.set_title("the same gradients at three prices")
    ax.invert_yaxis()
    return fig
