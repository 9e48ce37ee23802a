"""The marking scheme of lab 3.6: what each task must do, and how we know.

Oracles: torch's own cells and layers in float64, autograd and central differences for
the backward pass by hand, closed forms where gates stand open or shut, torch's norm
clipping, and for the model of text a training loop written out here on torch.nn. Models
have a handful of units; what they learn is never graded.
"""

from __future__ import annotations

import math
from itertools import combinations

import numpy as np
import torch

# The first optimizer of a process imports this. It takes longer than all tests here,
# and it replaces torch.manual_seed, which the harness would take for tampering.
import torch._dynamo
from torch import nn
from torch.nn import functional as F

from common.grading import check, differences, task

EXACT = {"rtol": 1e-10, "atol": 1e-10}  # float64
FLOAT32 = {"rtol": 1e-5, "atol": 1e-5}
WEIGHTS = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
B, I, H = 3, 5, 4  # noqa: E741


def sigmoid(a: float) -> float:
    return 1 / (1 + math.exp(-a))


def drawn(rng, *shape, scale=1.0) -> torch.Tensor:
    """A float64 tensor, normal."""
    return torch.tensor(rng.normal(0, scale, shape))


def cell_weights(rng, gates: int, n_in=I, n_hidden=H) -> list[torch.Tensor]:
    """W_ih, W_hh, b_ih, b_hh, with both biases away from 0."""
    rows = gates * n_hidden
    return [drawn(rng, rows, n) for n in (n_in, n_hidden)] + [
        drawn(rng, rows) for _ in range(2)
    ]


def torch_cell(kind, weights):
    """nn.LSTMCell or nn.GRUCell with these weights."""
    cell = kind(weights[0].shape[1], weights[1].shape[1]).double()
    with torch.no_grad():
        for name, w in zip(WEIGHTS, weights, strict=True):
            getattr(cell, name).copy_(w)
    return cell


def numbers(*values: float) -> torch.Tensor:
    """One row."""
    return torch.tensor([values], dtype=torch.float64)


def gradients(outputs, inputs, name: str) -> list[torch.Tensor]:
    """Of the sum of all squares of the outputs; zeros where no graph leads."""
    total = sum(out.square().sum() for out in outputs)
    follows = total.requires_grad
    check.that(follows, "a result that autograd can follow", follows, name=name)
    found = torch.autograd.grad(total, inputs, allow_unused=True)
    return [
        torch.zeros_like(leaf) if slope is None else slope
        for leaf, slope in zip(inputs, found, strict=True)
    ]


NAMES = ("x", "h", "c", "W_ih", "W_hh", "b_ih", "b_hh")  # what lstm_step takes

# All weights 0, one unit: only the biases decide. I and H are 1.
ONE_UNIT = torch.zeros(4, 1, dtype=torch.float64)
FORGET_AND_WRITE = numbers(0, 1, 1, 0)[0]  # of i, f, g, o
NOTHING = torch.zeros(4, dtype=torch.float64)


# --- Task 1 ----------------------------------------------------------------------


@task(1)
def test_biases_alone_by_hand(lab):
    weights = [ONE_UNIT, ONE_UNIT, FORGET_AND_WRITE, NOTHING]
    h, c = lab.lstm_step(numbers(3), numbers(5), numbers(2), *weights)
    # 0.7311 * 2 + 0.5 * 0.7616 and 0.5 * tanh of that
    check.close(c, numbers(1.8429142352), name="c'")
    check.close(h, numbers(0.4755370514), name="h'")


@task(1)
def test_against_the_cell_of_torch(lab, rng):
    for n_in, n_hidden in [(I, H), (2, 7)]:
        weights = cell_weights(rng, 4, n_in, n_hidden)
        x, h, c = (drawn(rng, B, n) for n in (n_in, n_hidden, n_hidden))
        got_h, got_c = lab.lstm_step(x, h, 2 * c, *weights)
        want_h, want_c = torch_cell(nn.LSTMCell, weights)(x, (h, 2 * c))
        check.close(got_c, want_c.detach(), **EXACT, name="c'")
        check.close(got_h, want_h.detach(), **EXACT, name="h'")


@task(1)
def test_autograd_goes_through_the_step(lab, rng):
    weights = [w.requires_grad_() for w in cell_weights(rng, 4)]
    x, h, c = leaves = [drawn(rng, B, n).requires_grad_() for n in (I, H, H)]
    got = gradients(lab.lstm_step(*leaves, *weights), leaves + weights, "h' and c'")
    cell = torch_cell(nn.LSTMCell, weights)
    theirs = [getattr(cell, name) for name in WEIGHTS]
    expected = gradients(cell(x, (h, c)), leaves + theirs, "torch's")
    for name, slope, wanted in zip(NAMES, got, expected, strict=True):
        check.close(slope, wanted, **EXACT, name=f"gradient of {name}")


