"""The marking scheme of lab 3.7: what each task must do, and how we know.

Oracles: torch.softmax and F.scaled_dot_product_attention with their gradients, loops in
plain Python, SciPy's softmax and entropy, autograd for the Jacobian, and closed forms.
Queries, keys and values are drawn apart from each other, all sizes differ and none is
1, scores spread over several units, and float64 is compared to 1e-10: with less, wrong
scales and masks slip through. No training, no clock.
"""

from __future__ import annotations

import itertools
import math

import numpy as np
import scipy.special
import scipy.stats
import torch
from torch.nn import functional as F

from common.grading import check, task

EXACT = {"rtol": 0.0, "atol": 1e-10}  # float64
FLOAT32 = {"rtol": 1e-5, "atol": 1e-5}
INF = math.inf


def tensor(values) -> torch.Tensor:
    """float64."""
    return torch.tensor(values, dtype=torch.float64)


def drawn(rng, *shape, spread=1.5, grad=False) -> torch.Tensor:
    """Normal numbers, float64."""
    return tensor(rng.normal(0, spread, shape)).requires_grad_(grad)


def yes_no(rng, *shape) -> torch.Tensor:
    """A mask, True for about 6 of 10; in each row the first key is allowed."""
    mask = torch.from_numpy(rng.random(shape) < 0.6)
    mask[..., 0] = True
    return mask


def gradients(outputs, inputs, upstream):
    """Of out and weights with respect to the inputs; 0 for an input not reached."""
    for name, x in zip(("out", "weights"), outputs, strict=True):
        check.equal(x.requires_grad, True, name=f"requires_grad of {name}")
    return torch.autograd.grad(outputs, inputs, upstream, materialize_grads=True)


# --- Task 1 ----------------------------------------------------------------------


@task(1)
def test_numbers_by_hand(lab):
    for shift in (0.0, 1000.0, -1000.0):
        got = lab.softmax(tensor([shift, shift + math.log(3)]))
        check.close(got, tensor([0.25, 0.75]), **EXACT, name=f"shifted by {shift:g}")
    got = lab.softmax(tensor([-INF, 5.0, -INF, 5.0]))
    check.close(got, tensor([0.0, 0.5, 0.0, 0.5]), **EXACT, name="with -inf")


@task(1)
def test_against_torch_along_every_axis(lab, rng):
    x = drawn(rng, 3, 4, 5, spread=3)
    x[0] -= 900  # slices that lie far apart, by a few thousand
    x[:, 1] += 5000
    x[2, 3, 1] = 1e4
    for dim in (0, 1, 2, -2):
        check.close(lab.softmax(x, dim), torch.softmax(x, dim), **EXACT, name=str(dim))
    check.close(lab.softmax(x), torch.softmax(x, -1), **EXACT, name="default dim")
    x = x.float()
    check.close(lab.softmax(x, 1), torch.softmax(x, 1), **FLOAT32, name="float32")


@task(1)
def test_gradients_against_torch(lab, rng):
    upstream = drawn(rng, 3, 7)
    x = drawn(rng, 3, 7, grad=True)
    for dim in (-1, 0):
        found = [
            torch.autograd.grad(softmax(x, dim), x, upstream)[0]
            for softmax in (lab.softmax, torch.softmax)
        ]
        check.close(found[0], found[1], **EXACT, name=f"dim={dim}")


@task(1)
def test_a_slice_of_nothing_is_zero_with_zero_gradient(lab, rng):
    for dim in (1, 0):
        x = drawn(rng, 3, 3)
        x.select(1 - dim, 1).fill_(-INF)  # row 1, then column 1
        x[2, 0] = -INF
        x.requires_grad_()
        got = lab.softmax(x, dim)
        expected = torch.softmax(x.detach(), dim)
        expected.select(1 - dim, 1).zero_()
        check.close(got, expected, **EXACT, name=f"weights, dim={dim}")
        (gradient,) = torch.autograd.grad(got, x, drawn(rng, 3, 3))
        nothing = gradient.select(1 - dim, 1)
        name = f"gradient of the slice, dim={dim}"
        check.equal(nothing, torch.zeros(3).double(), name=name)
        check.equal(bool(gradient.isnan().any()), False, name="NaN in the gradient")


