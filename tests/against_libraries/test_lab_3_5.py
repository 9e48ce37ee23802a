"""Lab 3.5's network beside torch.nn.RNN, autograd, clip_grad_norm_ and Adam.

The grader has its own oracles, because torch takes longer to import than the whole
grader takes to run; here torch itself runs along, in float64.
"""

from __future__ import annotations

import math
from itertools import islice

import numpy as np
import pytest
import torch
import torch._dynamo  # the first optimizer would load it
from torch import nn
from torch.nn.functional import cross_entropy, one_hot

from common import labs

NAMES = ("Wxh", "Whh", "bh", "Why", "by")
EXACT = {"rtol": 1e-9, "atol": 1e-11}


@pytest.fixture(scope="module")
def lab():
    return labs.solution("3.5")


@pytest.fixture
def rng():
    return np.random.default_rng(35)


class Twin(nn.Module):
    """torch.nn.RNN and Linear with the weights of `params`, in torch's layout."""

    def __init__(self, params):
        super().__init__()
        n_in, n_hidden = params["Wxh"].shape
        self.rnn = nn.RNN(n_in, n_hidden).double()
        self.out = nn.Linear(n_hidden, len(params["by"])).double()
        self.rnn.bias_hh_l0.requires_grad_(False)  # we have one bias, torch two
        with torch.no_grad():
            self.rnn.bias_hh_l0.zero_()
            for name, parameter in self.named():
                parameter.copy_(torch.tensor(params[name].T))

    def named(self):
        return zip(
            NAMES,
            (
                self.rnn.weight_ih_l0,
                self.rnn.weight_hh_l0,
                self.rnn.bias_ih_l0,
                self.out.weight,
                self.out.bias,
            ),
            strict=True,
        )

    def forward(self, xs, h0):
        out, last = self.rnn(xs, h0[None])
        return out, self.out(out), last[0]

    def grads(self):
        return {name: p.grad.numpy().T for name, p in self.named()}

    def values(self):
        return {name: p.detach().numpy().T for name, p in self.named()}


def draw(rng, T=11, B=4, I=5, H=7, V=6):  # noqa: E741
    shapes = {"Wxh": (I, H), "Whh": (H, H), "bh": (H,), "Why": (H, V), "by": (V,)}
    params = {name: rng.normal(0, 0.5, shape) for name, shape in shapes.items()}
    return rng.normal(0, 1, (T, B, I)), rng.normal(0, 0.6, (B, H)), params


def assert_same(got, expected, **tolerance):
    for name in NAMES:
        np.testing.assert_allclose(
            got[name], expected[name], **(tolerance or EXACT), err_msg=name
        )


@pytest.mark.parametrize("T", [1, 11, 40])
@pytest.mark.parametrize("with_last", [False, True])
def test_forward_loss_and_all_gradients(lab, rng, T, with_last):
    xs, h0, params = draw(rng, T=T)
    targets = rng.integers(6, size=(T, 4))
    mask = rng.random((T, 4)) < 0.6
    mask[-1, 0] = True
    weight = rng.normal(size=(4, 7)) if with_last else None

    hs, logits = lab.rnn_forward(xs, h0, params)
    loss, dlogits = lab.softmax_cross_entropy(logits, targets, mask)
    grads, dh0 = lab.rnn_backward(xs, hs, dlogits, params, weight)

    twin, start = Twin(params), torch.tensor(h0, requires_grad=True)
    out, scores, last = twin(torch.tensor(xs), start)
    kept = torch.tensor(mask)
    theirs = cross_entropy(scores[kept], torch.tensor(targets)[kept])
    extra = 0 if weight is None else (torch.tensor(weight) * last).sum()
    (theirs + extra).backward()

    np.testing.assert_allclose(hs[1:], out.detach(), **EXACT)
    np.testing.assert_allclose(logits, scores.detach(), **EXACT)
    assert loss == pytest.approx(theirs.item(), rel=1e-12)
    assert_same(grads, twin.grads())
    np.testing.assert_allclose(dh0, start.grad, **EXACT)


def test_gradient_of_the_loss(lab, rng):
    logits, targets = rng.normal(0, 3, (5, 4, 6)), rng.integers(6, size=(5, 4))
    leaf = torch.tensor(logits, requires_grad=True)
    theirs = cross_entropy(leaf.reshape(-1, 6), torch.tensor(targets).reshape(-1))
    theirs.backward()
    loss, dlogits = lab.softmax_cross_entropy(logits, targets)
    assert loss == pytest.approx(theirs.item(), rel=1e-13)
    np.testing.assert_allclose(dlogits, leaf.grad, **EXACT)


