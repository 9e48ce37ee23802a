"""The marking scheme of lab 2.9: what each task must do, and how we know.

Oracles: numbers worked out by hand, what PyTorch gave for one small batch, layers in
plain loops over single numbers, and central differences of those loops on whole arrays.
The instructor's suite compares with PyTorch itself; it would take longer to import than
all this takes to run. Lab 2.8's Adam shows what tells the two decays apart.
"""

from __future__ import annotations

import math
import statistics

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from common import labs
from common.grading import check, differences, task

EXACT = {"rtol": 1e-10, "atol": 1e-12}  # the same formula in float64
NUMERIC = {"rtol": 1e-6, "atol": 1e-8}  # against central differences
NAN = float("nan")

EIGHTHS = st.integers(-40, 40).map(lambda i: i / 8)  # sums of these are exact


class Array:
    """Stands in for lab 2.5's Parameter: data, and the gradient that is there."""

    def __init__(self, data, grad=None):
        self.data = np.array(data, np.float64)
        self.grad = np.zeros_like(self.data) if grad is None else np.array(grad)


def slopes(f, x, dy):
    """d sum(f(x) * dy) / dx by central differences, at every entry of x."""
    return differences(lambda v: np.sum(f(v) * dy), x)


def scaled(values, eps, centre=True):
    """The numbers less their mean (with `centre`), over sqrt(mean square + eps)."""
    mean = math.fsum(values) / len(values) if centre else 0.0
    square = math.fsum((v - mean) ** 2 for v in values) / len(values)
    return [(v - mean) / math.sqrt(square + eps) for v in values]


def by_rows(x, weight, bias, eps, centre=True):
    """Layer norm, or RMS norm without `centre`, one vector after the other."""
    rows = [scaled(row.tolist(), eps, centre) for row in x.reshape(-1, x.shape[-1])]
    return np.array(rows).reshape(x.shape) * weight + bias


def by_columns(x, weight, bias, eps):
    """Batch norm in training."""
    columns = [scaled(column.tolist(), eps) for column in x.T]
    return np.array(columns).T * weight + bias


def with_values(layer, weight, bias=None):
    """The layer, its gain and shift set."""
    layer.weight.data[...] = weight
    if bias is not None:
        layer.bias.data[...] = bias
    return layer


def check_backward(layer, oracle, x, dy, about="", **tolerance):
    """dx and the gradients of the parameters, in this order of `oracle`."""
    dx, weight, *bias = oracle
    check.close(layer.backward(dy), dx, **tolerance, name=f"dx{about}")
    check.close(layer.weight.grad, weight, **tolerance, name=f"weight.grad{about}")
    if bias:
        check.close(layer.bias.grad, bias[0], **tolerance, name=f"bias.grad{about}")


def by_differences(f, x, dy, *params):
    """The gradients of sum(f(x, *params) * dy) in x and in each of the params."""
    given = [x, *params]

    def varied(i):
        return lambda a: f(*given[:i], a, *given[i + 1 :])

    return [slopes(varied(i), a, dy) for i, a in enumerate(given)]


def check_protocol(make, a, b, dy):
    """backward adds, needs a forward, and lives on what is in `cache`."""
    check.raises(RuntimeError, lambda: make().backward(dy), name="no forward yet")
    layer = make()
    layer.forward(a)
    kept = layer.cache
    expected = layer.backward(dy)
    once = [p.grad.copy() for p in layer.parameters()]
    check.close(layer.backward(dy), expected, **EXACT, name="second backward")
    for p, grad in zip(layer.parameters(), once, strict=True):
        check.close(p.grad, 2 * grad, **EXACT, name="added to grad")
    layer.forward(b)
    layer.cache = kept  # as Sequential does for a layer that stands in two places
    check.close(layer.backward(dy), expected, **EXACT, name="with the cache put back")


# What torch 2.13 gave in float64 for these numbers, eps = 0.1 and momentum = 0.3.
X = np.array([[1.0, 2, 6], [4, 0, -1], [0.5, 3, 2.5], [-2, 1, 1]])
DY = np.array([[1.0, 0, -1], [0.5, 2, 1], [0, -1, 3], [1, 1, 0.25]])
WEIGHT, BIAS = np.array([2.0, -1, 0.5]), np.array([0.0, 1, -2])
BIAS_GRAD = np.array([2.5, 2.0, 3.25])  # the sums of DY's columns
TORCH = "; weight 2, -1, 0.5, bias 0, 1, -2 (not in RMSNorm), eps 0.1"


