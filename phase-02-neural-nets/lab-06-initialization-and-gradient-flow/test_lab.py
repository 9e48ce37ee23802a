"""The marking scheme of lab 2.6: what each task must do, and how we know.

Oracles: the constants of PyTorch's `calculate_gain`, the same draws replayed from the
seed, Gram-Schmidt, loops over single numbers, closed forms of linear chains, central
differences, and a network trained by hand. Nothing rests on how well a network learns.
"""

from __future__ import annotations

import itertools
import math
from functools import partial

import numpy as np

from common.grading import check, differences, task

EXACT = {"rtol": 1e-10, "atol": 1e-12}  # the same formula in float64

# torch.nn.init.calculate_gain of torch 2.13, printed once
TORCH_GAINS = {
    "linear": 1,
    "sigmoid": 1,
    "tanh": 1.6666666666666667,
    "relu": 1.4142135623730951,
    "leaky_relu": 1.4141428569978354,
}

FUNCTIONS = {
    "linear": lambda z: z,
    "sigmoid": lambda z: 1 / (1 + math.exp(-z)),
    "tanh": math.tanh,
    "relu": lambda z: max(z, 0.0),
    "leaky_relu": lambda z: z if z > 0 else 0.01 * z,
}


def network(rng, sizes, scale=1.0):
    """Weights of the given sizes, about as large as Xavier's times `scale`."""
    shapes = itertools.pairwise(sizes)
    return [rng.normal(0, scale / math.sqrt(a), size=(a, b)) for a, b in shapes]


def run_by_loops(x, weights, activation):
    """z and h of every layer, one number at a time."""
    f, zs, hs = FUNCTIONS[activation], [], [x]
    for W in weights:
        zs.append(np.array([[math.fsum(row * w) for w in W.T] for row in hs[-1]]))
        hs.append(np.array([[f(value) for value in row] for row in zs[-1]]))
    return zs, hs


# --- Task 1 ----------------------------------------------------------------------


@task(1)
def test_fans_of_three_shapes(lab):
    check.equal(lab.fans((3, 7)), (3, 7), name="(d_in, d_out)")
    check.equal(lab.fans((64, 10)), (64, 10))
    check.equal(lab.fans((5, 5)), (5, 5))


@task(1)
def test_gains_are_those_of_torch(lab):
    for name, value in TORCH_GAINS.items():
        check.close(lab.gain(name), float(value), **EXACT, name=name)


@task(1)
def test_a_gain_keeps_the_mean_square(lab):
    """Of z and -z one comes out as it is and the other times slope."""
    for slope in (0.0, 0.5, -0.25, 1.0, 3.0):
        kept = (1 + slope**2) / 2
        got = lab.gain("leaky_relu", slope=slope)
        check.close(got, 1 / math.sqrt(kept), **EXACT, name=f"slope {slope}")
    check.close(lab.gain("relu", slope=0.5), math.sqrt(2), **EXACT, name="relu")
    check.close(lab.gain("tanh", slope=0.5), 5 / 3, **EXACT, name="tanh")


@task(1)
def test_shapes_and_names_that_are_none(lab):
    check.equal(lab.fans((1, 2)), (1, 2))
    for bad in ((64,), (3, 4, 5), (0, 4), (4, -1)):
        check.raises(ValueError, lambda s=bad: lab.fans(s), match="shape")
    check.raises(ValueError, lambda: lab.gain("selfish"), match="nonlinearity")


# --- Task 2 ----------------------------------------------------------------------

SHAPES = ((6, 3), (4, 9), (5, 5))


def gram_schmidt(A):
    """Orthonormal columns, each made from the columns before it; twice for rounding."""
    Q = []
    for column in A.T:
        for _ in range(2):
            for q in Q:
                column = column - (q @ column) * q
        Q.append(column / math.sqrt(column @ column))
    return np.array(Q).T


def seeded(rng):
    """Two generators that draw the same: one for the lab, one for the oracle."""
    seed = int(rng.integers(1, 2**31))
    return np.random.default_rng(seed), np.random.default_rng(seed)