# --- Task 2 ----------------------------------------------------------------------

ONE_QUERY = ([[1.0, 0.0]], [[1.0, 0.0], [0.0, 1.0]], [[10.0], [20.0]])


def dot(a, b):
    """The dot product of two lists."""
    return math.fsum(x * y for x, y in zip(a, b, strict=True))


def by_loops(q, k, v, mask, scale):
    """out and weights of q (T, d), k (S, d), v (S, dv), one number at a time."""
    out, weights = [], []
    for i, query in enumerate(q):
        scores = [scale * dot(query, key) for key in k]
        allowed = [s if mask[i][j] else -INF for j, s in enumerate(scores)]
        top = max(allowed)
        e = [math.exp(s - top) if s > -INF else 0.0 for s in allowed]
        p = [x / math.fsum(e) if any(e) else 0.0 for x in e]
        weights.append(p)
        columns = zip(*v, strict=True)
        out.append(
            [math.fsum(a * b for a, b in zip(p, c, strict=True)) for c in columns]
        )
    return tensor(out), tensor(weights)


def inputs(rng, *batch, grad=False):
    """q (..., 5, 3), k (..., 7, 3), v (..., 7, 4)."""
    sizes = ((5, 3), (7, 3), (7, 4))
    return [drawn(rng, *batch, *size, grad=grad) for size in sizes]


@task(2)
def test_one_query_by_hand(lab):
    q, k, v = (tensor(rows) for rows in ONE_QUERY)
    for scale, first, out in [
        (None, 0.6697615493266569, 13.302384506733431),  # e^0.7071 / (1 + e^0.7071)
        (1.0, 0.7310585786300049, 12.689414213699951),
        (2.0, 0.8807970779778823, 11.192029220221178),
        (0.0, 0.5, 15.0),
    ]:
        got = lab.scaled_dot_product_attention(q, k, v, scale=scale)
        expected = tensor([[out]]), tensor([[first, 1 - first]])
        check.close(got, expected, **EXACT, name=f"scale={scale}")


@task(2)
def test_a_mask_by_hand(lab):
    q, k, v = tensor([[1.0, 0.0]] * 3), tensor(ONE_QUERY[1]), tensor(ONE_QUERY[2])
    mask = torch.tensor([[True, False], [False, True], [False, False]])
    got = lab.scaled_dot_product_attention(q, k, v, mask)
    expected = tensor([[10.0], [20.0], [0.0]]), mask.double()
    check.close(got, expected, **EXACT)
    blocked = got[1][~mask]
    check.equal(blocked, torch.zeros(4).double(), name="weights where not allowed")


@task(2)
def test_against_loops(lab, rng):
    q, k, v = inputs(rng)
    mask = yes_no(rng, 5, 7)
    mask[2] = False
    everywhere = torch.ones(5, 7, dtype=torch.bool)
    for name, given, allowed in (("no mask", None, everywhere), ("mask", mask, mask)):
        for scale in (None, 0.3):
            got = lab.scaled_dot_product_attention(q, k, v, given, scale)
            rows = [x.tolist() for x in (q, k, v, allowed)]
            expected = by_loops(*rows, scale or 1 / math.sqrt(3))
            check.close(got, expected, **EXACT, name=f"{name}, scale={scale}")


