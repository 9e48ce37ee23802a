"""Lab 3.5's forward and backward pass beside torch.nn.RNN and autograd, one thread."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from common import labs, seeding
from common.device import one_torch_thread
from tests.benchmarks.table import Row, side_by_side

B, T, V = 32, 64, 65


def rows() -> Iterator[Row]:
    """One training pass of a character model: forward, loss, all gradients."""
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1), one_torch_thread():
        yield _row(128, "float64", "within 3x of the time: at least 0.33")
        yield _row(256, "float32", "")


def _row(H: int, dtype: str, wanted: str) -> Row:
    import torch
    from torch import nn
    from torch.nn.functional import cross_entropy

    lab, rng = labs.solution("3.5"), seeding.rng(35)
    params = lab.init_rnn(V, H, V, rng)
    params = {name: array.astype(dtype) for name, array in params.items()}
    xs = lab.one_hot(rng.integers(V, size=(T, B)), V, dtype)
    y, h0 = rng.integers(V, size=(T, B)), np.zeros((B, H), dtype)

    def ours() -> None:
        hs, logits = lab.rnn_forward(xs, h0, params)
        _, dlogits = lab.softmax_cross_entropy(logits, y)
        lab.rnn_backward(xs, hs, dlogits, params)

    kind = getattr(torch, dtype)
    rnn, out = nn.RNN(V, H).to(kind), nn.Linear(H, V).to(kind)
    inputs, targets = torch.tensor(xs), torch.tensor(y).reshape(-1)
    start = torch.tensor(h0)[None]

    def theirs() -> None:
        rnn.zero_grad(set_to_none=True)
        out.zero_grad(set_to_none=True)
        states, _ = rnn(inputs, start)
        cross_entropy(out(states).reshape(-1, V), targets).backward()

    what = f"3.5 forward + backward, B {B}, T {T}, H {H}, {dtype}"
    return side_by_side(what, ours, theirs, "torch.nn.RNN + autograd", wanted)