def numbers(text):
    """Rows of three."""
    return np.array(text.split(), np.float64).reshape(-1, 3)


# --- Task 1 ----------------------------------------------------------------------


@task(1, mutates=True)
def test_one_matrix_and_one_bias(lab):
    W = Array([[3.0, 4.0], [0.0, -2.0]], [[1.0, 1.0], [2.0, 0.0]])
    b = Array([5.0, -1.0], [0.5, 0.25])
    check.close(lab.l2_penalty([W, b], 0.1), 1.45, **EXACT, name="0.05 · (9 + 16 + 4)")
    lab.add_l2_gradient([W, b], 0.1)
    check.close(W.grad, np.array([[1.3, 1.4], [2.0, -0.2]]), **EXACT, name="W.grad")
    check.equal(b.grad, np.array([0.5, 0.25]), name="b.grad")
    check.equal(W.data, np.array([[3.0, 4.0], [0.0, -2.0]]), name="W.data untouched")
    lab.decoupled_decay([W, b], lr=0.5, weight_decay=0.1)
    check.close(W.data, np.array([[2.85, 3.8], [0.0, -1.9]]), **EXACT, name="W.data")
    check.equal(b.data, np.array([5.0, -1.0]), name="b.data")
    check.close(W.grad, np.array([[1.3, 1.4], [2.0, -0.2]]), **EXACT, name="grad kept")


@task(1, mutates=True)
def test_gradient_is_the_slope_of_the_penalty(lab, rng):
    shapes = [(3, 4), (4,), (2, 3, 2), (5,), (6, 2)]
    params = [Array(rng.normal(0, 2, s), rng.normal(0, 1, s)) for s in shapes]
    before = [p.grad.copy() for p in params]
    matrices = [p for p in params if p.data.ndim > 1]
    total = 0.35 * math.fsum(v * v for p in matrices for v in p.data.ravel())
    check.close(lab.l2_penalty(params, 0.7), total, **EXACT, name="penalty")
    lab.add_l2_gradient(params, 0.7)
    for p, grad in zip(params, before, strict=True):
        slope = slopes(lambda w: 0.35 * w**2, p.data, 1.0)
        expected = grad + slope * (p.data.ndim > 1)
        check.close(p.grad, expected, **NUMERIC, name=f"grad of shape {grad.shape}")


@task(1, mutates=True)
def test_for_sgd_both_decays_are_the_same(lab, rng):
    """(1 - lr · lam) w - lr · g, either way."""
    w, g = rng.normal(0, 2, (3, 4)), rng.normal(0, 1, (3, 4))
    sgd_step = labs.solution("2.5").sgd_step
    coupled, decoupled = Array(w, g), Array(w, g)
    lab.add_l2_gradient([coupled], 0.6)
    sgd_step([coupled], lr=0.25)
    lab.decoupled_decay([decoupled], lr=0.25, weight_decay=0.6)
    sgd_step([decoupled], lr=0.25)
    check.close(coupled.data, 0.85 * w - 0.25 * g, **EXACT, name="L2")
    check.close(decoupled.data, 0.85 * w - 0.25 * g, **EXACT, name="decoupled")


@task(1, mutates=True)
def test_for_adam_they_are_not(lab):
    """Adam's first step is lr · sign: however large the penalty, it adds nothing."""
    w, g = np.array([[10.0, -10.0, 0.5]]), np.array([[2.0, -0.25, 1.0]])
    Adam = labs.solution("2.8").Adam
    coupled, decoupled = Array(w, g), Array(w, g)
    lab.add_l2_gradient([coupled], 0.5)
    Adam([coupled], 0.1, eps=0.0).step()
    lab.decoupled_decay([decoupled], lr=0.1, weight_decay=0.5)
    Adam([decoupled], 0.1, eps=0.0).step()
    check.close(coupled.data, np.array([[9.9, -9.9, 0.4]]), **EXACT, name="L2")
    expected = np.array([[9.4, -9.4, 0.375]])
    check.close(decoupled.data, expected, **EXACT, name="decoupled")