@task(2)
def test_against_torch_with_heads(lab, rng):
    q, k, v = inputs(rng, 2, 6)
    for shape in [(), (5, 7), (2, 1, 1, 7), (6, 5, 7), (2, 6, 5, 7)]:
        mask = yes_no(rng, *shape) if shape else None
        got, weights = lab.scaled_dot_product_attention(q, k, v, mask)
        name = f"mask {shape or None}"
        expected = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        check.close(got, expected, **EXACT, name=f"out, {name}")
        identity = torch.eye(7).double().expand(2, 6, 7, 7)  # returns the weights
        expected = F.scaled_dot_product_attention(q, k, identity, attn_mask=mask)
        check.close(weights, expected, **EXACT, name=f"weights, {name}")
    few = q, k[:, :1], v[0, 0]  # one set of keys for 6 heads, one of values for all
    got, _ = lab.scaled_dot_product_attention(*few)
    wide = [x.expand(2, 6, *x.shape[-2:]) for x in few]
    check.close(got, F.scaled_dot_product_attention(*wide), **EXACT, name="broadcast")
    q, k, v = q.float(), k.float(), v.float()
    got = lab.scaled_dot_product_attention(q, k, v, mask)
    expected = tuple(
        F.scaled_dot_product_attention(q, k, x, attn_mask=mask)
        for x in (v, identity.float())
    )
    check.close(got, expected, **FLOAT32, name="float32")


@task(2)
def test_gradients_against_torch_where_a_query_sees_nothing(lab, rng):
    given = inputs(rng, 2, grad=True)
    mask = yes_no(rng, 2, 5, 7)
    mask[0, 3] = False
    upstream = drawn(rng, 2, 5, 4), drawn(rng, 2, 5, 7)
    out, weights = lab.scaled_dot_product_attention(*given, mask)
    check.equal(weights[0, 3], torch.zeros(7).double(), name="weights of that query")
    check.equal(out[0, 3], torch.zeros(4).double(), name="out of that query")
    found = gradients((out, weights), given, upstream)
    open_mask = mask.clone()
    open_mask[0, 3, 0] = True  # torch before 2.5 has NaN in such a row, so without it
    for x in upstream:
        x[0, 3] = 0
    q, k, v = given
    twins = [
        F.scaled_dot_product_attention(q, k, x, attn_mask=open_mask)
        for x in (v, torch.eye(7).double().expand(2, 7, 7))
    ]
    expected = torch.autograd.grad(twins, given, upstream)
    for name, a, b in zip("qkv", found, expected, strict=True):
        check.close(a, b, **EXACT, name=f"gradient of {name}")


@task(2)
def test_it_is_a_weighted_average(lab, rng):
    q, k, v = inputs(rng)
    out, weights = lab.scaled_dot_product_attention(q, k, v)
    check.close(weights.sum(-1), torch.ones(5).double(), **EXACT, name="sum of a row")
    low, high = v.amin(0) - 1e-10, v.amax(0) + 1e-10
    inside = bool(((low <= out) & (out <= high)).all())
    check.that(inside, "between the least and the largest value", out, name="out")
    check.close(torch.einsum("ts,sv->tv", weights, v), out, **EXACT, name="weights v")


@task(2)
def test_keys_and_values_are_a_set_and_a_dictionary(lab, rng):
    q, k, v = inputs(rng)
    order, turn = rng.permutation(7), rng.permutation(5)
    expected = F.scaled_dot_product_attention(q, k, v)
    got, _ = lab.scaled_dot_product_attention(q, k[order], v[order])
    check.close(got, expected, **EXACT, name="keys and values in another order")
    got, _ = lab.scaled_dot_product_attention(q[turn], k, v)
    check.close(got, expected[turn], **EXACT, name="queries in another order")
    words = torch.eye(7).double()  # a key is found by being equal to the query
    got, _ = lab.scaled_dot_product_attention(words[order], words, v, scale=100.0)
    check.close(got, v[order], **EXACT, name="looked-up values")


@task(2)
def test_what_does_not_fit(lab, rng):
    q, k, v = inputs(rng)
    attend = lab.scaled_dot_product_attention
    for kind in (torch.int64, torch.float64):
        mask = torch.ones(5, 7, dtype=kind)
        check.raises(
            TypeError, lambda m=mask: attend(q, k, v, m), match="mask", name=str(kind)
        )
    check.raises(ValueError, lambda: attend(q, k[:, :2], v), match="k", name="width")
    check.raises(ValueError, lambda: attend(q, k, v[:6]), match="v", name="6 values")
    check.raises(ValueError, lambda: attend(q, k[:6], v), match="v", name="6 keys")
    out, _ = attend(q, k, v, torch.ones(5, 7, dtype=torch.bool))
    check.close(out, F.scaled_dot_product_attention(q, k, v), **EXACT, name="good mask")


