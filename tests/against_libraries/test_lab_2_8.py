"""Lab 2.8's optimizers and schedules beside torch.optim, step by step.

The grader has short paths of torch as constants, because torch takes longer to import
than the whole grader takes to run. Here torch itself runs along.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import torch._dynamo  # the first optimizer would load it

from common import labs

SHAPES = [(3, 4), (5,), (2, 3, 7)]
KINDS = {
    "SGD": {},
    "momentum": {"momentum": 0.9},
    "Nesterov": {"momentum": 0.9, "nesterov": True},
    "RMSProp": {"alpha": 0.95},
    "Adam": {},
    "Adam, other settings": {"betas": (0.8, 0.95), "eps": 1e-3},
    "AdamW": {},
}
CLASSES = {"RMSProp": "RMSprop", "momentum": "SGD", "Nesterov": "SGD"}


class Array:
    def __init__(self, data: np.ndarray):
        self.data = data.copy()
        self.grad = np.zeros_like(data)


@pytest.fixture(scope="module")
def lab():
    return labs.solution("2.8")


def both(lab, kind, starts, **settings):
    """The lab's optimizer with its parameters, and torch's with its own."""
    name = kind.split(",")[0]
    theirs_name = CLASSES.get(name, name)
    ours_name = "RMSProp" if name == "RMSProp" else theirs_name
    params = [Array(start) for start in starts]
    twins = [torch.tensor(start, requires_grad=True) for start in starts]
    settings = {**KINDS[kind], **settings}
    ours = getattr(lab, ours_name)(params, **settings)
    theirs = getattr(torch.optim, theirs_name)(twins, **settings)
    return ours, params, theirs, twins


def set_gradients(params, twins, gradients):
    for p, twin, g in zip(params, twins, gradients, strict=True):
        p.grad[...] = g
        twin.grad = torch.tensor(g)


@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
@pytest.mark.parametrize("kind", KINDS)
def test_fifty_steps_of_three_arrays(lab, kind, weight_decay):
    rng = np.random.default_rng(28)
    starts = [rng.normal(0, 2, shape) for shape in SHAPES]
    settings = {"lr": 0.05, "weight_decay": weight_decay}
    ours, params, theirs, twins = both(lab, kind, starts, **settings)
    for t in range(50):
        if t == 20:
            ours.lr = theirs.param_groups[0]["lr"] = 0.01
        gradients = [rng.normal(0, 3, shape) for shape in SHAPES]
        gradients[0][rng.random(SHAPES[0]) < 0.3] = 0.0
        if t % 7 == 3:
            gradients[1][...] = 0.0
        set_gradients(params, twins, gradients)
        ours.step()
        theirs.step()
        for p, twin in zip(params, twins, strict=True):
            np.testing.assert_allclose(p.data, twin.detach(), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_large_float32_array_that_is_cut_into_pieces(lab, kind):
    rng = np.random.default_rng(28)
    start = rng.normal(size=(300, 251)).astype(np.float32)  # more than two pieces
    settings = {"lr": 0.01, "weight_decay": 0.1}
    ours, (p,), theirs, (twin,) = both(lab, kind, [start], **settings)
    for _ in range(5):
        g = rng.normal(size=start.shape).astype(np.float32)
        set_gradients([p], [twin], [g])
        ours.step()
        theirs.step()
    assert p.data.dtype == np.float32
    np.testing.assert_allclose(p.data, twin.detach(), rtol=1e-4, atol=1e-5)


def test_array_without_a_flat_view(lab):
    rng = np.random.default_rng(28)
    start = rng.normal(size=(300, 251))
    ours, (p,), theirs, (twin,) = both(lab, "AdamW", [start], lr=0.01)
    p.data = np.asfortranarray(p.data)
    g = rng.normal(size=start.shape)
    set_gradients([p], [twin], [g])
    ours.step()
    theirs.step()
    np.testing.assert_allclose(p.data, twin.detach(), rtol=1e-12)


def torch_rates(make, steps):
    """The learning rate that a scheduler of torch sets before each step."""
    twin = torch.zeros(1, requires_grad=True)
    opt = torch.optim.SGD([twin], lr=0.7)
    scheduler, rates = make(opt), []
    for _ in range(steps):
        rates.append(opt.param_groups[0]["lr"])
        opt.step()
        scheduler.step()
    return rates


def test_step_lr(lab):
    ours = [lab.step_lr(t, base=0.7, step_size=5, gamma=0.3) for t in range(23)]
    theirs = torch_rates(
        lambda opt: torch.optim.lr_scheduler.StepLR(opt, step_size=5, gamma=0.3), 23
    )
    np.testing.assert_allclose(ours, theirs, rtol=1e-12)


def test_cosine_lr(lab):
    ours = [lab.cosine_lr(t, base=0.7, total=19, minimum=0.1) for t in range(20)]
    theirs = torch_rates(
        lambda opt: torch.optim.lr_scheduler.CosineAnnealingLR(
            opt, T_max=19, eta_min=0.1
        ),
        20,
    )
    np.testing.assert_allclose(ours, theirs, rtol=1e-12)


def test_warmup_cosine_lr(lab):
    def make(opt):
        line = torch.optim.lr_scheduler.LambdaLR(opt, lambda t: t / 6)
        wave = torch.optim.lr_scheduler.LambdaLR(
            opt, lambda t: (1 + math.cos(math.pi * min(t, 14) / 14)) / 2
        )
        return torch.optim.lr_scheduler.SequentialLR(opt, [line, wave], milestones=[6])

    ours = [lab.warmup_cosine_lr(t, base=0.7, warmup=6, total=20) for t in range(25)]
    np.testing.assert_allclose(ours, torch_rates(make, 25), rtol=1e-12, atol=1e-15)


def test_textbook_nesterov_on_a_parabola_takes_another_path(lab):
    """The figures of the README: torch's form and the look-ahead form, from 1 on w²."""
    p = Array(np.array([1.0]))
    opt = lab.SGD([p], 0.1, momentum=0.9, nesterov=True)
    x, v, ours, textbook = 1.0, 0.0, [], []
    for _ in range(3):
        p.grad[...] = 2 * p.data
        opt.step()
        ours.append(float(p.data[0]))
        v = 0.9 * v - 0.1 * 2 * (x + 0.9 * v)
        x += v
        textbook.append(x)
    assert [round(w, 2) for w in ours] == [0.62, 0.22, -0.11]
    assert [round(w, 2) for w in textbook] == [0.80, 0.50, 0.18]