@task(2)
def test_deviations_and_limits_of_one_shape(lab):
    """(8, 24): Xavier's deviation is 1/4, He's is 1/2; a uniform reaches √3 as far."""
    shape, z = (8, 24), np.random.default_rng(5).standard_normal((8, 24))
    u = 2 * np.random.default_rng(5).random((8, 24)) - 1  # even between -1 and 1
    root = math.sqrt(3)
    for name, expected in {
        "he_normal": z / 2,
        "xavier_normal": z / 4,
        "he_uniform": root * u / 2,
        "xavier_uniform": root * u / 4,
    }.items():
        got = getattr(lab, name)(shape, rng=np.random.default_rng(5))
        check.close(got, expected, **EXACT, name=name)


@task(2)
def test_gains_multiply_the_deviation(lab, rng):
    ways = [
        ("xavier", "gain", {0.5: 0.5, 2.5: 2.5}),
        ("he", "nonlinearity", TORCH_GAINS),
    ]
    for (scheme, keyword, gains), shape in itertools.product(ways, SHAPES):
        mine, theirs = seeded(rng)
        fan = shape[0] if scheme == "he" else sum(shape) / 2
        for key, value in gains.items():
            std = value / math.sqrt(fan)
            got = getattr(lab, f"{scheme}_normal")(shape, **{keyword: key}, rng=mine)
            z = theirs.standard_normal(shape)
            check.close(got, std * z, **EXACT, name=f"{scheme}_normal, {key}")
            got = getattr(lab, f"{scheme}_uniform")(shape, **{keyword: key}, rng=mine)
            u = 2 * theirs.random(shape) - 1
            check.close(got, math.sqrt(3) * std * u, **EXACT, name=f"{scheme}_uniform")


@task(2)
def test_orthogonal_is_what_gram_and_schmidt_make(lab, rng):
    for d_in, d_out in SHAPES:
        mine, theirs = seeded(rng)
        tall = (max(d_in, d_out), min(d_in, d_out))
        Q = gram_schmidt(theirs.standard_normal(tall))
        got = lab.orthogonal((d_in, d_out), gain=1.5, rng=mine)
        expected = 1.5 * (Q.T if d_in < d_out else Q)
        name = f"({d_in}, {d_out}), from a draw of {tall}"
        check.close(got, expected, rtol=1e-8, atol=1e-9, name=name)
        W = np.asarray(got)  # with 1.5² = 2.25 on the diagonal
        small = W.T @ W if d_in >= d_out else W @ W.T
        check.close(small, 2.25 * np.eye(min(d_in, d_out)), **EXACT, name="W^T W")


@task(2)
def test_shapes_that_are_none(lab, rng):
    names = ("xavier_normal", "xavier_uniform", "he_normal", "he_uniform", "orthogonal")
    for name in names:
        draw = getattr(lab, name)
        check.equal(np.shape(draw((3, 2), rng=rng)), (3, 2), name=name)
        check.raises(ValueError, lambda f=draw: f((3, 2, 2), rng=rng), match="shape")
    for draw in (lab.he_normal, lab.he_uniform):
        call = lambda f=draw: f((3, 2), nonlinearity="none", rng=rng)  # noqa: E731
        check.raises(ValueError, call, match="nonlinearity")


# --- Task 3 ----------------------------------------------------------------------


FIELDS = ("second_moment", "mean", "fraction_zero", "fraction_saturated")


def same_statistics(stats, expected, case):
    """Every field of every layer is the expected number."""
    check.equal(len(stats), len(expected), name=f"number of layers, {case}")
    for i, (layer, row) in enumerate(zip(stats, expected, strict=True), start=1):
        for field, value in zip(FIELDS, row, strict=True):
            name = f"{field} of layer {i}, {case}"
            check.close(float(getattr(layer, field)), value, **EXACT, name=name)


def statistics_by_counting(h, activation):
    """The four statistics of one h, number by number."""
    values = [float(v) for row in h for v in row]
    middle = {"tanh": lambda v: v, "sigmoid": lambda v: 2 * v - 1}
    flat = middle.get(activation, lambda v: 0.0)
    n = len(values)
    return [
        math.fsum(v * v for v in values) / n,
        math.fsum(values) / n,
        sum(v == 0 for v in values) / n,
        sum(abs(flat(v)) > 0.97 for v in values) / n,
    ]