def test_norms_of_the_gradient_by_each_state(lab, rng):
    xs, h0, params = draw(rng)
    twin, h, states = Twin(params), torch.tensor(h0), []
    for x in torch.tensor(xs):
        h = twin(x[None], h)[2]
        h.retain_grad()
        states.append(h)
    h.sum().backward()
    expected = [state.grad.norm().item() for state in states]
    got = lab.hidden_gradient_norms(xs, h0, params)
    np.testing.assert_allclose(got, expected, rtol=1e-12)


@pytest.mark.parametrize("limit", [0.1, 5.0, 1e6, math.inf])
def test_clipping(lab, rng, limit):
    grads = {"a": rng.normal(0, 1, (4, 3)), "b": rng.normal(0, 9, 5)}
    leaves = []
    for grad in grads.values():
        leaf = torch.zeros(grad.shape, dtype=torch.float64, requires_grad=True)
        leaf.grad = torch.tensor(grad)
        leaves.append(leaf)
    norm = nn.utils.clip_grad_norm_(leaves, limit)
    clipped, ours = lab.clip_global_norm(grads, limit)
    assert ours == pytest.approx(norm.item(), rel=1e-13)
    for grad, leaf in zip(clipped.values(), leaves, strict=True):
        # torch divides by norm + 1e-6
        np.testing.assert_allclose(grad, leaf.grad, rtol=1e-5)


def test_training_as_a_torch_loop_with_detach(lab, rng):
    """Six chunks, two of them the first of an epoch; some steps are clipped."""
    V, H, B, T, clip = 6, 7, 3, 5, 0.4
    params = lab.init_rnn(V, H, V, rng)
    ids = rng.integers(V, size=B * T * 4 + 1)
    chunks = list(islice(lab.stream_chunks(ids, B, T), 6))
    assert [new for _, _, new in chunks] == [True, False, False, False, True, False]
    rates = [0.05, 0.1, 0.02, 0.1, 0.05, 0.01]

    twin = Twin(params)
    optimizer = torch.optim.Adam([p for _, p in twin.named()])
    losses, norms, h = [], [], torch.zeros(B, H, dtype=torch.float64)
    for (x, y, new), lr in zip(chunks, rates, strict=True):
        h = torch.zeros_like(h) if new else h.detach()
        xs = one_hot(torch.tensor(x), V).double()
        _, scores, h = twin(xs, h)
        loss = cross_entropy(scores.reshape(-1, V), torch.tensor(y).reshape(-1))
        optimizer.zero_grad()
        loss.backward()
        weights = [p for _, p in twin.named()]
        norm = math.sqrt(sum(float((p.grad**2).sum()) for p in weights))
        for p in weights:  # without torch's 1e-6
            p.grad *= min(1.0, clip / norm)
        optimizer.param_groups[0]["lr"] = lr
        optimizer.step()
        losses.append(loss.item())
        norms.append(norm)
    assert min(norms) < clip < max(norms)

    got = lab.train_char_rnn(params, iter(chunks), 6, rates.__getitem__, clip)
    np.testing.assert_allclose(got, losses, rtol=1e-9)
    assert_same(params, twin.values(), rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize("seq_len", [7, 50, 1000])
def test_evaluation_is_one_pass_over_the_text(lab, rng, seq_len):
    V = 6
    params = lab.init_rnn(V, 9, V, rng)
    ids = rng.integers(V, size=151)
    h = torch.zeros(1, 9, dtype=torch.float64)
    with torch.no_grad():
        xs = one_hot(torch.tensor(ids[:-1, None]), V).double()
        scores = Twin(params)(xs, h)[1][:, 0]
        expected = cross_entropy(scores, torch.tensor(ids[1:])).item()
    got = lab.evaluate_stream(params, ids, seq_len)
    assert got == pytest.approx(expected, rel=1e-12)


def test_start_of_a_network(lab, rng):
    params = lab.init_rnn(40, 60, 50, rng, radius=0.7)
    shapes = {name: params[name].shape for name in NAMES}
    wanted = {"Wxh": (40, 60), "Whh": (60, 60), "bh": (60,), "Why": (60, 50)}
    assert shapes == wanted | {"by": (50,)}
    np.testing.assert_allclose(
        params["Whh"] @ params["Whh"].T, 0.49 * np.eye(60), atol=1e-12
    )
    assert params["Wxh"].std() == pytest.approx(1 / math.sqrt(40), rel=0.1)
    assert params["Why"].std() == pytest.approx(1 / math.sqrt(60), rel=0.1)
    assert not params["bh"].any()
    assert not params["by"].any()
    eigenvalues = np.abs(np.linalg.eigvals(params["Whh"]))
    np.testing.assert_allclose(eigenvalues, 0.7, rtol=1e-10)