@task(1)
def test_gates_that_are_open_or_shut(lab, rng):
    W_ih, W_hh, b_ih, b_hh = cell_weights(rng, 4)
    x, start = drawn(rng, B, I), drawn(rng, B, H, scale=3)
    start[0, 0] = 1000.0  # exp of it overflows

    def run(i, f, o, steps):
        bias = b_ih.clone()
        for block, level in ((0, i), (1, f), (3, o)):
            bias[block * H : (block + 1) * H] += level
        h, c = torch.zeros(B, H, dtype=torch.float64), start
        for _ in range(steps):
            h, c = lab.lstm_step(x, h, c, W_ih, W_hh, bias, b_hh)
        return h, c

    h, c = run(-900, 900, 900, 40)
    check.close(c, start, **EXACT, name="c after 40 steps of f = 1, i = 0")
    check.close(h, torch.tanh(start), **EXACT, name="h where o = 1: tanh of it")
    h, c = run(-900, 900, -900, 40)
    check.close((h, c), (torch.zeros_like(start), start), **EXACT, name="o = 0 hides")


@task(1)
def test_dtype_and_shapes(lab, rng):
    weights = cell_weights(rng, 4)
    x, h, c = (drawn(rng, B, n) for n in (I, H, H))
    expected = [part.detach() for part in torch_cell(nn.LSTMCell, weights)(x, (h, c))]
    got = lab.lstm_step(*(v.float() for v in (x, h, c, *weights)))
    check.close(list(got), [v.float() for v in expected], **FLOAT32, name="float32")
    W_ih, W_hh, *biases = weights
    for wrong in (W_hh[: 3 * H], W_hh[:, 1:]):  # a GRU's; not as wide as h
        check.raises(
            ValueError,
            lambda w=wrong: lab.lstm_step(x, h, c, W_ih, w, *biases),
            match="W_hh",
            name=f"W_hh {tuple(wrong.shape)}",
        )


# --- Task 2 ----------------------------------------------------------------------


def arguments(rng, n_in=I, n_hidden=H) -> dict[str, np.ndarray]:
    """What a step takes, by name."""
    weights = cell_weights(rng, 4, n_in, n_hidden)
    values = [drawn(rng, B, n) for n in (n_in, n_hidden, n_hidden)] + weights
    return {name: v.numpy() for name, v in zip(NAMES, values, strict=True)}


def backward(lab, given, dh, dc) -> dict:
    """The lab's gradients by name."""
    *_, cache = lab.lstm_step_forward_np(*given.values())
    found = lab.lstm_step_backward(dh, dc, cache)
    check.equal(sorted(found), sorted(NAMES), name="names of the gradients")
    return found


def autograd(given, dh, dc) -> dict:
    """The gradients of sum(dh * h') + sum(dc * c') by torch."""
    cell = torch_cell(nn.LSTMCell, [torch.tensor(given[k]) for k in NAMES[3:]])
    x, h, c = (torch.tensor(given[k], requires_grad=True) for k in NAMES[:3])
    shown, kept = cell(x, (h, c))
    ((shown * torch.tensor(dh)).sum() + (kept * torch.tensor(dc)).sum()).backward()
    leaves = [x, h, c, *(getattr(cell, name) for name in WEIGHTS)]
    return {k: leaf.grad.numpy() for k, leaf in zip(NAMES, leaves, strict=True)}


@task(2)
def test_forward_in_numpy(lab, rng):
    given = arguments(rng)
    h, c, _ = lab.lstm_step_forward_np(*given.values())
    cell = torch_cell(nn.LSTMCell, [torch.tensor(given[k]) for k in NAMES[3:]])
    x, *state = (torch.tensor(given[k]) for k in NAMES[:3])
    want_h, want_c = cell(x, tuple(state))
    check.close(h, want_h.detach().numpy(), **EXACT, name="h'")
    check.close(c, want_c.detach().numpy(), **EXACT, name="c'")


@task(2)
def test_one_unit_by_hand(lab):
    one = np.array([[1.0]])
    given = dict(zip(NAMES[:3], (3 * one, 5 * one, 2 * one), strict=True))
    given |= {"W_ih": np.zeros((4, 1)), "W_hh": np.zeros((4, 1))}
    given |= {"b_ih": np.array([0.0, 1, 1, 0]), "b_hh": np.zeros(4)}
    # i = o = 0.5, f = 0.7311, g = 0.7616, tanh(c') = 0.9511
    got = backward(lab, given, 0 * one, one)
    check.close(got["c"], sigmoid(1) * one, name="dc, of c' alone: f")
    by_gate = np.array([0.1903985, 0.3932239, 0.2099872, 0.0])
    check.close(got["b_ih"], by_gate, rtol=1e-6, atol=1e-7, name="db, of c' alone")
    got = backward(lab, given, one, 0 * one)
    check.close(got["c"], 0.0348927 * one, rtol=1e-6, atol=1e-7, name="dc, of h' alone")
    by_gate = np.array([0.0090875, 0.0187682, 0.0100225, 0.2377685])
    check.close(got["b_ih"], by_gate, rtol=1e-6, atol=1e-7, name="db, of h' alone")


@task(2)
def test_every_gradient_against_autograd(lab, rng):
    for n_in, n_hidden in [(I, H), (2, 6)]:
        given = arguments(rng, n_in, n_hidden)
        dh, dc = rng.normal(size=(2, B, n_hidden))
        got, expected = backward(lab, given, dh, dc), autograd(given, dh, dc)
        for name in NAMES:
            check.close(got[name], expected[name], rtol=1e-9, atol=1e-9, name=name)


