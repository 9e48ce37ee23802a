"""Lab 2.5's training step beside torch's eager mode, from small to large networks."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator

import numpy as np
from threadpoolctl import threadpool_limits

from common import labs, seeding
from common.device import one_torch_thread
from tests.benchmarks.table import Row, side_by_side

CASES = (  # sizes, batch, steps per timing, what the design asks for
    ((64, 64, 10), 32, 40, "at least 3"),
    ((64, 128, 64, 10), 32, 20, ""),
    ((64, 128, 64, 10), 256, 10, ""),
    ((64, 1024, 1024, 10), 256, 2, "about 1"),
)


def rows() -> Iterator[Row]:
    """Forward, loss, backward and a step of SGD, float32, one thread."""
    for sizes, batch, steps, wanted in CASES:
        rng = seeding.rng(0, "mlp step")
        X = rng.standard_normal((batch, sizes[0])).astype(np.float32)
        y = rng.integers(sizes[-1], size=batch)
        with threadpool_limits(1), one_torch_thread():
            yield side_by_side(
                f"2.5 {steps} steps {'-'.join(map(str, sizes))}, batch {batch}",
                _lab_steps(sizes, X, y, steps),
                _torch_steps(sizes, X, y, steps),
                "torch eager, SGD",
                wanted,
                rounds=40,
                repeats=1,
            )


def _lab_steps(sizes: tuple, X: np.ndarray, y: np.ndarray, steps: int) -> Callable:
    lab = labs.solution("2.5")
    model = lab.mlp(sizes, rng=seeding.rng(0, "mlp"), dtype=np.float32)
    params, loss = model.parameters(), lab.SoftmaxCrossEntropy()

    def run() -> None:
        for _ in range(steps):
            lab.zero_grad(params)
            loss.forward(model.forward(X), y)
            model.backward(loss.backward())
            lab.sgd_step(params, lr=0.01)

    return run


def _torch_steps(sizes: tuple, X: np.ndarray, y: np.ndarray, steps: int) -> Callable:
    import torch

    layers: list[torch.nn.Module] = []
    for d_in, d_out in itertools.pairwise(sizes):
        layers += [torch.nn.Linear(d_in, d_out), torch.nn.ReLU()]
    model, loss = torch.nn.Sequential(*layers[:-1]), torch.nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    inputs, targets = torch.tensor(X), torch.tensor(y)

    def run() -> None:
        for _ in range(steps):
            optimizer.zero_grad()
            loss(model(inputs), targets).backward()
            optimizer.step()

    return run