# --- Task 3 ----------------------------------------------------------------------


def table(rows) -> torch.Tensor:
    """A bool tensor from 0s and 1s."""
    return torch.tensor(rows) == 1


@task(3)
def test_masks_by_hand(lab):
    got = lab.causal_mask(3)
    check.equal(got, table([[1, 0, 0], [1, 1, 0], [1, 1, 1]]), name="3 positions")
    got = lab.causal_mask(2, 4)
    check.equal(got, table([[1, 1, 1, 0], [1, 1, 1, 1]]), name="2 queries, 4 keys")
    got = lab.padding_mask(torch.tensor([2, 0, 3]), 3)
    expected = table([[[1, 1, 0]], [[0, 0, 0]], [[1, 1, 1]]])
    check.equal(got, expected, name="lengths 2, 0, 3")
    both = table([[1, 0], [1, 1]]), table([[[0, 1]], [[1, 1]]])
    expected = table([[[0, 0], [0, 1]], [[1, 0], [1, 1]]])
    check.equal(lab.combine_masks(*both), expected, name="causal and padding")


@task(3)
def test_masks_against_loops(lab, rng):
    for t, s in [(1, 7), (4, 9), (6, 6)]:
        ages = range(s - t, s)  # the queries are the last t positions
        expected = table([[int(j <= age) for j in range(s)] for age in ages])
        check.equal(lab.causal_mask(t, s), expected, name=f"causal, {t} and {s}")
    lengths = [5, 8, *rng.integers(0, 9, 3).tolist()]
    expected = table([[[int(j < n) for j in range(8)]] for n in lengths])
    for kind in (torch.int64, torch.int32):
        got = lab.padding_mask(torch.tensor(lengths, dtype=kind), 8)
        check.equal(got, expected, name=f"padding, {kind}")


@task(3)
def test_combining_skips_what_is_none(lab, rng):
    a, b, c = yes_no(rng, 4, 6), yes_no(rng, 3, 1, 6), yes_no(rng, 4, 1)
    got = lab.combine_masks(None, a, b, None, c)
    expected = torch.from_numpy(a.numpy() & b.numpy() & c.numpy())
    check.equal(got, expected, name="three masks")
    check.equal(lab.combine_masks(c > a, a), (c > a) & a, name="of one shape")
    check.equal(lab.combine_masks(None, b), b, name="one mask")
    check.equal(lab.combine_masks(None, None), None, name="only None")
    check.equal(lab.combine_masks(), None, name="no argument")


@task(3)
def test_nothing_of_the_future_reaches_an_output(lab, rng):
    q, k, v = drawn(rng, 5, 3), drawn(rng, 8, 3), drawn(rng, 8, 4)
    mask = lab.causal_mask(5, 8)
    before = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
    for j in (7, 6, 4):
        k[j:] = drawn(rng, 8 - j, 3)
        v[j:] += 50
        after = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        i = j - 3  # the query that is position j
        check.close(after[:i], before[:i], **EXACT, name=f"outputs before key {j}")
        changed = bool((after[i:] != before[i:]).all())
        check.that(changed, f"outputs from key {j} on change with it", after[i:])
        before = after


@task(3)
def test_padding_is_as_if_it_were_not_there(lab, rng):
    q, k, v = drawn(rng, 3, 4, 2), drawn(rng, 3, 7, 2), drawn(rng, 3, 7, 5)
    lengths = [6, 3, 7]
    mask = lab.padding_mask(torch.tensor(lengths), 7)
    out = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
    for b, n in enumerate(lengths):
        expected = F.scaled_dot_product_attention(q[b], k[b, :n], v[b, :n])
        check.close(out[b], expected, **EXACT, name=f"length {n} of 7")