@task(2)
def test_gates_shut_tight_and_a_cache_used_twice(lab, rng):
    given = arguments(rng)
    given["b_ih"] += 1000 * np.resize([1, 1, -1], 4 * H)  # each gate open and shut
    given["c"][0] = 1000.0
    dh, dc = rng.normal(size=(2, B, H))
    h, c, cache = lab.lstm_step_forward_np(*given.values())
    first, second = (lab.lstm_step_backward(dh, dc, cache) for _ in range(2))
    cell = torch_cell(nn.LSTMCell, [torch.tensor(given[k]) for k in NAMES[3:]])
    x, *state = (torch.tensor(given[k]) for k in NAMES[:3])
    expected = [part.detach().numpy() for part in cell(x, tuple(state))]
    check.close([h, c], expected, **EXACT, name="h', c' where exp overflows")
    slopes = autograd(given, dh, dc)
    for name in NAMES:
        check.close(first[name], slopes[name], rtol=1e-9, atol=1e-9, name=name)
        check.equal(second[name], first[name], name=f"{name}, same cache again")


@task(2)
def test_every_gradient_by_differences(lab, rng):
    given = arguments(rng)
    dh, dc = rng.normal(size=(2, B, H))
    got = backward(lab, given, dh, dc)
    for name in NAMES:

        def loss(value, name=name):
            h, c, _ = lab.lstm_step_forward_np(*(given | {name: value}).values())
            return (h * dh).sum() + (c * dc).sum()

        shape = given[name].shape
        at = [tuple(rng.integers(shape)) for _ in range(4)]
        found = np.array([got[name][place] for place in at])
        expected = differences(loss, given[name], at=at)
        check.close(found, expected, rtol=1e-6, atol=1e-7, name=f"{name}, 4 entries")


@task(2)
def test_three_steps_in_a_row(lab, rng):
    given = arguments(rng)
    xs, dhs = rng.normal(size=(3, B, I)), rng.normal(size=(3, B, H))
    h, c, caches = given["h"], given["c"], []
    for x in xs:
        h, c, cache = lab.lstm_step_forward_np(x, h, c, *list(given.values())[3:])
        caches.append(cache)
    dh, dc, total = np.zeros((B, H)), np.zeros((B, H)), np.zeros((4 * H, H))
    for cache, above in zip(caches[::-1], dhs[::-1], strict=True):
        found = lab.lstm_step_backward(dh + above, dc, cache)
        dh, dc, total = found["h"], found["c"], total + found["W_hh"]
    layer = nn.LSTM(I, H).double()
    with torch.no_grad():
        for name, key in zip(WEIGHTS, NAMES[3:], strict=True):
            getattr(layer, f"{name}_l0").copy_(torch.tensor(given[key]))
    first = [torch.tensor(given[k])[None].requires_grad_() for k in ("h", "c")]
    out, _ = layer(torch.tensor(xs), tuple(first))
    (out * torch.tensor(dhs)).sum().backward()
    check.close(total, layer.weight_hh_l0.grad.numpy(), **EXACT, name="W_hh, summed")
    check.close(dc, first[1].grad[0].numpy(), **EXACT, name="first c")
    check.close(dh, first[0].grad[0].numpy(), **EXACT, name="first h")


# --- Task 3 ----------------------------------------------------------------------


@task(3)
def test_gru_biases_alone_by_hand(lab):
    zeros = torch.zeros(3, 1, dtype=torch.float64)
    got = lab.gru_step(
        numbers(3), numbers(2), zeros, zeros, numbers(0, 1, 0)[0], numbers(0, 0, 1)[0]
    )
    # r = 0.5, z = 0.7311, n = tanh(0.5 * 1) = 0.4621, and 0.2689 n + 0.7311 * 2
    check.close(got, numbers(1.5863996024), name="h'")


@task(3)
def test_gru_against_the_cell_of_torch(lab, rng):
    for n_in, n_hidden in [(I, H), (2, 7)]:
        weights = cell_weights(rng, 3, n_in, n_hidden)
        x, h = drawn(rng, B, n_in), drawn(rng, B, n_hidden)
        expected = torch_cell(nn.GRUCell, weights)(x, h).detach()
        check.close(lab.gru_step(x, h, *weights), expected, **EXACT, name="h'")
        got = lab.gru_step(*(v.float() for v in (x, h, *weights)))
        check.close(got, expected.float(), **FLOAT32, name="float32")


@task(3)
def test_autograd_goes_through_the_gru_step(lab, rng):
    weights = [w.requires_grad_() for w in cell_weights(rng, 3)]
    leaves = [drawn(rng, B, n).requires_grad_() for n in (I, H)]
    got = gradients([lab.gru_step(*leaves, *weights)], leaves + weights, "h'")
    cell = torch_cell(nn.GRUCell, weights)
    theirs = [getattr(cell, name) for name in WEIGHTS]
    expected = gradients([cell(*leaves)], leaves + theirs, "torch's")
    names = [name for name in NAMES if name != "c"]
    for name, slope, wanted in zip(names, got, expected, strict=True):
        check.close(slope, wanted, **EXACT, name=f"gradient of {name}")


