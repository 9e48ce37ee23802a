"""Lab 2.9's solution beside torch: outputs, all gradients, running statistics.

The lab's grader keeps to loops, differences and a few stored numbers, so that feedback
is fast. Here the reference meets torch itself, in float64, to 1e-10.
"""

from __future__ import annotations

import numpy as np
import pytest

from common import labs, seeding

lab = labs.solution("2.9")
CLOSE = {"rtol": 1e-10, "atol": 1e-10}
SHAPES = [(7, 4), (4, 9), (5, 5), (64, 32), (2, 3, 6), (3, 2, 4, 5), (8,)]


def pair(name: str, dim: int, **settings):
    """The lab's layer and torch's, with the same drawn gain and shift."""
    import torch

    layer = getattr(lab, name)(dim, **settings)
    twin = getattr(torch.nn, name)(dim, dtype=torch.float64, **settings)
    rng = seeding.rng(29, name, dim)
    for ours, theirs in zip(layer.parameters(), twin.parameters(), strict=True):
        ours.data[...] = rng.normal(1, 1, dim)
        theirs.data = torch.tensor(ours.data.copy())
    return layer, twin


def compare(layer, twin, x: np.ndarray, dy: np.ndarray) -> None:
    """One forward and one backward of both; gradients add up on both sides."""
    import torch

    X = torch.tensor(x, requires_grad=True)
    Y = twin(X)
    Y.backward(torch.tensor(dy))
    np.testing.assert_allclose(layer.forward(x), Y.detach().numpy(), **CLOSE)
    np.testing.assert_allclose(layer.backward(dy), X.grad.numpy(), **CLOSE)
    for ours, theirs in zip(layer.parameters(), twin.parameters(), strict=True):
        np.testing.assert_allclose(ours.grad, theirs.grad.numpy(), **CLOSE)


def drawn(*shape: int):
    """x away from 0 in the mean, and dy."""
    rng = seeding.rng(29, "x", *shape)
    return rng.normal(2, 3, shape), rng.normal(0, 1, shape)


@pytest.mark.parametrize("eps", [1e-12, 1e-5, 0.5])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", ["LayerNorm", "RMSNorm"])
def test_row_norms_are_those_of_torch(name, shape, eps):
    layer, twin = pair(name, shape[-1], eps=eps)
    for _ in range(2):
        compare(layer, twin, *drawn(*shape))


@pytest.mark.parametrize("momentum", [0.1, 0.7, 1.0])
@pytest.mark.parametrize("dim", [1, 3, 17])
def test_batch_norm_is_that_of_torch(dim, momentum):
    layer, twin = pair("BatchNorm1d", dim, momentum=momentum)
    for N in (16, 2, 9):
        compare(layer, twin, *drawn(N, dim))
    for ours, theirs in (
        (layer.running_mean, twin.running_mean),
        (layer.running_var, twin.running_var),
    ):
        np.testing.assert_allclose(ours, theirs.numpy(), **CLOSE)
    layer.eval()
    twin.eval()
    for N in (1, 6):
        compare(layer, twin, *drawn(N, dim))
    np.testing.assert_allclose(layer.running_var, twin.running_var.numpy(), **CLOSE)


def test_one_row_is_refused_as_by_torch():
    layer, twin = pair("BatchNorm1d", 3)
    import torch

    with pytest.raises(ValueError, match="x must have 2 rows"):
        layer.forward(np.ones((1, 3)))
    with pytest.raises(ValueError, match="more than 1 value per channel"):
        twin(torch.ones((1, 3), dtype=torch.float64))


def test_l2_is_the_weight_decay_of_torch_sgd():
    import torch

    w, g = seeding.rng(29, "decay").normal(0, 2, (2, 3, 4))
    p = lab.Parameter(w.copy())
    p.grad[...] = g
    lab.add_l2_gradient([p], 0.3)
    labs.solution("2.5").sgd_step([p], lr=0.1)
    twin = torch.nn.Parameter(torch.tensor(w.copy()))
    twin.grad = torch.tensor(g)
    torch.optim.SGD([twin], lr=0.1, weight_decay=0.3).step()
    np.testing.assert_allclose(p.data, twin.detach().numpy(), **CLOSE)


def test_decoupled_decay_before_adam_is_the_adamw_of_torch():
    import torch

    w = seeding.rng(29, "adamw").normal(0, 2, (3, 4))
    p = lab.Parameter(w.copy())
    twin = torch.nn.Parameter(torch.tensor(w.copy()))
    ours = labs.solution("2.8").Adam([p], 0.05)
    theirs = torch.optim.AdamW([twin], lr=0.05, weight_decay=0.4)
    for i in range(10):
        g = seeding.rng(29, "g", i).normal(0, 1, w.shape)
        p.grad[...] = g
        twin.grad = torch.tensor(g)
        lab.decoupled_decay([p], lr=0.05, weight_decay=0.4)
        ours.step()
        theirs.step()
    np.testing.assert_allclose(p.data, twin.detach().numpy(), **CLOSE)


def test_numbers_of_the_grader_are_those_of_torch():
    """The grader's stored batch, computed again by the torch of today."""
    found = labs.find("2.9")[0].file("test_lab.py")
    grader = labs.load(found.read_text(encoding="utf-8"), found, "grader_2_9")
    settings = {"eps": 0.1}
    for name in ("LayerNorm", "RMSNorm", "BatchNorm1d"):
        more = {"momentum": 0.3} if name == "BatchNorm1d" else {}
        layer, twin = pair(name, 3, **settings, **more)
        values = (grader.WEIGHT, grader.BIAS)
        import torch

        for ours, theirs, new in zip(
            layer.parameters(), twin.parameters(), values, strict=False
        ):
            ours.data[...] = new
            theirs.data = torch.tensor(new)
        compare(layer, twin, grader.X, grader.DY)
    np.testing.assert_allclose(layer.running_mean, [0.2625, 0.45, 0.6375], **CLOSE)
    np.testing.assert_allclose(twin.running_var, [2.51875, 1.2, 3.31875], **CLOSE)