@task(3)
def test_two_layers_by_hand(lab):
    x = np.array([[1.0, 2.0], [-1.0, 0.0]])
    weights = [np.array([[1.0, -1.0, 2.0], [1.0, 0.0, -1.0]]), np.eye(3)[:, :2]]
    z, h = lab.forward(x, weights, "relu")
    first = np.array([[3.0, -1.0, 0.0], [-1.0, 1.0, -2.0]])
    check.close(z, [first, np.array([[3.0, 0.0], [0.0, 1.0]])], **EXACT, name="z")
    after = [np.array([[3.0, 0.0, 0.0], [0.0, 1.0, 0.0]])]
    after.append(after[0][:, :2])
    check.close(h, [x, *after], **EXACT, name="h")
    got = lab.forward_stats(x, weights, "relu")
    expected = [[10 / 6, 4 / 6, 4 / 6, 0.0], [10 / 4, 1.0, 0.5, 0.0]]
    same_statistics(got, expected, "relu")


@task(3)
def test_flat_parts_of_tanh_and_sigmoid(lab):
    """tanh(2.0) = 0.964 is not flat yet, tanh(2.2) = 0.976 is; the sigmoid at 2 z."""
    x = np.array([[2.0, 2.2, -2.2, 0.5], [0.0, -5.0, 1.0, -2.0]])
    for name, factor, share in [
        ("tanh", 1, 3 / 8), ("sigmoid", 2, 3 / 8), ("linear", 1, 0.0), ("relu", 9, 0.0)
    ]:  # fmt: skip
        (got,) = lab.forward_stats(x, [factor * np.eye(4)], name)
        about = f"fraction_saturated of the one layer, {name}"
        check.close(got.fraction_saturated, share, **EXACT, name=about)


@task(3)
def test_every_activation_against_loops(lab, rng):
    for name in FUNCTIONS:
        weights, x = network(rng, (5, 7, 4, 3), 2.0), rng.normal(size=(6, 5))
        zs, hs = run_by_loops(x, weights, name)
        z, h = lab.forward(x, weights, name)
        check.close(z, zs, **EXACT, name=f"z, {name}")
        check.close(h, hs, **EXACT, name=f"h, {name}")
        got = lab.forward_stats(x, weights, name)
        expected = [statistics_by_counting(out, name) for out in hs[1:]]
        same_statistics(got, expected, name)


@task(3)
def test_networks_that_do_not_fit(lab):
    x, W = np.ones((2, 3)), np.ones((3, 4))
    for f in (lab.forward, lab.forward_stats):
        check.equal(len(f(x, [W, np.ones((4, 2))], "tanh")), 2)
        check.raises(ValueError, lambda f=f: f(np.ones(3), [W], "tanh"), match="x")
        check.raises(ValueError, lambda f=f: f(x, [W, W], "tanh"), match="weights")
        check.raises(ValueError, lambda f=f: f(x, [W], "swoosh"), match="activation")


# --- Task 4 ----------------------------------------------------------------------


def by_differences(x, weights, activation, dy):
    """Central differences of sum(dy * h_L), every entry of every weight."""

    def loss(i, moved):
        out = x
        for W in [*weights[:i], moved, *weights[i + 1 :]]:
            out = np.vectorize(FUNCTIONS[activation])(out @ W)
        return np.sum(dy * out)

    return [differences(partial(loss, i), W) for i, W in enumerate(weights)]


def away_from_kinks(rng, activation, sizes, n):
    """x and weights whose pre-activations all keep 1e-3 away from 0."""
    while True:
        x, weights = rng.normal(size=(n, sizes[0])), network(rng, sizes, 1.5)
        zs, _ = run_by_loops(x, weights, activation)
        if min(float(np.abs(z).min()) for z in zs) > 1e-3:
            return x, weights


@task(4)
def test_one_path_by_hand(lab):
    """x = 1/2, weights 2 and ln 3, tanh: slopes 1 - tanh²(z) at each layer's own z."""
    x, dy = np.array([[0.5]]), np.array([[3.0]])
    weights = [np.array([[2.0]]), np.array([[math.log(3)]])]
    h1 = math.tanh(1.0)
    slope1, slope2 = 1 - h1**2, 1 - math.tanh(math.log(3) * h1) ** 2
    second = 3 * slope2 * h1
    first = 3 * slope2 * math.log(3) * slope1 * 0.5
    got = lab.weight_gradients(x, weights, "tanh", dy)
    expected = [np.array([[first]]), np.array([[second]])]
    check.close(got, expected, **EXACT, name="gradients")
    norms = lab.gradient_norms(x, weights, "tanh", -dy)
    check.close(norms, [first, second], **EXACT, name="norms")