@task(3)
def test_masks_that_cannot_be(lab):
    for s in (3, 0):
        check.raises(
            ValueError, lambda s=s: lab.causal_mask(5, s), match="s", name=f"s = {s}"
        )
    for lengths in ([2, -1], [2, 6]):
        check.raises(
            ValueError,
            lambda n=lengths: lab.padding_mask(torch.tensor(n), 5),
            match="lengths",
            name=f"lengths {lengths}, 5 keys",
        )
    got = lab.padding_mask(torch.tensor([0, 5]), 5)
    check.equal(got, table([[[0] * 5], [[1] * 5]]), name="lengths 0 and 5 of 5")


# --- Task 4 ----------------------------------------------------------------------


def by_scipy(q, k, scaled):
    """The four numbers with NumPy and SciPy."""
    scores = q.numpy() @ k.numpy().T
    if scaled:
        scores = scores / math.sqrt(q.shape[1])
    p = scipy.special.softmax(scores, axis=1)
    answers = [np.diag(np.diag(row) - np.outer(row, row)) for row in p]
    return {
        "variance": float(np.var(scores)),
        "entropy": float(scipy.stats.entropy(p, axis=1).mean()),
        "max_weight": float(p.max(axis=1).mean()),
        "jacobian_diagonal": float(np.mean(answers)),
    }


@task(4)
def test_two_queries_and_two_keys_by_hand(lab):
    q = tensor([[1.0, 1.0], [1.0, -1.0]])  # scores [[2, 0], [0, 2]]
    top = 1 / (1 + math.exp(-2))  # 0.8808
    expected = {
        "variance": 1.0,
        "entropy": -top * math.log(top) - (1 - top) * math.log(1 - top),
        "max_weight": top,
        "jacobian_diagonal": top * (1 - top),
    }
    check.close(lab.score_statistics(q, q, False), expected, **EXACT, name="unscaled")
    q = tensor([[30.0, 40.0], [40.0, -30.0]])  # scores [[2500, 0], [0, 2500]]
    expected = {"variance": 1250.0**2, "entropy": 0.0, "max_weight": 1.0}
    expected["jacobian_diagonal"] = 0.0
    check.close(lab.score_statistics(q, q, False), expected, **EXACT, name="large")
    got = lab.softmax_jacobian(tensor([0.25, 0.75]))
    expected = tensor([[0.1875, -0.1875], [-0.1875, 0.1875]])
    check.close(got, expected, **EXACT, name="Jacobian")


@task(4)
def test_statistics_against_scipy(lab, rng):
    for n, m, d, spread in [(5, 7, 3, 1.0), (4, 9, 16, 0.5), (6, 3, 4, 20.0)]:
        q, k = drawn(rng, n, d, spread=spread), drawn(rng, m, d, spread=spread)
        for scaled in (False, True):
            got = lab.score_statistics(q, k, scaled)
            expected = by_scipy(q, k, scaled)
            name = f"n={n}, m={m}, d={d}, spread {spread:g}, scaled={scaled}"
            check.close(got, expected, rtol=1e-10, atol=1e-10, name=name)


@task(4)
def test_the_variance_is_the_width(lab):
    for d in (3, 6):  # all vectors of -1 and 1: each product is -1 as often as 1
        signs = tensor(list(itertools.product([-1.0, 1.0], repeat=d)))
        for scaled, expected in ((False, float(d)), (True, 1.0)):
            got = lab.score_statistics(signs, signs, scaled)["variance"]
            check.close(got, expected, **EXACT, name=f"width {d}, scaled={scaled}")


@task(4)
def test_jacobian_against_autograd(lab, rng):
    s = drawn(rng, 6)
    got = lab.softmax_jacobian(torch.softmax(s, 0))
    expected = torch.autograd.functional.jacobian(lambda x: torch.softmax(x, 0), s)
    check.close(got, expected, **EXACT)
    check.close(got.sum(0), torch.zeros(6).double(), **EXACT, name="sum of a column")