@task(1, mutates=True)
def test_in_place_and_arguments_of_the_decays(lab):
    p = Array([[1.0, 2.0], [3.0, 4.0]])
    data, grad = p.data, p.grad
    lab.add_l2_gradient([p], 0.5)
    lab.decoupled_decay([p], lr=0.5, weight_decay=0.5)
    check.close(grad, np.array([[0.5, 1.0], [1.5, 2.0]]), **EXACT, name="the same grad")
    check.close(data, np.array([[0.75, 1.5], [2.25, 3.0]]), **EXACT, name="same data")
    check.equal(lab.l2_penalty([], 0.5), 0.0, name="no matrix")
    check.equal(lab.l2_penalty([p], 0.0), 0.0, name="lam = 0")
    for bad in (-0.1, NAN):
        check.raises(ValueError, lambda b=bad: lab.l2_penalty([p], b), match="lam")
        check.raises(ValueError, lambda b=bad: lab.add_l2_gradient([p], b), match="lam")
    decay = lab.decoupled_decay
    check.raises(ValueError, lambda: decay([p], lr=-1.0, weight_decay=0.1), match="lr")
    check.raises(
        ValueError, lambda: decay([p], lr=0.1, weight_decay=-1.0), match="weight_decay"
    )


# --- Task 2 ----------------------------------------------------------------------


class Dice:
    """A generator that throws the numbers given, and notes what it is asked for."""

    def __init__(self, throws):
        self.throws, self.asked = throws, []

    def random(self, size=None, **_):
        """The numbers in any shape; in later calls they begin at the next one."""
        numbers = np.roll(self.throws, -len(self.asked))
        self.asked.append(size)
        return np.resize(numbers, () if size is None else size)


def replay(seed, shape, p, times=1):
    """The factors of the last of `times` forwards, drawn again from the seed."""
    rng = np.random.default_rng(seed)
    for _ in range(times):
        numbers = rng.random(shape)
    return np.where(numbers < p, 0.0, 1 / (1 - p))


@task(2)
def test_four_throws(lab):
    layer = lab.Dropout(0.75, rng=Dice([0.1, 0.9, 0.75, 0.3]))
    got = layer.forward(np.array([[1.0, 2.0], [-3.0, 4.0]]))
    asked = layer.rng.asked
    once = len(asked) == 1 and asked[0] is not None and np.prod(asked[0]) == 4
    words = ", then ".join(f"rng.random({size})" for size in asked) or "no call"
    says = "one call, rng.random(x.shape), where x.shape is (2, 2)"
    check.that(bool(once), says, words, name="draws of forward")
    about = "; p 0.75, drawn: 0.1, 0.9, 0.75, 0.3"
    check.close(got, np.array([[0.0, 8.0], [-12.0, 0.0]]), **EXACT, name=f"y{about}")
    got = layer.backward(np.array([[1.0, 1.0], [0.5, 3.0]]))
    check.close(got, np.array([[0.0, 4.0], [2.0, 0.0]]), **EXACT, name=f"dx{about}")
    check.equal(len(asked), 1, name="calls of rng.random, backward's too")


@task(2)
def test_masks_are_those_of_the_generator(lab, rng):
    for i, (p, shape) in enumerate([(0.2, (6, 9)), (0.5, (2, 3, 8)), (0.9, (40,))]):
        layer = lab.Dropout(p, rng=np.random.default_rng(i))
        for times in (1, 2, 3):
            x, dy = rng.normal(1, 3, shape), rng.normal(0, 2, shape)
            factors = replay(i, shape, p, times)
            check.close(layer.forward(x), x * factors, **EXACT, name=f"y, p={p}")
            check.close(layer.backward(dy), dy * factors, **EXACT, name="dx")
            check.close(layer.backward(dy), dy * factors, **EXACT, name="dx again")


@task(2)
def test_share_of_zeros_and_mean(lab):
    """Within five standard errors of p; the mean stays."""
    n = 20_000
    for p in (0.3, 0.8):
        got = lab.Dropout(p, rng=np.random.default_rng(5)).forward(np.ones(n))
        zeros, margin = float(np.mean(got == 0)), 5 * math.sqrt(p * (1 - p) / n)
        holds = abs(zeros - p) < margin
        check.that(holds, f"a share {p} ± {margin:.3f} of zeros", zeros)
        kept = np.full(int(np.sum(got != 0)), 1 / (1 - p))
        check.close(got[got != 0], kept, **EXACT, name="what is kept")


