"""Lab 2.7's two engines: scalars beside micrograd, tensors beside torch and scalars."""

from __future__ import annotations

import gc
import sys
import time
from collections.abc import Callable, Iterator

import numpy as np
from threadpoolctl import threadpool_limits

from common import datasets, labs, seeding
from common.device import one_torch_thread
from tests.benchmarks.table import Row, speed

MOONS, DIGITS, BATCH = (2, 16, 16, 1), (64, 64, 10), 32


def rows() -> Iterator[Row]:
    """Forward and backward, the same weights and data on both sides, one thread."""
    lab = labs.solution("2.7")
    with threadpool_limits(1), one_torch_thread():
        yield from scalars(lab)
        yield from tensors(lab)


def cpu(run: Callable[[], object], repeats: int = 5) -> float:
    """The shortest CPU time of several runs.

    What this process holds from before (torch, other modules' data) is kept out of the
    garbage collector's sight: it would look through all of it for each graph.
    """
    times = []
    gc.collect()
    gc.freeze()
    for _ in range(repeats):
        gc.collect()
        start = time.process_time()
        run()
        times.append(time.process_time() - start)
    gc.unfreeze()
    return min(times)


def scalars(lab) -> Iterator[Row]:
    """The moons demo of micrograd: 100 points, hinge loss, network 2-16-16-1."""
    try:
        from micrograd.nn import MLP
    except ImportError:
        print("left out micrograd: it is not installed", file=sys.stderr)
        return
    X, y = datasets.toy.moons(100, 0.1, rng=seeding.rng(0, "moons"))
    points, signs = X.tolist(), (2.0 * y - 1).tolist()
    net, peer = lab.MLP(MOONS, rng=seeding.rng(0, "net")), MLP(2, [16, 16, 1])
    copy_weights(net, peer)

    def step(net):
        loss = 0.0
        for point, sign in zip(points, signs, strict=True):
            loss = loss + (1.0 - sign * net(point)).relu()
        loss = loss * (1 / len(points))
        for p in net.parameters():
            p.grad = 0.0
        loss.backward()
        return loss.data, sum(abs(p.grad) for p in net.parameters())

    ours, theirs = step(net), step(peer)
    if not np.allclose(ours, theirs, rtol=1e-9):
        raise AssertionError(f"not the same loss and gradients: {ours}, {theirs}")
    for collector in (True, False):
        (gc.enable if collector else gc.disable)()
        try:
            ours, theirs = cpu(lambda: step(net)), cpu(lambda: step(peer))
        finally:
            gc.enable()
        name = "2.7 Value, 100 moons" + ("" if collector else ", garbage collector off")
        wanted = "at least 2" if collector else ""
        yield speed(name, ours, theirs, "micrograd", wanted)


def copy_weights(net, peer) -> None:
    """micrograd keeps a list of weights for each neuron, the lab a row per input."""
    numbers = iter([p.data for p in net.parameters()])
    for layer in peer.layers:
        for i in range(len(layer.neurons[0].w)):
            for neuron in layer.neurons:
                neuron.w[i].data = next(numbers)
        for neuron in layer.neurons:
            neuron.b.data = next(numbers)


def tensors(lab) -> Iterator[Row]:
    """One batch of digits through 64-64-10: tensors, PyTorch eager, scalars."""
    import torch

    X, y = datasets.digits()
    X, y = X[:BATCH], y[:BATCH]
    net = lab.MLP(DIGITS, rng=seeding.rng(0, "digits"))
    flat = np.array([p.data for p in net.parameters()])
    shapes = [(64, 64), (64,), (64, 10), (10,)]
    ends = np.cumsum([np.prod(s) for s in shapes])[:-1]
    arrays = [w.reshape(s) for w, s in zip(np.split(flat, ends), shapes, strict=True)]
    ours = [lab.Tensor(w, requires_grad=True) for w in arrays]
    peers = [torch.tensor(w, requires_grad=True) for w in arrays]
    TX, Ty = torch.tensor(X), torch.tensor(y)

    def forward(weights, x):
        W, b, V, c = weights
        return (x @ W + b).relu() @ V + c

    def tensor():
        for w in ours:
            w.grad = None
        lab.cross_entropy(forward(ours, lab.Tensor(X)), y).backward()

    def eager():
        for w in peers:
            w.grad = None
        torch.nn.functional.cross_entropy(forward(peers, TX), Ty).backward()

    def scalar():
        loss = lab.Value(0.0)
        for example, target in zip(X.tolist(), y.tolist(), strict=True):
            logits = net(example)
            total = lab.Value(0.0)
            for logit in logits:
                total = total + logit.exp()
            loss = loss + total.log() - logits[target]
        (loss / BATCH).backward()

    tensor()
    eager()
    for w, t in zip(ours, peers, strict=True):
        if not np.allclose(w.grad, t.grad.numpy(), rtol=1e-9, atol=1e-12):
            raise AssertionError("not the same gradients")
    ours_s = cpu(lambda: [tensor() for _ in range(50)]) / 50
    torch_s = cpu(lambda: [eager() for _ in range(50)]) / 50
    name = "2.7 Tensor, 32 digits, 64-64-10"
    yield speed(name, ours_s, torch_s, "torch eager")
    gc.disable()
    try:
        scalar_s = cpu(scalar, 2)
    finally:
        gc.enable()
    yield speed(name, ours_s, scalar_s, "Value, garbage collector off", "at least 100")