@task(3)
def test_gru_gates_that_are_open_or_shut(lab, rng):
    W_ih, W_hh, b_ih, b_hh = cell_weights(rng, 3)
    x, h = drawn(rng, B, I), drawn(rng, B, H)
    n = slice(2 * H, 3 * H)
    copies, looks = b_ih.clone(), b_ih.clone()
    copies[H : 2 * H] = 900
    got = lab.gru_step(x, h, W_ih, W_hh, copies, b_hh)
    check.close(got, h, **EXACT, name="z = 1: h as it was")
    looks[: 2 * H] = -900  # z = 0: only the candidate; r = 0: of x alone
    looks[2 * H] = 900  # n = 1, where exp overflows
    got = lab.gru_step(x, h, W_ih, W_hh, looks, b_hh)
    expected = torch.tanh(x @ W_ih[n].T + looks[n])
    check.close(got, expected, **EXACT, name="z = 0, r = 0: a layer of x alone")


@task(3)
def test_gru_weights_that_do_not_fit(lab, rng):
    x, h = drawn(rng, B, I), drawn(rng, B, H)
    W_ih, W_hh, *biases = cell_weights(rng, 3)
    for wrong in (drawn(rng, 4 * H, H), W_hh[:, 1:]):  # an LSTM's; not as wide as h
        check.raises(
            ValueError,
            lambda w=wrong: lab.gru_step(x, h, W_ih, w, *biases),
            match="W_hh",
            name=f"W_hh {tuple(wrong.shape)}",
        )


# --- Task 4 ----------------------------------------------------------------------


def layers(lab, n_in=I, n_hidden=H):
    """(name, the lab's layer, torch's layer with its weights), biases not 0."""
    for name, theirs in (("LSTM", nn.LSTM), ("GRU", nn.GRU)):
        ours = getattr(lab, name)(n_in, n_hidden).double()
        twin = theirs(n_in, n_hidden, batch_first=True).double()
        with torch.no_grad():
            for weight in WEIGHTS:
                getattr(twin, f"{weight}_l0").copy_(getattr(ours, weight))
        yield name, ours, twin


def whole(state) -> list:
    """[h, c] or [h]."""
    return list(state) if isinstance(state, tuple | list) else [state]


def parts(state) -> list:
    """[h, c] or [h], without a graph."""
    return [part.detach() for part in whole(state)]


def starts(rng, name):
    """A state of the lab's, and the same for torch's layer."""
    h, c = (drawn(rng, B, H).requires_grad_() for _ in range(2))
    return ((h, c), (h[None], c[None])) if name == "LSTM" else (h, h[None])


@task(4)
def test_two_steps_of_one_unit_by_hand(lab):
    layer = lab.LSTM(1, 1).double()
    with torch.no_grad():
        for p in layer.parameters():
            p.zero_()
        layer.bias_ih.copy_(FORGET_AND_WRITE)
    x = torch.zeros(1, 2, 1, dtype=torch.float64)
    out, (h, c) = layer(x, (numbers(0), numbers(2)))
    # c: 0.7311 * 2 + 0.3808 = 1.8429, then 0.7311 * 1.8429 + 0.3808 = 1.7281
    check.close(c.detach(), numbers(1.7280753), rtol=1e-6, name="c at the end")
    expected = torch.tensor([[[0.4755371], [0.4694137]]], dtype=torch.float64)
    check.close(out.detach(), expected, rtol=1e-6, name="h of both steps")
    check.close(h.detach(), expected[:, 1], rtol=1e-6, name="h at the end")


@task(4)
def test_seventeen_steps_against_torch(lab, rng):
    x = drawn(rng, B, 17, I)
    for name, ours, twin in layers(lab):
        for begin in ((None, None), starts(rng, name)):
            out, state = ours(x, begin[0])
            expected, last = twin(x, begin[1])
            what = "from zeros" if begin[0] is None else "from a state"
            check.close(out.detach(), expected.detach(), **EXACT, name=f"{name} {what}")
            want = [part[0] for part in parts(last)]
            check.close(parts(state), want, **EXACT, name=f"{name} {what}: state")


@task(4)
def test_two_halves_are_one_run(lab, rng):
    x = drawn(rng, B, 9, I)
    for name, ours, twin in layers(lab):
        expected = twin(x)[0].detach()
        first, state = ours(x[:, :4])
        second, _ = ours(x[:, 4:], state)
        got = torch.cat([first, second], dim=1).detach()
        check.close(got, expected, **EXACT, name=f"{name}: 4 steps, then 5")
        got = ours(x[:1, :1])[0].detach()
        check.close(got, expected[:1, :1], **EXACT, name=f"{name}: B = 1, T = 1")


@task(4)
def test_gradients_of_a_layer(lab, rng):
    x = drawn(rng, B, 6, I).requires_grad_()
    for name, ours, twin in layers(lab):
        begin, same = starts(rng, name)
        leaves = [x, *whole(begin)]
        out, state = ours(x, begin)
        weights = [getattr(ours, key) for key in WEIGHTS]
        got = gradients([out, *whole(state)], leaves + weights, name)
        out, state = twin(x, same)
        weights = [getattr(twin, f"{key}_l0") for key in WEIGHTS]
        expected = gradients([out, *whole(state)], leaves + weights, "torch's")
        keys = ["x", "h of state", "c of state"][: len(leaves)] + list(WEIGHTS)
        for key, ours_, theirs in zip(keys, got, expected, strict=True):
            check.close(ours_, theirs, **EXACT, name=f"{name}, gradient of {key}")