@task(2)
def test_eval_changes_nothing_and_draws_nothing(lab, rng):
    x, dy = rng.normal(0, 2, (5, 3)), rng.normal(0, 2, (5, 3))
    layer = lab.Dropout(0.4, rng=np.random.default_rng(3))
    layer.eval()
    check.close(layer.forward(x), x, **EXACT, name="y in eval")
    check.close(layer.backward(dy), dy, **EXACT, name="dx in eval")
    layer.train()
    factors = replay(3, (5, 3), 0.4)
    check.close(layer.forward(x), x * factors, **EXACT, name="first mask after eval")
    layer.eval()  # backward belongs to the forward before it
    check.close(
        layer.backward(dy),
        dy * factors,
        **EXACT,
        name="dx; forward in training, eval() since",
    )


@task(2)
def test_without_dropping(lab, rng):
    x, dy = rng.normal(0, 2, (4, 7)), rng.normal(0, 2, (4, 7))
    layer = lab.Dropout(0.0, rng=np.random.default_rng(8))
    check.close(layer.forward(x), x, **EXACT, name="p = 0")
    check.close(layer.backward(dy), dy, **EXACT, name="dx, p = 0")
    used = np.random.default_rng(8)
    used.random(x.shape)
    check.equal(float(layer.rng.random()), used.random(), name="next number drawn")
    for bad in (1.0, -0.1, 1.5, NAN):
        check.raises(ValueError, lambda b=bad: lab.Dropout(b, rng=None), match="p")


@task(2)
def test_dropout_keeps_the_protocol(lab, rng):
    a, b, dy = rng.normal(0, 1, (3, 6, 5))
    check_protocol(lambda: lab.Dropout(0.5, rng=np.random.default_rng(1)), a, b, dy)


# --- Task 3 ----------------------------------------------------------------------


@task(3)
def test_layer_norm_of_two_rows(lab):
    """Row one: mean 4, variance 2, and sqrt(2 + 0.25) = 1.5. Row two has no spread."""
    layer = lab.LayerNorm(4, eps=0.25)
    with_values(layer, [1.0, 2.0, 3.0, -1.0], [0.0, 1.0, 0.0, 1.0])
    got = layer.forward(np.array([[2.0, 4.0, 4.0, 6.0], [7.0, 7.0, 7.0, 7.0]]))
    expected = np.array([[-4 / 3, 1.0, 0.0, -1 / 3], [0.0, 1.0, 0.0, 1.0]])
    about = "; weight 1, 2, 3, -1, bias 0, 1, 0, 1, eps 0.25"
    check.close(got, expected, **EXACT, name=f"y{about}")
    # row one: g = (3, 0, 0, 0), mean(g) = 3/4, mean(g · x_hat) = -1, over 1.5
    # row two: g = (0, 4, 0, 0), mean(g) = 1, x_hat = 0, over sqrt(0.25)
    got = layer.backward(np.array([[3.0, 0.0, 0.0, 0.0], [0.0, 2.0, 0.0, 0.0]]))
    first = [11 / 18, -0.5, -0.5, 7 / 18]
    expected = np.array([first, [-2.0, 6.0, -2.0, -2.0]])
    about = f"; x = [[2, 4, 4, 6], [7, 7, 7, 7]]{about}"
    check.close(got, expected, **EXACT, name=f"dx{about}")
    weight, bias = np.array([-4.0, 0.0, 0.0, 0.0]), np.array([3.0, 2.0, 0.0, 0.0])
    check.close(layer.weight.grad, weight, **EXACT, name=f"weight.grad{about}")
    check.close(layer.bias.grad, bias, **EXACT, name=f"bias.grad{about}")