@task(4)
def test_one_layer_of_relu_by_hand(lab):
    x = np.array([[1.0, 2.0], [-1.0, 0.0]])
    W = np.array([[1.0, -1.0, 2.0], [1.0, 0.0, -1.0]])  # z = 3 -1 0, -1 1 -2
    dy = np.array([[4.0, 7.0, 5.0], [6.0, -2.0, 9.0]])
    (got,) = lab.weight_gradients(x, [W], "relu", dy)
    # z = 0 passes nothing on, and nothing is divided by the two rows
    check.close(got, np.array([[4.0, 2.0, 0.0], [8.0, 0.0, 0.0]]), **EXACT)
    norms = lab.gradient_norms(x, [W], "relu", dy)
    check.close(norms, [math.sqrt(16 + 4 + 64)], **EXACT, name="norm")


@task(4)
def test_against_central_differences(lab, rng):
    for name in FUNCTIONS:
        x, weights = away_from_kinks(rng, name, (3, 5, 4, 2), n=3)
        dy = rng.normal(1, 1, size=(3, 2))
        expected = by_differences(x, weights, name, dy)
        got = lab.weight_gradients(x, weights, name, dy)
        check.close(got, expected, rtol=1e-6, atol=1e-7, name=name)
        squares = [math.fsum((g**2).ravel().tolist()) for g in expected]
        norms = lab.gradient_norms(x, weights, name, dy)
        check.close(norms, [math.sqrt(s) for s in squares], rtol=1e-6, atol=1e-7)


@task(4)
def test_a_linear_chain_backward_in_closed_form(lab, rng):
    """Layers a_l I: every gradient is x^T dy times the product of the OTHER factors."""
    x, dy = rng.normal(size=(4, 3)), rng.normal(size=(4, 3))
    factors = [0.5, 4.0, 0.25, 3.0, 2.0]
    whole = math.prod(factors)
    weights = [a * np.eye(3) for a in factors]
    got = lab.weight_gradients(x, weights, "linear", dy)
    outer = np.array([[math.fsum(a * b) for b in dy.T] for a in x.T])
    check.close(got, [outer * whole / a for a in factors], **EXACT, name="gradients")
    length = math.sqrt(math.fsum((outer**2).ravel().tolist()))
    norms = lab.gradient_norms(x, weights, "linear", dy)
    check.close(norms, [length * whole / a for a in factors], **EXACT, name="norms")


@task(4)
def test_dy_that_does_not_fit(lab):
    x, weights = np.ones((2, 3)), [np.ones((3, 4)), np.ones((4, 5))]
    bad = np.ones((2, 4))
    for f in (lab.weight_gradients, lab.gradient_norms):
        check.equal(len(f(x, weights, "tanh", np.ones((2, 5)))), 2)
        check.raises(ValueError, lambda f=f: f(x, weights, "tanh", bad), match="dy")


# --- Task 5 ----------------------------------------------------------------------


@task(5)
def test_six_units_by_hand(lab):
    z = np.array([
        [-1.0, 2.0, -3.0, 0.0, 1.0, -2.0],
        [-2.0, 1.0, -1.0, 0.0, 3.0, 0.0],
        [-0.5, 4.0, 0.25, 0.0, 0.0, -1.0],
        [-9.0, 0.5, -2.0, 0.0, 2.0, -4.0],
    ])  # fmt: skip
    # never; always; on one row; exactly 0 on all; 0 on one row only; 0 and below
    expected = np.array([True, False, False, True, False, True])
    check.equal(lab.dead_units(z), expected)


@task(5)
def test_a_rare_unit_is_alive(lab):
    z = -np.ones((500, 3))
    z[123, 1] = 1e-300
    check.equal(lab.dead_units(z), np.array([True, False, True]))


@task(5)
def test_drawn_units_against_counting(lab, rng):
    for n, units in [(2, 9), (7, 3), (5, 5), (11, 8), (4, 20)]:
        z = rng.integers(-6, 2, size=(n, units)) / 2
        expected = [max(column) <= 0 for column in z.T.tolist()]
        check.equal(lab.dead_units(z), np.array(expected))


@task(5)
def test_tables_without_rows(lab):
    check.equal(lab.dead_units(np.array([[1.0, -1.0]])), np.array([False, True]))
    for bad in (np.ones(3), np.ones((0, 3)), np.ones((2, 3, 4))):
        check.raises(
            ValueError, lambda b=bad: lab.dead_units(b), match="pre_activations"
        )


# --- Task 6 ----------------------------------------------------------------------