@task(4)
def test_inputs_that_do_not_fit(lab, rng):
    for name, ours, _ in layers(lab):
        for x in (drawn(rng, 6, I), drawn(rng, B, 6, I + 1)):
            shape = f"{name}, x {tuple(x.shape)}"
            check.raises(ValueError, lambda f=ours, x=x: f(x), match="x", name=shape)
        x = drawn(rng, B, 6, I).float()
        check.equal(ours.float()(x)[0].dtype, torch.float32, name="dtype")


# --- Task 5 ----------------------------------------------------------------------


def started(lab, kind="LSTM", n_in=7, n_hidden=5, seed=1, **options):
    """A layer in float64 after init_gated_."""
    layer = getattr(lab, kind)(n_in, n_hidden).double()
    lab.init_gated_(layer, torch.Generator().manual_seed(seed), **options)
    return layer


@task(5, mutates=True)
def test_biases_of_three_units(lab):
    zero, one = [0.0] * 3, [1.0] * 3
    layer = started(lab, n_in=2, n_hidden=3)
    check.equal(layer.bias_ih.tolist(), zero + one + zero + zero, name="bias_ih")
    check.equal(layer.bias_hh.tolist(), zero * 4, name="bias_hh")
    layer = started(lab, n_in=2, n_hidden=3, forget_bias=-2.5)
    total = (layer.bias_ih + layer.bias_hh).tolist()
    check.equal(total, zero + [-2.5] * 3 + zero * 2, name="sum, forget_bias=-2.5")
    layer = started(lab, "GRU", n_in=2, n_hidden=3)
    check.equal((layer.bias_ih + layer.bias_hh).tolist(), zero * 3, name="of a GRU")


def check_apart(blocks) -> None:
    """No two gates share a matrix."""
    nearest = min(float((a - b).abs().max()) for a, b in combinations(blocks, 2))
    check.that(nearest > 0.01, "every gate has a matrix of its own", nearest > 0.01)


@task(5, mutates=True)
def test_each_block_of_weight_hh_is_orthogonal(lab):
    for kind, gates in (("LSTM", 4), ("GRU", 3)):
        blocks = started(lab, kind).weight_hh.detach().chunk(gates)
        for block in blocks:
            eye = torch.eye(5, dtype=torch.float64)
            check.close(block @ block.T, eye, **EXACT, name=f"{kind}: W Wᵀ of a block")
        check_apart(blocks)


@task(5, mutates=True)
def test_spread_of_weight_ih(lab):
    for kind, gates in (("LSTM", 4), ("GRU", 3)):
        layer = started(lab, kind, n_in=40, n_hidden=30)
        bound = math.sqrt(6 / (40 + 30))
        blocks = layer.weight_ih.detach().chunk(gates)
        check_apart(blocks)
        for block in blocks:  # 1,200 numbers each
            largest = float(block.abs().max()) / bound
            fits = 0.95 < largest <= 1 + 1e-6
            check.that(fits, "largest / sqrt(6 / (I + H)) just below 1", largest)
            spread = float(block.std()) / bound * math.sqrt(3)
            check.that(abs(spread - 1) < 0.1, "uniform: bound / sqrt(3)", spread)


@task(5, mutates=True)
def test_the_generator_decides_everything(lab):
    def numbers_of(seed, other):
        torch.manual_seed(other)
        layer = started(lab, seed=seed)
        return [getattr(layer, name).detach().clone() for name in WEIGHTS]

    first = numbers_of(3, 0)
    check.equal(numbers_of(3, 1), first, name="same rng, same weights")
    moved = float((numbers_of(4, 0)[1] - first[1]).abs().max())
    check.that(moved > 0.01, "another rng, other weights", moved > 0.01)
    rng, layers = torch.Generator().manual_seed(3), [lab.LSTM(3, 2), lab.LSTM(3, 2)]
    for layer in layers:
        lab.init_gated_(layer, rng)
    moved = float((layers[0].weight_hh - layers[1].weight_hh).abs().max())
    check.that(moved > 0.01, "a second layer from one rng is another", moved > 0.01)
    layer = lab.LSTM(3, 2)
    before = [id(p) for p in layer.parameters()]
    lab.init_gated_(layer, torch.Generator().manual_seed(0))
    after = [(id(p), p.requires_grad) for p in layer.parameters()]
    check.that(after == [(p, True) for p in before], "the same parameters, in place")


def with_gradients(*grads) -> list[nn.Parameter]:
    """Parameters with copies of these gradients; None for none."""
    params = []
    for grad in grads:
        p = nn.Parameter(torch.zeros(2 if grad is None else grad.shape).double())
        p.grad = None if grad is None else grad.clone()
        params.append(p)
    return params


@task(5, mutates=True)
def test_three_and_four_are_five(lab):
    params = with_gradients(numbers(3), numbers(4))
    check.close(float(lab.clip_global_norm_(params, 1.0)), 5.0, name="norm before")
    check.close([p.grad for p in params], [numbers(0.6), numbers(0.8)], name="clipped")
    for limit in (5.5, math.inf):
        params = with_gradients(numbers(3), numbers(4))
        norm = float(lab.clip_global_norm_(params, limit))
        check.close(norm, 5.0, name=f"norm, max_norm={limit}")
        same = [numbers(3), numbers(4)]
        check.close([p.grad for p in params], same, name=f"left, max_norm={limit}")