# --- Task 5 ----------------------------------------------------------------------


def additive(rng, *batch):
    """q (..., 4, 3), k (..., 6, 5), v (..., 6, 2); W_q, W_k, w for 7 hidden units."""
    sizes = ((4, 3), (6, 5), (6, 2))
    weights = drawn(rng, 7, 3), drawn(rng, 7, 5), drawn(rng, 7)
    return [drawn(rng, *batch, *size) for size in sizes], weights


def additive_by_loops(q, k, v, W_q, W_k, w, mask):
    """The same with NumPy, one score at a time; returns out and weights."""
    q, k, v, W_q, W_k, w = (x.numpy() for x in (q, k, v, W_q, W_k, w))
    out, weights = [], []
    for i, query in enumerate(q):
        scores = [w @ np.tanh(W_q @ query + W_k @ key) for key in k]
        e = [math.exp(s) * bool(mask[i, j]) for j, s in enumerate(scores)]
        weights.append([x / sum(e) if any(e) else 0.0 for x in e])
        out.append(np.array(weights[-1]) @ v)
    return tensor(np.array(out)), tensor(weights)


@task(5)
def test_one_hidden_unit_by_hand(lab):
    one = tensor([[1.0]])
    q, k, v = tensor([[0.0], [9.0]]), tensor([[0.0], [1.0]]), tensor([[10.0], [20.0]])
    got = lab.additive_attention(q, k, v, one, one, tensor([2.0]))
    # scores of query 0: 0 and 2 tanh 1 = 1.5232; of query 9: 2 and 2, nearly
    second = 1 / (1 + math.exp(-2 * math.tanh(1)))  # 0.8210
    close = 1 / (1 + math.exp(2 * (math.tanh(9) - math.tanh(10))))
    weights = tensor([[1 - second, second], [1 - close, close]])
    check.close(got, (10 + 10 * weights[:, 1:], weights), **EXACT)


@task(5)
def test_additive_against_loops(lab, rng):
    (q, k, v), weights = additive(rng)
    mask = yes_no(rng, 4, 6)
    mask[1] = False
    everywhere = torch.ones(4, 6, dtype=torch.bool)
    for name, given, allowed in (("no mask", None, everywhere), ("mask", mask, mask)):
        got = lab.additive_attention(q, k, v, *weights, given)
        expected = additive_by_loops(q, k, v, *weights, allowed)
        check.close(got, expected, **EXACT, name=name)


@task(5)
def test_additive_in_batches(lab, rng):
    (q, k, v), weights = additive(rng, 2, 3)
    mask = yes_no(rng, 2, 3, 1, 6)
    out, p = lab.additive_attention(q, k, v, *weights, mask)
    check.equal((tuple(out.shape), tuple(p.shape)), ((2, 3, 4, 2), (2, 3, 4, 6)))
    for at in itertools.product(range(2), range(3)):
        here = mask[at].expand(4, 6)
        expected = additive_by_loops(q[at], k[at], v[at], *weights, here)
        check.close((out[at], p[at]), expected, **EXACT, name=f"batch {at}")


@task(5)
def test_additive_gradients_against_torch(lab, rng):
    inputs, weights = additive(rng)
    given = [x.requires_grad_() for x in (*inputs, *weights)]
    mask, upstream = yes_no(rng, 4, 6), (drawn(rng, 4, 2), drawn(rng, 4, 6))
    got = lab.additive_attention(*given, mask)
    found = gradients(got, given, upstream)
    q, k, v, W_q, W_k, w = given
    scores = torch.tanh((q @ W_q.T)[:, None] + k @ W_k.T) @ w
    p = torch.softmax(scores.masked_fill(~mask, -INF), -1)
    expected = torch.autograd.grad((p @ v, p), given, upstream)
    names = ("q", "k", "v", "W_q", "W_k", "w")
    for name, a, b in zip(names, found, expected, strict=True):
        check.close(a, b, **EXACT, name=f"gradient of {name}")


