"""Lab 2.4's loss and gradient beside torch's on CPU, float64, one thread each."""

from __future__ import annotations

from collections.abc import Iterator

from common import labs, seeding
from common.device import one_torch_thread
from tests.benchmarks.table import Row, side_by_side

SHAPES = {(4096, 1000): "at least 0.6", (64, 10): ""}  # a vocabulary; digits


def rows() -> Iterator[Row]:
    """softmax_cross_entropy beside F.cross_entropy, forward and backward."""
    import torch

    lab = labs.solution("2.4")
    for (N, K), wanted in SHAPES.items():
        rng = seeding.rng(0, "cross-entropy", N)
        logits, targets = rng.standard_normal((N, K)), rng.integers(0, K, N)
        Z, t = torch.tensor(logits, requires_grad=True), torch.tensor(targets)

        def peer(Z=Z, t=t) -> None:
            Z.grad = None
            torch.nn.functional.cross_entropy(Z, t).backward()

        def own(logits=logits, targets=targets) -> None:
            lab.softmax_cross_entropy(logits, targets)

        name, rounds = "torch, forward and backward", 9 if N > 100 else 200
        with one_torch_thread():
            yield side_by_side(
                f"2.4 softmax_cross_entropy, {N:,} x {K:,}",
                own,
                peer,
                name,
                wanted,
                rounds=rounds,
                repeats=1,
            )