@task(5, mutates=True)
def test_clipping_as_torch_clips(lab, rng):
    grads = [drawn(rng, 3, 4), None, drawn(rng, 5, scale=9), drawn(rng, 2, 3, 2)]
    for limit in (0.25, 4.0, 1e4):
        ours, theirs = with_gradients(*grads), with_gradients(*grads)
        norm = float(lab.clip_global_norm_((p for p in ours), limit))  # a generator
        expected = float(nn.utils.clip_grad_norm_(theirs, limit))
        check.close(norm, expected, name=f"norm, max_norm={limit}")
        for p, q in zip(ours, theirs, strict=True):
            if q.grad is not None:  # torch divides by norm + 1e-6
                check.close(p.grad, q.grad, rtol=1e-5, name=f"max_norm={limit}")
        check.equal(ours[1].grad, None, name="a parameter without a gradient")


@task(5, mutates=True)
def test_nothing_to_clip(lab):
    norm = float(lab.clip_global_norm_(with_gradients(None), 1.0))
    check.equal(norm, 0.0, name="norm of no gradients")
    params = with_gradients(numbers(0, 0), numbers(0))
    norm = float(lab.clip_global_norm_(params, 1.0))
    check.equal(norm, 0.0, name="norm of zeros")
    same = [numbers(0, 0), numbers(0)]
    check.equal([p.grad for p in params], same, name="zeros, left")


@task(5, mutates=True)
def test_limits_that_are_none(lab):
    for limit in (0.0, -1.0):
        params = with_gradients(numbers(3))
        check.raises(
            ValueError,
            lambda p=params, m=limit: lab.clip_global_norm_(p, m),
            match="max_norm",
        )


# --- Task 6 ----------------------------------------------------------------------


@task(6)
def test_three_gates_by_hand(lab):
    gates = torch.tensor([[0.5, 1.0], [0.25, 0.5], [0.125, 0.0]], dtype=torch.float64)
    expected = torch.tensor(
        [[0.03125, 0.0], [0.125, 0.0], [1.0, 1.0]], dtype=torch.float64
    )
    check.close(lab.cell_path_gradient(gates), expected, **EXACT)


@task(6)
def test_a_hundred_steps_in_closed_form(lab):
    levels = [sigmoid(1), sigmoid(6)]
    got = lab.cell_path_gradient(torch.tensor([levels] * 101, dtype=torch.float64))
    powers = [[f ** (100 - t) for f in levels] for t in range(101)]
    expected = torch.tensor(powers, dtype=torch.float64)
    check.close(got, expected, rtol=1e-9, atol=0.0)  # 2.5e-14 and 0.78 at the start


@task(6)
def test_against_autograd_with_the_way_through_h_cut(lab, rng):
    T, n_hidden = 7, 3
    W_ih, W_hh, b_ih, _ = cell_weights(rng, 4, I, n_hidden)
    xs = drawn(rng, T, 1, I)
    h = torch.zeros(1, n_hidden, dtype=torch.float64)
    c = torch.zeros(1, n_hidden, dtype=torch.float64, requires_grad=True)
    cells, gates = [], []
    for x in xs:
        i, f, g, o = (x @ W_ih.T + h.detach() @ W_hh.T + b_ih).chunk(4, dim=1)
        c = f.sigmoid() * c + i.sigmoid() * g.tanh()
        h = o.sigmoid() * c.tanh()
        cells.append(c)
        gates.append(f.detach().sigmoid()[0])
    expected = torch.cat(torch.autograd.grad(c.sum(), cells))
    check.close(lab.cell_path_gradient(torch.stack(gates)), expected, **EXACT)


@task(6)
def test_one_step_and_other_shapes(lab, rng):
    gates = torch.rand(1, 4, generator=torch.Generator().manual_seed(0))
    check.equal(lab.cell_path_gradient(gates), torch.ones(1, 4), name="T = 1")
    for shape in [(5,), (5, 2, 3)]:
        gates = drawn(rng, *shape).sigmoid()
        check.raises(
            ValueError, lambda g=gates: lab.cell_path_gradient(g), match="forget_gates"
        )


# --- Task 7 ----------------------------------------------------------------------

V, D = 6, 5
TORCH_LAYERS = {"rnn": nn.RNN, "gru": nn.GRU, "lstm": nn.LSTM}


def pairs(*two) -> list[tuple]:
    """The parameters of two models side by side, part by part."""
    lists = [
        [p for part in (m.embed, m.layer, m.head) for p in part.parameters()]
        for m in two
    ]
    return list(zip(*lists, strict=True))


class Twin(nn.Module):
    """The model on torch's layers, with the weights of a CharRNN."""

    def __init__(self, model, kind):
        super().__init__()
        self.embed = nn.Embedding(V, D)
        self.layer = TORCH_LAYERS[kind](D, H, batch_first=True)
        self.head = nn.Linear(H, V)
        self.double()
        with torch.no_grad():
            for p, q in pairs(self, model):
                p.copy_(q)

    def forward(self, ids, state=None):
        out, state = self.layer(self.embed(ids), state)
        return self.head(out), state


def models(lab, seed=0):
    """(kind, the lab's model, its twin)."""
    for kind in TORCH_LAYERS:
        torch.manual_seed(seed)
        model = lab.CharRNN(V, kind, D, H).double()
        yield kind, model, Twin(model, kind)