@task(5)
def test_a_mask_of_numbers(lab, rng):
    (q, k, v), weights = additive(rng)
    numbers = torch.ones(4, 6)
    check.raises(
        TypeError,
        lambda: lab.additive_attention(q, k, v, *weights, numbers),
        match="mask",
    )
    got = lab.additive_attention(q, k, v, *weights, numbers == 1)
    expected = additive_by_loops(q, k, v, *weights, numbers)
    check.close(got, expected, **EXACT, name="a mask of bool")


# --- Task 6 ----------------------------------------------------------------------


def layer(lab, rng, d_model, d_head, causal):
    """A layer with drawn weights, float64, and these weights by name."""
    model = lab.SelfAttention(d_model, d_head, causal).double()
    names = ("q_proj", "k_proj", "v_proj")
    weights = {f"{name}.weight": drawn(rng, d_head, d_model) for name in names}
    weights["out_proj.weight"] = drawn(rng, d_model, d_head)
    check.equal(shapes(model), {n: tuple(w.shape) for n, w in weights.items()})
    model.load_state_dict(weights)
    return model, weights


def shapes(model) -> dict:
    """The shape of each parameter, by name."""
    return {name: tuple(p.shape) for name, p in model.named_parameters()}


def by_hand(x, weights, causal):
    """The layer in NumPy for x (T, d_model): out and weights."""
    q, k, v = (x @ weights[f"{n}_proj.weight"].numpy().T for n in "qkv")
    scores = q @ k.T / math.sqrt(q.shape[1])
    if causal:
        scores[np.triu_indices(len(x), 1)] = -INF
    p = scipy.special.softmax(scores, axis=1)
    return tensor(p @ v @ weights["out_proj.weight"].numpy().T), tensor(p)


@task(6)
def test_identity_projections_by_hand(lab):
    x = torch.eye(2).double()
    one, same = 0.6697615493266569, torch.eye(2).double()
    for causal, rows in [
        (False, [[one, 1 - one], [1 - one, one]]),
        (True, [[1.0, 0.0], [1 - one, one]]),
    ]:
        model = lab.SelfAttention(2, 2, causal).double()
        model.load_state_dict(dict.fromkeys(model.state_dict(), same))
        got = model(x, return_weights=True)
        check.close(got, (tensor(rows), tensor(rows)), **EXACT, name=f"causal={causal}")


@task(6)
def test_names_and_shapes_of_the_parameters(lab):
    model = lab.SelfAttention(6, 4, True)
    expected = {f"{name}_proj.weight": (4, 6) for name in "qkv"}
    check.equal(shapes(model), expected | {"out_proj.weight": (6, 4)})
    for name, p in model.named_parameters():
        largest = float(p.detach().abs().max())
        bound = 1 / math.sqrt(p.shape[1])
        fits = 0.1 * bound < largest <= bound
        check.that(fits, "nn.Linear's first weights", largest, name=name)


@task(6)
def test_layer_against_numpy(lab, rng):
    for causal in (False, True):
        model, weights = layer(lab, rng, 6, 4, causal)
        for t in (5, 3, 7):  # one model, sequences of any length
            x = drawn(rng, 2, t, 6, spread=0.7)
            out, p = model(x, return_weights=True)
            check.equal(tuple(p.shape), (2, t, t), name="shape of the weights")
            for b in range(2):
                expected = by_hand(x[b].numpy(), weights, causal)
                name = f"causal={causal}, length {t}, sequence {b}"
                check.close((out[b], p[b]), expected, **EXACT, name=name)
        check.close(model(x), out, **EXACT, name="without the weights")
        check.close(model(x[0]), out[0], **EXACT, name="one sequence, (T, d_model)")
        check.close(model(x[None]), out[None], **EXACT, name="two batch axes")