@task(3)
def test_layer_norm_as_in_torch(lab):
    layer = with_values(lab.LayerNorm(3, eps=0.1), WEIGHT, BIAS)
    y = numbers("""-1.832114449657378 1.4580286124143444 -1.3129570813784832
        2.748171674486067 1.4580286124143444 -2.4580286124143447
        -2.6655699499159153 0.11147668336136152 -1.7778691708403405
        -2.7602622373694166 0.30993444065764586 -1.6549672203288228""")
    check.close(layer.forward(X), y, **EXACT, name=f"y{TORCH}")
    dx = numbers("""0.33471321676432875 -0.4051791571357663 0.07046594037143761
        0.1500070397301058 -0.7115992311751995 0.5615921914450938
        -0.12665354294191122 -0.261101150064863 0.38775469300677423
        0.05339793018720618 -0.41486084222367725 0.3614629120364712""")
    weight = numbers("-1.6091454248918806 -1.1145149821249734 -0.7848416972781762")[0]
    check_backward(layer, (dx, weight, BIAS_GRAD), X, DY, TORCH, **EXACT)


@task(3)
def test_layer_norm_by_loops_and_differences(lab, rng):
    for shape in [(4, 3), (3, 3), (5,), (2, 3, 5)]:
        dim = shape[-1]
        x, dy = rng.normal(2, 3, shape), rng.normal(0, 1, shape)
        weight, bias = rng.normal(1, 1, dim), rng.normal(0, 1, dim)
        layer = with_values(lab.LayerNorm(dim, eps=0.3), weight, bias)

        def f(*given):
            return by_rows(*given, 0.3)

        check.close(layer.forward(x), f(x, weight, bias), **EXACT, name=f"y {shape}")
        oracle = by_differences(f, x, dy, weight, bias)
        check_backward(layer, oracle, x, dy, **NUMERIC)


@task(3)
def test_a_large_mean_costs_no_digits(lab, rng):
    """Whole multiples of 1/8, so that adding 2**24 to each is exact."""
    x = rng.integers(-40, 41, (4, 6)) / 8 + np.arange(6)
    got = lab.LayerNorm(6).forward(x + 2.0**24)
    check.close(got, by_rows(x, 1.0, 0.0, 1e-5), rtol=1e-7, atol=1e-7)


@task(3)
@settings(max_examples=20)
@given(hnp.arrays(np.float64, (3, 4), elements=EIGHTHS), EIGHTHS)
def test_scale_and_shift_of_a_row_do_not_matter(lab, x, shift):
    x = x + np.array([0.0, 10.0, 20.0, -30.0])  # no row without spread
    once = lab.LayerNorm(4, eps=1e-14).forward(x)
    check.close(once, by_rows(x, 1.0, 0.0, 1e-14), **EXACT, name="y")
    moved = lab.LayerNorm(4, eps=1e-14).forward(x * [[2.0], [0.5], [8.0]] + shift)
    check.close(moved, once, rtol=1e-9, atol=1e-9, name="scaled and shifted")


@task(3)
def test_gradient_has_no_part_along_one_and_x_hat(lab, rng):
    """Moving x along them leaves y as it is, so the loss cannot change."""
    x, dy = rng.normal(1, 2, (5, 7)), rng.normal(0, 1, (5, 7))
    layer = lab.LayerNorm(7, eps=1e-15)
    x_hat = layer.forward(x)
    dx = layer.backward(dy)
    check.close(dx.sum(axis=1), np.zeros(5), atol=1e-10, name="along 1")
    check.close((dx * x_hat).sum(axis=1), np.zeros(5), atol=1e-10, name="along x_hat")
    along = slopes(lambda a: by_rows(a, 1.0, 0.0, 1e-15), x, dy)
    check.close(dx, along, **NUMERIC, name="dx")


@task(3)
def test_layer_norm_keeps_the_protocol(lab, rng):
    a, b, dy = rng.normal(0, 1, (3, 6, 5))
    check_protocol(lambda: lab.LayerNorm(5), a, b, dy)
    layer = lab.LayerNorm(5)
    training = layer.forward(a)
    check.close(training, by_rows(a, 1.0, 0.0, 1e-5), **EXACT, name="in training")
    layer.eval()
    check.equal(layer.forward(a), training, name="in eval")
    check.raises(ValueError, lambda: layer.forward(a.T), match="x")


# --- Task 4 ----------------------------------------------------------------------