def two_layers_trained(W, V, rng, steps=20):
    """W (d, H) after SGD on tanh(X W) V against a drawn target, derivatives by hand."""
    W, V = W.copy(), V.copy()
    X, target = rng.normal(size=(12, len(W))), rng.normal(size=(12, V.shape[1]))
    for _ in range(steps):
        h = np.tanh(X @ W)
        error = (h @ V - target) / len(X)
        W, V = W - 0.1 * X.T @ (error @ V.T * (1 - h**2)), V - 0.1 * h.T @ error
    return W


@task(6)
def test_columns_by_hand(lab):
    A, B, C = [1.0, 2.0, 3.0], [1.0, 2.0, 4.0], [0.0, 2.0, 3.0]
    columns = np.array([A, B, A, A, C, B, A]).T  # (3, 7); its three rows differ
    check.equal(lab.distinct_units(columns), 3, name="A B A A C B A")
    check.equal(lab.distinct_units(columns[:, [0, 2, 3]]), 1, name="A A A")
    check.equal(lab.distinct_units(columns[:, [0, 1]]), 2, name="A B")
    check.equal(lab.distinct_units(np.ones((4, 6))), 1, name="constant")
    same_rows = np.array([[1.0, 2.0, 5.0, 7.0], [1.0, 2.0, 5.0, 7.0]])
    check.equal(lab.distinct_units(same_rows), 4, name="equal rows")


@task(6)
def test_rounding_makes_no_new_unit(lab):
    W = np.array([[1.0, 1.0 + 1e-14, 1.0], [2.0, 2.0, 2.0 - 3e-15]])
    check.equal(lab.distinct_units(W), 1, name="default atol")
    check.equal(lab.distinct_units(W, atol=0.0), 3, name="atol=0")
    steps = np.array([[0.0, 0.75, 1.5, 2.25, 3.0]])  # each within 1 of the next
    check.equal(lab.distinct_units(steps, atol=1.0), 3, name="0, 1.5 and 3 count")


@task(6)
def test_a_constant_start_stays_symmetric(lab, rng):
    """A theorem: equal units get equal gradients, so 20 steps leave them equal."""
    start = two_layers_trained(np.full((5, 6), 0.3), np.full((6, 2), -0.2), rng)
    check.equal(lab.distinct_units(start), 1, name="constant start")
    V = np.array([[0.5, -1.0]] * 3 + [[0.25, 2.0]] * 4)  # two kinds of outgoing weights
    start = two_layers_trained(np.full((5, 7), 0.3), V, rng)
    check.equal(lab.distinct_units(start), 2, name="two kinds of units")
    W, V = rng.normal(size=(5, 6)), rng.normal(size=(6, 2))
    check.equal(lab.distinct_units(two_layers_trained(W, V, rng)), 6, name="random")


@task(6)
def test_drawn_columns_against_a_set(lab, rng):
    for d_in, units in [(2, 9), (3, 5), (4, 4), (3, 12)]:
        W = rng.integers(0, 2, size=(d_in, units)) / 8
        expected = len({tuple(column) for column in W.T.tolist()})
        check.equal(lab.distinct_units(W), expected)


@task(6)
def test_only_a_matrix_has_units(lab):
    check.equal(lab.distinct_units(np.array([[1.0, 2.0, 1.0]])), 2)
    for bad in (np.ones(3), np.ones((2, 3, 4))):
        check.raises(ValueError, lambda b=bad: lab.distinct_units(b), match="W")


# --- Task 7 ----------------------------------------------------------------------


@task(7, mutates=True)
def test_three_four_twelve(lab):
    """Norm 13 over all three arrays together; to 6.5 everything is halved."""
    grads = [np.array([[3.0, 0.0]]), np.array([-4.0]), np.array([[0.0], [12.0]])]
    check.close(lab.clip_grad_norm(grads, 6.5), 13.0, **EXACT, name="norm before")
    expected = [np.array([[1.5, 0.0]]), np.array([-2.0]), np.array([[0.0], [6.0]])]
    check.close(grads, expected, **EXACT, name="grads, changed in place")


