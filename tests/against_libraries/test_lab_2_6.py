"""Lab 2.6's solution beside torch: gains, autograd on the same weights, clipping.

The grader itself does without torch, so that feedback comes at once.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from common import labs

ACTIVATIONS = {
    "linear": lambda z: z,
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "relu": torch.relu,
    "leaky_relu": lambda z: torch.nn.functional.leaky_relu(z, 0.01),
}


@pytest.fixture(scope="module")
def lab():
    return labs.solution("2.6")


def as_torch(arrays, requires_grad=False):
    return [torch.tensor(a, requires_grad=requires_grad) for a in arrays]


def network(seed):
    """x (7, 6), weights 6-9-5-4 and a gradient at the output."""
    rng = np.random.default_rng(seed)
    sizes = [(6, 9), (9, 5), (5, 4)]
    weights = [rng.normal(0, 1.5 / math.sqrt(s[0]), size=s) for s in sizes]
    return rng.normal(size=(7, 6)), weights, rng.normal(size=(7, 4))


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_gains_are_torchs(lab, name):
    assert lab.gain(name) == pytest.approx(torch.nn.init.calculate_gain(name))
    for slope in (0.0, 0.2, -0.7):
        theirs = torch.nn.init.calculate_gain("leaky_relu", slope)
        assert lab.gain("leaky_relu", slope=slope) == pytest.approx(theirs)


def test_fans_are_torchs_the_other_way_round(lab):
    weight = torch.nn.Linear(7, 3).weight  # (out, in)
    there = torch.nn.init._calculate_fan_in_and_fan_out(weight)
    assert lab.fans(tuple(weight.T.shape)) == there == (7, 3)


@pytest.mark.parametrize("scheme", ["xavier_normal", "xavier_uniform", "he_normal"])
def test_deviations_are_torchs(lab, scheme):
    """Two samples of 160,000 weights: 5 standard errors are 1.25 %."""
    theirs = torch.empty(800, 200)  # (out, in)
    name = scheme.replace("he", "kaiming")
    options = {"nonlinearity": "relu"} if "he" in scheme else {}
    generator = torch.Generator().manual_seed(3)
    getattr(torch.nn.init, f"{name}_")(theirs, generator=generator, **options)
    mine = getattr(lab, scheme)((200, 800), rng=np.random.default_rng(3))
    assert mine.std() == pytest.approx(float(theirs.std()), rel=0.0125)
    if "uniform" in scheme:
        assert abs(mine).max() == pytest.approx(float(theirs.abs().max()), rel=1e-3)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_forward_and_gradients_are_autograds(lab, activation):
    x, weights, dy = network(11)
    theirs, h, outputs = as_torch(weights, requires_grad=True), torch.tensor(x), []
    for W in theirs:
        h = ACTIVATIONS[activation](h @ W)
        outputs.append(h)
    h.backward(torch.tensor(dy))
    _, mine = lab.forward(x, weights, activation)
    stats = lab.forward_stats(x, weights, activation)
    for ours, out, layer in zip(mine[1:], outputs, stats, strict=True):
        np.testing.assert_allclose(ours, out.detach().numpy(), rtol=1e-10, atol=1e-12)
        assert layer.second_moment == pytest.approx(
            float((out**2).mean().detach()), rel=1e-10
        )
        assert layer.mean == pytest.approx(float(out.mean().detach()), rel=1e-10)
    grads = lab.weight_gradients(x, weights, activation, dy)
    norms = lab.gradient_norms(x, weights, activation, dy)
    for ours, norm, W in zip(grads, norms, theirs, strict=True):
        np.testing.assert_allclose(ours, W.grad.numpy(), rtol=1e-10, atol=1e-12)
        assert norm == pytest.approx(float(torch.linalg.matrix_norm(W.grad)), rel=1e-10)


@pytest.mark.parametrize("max_norm", [0.5, 3.0, 1000.0])
def test_clipping_is_torchs(lab, max_norm):
    """torch divides by norm + 1e-6, hence the tolerance."""
    rng = np.random.default_rng(5)
    mine = [rng.normal(size=s) for s in [(4, 3), (3,), (3, 2, 5)]]
    params = [
        torch.nn.Parameter(torch.zeros(g.shape, dtype=torch.float64)) for g in mine
    ]
    for parameter, grad in zip(params, mine, strict=True):
        parameter.grad = torch.tensor(grad)
    theirs = torch.nn.utils.clip_grad_norm_(params, max_norm)
    assert lab.clip_grad_norm(mine, max_norm) == pytest.approx(float(theirs), rel=1e-12)
    for ours, parameter in zip(mine, params, strict=True):
        np.testing.assert_allclose(ours, parameter.grad.numpy(), rtol=1e-6)


def test_orthogonal_keeps_every_length(lab):
    """torch's own initializer fixes the signs the same way; both keep lengths."""
    W = lab.orthogonal((6, 6), gain=2.0, rng=np.random.default_rng(1))
    values = torch.linalg.svdvals(torch.tensor(W))
    np.testing.assert_allclose(values.numpy(), np.full(6, 2.0), rtol=1e-12)