def pieces(rng, count, T=4, n=3, resets=()):
    """Chunks (x, y, new_epoch), time first, as lab 3.5 hands them out."""
    return [
        (*rng.integers(0, V, (2, T, n)), k == 0 or k in resets) for k in range(count)
    ]


@task(7)
def test_parts_and_logits_of_the_model(lab, rng):
    ids = torch.tensor(rng.integers(0, V, (B, 7)))
    for kind, model, twin in models(lab):
        found = [type(part).__name__ for part in (model.embed, model.head)]
        check.equal(found, ["Embedding", "Linear"], name="embed, head")
        logits, state = model(ids[:, :3])
        more, _ = model(ids[:, 3:], state)
        got = torch.cat([logits, more], dim=1).detach()
        check.close(got, twin(ids)[0].detach(), **EXACT, name=f"logits, {kind}")
    first, second = (lab.CharRNN(V, "lstm", D, H).layer.bias_hh for _ in range(2))
    nearest = float((first - second).abs().min())
    check.that(nearest > 0, "bias_hh as torch drew it, anew for each model", nearest)
    check.raises(ValueError, lambda: lab.CharRNN(V, "LSTM", D, H), match="kind")
    for wrong in (V, -1):
        ids[1, 2] = wrong
        check.raises(ValueError, lambda: model(ids), match="ids", name=f"id {wrong}")


def floats(values) -> list[float]:
    """Numbers, be they of Python or of torch."""
    return [float(value) for value in values]


class Constant(nn.Module):
    """Two logits that depend on nothing, 0 at first; notes the ids it gets, and
    whether a state came with its graph."""

    def __init__(self):
        super().__init__()
        self.logits = nn.Parameter(torch.zeros(2, dtype=torch.float64))
        self.seen, self.graph = [], False

    def forward(self, ids, state=None):
        self.seen.append(ids.tolist())
        self.graph |= state is not None and state.requires_grad
        logits = self.logits.expand(*ids.shape, 2)
        return logits, logits.sum(dim=(1, 2))[:, None]


@task(7, mutates=True)
def test_two_steps_of_two_logits_by_hand(lab):
    x, y = np.array([[0, 1], [0, 0], [1, 0]]), np.array([[1, 1], [1, 0], [1, 1]])
    chunks = iter([(x, y, True), (x, y, False), (x, y, False)])
    model = Constant()
    history = lab.train_char(model, chunks, 0, 0.1, 9.0)
    check.equal(floats(history.loss), [], name="losses of 0 steps")
    history = lab.train_char(model, chunks, 2, 0.1, 9.0)
    # the first step of Adam is lr long, so the logits become -0.1 and 0.1
    losses = [math.log(2), math.log(1 + math.exp(0.2)) - 5 / 6 * 0.2]
    check.close(floats(history.loss), losses, rtol=1e-6, name="losses")
    graphs = any(getattr(loss, "requires_grad", False) for loss in history.loss)
    check.that(not graphs, "losses without their graph, as loss.item()", not graphs)
    slope = [1 / 3, sigmoid(-0.2) - 1 / 6]
    norms = [s * math.sqrt(2) for s in slope]
    check.close(
        floats(history.grad_norm), norms, rtol=1e-6, name="norms of the gradients"
    )
    check.equal(model.seen[0], x.T.tolist(), name="ids the model reads, (B, T)")
    check.equal(len(list(chunks)), 1, name="chunks left of 3 after 2 steps")


def trained(twin, chunks, rates, clip):
    """The grader's loop: losses, norms; the twin ends at its last weights."""
    optimizer = torch.optim.Adam(twin.parameters(), lr=0.5)
    losses, norms, state = [], [], None
    for (x, y, new_epoch), rate in zip(chunks, rates, strict=True):
        for group in optimizer.param_groups:
            group["lr"] = rate
        if new_epoch:
            state = None
        elif isinstance(state, tuple):
            state = (state[0].detach(), state[1].detach())
        else:
            state = state.detach()
        logits, state = twin(torch.tensor(x.T.copy()), state)
        targets = torch.tensor(y.T.copy())
        loss = F.cross_entropy(logits.reshape(-1, V), targets.reshape(-1))
        optimizer.zero_grad()
        loss.backward()
        norms.append(float(nn.utils.clip_grad_norm_(twin.parameters(), clip)))
        losses.append(loss.item())
        optimizer.step()
    return losses, norms


@task(7, mutates=True)
def test_four_steps_against_a_loop_on_torch(lab, rng):
    chunks = pieces(rng, 4, resets=(2,))
    for kind, model, twin in models(lab):
        for p in model.parameters():
            p.grad = torch.ones_like(p)  # of something earlier
        rates = [0.02 * (4 - k) for k in range(4)]
        history = lab.train_char(model, iter(chunks), 4, lambda k: 0.02 * (4 - k), 0.3)
        losses, norms = trained(twin, chunks, rates, 0.3)
        check.close(floats(history.loss), losses, rtol=1e-5, name=f"losses, {kind}")
        check.close(floats(history.grad_norm), norms, rtol=1e-5, name=f"norms, {kind}")
        for p, q in pairs(model, twin):
            check.close(p.detach(), q.detach(), **FLOAT32, name=f"weights, {kind}")