@task(4)
def test_rms_norm_of_two_rows(lab):
    """Mean squares 9 and 93, and the roots of 9 + 7 and 93 + 7 are 4 and 10."""
    layer = with_values(lab.RMSNorm(4, eps=7.0), [2.0, 1.0, -1.0, 4.0])
    got = layer.forward(np.array([[3.0, 5.0, -1.0, 1.0], [9.0, -1.0, 13.0, -11.0]]))
    expected = np.array([[1.5, 1.25, 0.25, 1.0], [1.8, -0.1, -1.3, -4.4]])
    about = "; weight 2, 1, -1, 4, eps 7"
    check.close(got, expected, **EXACT, name=f"y{about}")
    # g = (0, 8, 0, 0): mean(g · x_hat) = 2.5; g = (0, 0, 0, 4): -1.1
    got = layer.backward(np.array([[0.0, 8.0, 0.0, 0.0], [0.0, 0.0, 0.0, 1.0]]))
    first, second = [-1.875, 4.875, 0.625, -0.625], [0.99, -0.11, 1.43, 2.79]
    expected = np.array([first, second]) / [[4.0], [10.0]]
    about = f"; x = [[3, 5, -1, 1], [9, -1, 13, -11]]{about}"
    check.close(got, expected, **EXACT, name=f"dx{about}")
    weight = np.array([0.0, 10.0, 0.0, -1.1])
    check.close(layer.weight.grad, weight, **EXACT, name=f"weight.grad{about}")


@task(4)
def test_rms_norm_as_in_torch(lab):
    layer = with_values(lab.RMSNorm(3, eps=0.1), WEIGHT)
    y = numbers("""0.5390333020569251 -0.5390333020569251 0.8085499530853877
        3.331405993864116 0 -0.20821287461650725
        0.4357446703305951 -1.3072340109917853 0.5446808379132438
        -2.7602622373694166 -0.6900655593423541 0.34503277967117707""")
    check.close(layer.forward(X), y, **EXACT, name=f"y{TORCH}")
    dx = numbers("""0.5455591289583407 0.013051653802831117 -0.09560336410573793
        0.07943381343751138 -0.832851498466029 0.29246085856538306
        -0.0930783710358075 -0.12272555588424988 0.1882251503168551
        0.31217251494058895 -0.15608625747029448 0.620237496789854""")
    weight = numbers("-0.2777629691902166 -0.6171684516494311 1.407075761911262")[0]
    check_backward(layer, (dx, weight), X, DY, TORCH, **EXACT)


@task(4)
def test_rms_norm_by_loops_and_differences(lab, rng):
    for shape in [(4, 3), (3, 3), (5,), (2, 3, 5)]:
        x, dy = rng.normal(2, 3, shape), rng.normal(0, 1, shape)
        weight = rng.normal(1, 1, shape[-1])
        layer = with_values(lab.RMSNorm(shape[-1], eps=0.3), weight)

        def f(x, weight):
            return by_rows(x, weight, 0.0, 0.3, centre=False)

        check.close(layer.forward(x), f(x, weight), **EXACT, name=f"y {shape}")
        check_backward(layer, by_differences(f, x, dy, weight), x, dy, **NUMERIC)


@task(4)
def test_rms_norm_feels_a_shift_but_no_scale(lab, rng):
    x = rng.normal(0, 2, (3, 5))
    once = lab.RMSNorm(5, eps=1e-15).forward(x)
    check.close(lab.RMSNorm(5, eps=1e-15).forward(8 * x), once, **EXACT, name="8 x")
    shifted = lab.RMSNorm(5, eps=1e-15).forward(x + 100.0)
    expected = by_rows(x + 100.0, 1.0, 0.0, 1e-15, centre=False)
    check.close(shifted, expected, **EXACT, name="x + 100: all about 1")


@task(4)
def test_rms_norm_keeps_the_protocol(lab, rng):
    a, b, dy = rng.normal(0, 1, (3, 6, 5))
    check_protocol(lambda: lab.RMSNorm(5), a, b, dy)
    check.raises(ValueError, lambda: lab.RMSNorm(5).forward(a.T), match="x")


# --- Task 5 ----------------------------------------------------------------------


def batch_norm(lab, weight=WEIGHT, bias=BIAS, momentum=0.3, eps=0.1):
    """A layer with the values of the torch example."""
    layer = lab.BatchNorm1d(len(weight), momentum=momentum, eps=eps)
    return with_values(layer, weight, bias)