@task(6)
def test_layer_gradients_against_torch(lab, rng):
    for causal in (False, True):
        model, weights = layer(lab, rng, 5, 3, causal)
        x = drawn(rng, 2, 4, 5, spread=0.7, grad=True)
        upstream = drawn(rng, 2, 4, 5), drawn(rng, 2, 4, 4)
        got = model(x, return_weights=True)
        named = dict(model.named_parameters())
        found = gradients(got, (x, *named.values()), upstream)
        twins = {n: weights[n].clone().requires_grad_() for n in named}
        q, k, v = (x @ twins[f"{n}_proj.weight"].T for n in "qkv")
        mixed, p = (
            F.scaled_dot_product_attention(q, k, y, is_causal=causal)
            for y in (v, torch.eye(4).double().expand(2, 4, 4))
        )
        out = mixed @ twins["out_proj.weight"].T
        expected = torch.autograd.grad((out, p), (x, *twins.values()), upstream)
        for name, a, b in zip(("x", *named), found, expected, strict=True):
            check.close(a, b, **EXACT, name=f"gradient of {name}, causal={causal}")


@task(6)
def test_order_is_seen_only_through_the_mask(lab, rng):
    order = [3, 0, 2, 1]
    x = drawn(rng, 4, 6)
    model, _ = layer(lab, rng, 6, 2, False)
    check.close(model(x[order]), model(x)[order], **EXACT, name="positions in turn")
    model, _ = layer(lab, rng, 6, 2, True)
    changed = x.clone()
    changed[2:] = 7.0
    check.close(model(changed)[:2], model(x)[:2], **EXACT, name="before the change")


# --- Task 7 ----------------------------------------------------------------------


@task(7)
def test_a_heat_map_in_words_by_hand(lab):
    weights = tensor([[1.0, 0.0, 0.0], [0.25, 0.75, 0.0], [0.25, 0.25, 0.5]])
    words = ["the", "black", "cat"]
    got = lab.describe_attention(weights, words, words, top=2)
    expected = [
        ("the", [("the", 1.0)]),
        ("black", [("black", 0.75), ("the", 0.25)]),
        ("cat", [("cat", 0.5), ("the", 0.25)]),
    ]
    check.equal(got, expected)


@task(7)
def test_the_largest_weights_against_numpy(lab, rng):
    weights = rng.dirichlet(np.ones(9), 4)
    weights[1, :5] = weights[1, :5].mean()  # equals, in the order of the keys
    weights[2, 3:], weights[2, 2] = 0, 1e-9  # little, but not nothing
    weights[3] = 0  # a query that sees nothing
    queries, keys = [f"q{i}" for i in range(4)], list("abcaefgha")
    for top in (None, 1, 4, 20):
        more = {} if top is None else {"top": top}
        got = lab.describe_attention(tensor(weights), queries, keys, **more)
        expected = []
        for query, row in zip(queries, weights, strict=True):
            order = np.lexsort((np.arange(9), -row))[: top or 3]
            pairs = [(keys[j], float(row[j])) for j in order if row[j] > 0]
            expected.append((query, pairs))
        check.equal(got, expected, name=f"top {top or 'by default'}")


@task(7)
def test_labels_that_do_not_fit(lab):
    weights, two, three = tensor([[0.5, 0.25, 0.25]] * 2), ["a", "b"], ["x", "y", "z"]
    for arguments, name in [
        ((weights, three, three), "queries"),
        ((weights, ["a"], three), "queries"),
        ((weights, two, two), "keys"),
        ((weights, two, list("xyzx")), "keys"),
        ((weights, two, three, 0), "top"),
        ((weights, two, three, -1), "top"),
    ]:
        check.raises(
            ValueError, lambda a=arguments: lab.describe_attention(*a), match=name
        )
    got = lab.describe_attention(weights, two, three, 1)
    check.equal(got, [("a", [("x", 0.5)]), ("b", [("x", 0.5)])], name="good labels")
    got = lab.describe_attention(weights.T, three, two, 1)  # more queries than keys
    expected = [("x", [("a", 0.5)]), ("y", [("a", 0.25)]), ("z", [("a", 0.25)])]
    check.equal(got, expected, name="3 queries, 2 keys")