@task(7, mutates=True)
def test_chunks_that_end_early(lab, rng):
    _, model, twin = next(models(lab))
    chunks = pieces(rng, 2)
    resumed = [(x, y, False) for x, y, _ in chunks]  # in the middle of an epoch
    history = lab.train_char(model, resumed, 5, 0.01, math.inf)
    losses, norms = trained(twin, chunks, [0.01] * 2, math.inf)
    check.close(floats(history.loss), losses, rtol=1e-5, name="losses of 2 chunks")
    check.close(floats(history.grad_norm), norms, rtol=1e-5, name="norms")


class Adder(nn.Module):
    """A model whose state is the sum of all ids so far, and its logits say so.

    Logit k is `strength` where k is that sum modulo V, else 0.
    """

    strength = 3.0

    def forward(self, ids, state=None):
        before = torch.zeros(len(ids), 1, dtype=torch.int64) if state is None else state
        sums = before + ids.cumsum(dim=1)
        logits = self.strength * F.one_hot(sums % V, V).double()
        return logits, sums[:, -1:]


@task(7)
def test_five_symbols_evaluated_by_hand(lab):
    # the sums say 1 2 4 2 and 1 2 4 5 come: three right; a right one has e³ of e³ + 5
    ids = np.array([1, 1, 2, 4, 5])
    all_of_it = math.log(math.exp(3) + V - 1)
    expected = all_of_it - 3 * 3 / 4
    for chunk in (1, 2, 3, 4, 9):
        got = lab.evaluate_stream(Adder(), ids, chunk)
        check.close(got, expected, name=f"chunk={chunk}")


@task(7)
def test_evaluation_does_not_depend_on_the_chunk(lab, rng):
    ids = rng.integers(0, V, 24)
    for kind, model, twin in models(lab):
        whole = torch.tensor(ids)[None]
        expected = F.cross_entropy(twin(whole[:, :-1])[0][0], whole[0, 1:]).item()
        for chunk in (1, 5, 23, 100):
            got = lab.evaluate_stream(model, ids, chunk)
            check.close(got, expected, **EXACT, name=f"{kind}, chunk={chunk}")
    wrong = ((ids, 0, "chunk"), (ids, -1, "chunk"), (ids[:1], 5, "ids"), ([], 5, "ids"))
    for text, chunk, name in wrong:
        check.raises(
            ValueError,
            lambda t=text, c=chunk: lab.evaluate_stream(model, t, c),
            match=name,
        )


@task(7)
def test_pieces_and_what_is_kept_between_them(lab):
    model = Constant()
    got = lab.evaluate_stream(model, [0, 1, 1, 0, 1], 3)  # a list
    check.close(got, math.log(2), name="two equal logits")
    longest = max(len(row) for piece in model.seen for row in piece)
    check.that(longest <= 3, "no piece longer than chunk = 3", longest)
    rng = torch.Generator().manual_seed(0)
    got = lab.sample(model, np.array([1, 0]), 3, rng, 0)  # an array
    check.equal(got, torch.tensor([0, 0, 0]), name="the first of two equal logits")
    got = lab.sample(model, [1], 0, rng)
    check.equal(got, torch.tensor([], dtype=torch.int64), name="n = 0")
    check.that(not model.graph, "states without a graph", not model.graph)


@task(7)
def test_samples_are_fed_back_and_the_state_is_kept(lab):
    for seed, expected in (([1, 2], [3, 0, 0, 0]), ([2, 3, 5], [4, 2, 4, 2, 4])):
        n = len(expected)
        model = Adder()
        for temperature in (0, 0.01):
            rng = torch.Generator().manual_seed(0)
            got = lab.sample(model, seed, n, rng, temperature)
            want = torch.tensor(expected)
            check.equal(got, want, name=f"after {seed}, temperature {temperature}")


@task(7)
def test_temperature(lab):
    class Level(Adder):
        def forward(self, ids, state=None):
            logits = torch.tensor([0.0, math.log(3)]).expand(*ids.shape, 2)
            return logits, torch.zeros(len(ids), 1)

    for temperature, odds in ((1.0, 3.0), (0.5, 9.0), (2.0, math.sqrt(3))):
        draws = lab.sample(
            Level(), [0], 1500, torch.Generator().manual_seed(5), temperature
        )
        p = odds / (1 + odds)
        share = float(draws.double().mean())
        limit = 5 * math.sqrt(p * (1 - p) / 1500)  # 5 standard errors
        fits = abs(share - p) < limit
        check.that(
            fits, f"{p:.3f} ± {limit:.3f} are ones", share, name=f"T={temperature}"
        )
    two = [
        lab.sample(Level(), [0], 40, torch.Generator().manual_seed(seed)).tolist()
        for seed in (8, 8, 9)
    ]
    check.equal(two[0] == two[1], True, name="same rng, same draws")
    check.equal(two[0] == two[2], False, name="another rng, the same draws")
    got = lab.sample(Level(), [0], 3, torch.Generator(), 1e-40)
    check.equal(got, torch.tensor([1, 1, 1]), name="T=1e-40, where exp overflows")
    rng = torch.Generator().manual_seed(8)
    again = [lab.sample(Level(), [0], 40, rng).tolist() for _ in range(2)]
    check.equal(again[0] == again[1], False, name="one rng, twice the same draws")
    for seed, temperature, name in (([], 1.0, "seed_ids"), ([0], -1.0, "temperature")):
        check.raises(
            ValueError,
            lambda s=seed, t=temperature: lab.sample(Level(), s, 3, rng, t),
            match=name,
        )