@task(5)
def test_batch_norm_of_two_columns(lab):
    """Means 2 and 1, variances 4 and 10, sqrt(4 + 2.25) = 2.5, sqrt(12.25) = 3.5."""
    layer = lab.BatchNorm1d(2, momentum=0.25, eps=2.25)
    with_values(layer, [5.0, 7.0], [0.0, 1.0])
    x = np.array([[0.0, -1.0], [0.0, -3.0], [4.0, 3.0], [4.0, 5.0]])
    expected = np.array([[-4.0, -3.0], [-4.0, -7.0], [4.0, 5.0], [4.0, 9.0]])
    about = "; in training, weight 5, 7, bias 0, 1, eps 2.25"
    check.close(layer.forward(x), expected, **EXACT, name=f"y{about}")
    running, about = np.array([0.5, 0.25]), "; first batch, momentum 0.25"
    check.close(layer.running_mean, running, **EXACT, name=f"running_mean{about}")
    running = np.array([0.75 + 0.25 * 16 / 3, 0.75 + 0.25 * 40 / 3])  # 16/3 = 4 · 4/3
    check.close(layer.running_var, running, **EXACT, name=f"running_var{about}")


@task(5)
def test_batch_norm_as_in_torch(lab):
    layer = batch_norm(lab)
    y = numbers("""0.11597370014687192 0.5696685170880647 -1.2484931295066666
        2.899342503671798 2.2909944487358054 -2.606053927817204
        -0.34792110044061575 -0.2909944487358057 -1.9272735286619354
        -2.667395103378054 1.4303314829119351 -2.2181794140141933""")
    check.close(layer.forward(X), y, **EXACT, name=f"y in training{TORCH}")
    mean, var = np.array([0.2625, 0.45, 0.6375]), np.array([2.51875, 1.2, 3.31875])
    check.close(layer.running_mean, mean, **EXACT, name="running_mean")
    check.close(layer.running_var, var, **EXACT, name="running_var")
    layer.eval()
    y = numbers("""0.9114755013157547 -0.35943992992589524 -0.5498810173005199
        4.61917245582052 1.3946761086881632 -2.4428102254863213
        0.2935260088982939 -1.2364979492329244 -1.4963456213934205
        -2.7962214531890104 0.517618089381134 -1.9019733088618067""")
    check.close(layer.forward(X), y, **EXACT, name=f"y in eval{TORCH}")
    check.close(layer.running_mean, mean, **EXACT, name="running_mean after eval")
    check.close(layer.running_var, var, **EXACT, name="running_var after eval")


@task(5)
def test_three_batches_by_loops(lab, rng):
    mean, var = np.zeros(4), np.ones(4)
    weight, bias = rng.normal(1, 1, 4), rng.normal(0, 1, 4)
    layer = batch_norm(lab, weight, bias, momentum=0.2, eps=0.3)
    for N in (5, 2, 4):
        x = rng.normal(3, 2, (N, 4))
        expected = by_columns(x, weight, bias, 0.3)
        check.close(layer.forward(x), expected, **EXACT, name=f"y, {N} rows")
        for c, column in enumerate(x.T.tolist()):
            mean[c] += 0.2 * (statistics.fmean(column) - mean[c])
            var[c] += 0.2 * (statistics.variance(column) - var[c])
    check.close(layer.running_mean, mean, **EXACT, name="running_mean")
    check.close(layer.running_var, var, **EXACT, name="running_var")
    layer.eval()
    x = rng.normal(3, 2, (3, 4))
    expected = (x - mean) / np.sqrt(var + 0.3) * weight + bias
    check.close(layer.forward(x), expected, **EXACT, name="y in eval")


@task(5)
def test_rows_meet_in_training_and_not_in_eval(lab, rng):
    x = rng.normal(1, 2, (4, 3))
    other = x.copy()
    other[3] += 5.0
    first, second = (batch_norm(lab).forward(a)[:3] for a in (x, other))
    check.close(second, by_columns(other, WEIGHT, BIAS, 0.1)[:3], **EXACT, name="rows")
    apart = bool((np.abs(np.subtract(first, second)) > 1e-3).any())
    check.that(apart, "rows 0 to 2 change with row 3", second, name="in training")
    layer = batch_norm(lab)
    layer.forward(x)
    layer.eval()
    whole = layer.forward(other)
    for i in range(4):
        alone = layer.forward(other[i : i + 1])
        check.close(alone, whole[i : i + 1], **EXACT, name=f"row {i} alone in eval")


