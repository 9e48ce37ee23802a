"""Lab 2.8's optimizers beside torch.optim: a step of a million float32, one thread."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from common import labs, seeding
from common.device import one_torch_thread
from tests.benchmarks.table import Row, side_by_side

N = 1_000_000
KINDS = {
    "SGD": ("SGD", "SGD", {"lr": 0.01}),
    "momentum": ("SGD", "SGD", {"lr": 0.01, "momentum": 0.9}),
    "Nesterov": ("SGD", "SGD", {"lr": 0.01, "momentum": 0.9, "nesterov": True}),
    "RMSProp": ("RMSProp", "RMSprop", {}),
    "Adam": ("Adam", "Adam", {}),
    "AdamW": ("AdamW", "AdamW", {}),
}


class Array:
    """A parameter, without the rest of a network."""

    def __init__(self, data: np.ndarray, grad: np.ndarray):
        self.data, self.grad = data, grad


def rows() -> Iterator[Row]:
    """Each optimizer beside torch's foreach version of it."""
    import torch
    import torch._dynamo  # the first optimizer would load it
    from threadpoolctl import threadpool_limits

    lab = labs.solution("2.8")
    with threadpool_limits(1), one_torch_thread():
        for kind, (ours, theirs, settings) in KINDS.items():
            p, g = seeding.rng(0, kind).standard_normal((2, N)).astype(np.float32)
            twin = torch.tensor(p, requires_grad=True)
            twin.grad = torch.tensor(g)
            peer = getattr(torch.optim, theirs)([twin], foreach=True, **settings)
            own = getattr(lab, ours)([Array(p, g)], **settings)
            wanted = "at least 0.7" if kind == "AdamW" else ""
            what = f"2.8 {kind}.step, 1 M float32"
            yield side_by_side(what, own.step, peer.step, "torch foreach", wanted)
