"""Lab 2.9's layer norm beside torch's on CPU, float64, one thread each."""

from __future__ import annotations

from collections.abc import Iterator

from common import labs, seeding
from common.device import one_torch_thread
from tests.benchmarks.table import Row, side_by_side

SHAPES = {(4096, 512): "at least 0.25", (64, 256): ""}  # a transformer's; digits


def rows() -> Iterator[Row]:
    """LayerNorm beside torch.nn.LayerNorm, forward and backward."""
    import torch

    lab = labs.solution("2.9")
    for (N, dim), wanted in SHAPES.items():
        rng = seeding.rng(0, "layer-norm", N)
        x, dy = rng.standard_normal((2, N, dim))
        layer = lab.LayerNorm(dim)
        twin = torch.nn.LayerNorm(dim, dtype=torch.float64)
        X, dY = torch.tensor(x, requires_grad=True), torch.tensor(dy)

        def peer(twin=twin, X=X, dY=dY) -> None:
            X.grad = None
            twin(X).backward(dY)

        def own(layer=layer, x=x, dy=dy) -> None:
            layer.forward(x)
            layer.backward(dy)

        name, rounds = "torch, forward and backward", 15 if N > 100 else 300
        with one_torch_thread():
            yield side_by_side(
                f"2.9 LayerNorm, {N:,} x {dim}",
                own,
                peer,
                name,
                wanted,
                rounds=rounds,
                repeats=1,
            )