@task(5)
def test_arguments_of_batch_norm(lab):
    layer = batch_norm(lab)
    check.close(layer.forward(X), by_columns(X, WEIGHT, BIAS, 0.1), **EXACT)
    check.raises(ValueError, lambda: layer.forward(X[:1]), match="x")
    check.raises(ValueError, lambda: layer.forward(X.T), match="x")
    check.raises(ValueError, lambda: layer.forward(np.ones((2, 4, 3))), match="x")
    layer.eval()
    check.raises(ValueError, lambda: layer.forward(np.ones(3)), match="x")


# --- Task 6 ----------------------------------------------------------------------


@task(6)
def test_gradient_of_one_column_by_hand(lab):
    """x_hat = -0.8, -0.8, 0.8, 0.8; mean(g) = 1/4 and mean(g · x_hat) = -1/5."""
    layer = lab.BatchNorm1d(2, eps=2.25)
    with_values(layer, [1.0, 2.0])
    layer.forward(np.array([[0.0, 4.0], [0.0, 4.0], [4.0, 0.0], [4.0, 0.0]]))
    dy = np.array([[1.0, 0.0], [0.0, 0.0], [0.0, 0.0], [0.0, 1.0]])
    first, second = [0.59, -0.41, -0.09, -0.09], [-0.18, -0.18, -0.82, 1.18]
    expected = np.column_stack([first, second]) / 2.5
    oracle = expected, np.array([-0.8, -0.8]), np.array([1.0, 1.0])
    about = "; x = [[0, 4], [0, 4], [4, 0], [4, 0]], weight 1, 2, eps 2.25"
    check_backward(layer, oracle, None, dy, about, **EXACT)


@task(6)
def test_gradient_of_batch_norm_as_in_torch(lab):
    layer = batch_norm(lab)
    layer.forward(X)
    dx = numbers("""0.35533031463964254 0.031876406141624826 -0.17750228249788694
        0.06925665482879778 -0.09562921842487453 -0.10396659952136415
        -0.6020961433314399 0.09562921842487453 0.44107732969489055
        0.1775091738629996 -0.031876406141624826 -0.15960844767563948""")
    weight = numbers("-0.5508750756976416 -4.303314829119352 -2.387852475599785")[0]
    check_backward(layer, (dx, weight, BIAS_GRAD), X, DY, TORCH, **EXACT)


@task(6)
def test_gradient_of_batch_norm_by_differences(lab, rng):
    for N, dim in [(5, 3), (4, 4), (2, 6)]:
        x, dy = rng.normal(2, 3, (N, dim)), rng.normal(0, 1, (N, dim))
        weight, bias = rng.normal(1, 1, dim), rng.normal(0, 1, dim)
        layer = batch_norm(lab, weight, bias, eps=0.3)
        layer.forward(x)
        layer.eval()  # backward belongs to the forward before it

        def f(*given):
            return by_columns(*given, 0.3)

        oracle = by_differences(f, x, dy, weight, bias)
        about = "; forward in training, eval() since"
        check_backward(layer, oracle, x, dy, about, **NUMERIC)


@task(6)
def test_gradient_in_eval(lab, rng):
    """The running values are constants: y is a straight line in x."""
    layer = batch_norm(lab)
    layer.forward(X)
    layer.eval()
    x, dy = rng.normal(0, 2, (5, 3)), rng.normal(0, 1, (5, 3))
    layer.forward(x)
    layer.train()
    std = np.sqrt(np.array([2.51875, 1.2, 3.31875]) + 0.1)
    x_hat = (x - np.array([0.2625, 0.45, 0.6375])) / std
    oracle = dy * WEIGHT / std, (dy * x_hat).sum(axis=0), dy.sum(axis=0)
    about = "; forward in eval, train() since"
    check_backward(layer, oracle, x, dy, about, **EXACT)


@task(6)
def test_batch_norm_keeps_the_protocol(lab, rng):
    a, b, dy = rng.normal(0, 1, (3, 6, 3))
    check_protocol(lambda: batch_norm(lab), a, b, dy)