@task(7, mutates=True)
def test_below_the_limit_nothing_changes(lab):
    for limit in (13.5, 1000.0, math.inf):
        grads = [np.array([3.0, 12.0]), np.array([[-4.0]])]
        check.close(lab.clip_grad_norm(grads, limit), 13.0, **EXACT, name="norm before")
        check.equal(grads, [np.array([3.0, 12.0]), np.array([[-4.0]])], name="grads")
    check.close(lab.clip_grad_norm([], 1.0), 0.0, name="no arrays")
    for bad in (0.0, -1.0, math.nan):
        call = lambda b=bad: lab.clip_grad_norm([np.ones(2)], b)  # noqa: E731
        check.raises(ValueError, call, match="max_norm")


@task(7, mutates=True)
def test_drawn_gradients_keep_their_direction(lab, rng):
    sizes = [(3, 5), (5,), (5, 2), (2, 3, 4)]
    grads = [rng.normal(0, 3 ** (i - 1), size=s) for i, s in enumerate(sizes)]
    flat = [float(v) for g in grads for v in g.ravel()]
    norm = math.sqrt(math.fsum(v * v for v in flat))
    before = [g.copy() for g in grads]
    check.close(lab.clip_grad_norm(grads, norm / 7), norm, **EXACT, name="norm before")
    expected = [g / 7 for g in before]
    check.close(grads, expected, **EXACT, name="grads, changed in place")
    check.close(lab.clip_grad_norm(grads, norm), norm / 7, **EXACT, name="norm after")


def layers(lab, moments, zero=0.5, saturated=0.0):
    """LayerStats with these second moments; the shares are those of the middle one."""
    middle = len(moments) // 2
    return [
        lab.LayerStats(m, 0.1, *((zero, saturated) if i == middle else (0.3, 0.05)))
        for i, m in enumerate(moments)
    ]


EVEN, UP, DOWN = [1.0, 0.8, 1.5, 1.1], [1.0, 30.0, 900.0, 3e4], [1.0, 0.1, 1e-3, 1e-6]


@task(7)
def test_networks_far_from_the_thresholds(lab):
    for expected, stats, norms in [
        ("healthy", layers(lab, EVEN), EVEN),
        ("healthy", layers(lab, [1.0, 3e-5, 1e5, 7.0]), [0.1, 90.0, 1e-6, 3.0]),
        ("dead", layers(lab, EVEN, zero=1.0), EVEN),
        ("saturated", layers(lab, EVEN, saturated=0.75), EVEN),
        ("exploding", layers(lab, UP), EVEN),
        ("exploding", layers(lab, EVEN), UP[::-1]),
        ("vanishing", layers(lab, DOWN), EVEN),
        ("vanishing", layers(lab, EVEN), DOWN[::-1]),
        ("vanishing", layers(lab, EVEN), [0.0] * 4),  # no gradient at all
    ]:
        check.equal(lab.diagnose(stats, norms), expected)


@task(7)
def test_what_is_not_finite_explodes(lab):
    for bad in (math.nan, math.inf):
        sick = [1.0, bad, 1.5, 1.1]
        check.equal(lab.diagnose(layers(lab, sick), EVEN), "exploding")
        check.equal(lab.diagnose(layers(lab, EVEN), sick), "exploding")


@task(7)
def test_the_first_of_several_names_counts(lab):
    for expected, stats, norms in [
        ("dead", layers(lab, DOWN, zero=0.99, saturated=0.9), UP),
        ("saturated", layers(lab, UP, saturated=0.9), DOWN[::-1]),
        ("exploding", layers(lab, DOWN), UP[::-1]),
        ("exploding", layers(lab, UP), DOWN[::-1]),
        # on a threshold: only "exploding" wants more than it
        ("dead", layers(lab, EVEN, zero=0.95), EVEN),
        ("saturated", layers(lab, EVEN, saturated=0.25), EVEN),
        ("healthy", layers(lab, [1.0, 1.0, 1e3]), [1e3, 1.0, 1.0]),
        ("vanishing", layers(lab, [1e3, 1.0, 1.0]), [1.0, 1.0, 1.0]),
        ("vanishing", layers(lab, [1.0, 1.0, 1.0]), [1.0, 1.0, 1e3]),
    ]:
        check.equal(lab.diagnose(stats, norms), expected)


@task(7)
def test_lists_of_different_lengths(lab):
    stats = layers(lab, [1.0, 2.0, 3.0])
    check.equal(lab.diagnose(stats, [1.0, 2.0, 1.5]), "healthy")
    check.raises(ValueError, lambda: lab.diagnose([], []), match="stats")
    check.raises(ValueError, lambda: lab.diagnose(stats, [1.0]), match="grad_norms")
