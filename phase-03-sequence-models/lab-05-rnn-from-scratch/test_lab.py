"""The marking scheme of lab 3.5: what each task must do, and how we know.

Oracles: numbers worked out by hand, loops over single numbers, what torch.nn.RNN and
autograd gave once, complex-step and central differences, powers of matrices, a training
loop with gradients from complex steps, networks whose weights were chosen by hand. The
instructor's suite compares with torch itself.
"""

from __future__ import annotations

import math
from itertools import islice

import numpy as np

from common.grading import check, differences, task

EXACT = {"rtol": 1e-10, "atol": 1e-12}  # the same formula in float64
NAMES = ("Wxh", "Whh", "bh", "Why", "by")


def draw(rng, T=7, B=3, I=4, H=5, V=6):  # noqa: E741
    """Inputs, a first state and parameters; no size twice, no number near another."""
    params = {
        "Wxh": rng.normal(0, 0.6, (I, H)),
        "Whh": rng.normal(0, 0.5, (H, H)),
        "bh": rng.normal(0, 0.5, H),
        "Why": rng.normal(0, 0.8, (H, V)),
        "by": rng.normal(0, 0.5, V),
    }
    return rng.normal(0, 1, (T, B, I)), rng.normal(0, 0.6, (B, H)), params


def scalar(Wxh=1.0, Whh=0.5, bh=0.0, Why=1.0, by=0.0):
    """A network with one input, one hidden unit and one output."""
    numbers = {"Wxh": [[Wxh]], "Whh": [[Whh]], "bh": [bh], "Why": [[Why]], "by": [by]}
    return {name: np.array(value) for name, value in numbers.items()}


def half(value):
    """The same in float32: an array, or a dict of arrays."""
    if isinstance(value, dict):
        return {name: array.astype(np.float32) for name, array in value.items()}
    return value.astype(np.float32)


def one_hot(ids, n):
    return np.eye(n)[np.asarray(ids)]


# --- Plain versions for comparison -----------------------------------------------


def dot(a, b):
    return math.fsum(x * y for x, y in zip(a, b, strict=True))


def by_numbers(xs, h0, p, linear=False):
    """The forward pass, one number at a time."""
    T, B, _ = xs.shape
    H, V = p["Why"].shape
    hs = [h0.tolist()]
    logits = np.empty((T, B, V))
    for t in range(T):
        state = [[0.0] * H for _ in range(B)]
        for b in range(B):
            for j in range(H):
                z = p["bh"][j]
                z += math.fsum(
                    x * w for x, w in zip(xs[t, b], p["Wxh"][:, j], strict=True)
                )
                z += math.fsum(
                    h * w for h, w in zip(hs[t][b], p["Whh"][:, j], strict=True)
                )
                state[b][j] = z if linear else math.tanh(z)
            for k in range(V):
                logits[t, b, k] = dot(state[b], p["Why"][:, k]) + p["by"][k]
        hs.append(state)
    return np.array(hs), logits


def loss_by_numbers(logits, targets, mask):
    """The loss and its gradient, row by row, without any care for large numbers."""
    n = int(mask.sum())
    losses, gradient = [], np.zeros_like(logits)
    for place in map(tuple, np.argwhere(mask)):
        weights = [math.exp(z) for z in logits[place]]
        own = int(targets[place])
        losses.append(-math.log(weights[own] / math.fsum(weights)))
        for k, weight in enumerate(weights):
            share = weight / math.fsum(weights)
            gradient[(*place, k)] = (share - (k == own)) / n
    return math.fsum(losses) / n, gradient


def run(xs, h, p, linear=False):
    """The last state and all logits; complex numbers may go through."""
    logits = []
    for x in xs:
        h = x @ p["Wxh"] + p["bh"] + h @ p["Whh"]
        h = h if linear else np.tanh(h)
        logits.append(h @ p["Why"] + p["by"])
    return h, np.array(logits)


def slope(f, array):
    """The derivative of f() by each entry of a complex array: f(x + ih) = f + ih f'.

    Nothing is subtracted, so nothing is lost (Squire and Trapp 1998).
    """
    found = np.empty(array.shape)
    for place in np.ndindex(array.shape):
        kept = array[place]
        array[place] = kept + 1e-30j
        found[place] = f().imag / 1e-30
        array[place] = kept
    return found


def slopes(xs, h0, params, linear, loss):
    """The gradients of loss(last state, logits) by params and h0."""
    p = {name: array.astype(complex) for name, array in params.items()}
    start = h0.astype(complex)

    def value():
        return loss(*run(xs, start, p, linear))

    return {name: slope(value, p[name]) for name in NAMES}, slope(value, start)


# What torch 2.13 gave in float64: torch.nn.RNN, cross_entropy plus the sum of the last
# state, and autograd.
TORCH_LAST = """-0.8053745228313204 0.6893258046468898
    -0.8697637865673474 0.8530639752631952"""
TORCH_LOSS = 0.9592226360542765
TORCH_GRADS = {
    "Wxh": """-0.5099738744143436 0.4792203842633443 1.0618163718402878
        0.013248798213783525 0.23635548748539875 -0.48263445367510377""",
    "Whh": """0.8661075378920747 -0.4792014507031447 -0.4068781555792178
        0.6767837507199193""",
    "bh": "-0.34934102446335474 1.5828783943903022",
    "Why": """0.029504941362246156 -0.03842682363599785 0.00892188227375168
        0.05642415626628539 -0.06723191871057188 0.010807762444286474""",
    "by": "-0.012251904690301067 0.03957697231044685 -0.027325067620145804",
}
TORCH_DH0 = """0.0042217836107979224 0.004198754967341718 0.026856639546363036
    -0.04318108961317057"""


def numbers(text, shape):
    return np.array(text.split(), np.float64).reshape(shape)


def wave(start, *shape):
    """Numbers that anybody can make again: cos(start + 1.7 i)."""
    return np.cos(start + 1.7 * np.arange(math.prod(shape))).reshape(shape)


def torchs_network():
    """xs (4, 2, 3), h0 (2, 2), params and targets (4, 2) of the constants above."""
    shapes = {"Wxh": (3, 2), "Whh": (2, 2), "bh": (2,), "Why": (2, 3), "by": (3,)}
    params = {
        name: wave(start, *shapes[name]) for start, name in enumerate(NAMES, start=1)
    }
    return wave(6, 4, 2, 3), wave(7, 2, 2), params, (np.arange(8) % 3).reshape(4, 2)


# --- Task 1 ----------------------------------------------------------------------


@task(1)
def test_two_steps_of_one_unit(lab):
    xs = np.array([[[1.0]], [[0.0]]])
    hs, logits = lab.rnn_forward(xs, np.zeros((1, 1)), scalar(Why=10.0, by=1.0))
    # tanh(1) and tanh(0.5 tanh(1))
    called = "rnn_forward: Wxh 1, Whh 0.5, bh 0, Why 10, by 1; inputs 1, 0; h0 0"
    expected = np.array([0.0, 0.761594, 0.363399]).reshape(3, 1, 1)
    check.close(hs, expected, rtol=0, atol=1e-6, name="hs", input=called)
    expected = np.array([8.61594, 4.63399]).reshape(2, 1, 1)
    check.close(logits, expected, rtol=0, atol=1e-5, name="logits", input=called)


@task(1)
def test_one_step_of_two_units(lab):
    params = {
        "Wxh": np.array([[1.0, 2.0], [3.0, 4.0], [0.0, 1.0]]),
        "Whh": np.array([[0.5, 2.0], [0.0, -1.0]]),
        "bh": np.array([0.25, -8.0]),
        "Why": np.zeros((2, 2)),
        "by": np.zeros(2),
    }
    x, h = np.array([[1.0, -1.0, 2.0]]), np.array([[2.0, 3.0]])
    # x Wxh = (-2, 0), h Whh = (1, 1)
    got = lab.rnn_step(x, h, params, "identity")
    check.close(got, np.array([[-0.75, -7.0]]), **EXACT, name="identity")
    got = lab.rnn_step(x, h, params)
    expected = np.array([[math.tanh(-0.75), math.tanh(-7.0)]])
    check.close(got, expected, **EXACT, name="tanh")


@task(1)
def test_forward_as_torch(lab):
    xs, h0, params, _ = torchs_network()
    hs, _ = lab.rnn_forward(xs, h0, params)
    check.close(hs[-1], numbers(TORCH_LAST, (2, 2)), **EXACT, name="the last state")


@task(1)
def test_forward_one_number_at_a_time(lab, rng):
    for activation in ("tanh", "identity"):
        xs, h0, params = draw(rng)
        hs, logits = lab.rnn_forward(xs, h0, params, activation)
        expected = by_numbers(xs, h0, params, activation == "identity")
        check.close(hs, expected[0], **EXACT, name=f"hs, {activation}")
        check.close(logits, expected[1], **EXACT, name=f"logits, {activation}")
        got = lab.rnn_step(xs[2], expected[0][2], params, activation)
        check.close(got, expected[0][3], **EXACT, name=f"a step, {activation}")


@task(1)
def test_two_halves_with_the_state_handed_over(lab, rng):
    xs, h0, params = draw(rng, T=9)
    hs, logits = lab.rnn_forward(xs, h0, params)
    first, early = lab.rnn_forward(xs[:4], h0, params)
    second, late = lab.rnn_forward(xs[4:], first[-1], params)
    check.close(np.concatenate([first[:-1], second]), hs, **EXACT, name="hs")
    check.close(np.concatenate([early, late]), logits, **EXACT, name="logits")
    alone, _ = lab.rnn_forward(xs[:, 1:2], h0[1:2], params)
    check.close(alone, hs[:, 1:2], **EXACT, name="the second sequence alone")


@task(1)
def test_forward_keeps_float32_and_refuses_unknown_activations(lab, rng):
    xs, h0, params = draw(rng)
    expected = by_numbers(xs, h0, params)
    got = lab.rnn_forward(half(xs), half(h0), half(params))
    for name, ours, exact in zip(("hs", "logits"), got, expected, strict=True):
        check.close(ours, half(exact), rtol=1e-4, atol=1e-5, name=f"{name}, float32")
    step = lab.rnn_step(half(xs[0]), half(h0), half(params))
    check.close(step, half(expected[0][1]), rtol=1e-4, atol=1e-5, name="a step")
    for call in (
        lambda: lab.rnn_step(xs[0], h0, params, "relu"),
        lambda: lab.rnn_forward(xs, h0, params, "relu"),
    ):
        check.raises(ValueError, call, match="activation")


# --- Task 2 ----------------------------------------------------------------------


@task(2)
def test_two_rows_by_hand(lab):
    logits = np.array([[[0.0, 0.0]], [[0.0, math.log(3)]]])
    targets = np.array([[0], [1]])
    loss, dlogits = lab.softmax_cross_entropy(logits, targets)
    # the softmax rows are 1/2, 1/2 and 1/4, 3/4
    expected = (math.log(2) + math.log(4 / 3)) / 2
    called = "logits [0, 0] and [0, log 3], targets 0 and 1"
    check.close(loss, expected, **EXACT, name="loss", input=called)
    expected = np.array([[[-0.25, 0.25]], [[0.125, -0.125]]])
    check.close(dlogits, expected, **EXACT, name="dlogits", input=called)
    mask = np.array([[False], [True]])
    loss, dlogits = lab.softmax_cross_entropy(logits, targets, mask)
    called += ", only the second counts"
    check.close(loss, math.log(4 / 3), **EXACT, name="loss", input=called)
    expected = np.array([[[0.0, 0.0]], [[0.25, -0.25]]])
    check.close(dlogits, expected, **EXACT, name="dlogits", input=called)


@task(2)
def test_loss_row_by_row(lab, rng):
    logits = rng.normal(0, 2, (5, 4, 3))
    targets = rng.integers(3, size=(5, 4))
    every, some = np.ones((5, 4), bool), rng.random((5, 4)) < 0.4
    some[2, 1], some[3, 0] = True, False
    for name, mask in (("all", None), ("mask", some)):
        loss, dlogits = lab.softmax_cross_entropy(logits, targets, mask)
        counts = every if mask is None else mask
        expected = loss_by_numbers(logits, targets, counts)
        check.close(loss, expected[0], **EXACT, name=f"loss, {name}")
        check.close(dlogits, expected[1], **EXACT, name=f"dlogits, {name}")


@task(2)
def test_large_logits(lab):
    logits = np.array([[[0.0, 1e4, 5e3]], [[1e4, 1e4, 1e4 + math.log(2)]]])
    targets = np.array([[0], [2]])
    loss, dlogits = lab.softmax_cross_entropy(logits, targets)
    called = "logits [0, 10000, 5000] and [10000, 10000, 10000 + log 2], targets 0, 2"
    expected = (1e4 + math.log(2)) / 2
    check.close(loss, expected, rtol=1e-10, name="loss", input=called)
    expected = np.array([[[-0.5, 0.5, 0]], [[0.125, 0.125, -0.25]]])
    check.close(dlogits, expected, rtol=1e-10, name="dlogits", input=called)
    # rows a long way apart: each needs its own maximum
    small = np.array([0.0, 0.0, math.log(2)])
    logits = np.array([[small, small + 1e4], [small - 1e4, small]])
    loss, dlogits = lab.softmax_cross_entropy(logits, np.full((2, 2), 2))
    called = "rows [0, 0, log 2] + 0, + 10000, - 10000 and + 0, targets 2"
    check.close(loss, math.log(2), rtol=1e-10, name="loss", input=called)
    expected = np.tile(np.array([0.0625, 0.0625, -0.125]), (2, 2, 1))
    check.close(dlogits, expected, rtol=1e-10, name="dlogits", input=called)


@task(2)
def test_loss_in_float32_and_its_errors(lab, rng):
    logits, targets = rng.normal(0, 2, (5, 4, 3)), rng.integers(3, size=(5, 4))
    mask = np.arange(20).reshape(5, 4) % 3 > 0
    loss, dlogits = lab.softmax_cross_entropy(half(logits), targets, mask)
    expected = loss_by_numbers(logits, targets, mask)
    check.close(loss, expected[0], rtol=1e-4, name="loss of float32, a float")
    check.close(dlogits, half(expected[1]), rtol=1e-3, atol=1e-6, name="dlogits")
    none = np.zeros((5, 4), bool)
    check.raises(
        ValueError,
        lambda: lab.softmax_cross_entropy(logits, targets, none),
        match="mask",
    )
    for wrong in (-1, 3):
        bad = targets.copy()
        bad[1, 2] = wrong  # a step that does not count in `mask`
        for some in (None, mask):
            args = logits, bad, some
            call = lambda args=args: lab.softmax_cross_entropy(*args)  # noqa: E731
            check.raises(ValueError, call, match="targets")


# --- Task 3 ----------------------------------------------------------------------


@task(3)
def test_gradients_of_one_unit(lab):
    h1, h2 = math.tanh(1), math.tanh(math.tanh(1) / 2)
    xs = np.array([[[1.0]], [[0.0]]])
    hs = np.array([0.0, h1, h2]).reshape(3, 1, 1)
    nothing, one = np.zeros((2, 1, 1)), np.ones((1, 1))
    got, dh0 = lab.rnn_backward(xs, hs, nothing, scalar(), one)
    # dh2/dh1 = 0.5 (1 - h2²) = 0.43397, and 1 - h1² = 0.41997
    expected = scalar(Wxh=0.18226, Whh=0.66102, bh=1.05020, Why=0.0, by=0.0)
    called = "Wxh 1, Whh 0.5, bh 0; inputs 1, 0; h0 0; the loss is the last state"
    check.close(got, expected, rtol=0, atol=1e-5, name="gradients", input=called)
    expected = np.array([[0.09113]])
    check.close(dh0, expected, rtol=0, atol=1e-5, name="dh0", input=called)


@task(3)
def test_both_steps_of_one_unit_have_a_loss(lab):
    h1, h2 = math.tanh(1), math.tanh(math.tanh(1) / 2)
    xs = np.array([[[1.0]], [[0.0]]])
    hs = np.array([0.0, h1, h2]).reshape(3, 1, 1)
    dlogits = np.array([3.0, 1.0]).reshape(2, 1, 1)
    got, _ = lab.rnn_backward(xs, hs, dlogits, scalar(Why=2.0))
    d2 = 2 * (1 - h2**2)  # dL/dz of the second step, then of the first
    d1 = (6 + 0.5 * d2) * (1 - h1**2)
    expected = scalar(Wxh=d1, Whh=d2 * h1, bh=d1 + d2, Why=3 * h1 + h2, by=4.0)
    called = "Wxh 1, Whh 0.5, bh 0, Why 2; inputs 1, 0; h0 0; dlogits 3, 1"
    check.close(got, expected, **EXACT, name="gradients", input=called)


@task(3)
def test_gradients_as_autograd(lab):
    xs, h0, params, targets = torchs_network()
    hs, logits = by_numbers(xs, h0, params)
    loss, dlogits = loss_by_numbers(logits, targets, np.ones((4, 2), bool))
    check.close(loss, TORCH_LOSS, **EXACT, name="the loss of this test")
    got, dh0 = lab.rnn_backward(xs, hs, dlogits, params, np.ones((2, 2)))
    shapes = {name: params[name].shape for name in NAMES}
    expected = {name: numbers(TORCH_GRADS[name], shapes[name]) for name in NAMES}
    check.close(got, expected, **EXACT, name="gradients")
    check.close(dh0, numbers(TORCH_DH0, (2, 2)), **EXACT, name="dh0")


@task(3)
def test_gradients_by_complex_steps(lab, rng):
    for T, activation, last in [
        (6, "tanh", True),
        (1, "tanh", True),
        (5, "identity", True),
        (4, "identity", False),
    ]:
        xs, h0, params = draw(rng, T=T, B=2, I=3, H=4, V=5)
        dlogits = rng.normal(0, 1, (T, 2, 5))
        dh_last = rng.normal(0, 1, (2, 4)) if last else None
        linear = activation == "identity"
        hs, _ = by_numbers(xs, h0, params, linear)
        got, dh0 = lab.rnn_backward(xs, hs, dlogits, params, dh_last, activation)

        def loss(h, logits, dlogits=dlogits, dh_last=dh_last):
            extra = 0 if dh_last is None else np.sum(dh_last * h)
            return np.sum(dlogits * logits) + extra

        expected, expected_dh0 = slopes(xs, h0, params, linear, loss)
        name = f"T = {T}, {activation}"
        check.close(got, expected, **EXACT, name=f"gradients, {name}")
        check.close(dh0, expected_dh0, **EXACT, name=f"dh0, {name}")


@task(3)
def test_thirty_steps_by_differences(lab, rng):
    xs, h0, params = draw(rng, T=30)
    dlogits = rng.normal(0, 1, (30, 3, 6))
    states = [h0]
    for x in xs:
        states.append(run(x[None], states[-1], params)[0])
    got, dh0 = lab.rnn_backward(xs, np.array(states), dlogits, params)
    for name in ("Wxh", "Whh", "bh"):
        shape = params[name].shape
        flat = rng.choice(params[name].size, 3, replace=False)
        at = [tuple(int(i) for i in np.unravel_index(k, shape)) for k in flat]

        def loss(array, name=name):
            return np.sum(dlogits * run(xs, h0, params | {name: array})[1])

        expected = differences(loss, params[name], at=at)
        ours = np.array([got[name][place] for place in at])
        check.close(ours, expected, rtol=1e-5, atol=1e-6, name=f"{name} at {at}")
    expected = differences(lambda h: np.sum(dlogits * run(xs, h, params)[1]), h0)
    check.close(dh0, expected, rtol=1e-5, atol=1e-6, name="dh0")


@task(3)
def test_two_halves_of_the_way_back(lab, rng):
    xs, h0, params = draw(rng, T=9)
    dlogits = rng.normal(0, 1, (9, 3, 6))
    hs, _ = by_numbers(xs, h0, params)
    whole, dh0 = lab.rnn_backward(xs, hs, dlogits, params)
    late, dh = lab.rnn_backward(xs[4:], hs[4:], dlogits[4:], params)
    early, dh = lab.rnn_backward(xs[:4], hs[:5], dlogits[:4], params, dh)
    both = {name: early[name] + late[name] for name in NAMES}
    check.close(both, whole, **EXACT, name="late half + early half")
    check.close(dh, dh0, **EXACT, name="dh0")


@task(3)
def test_gradients_keep_float32_and_refuse_unknown_activations(lab, rng):
    xs, h0, params = draw(rng)
    dlogits = rng.normal(0, 1, (7, 3, 6))
    hs, _ = by_numbers(xs, h0, params)
    exact, exact_dh0 = lab.rnn_backward(xs, hs, dlogits, params)
    small = half(xs), half(hs), half(dlogits), half(params)
    got, dh0 = lab.rnn_backward(*small)
    check.close(got, half(exact), rtol=1e-3, atol=1e-3, name="gradients, float32")
    check.close(dh0, half(exact_dh0), rtol=1e-3, atol=1e-3, name="dh0, float32")
    call = lambda: lab.rnn_backward(xs, hs, dlogits, params, None, "relu")  # noqa: E731
    check.raises(ValueError, call, match="activation")


# --- Task 4 ----------------------------------------------------------------------


@task(4)
def test_norms_of_one_unit(lab):
    xs, h0 = np.array([1.0, 0.0, 0.0]).reshape(3, 1, 1), np.zeros((1, 1))
    got = lab.hidden_gradient_norms(xs, h0, scalar(), "identity")
    called = "Wxh 1, Whh 0.5, bh 0, identity; inputs 1, 0, 0; h0 0"
    check.close(got, np.array([0.25, 0.5, 1.0]), **EXACT, input=called)
    got = lab.hidden_gradient_norms(xs[:2], h0, scalar())
    called = "Wxh 1, Whh 0.5, bh 0, tanh; inputs 1, 0; h0 0"
    expected = np.array([0.433970, 1.0])  # 0.5 (1 - 0.363399²)
    check.close(got, expected, rtol=0, atol=1e-6, input=called)


@task(4)
def test_norms_of_a_linear_network_are_powers(lab, rng):
    xs, h0, params = draw(rng, T=8, B=3, H=5)
    got = lab.hidden_gradient_norms(xs, h0, params, "identity")
    back = np.linalg.matrix_power
    expected = np.array(
        [
            math.sqrt(3) * np.linalg.norm(np.ones(5) @ back(params["Whh"].T, 8 - t))
            for t in range(1, 9)
        ]
    )
    check.close(got, expected, **EXACT, name="‖1 (Whhᵀ)^(T - t)‖ √B")
    turn, _ = np.linalg.qr(rng.normal(size=(5, 5)))
    for radius in (0.5, 1.0, 1.5):
        grown = params | {"Whh": radius * turn}
        got = lab.hidden_gradient_norms(xs, h0, grown, "identity")
        expected = math.sqrt(15) * radius ** np.arange(7.0, -1.0, -1.0)
        check.close(got, expected, **EXACT, name=f"orthogonal, radius {radius}")


@task(4)
def test_norms_of_tanh_by_differences(lab, rng):
    xs, h0, params = draw(rng, T=6, B=2, I=3, H=4)
    got = lab.hidden_gradient_norms(xs, h0, params)
    expected, h = [], h0
    for t in range(1, 7):
        h, _ = run(xs[t - 1 : t], h, params)  # the state after step t
        after = xs[t:]
        found = differences(lambda s, after=after: np.sum(run(after, s, params)[0]), h)
        expected.append(np.linalg.norm(found))
    check.close(got, np.array(expected), rtol=1e-6, atol=1e-8)
    small = lab.hidden_gradient_norms(half(xs), half(h0), half(params))
    expected = np.array(expected, np.float32)
    check.close(small, expected, rtol=1e-3, atol=1e-4, name="float32")
    call = lambda: lab.hidden_gradient_norms(xs, h0, params, "relu")  # noqa: E731
    check.raises(ValueError, call, match="activation")


@task(4)
def test_a_gradient_of_length_13(lab):
    grads = {"a": np.array([3.0, 0.0]), "b": np.array([[-4.0], [12.0]])}
    clipped, norm = lab.clip_global_norm(grads, 6.5)
    called = "clip_global_norm({'a': [3, 0], 'b': [[-4], [12]]}, 6.5)"
    expected = {"a": np.array([1.5, 0.0]), "b": np.array([[-2.0], [6.0]])}
    check.close(clipped, expected, **EXACT, name="clipped", input=called)
    check.close(norm, 13.0, **EXACT, name="norm before", input=called)
    for limit in (20.0, 13.0, math.inf):
        kept, norm = lab.clip_global_norm(grads, limit)
        called = f"clip_global_norm of a gradient of length 13, {limit}"
        check.close(kept, grads, **EXACT, name="untouched", input=called)
        check.close(norm, 13.0, **EXACT, name="norm", input=called)
        kept["a"][0] = 99.0
    check.close(grads["a"][0], 3.0, name="the caller's array after a change to a copy")


@task(4)
def test_norm_and_direction_of_drawn_gradients(lab, rng):
    grads = {
        "first": rng.normal(0, 1, (4, 3)),
        "second": rng.normal(0, 30, 5),
        "third": rng.normal(0, 0.1, (2, 6)),
    }
    length = math.sqrt(math.fsum(x * x for g in grads.values() for x in g.ravel()))
    for limit in (0.3 * length, 1e-3, 2 * length):
        clipped, norm = lab.clip_global_norm(grads, limit)
        factor = min(1.0, limit / length)
        expected = {name: factor * grad for name, grad in grads.items()}
        called = f"max_norm = {limit:.4g}, norm = {length:.4g}"
        check.close(clipped, expected, **EXACT, name="clipped", input=called)
        check.close(norm, length, **EXACT, name="norm before", input=called)
    zero = {"w": np.zeros((2, 3))}
    check.close(lab.clip_global_norm(zero, 1.0), (zero, 0.0), name="zero gradient")
    clipped, _ = lab.clip_global_norm(half(grads), 1.0)
    expected = half({name: grad / length for name, grad in grads.items()})
    check.close(clipped, expected, rtol=1e-4, atol=1e-6, name="float32")
    for wrong in (0.0, -1.0):
        call = lambda wrong=wrong: lab.clip_global_norm(grads, wrong)  # noqa: E731
        check.raises(ValueError, call, match="max_norm")


# --- Task 5 ----------------------------------------------------------------------


def copy_by_hand(symbols, n_symbols, delay):
    """Input ids, targets and mask of one sequence, as lists."""
    k, blank, go = len(symbols), n_symbols, n_symbols + 1
    inputs = symbols + [blank] * (delay - 1) + [go] + [blank] * k
    silent = k + delay
    return inputs, [0] * silent + symbols, [False] * silent + [True] * k


@task(5)
def test_copy_sequences(lab, rng):
    sizes = [(5, 8, 3, 2), (4, 3, 2, 1), (6, 5, 1, 7), (3, 2, 6, 4), (1, 9, 4, 3)]
    for batch, n_symbols, length, delay in sizes:
        args = (batch, n_symbols, length, delay)
        xs, targets, mask = lab.copy_batch(rng, *args)
        called = f"copy_batch(rng, {', '.join(map(str, args))})"
        T = 2 * length + delay
        check.equal(xs.shape, (T, batch, n_symbols + 2), name="xs.shape", input=called)
        ids = xs.argmax(axis=-1)
        check.equal(xs, one_hot(ids, n_symbols + 2), name="xs is one-hot", input=called)
        drawn = ids[:length].T.tolist()
        legal = all(0 <= s < n_symbols for row in drawn for s in row)
        check.that(
            legal, f"symbols below {n_symbols} first", ids[:length], input=called
        )
        columns = [copy_by_hand(row, n_symbols, delay) for row in drawn]
        expected = [np.array(part).T for part in zip(*columns, strict=True)]
        check.equal(ids, expected[0], name="inputs", input=called)
        check.equal(targets, expected[1], name="targets", input=called)
        check.equal(mask, expected[2], name="mask", input=called)


@task(5)
def test_parity_is_the_xor_so_far(lab, rng):
    for batch, length in ((4, 9), (7, 3), (2, 30), (1, 1)):
        xs, targets, mask = lab.parity_batch(rng, batch, length)
        called = f"parity_batch(rng, {batch}, {length})"
        check.equal(xs.shape, (length, batch, 2), name="xs.shape", input=called)
        bits = xs.argmax(axis=-1)
        check.equal(xs, one_hot(bits, 2), name="xs is one-hot", input=called)
        expected = np.empty((length, batch), np.int64)
        for b in range(batch):
            odd = 0
            for t in range(length):
                odd ^= int(bits[t, b])
                expected[t, b] = odd
        check.equal(targets, expected, name="targets", input=called)
        check.equal(mask, np.ones((length, batch), bool), name="mask", input=called)


def check_uniform(ids, n, name):
    """Counts within 6 standard errors of equal shares."""
    counts = np.bincount(ids.ravel(), minlength=n)
    share = ids.size / n
    error = math.sqrt(share * (1 - 1 / n))
    even = bool((abs(counts - share) < 6 * error).all()) and len(counts) == n
    check.that(even, f"about {share:.0f} of each", counts, name=name)


@task(5)
def test_symbols_and_bits_are_drawn_uniformly(lab, rng):
    xs, _, _ = lab.copy_batch(rng, 900, 4, 3, 2)
    symbols = xs.argmax(axis=-1)[:3]
    check_uniform(symbols, 4, "symbols")
    check_uniform(4 * symbols[0] + symbols[1], 16, "pairs of symbols")
    check_uniform(4 * symbols[0, 1:] + symbols[1, :-1], 16, "symbols of neighbours")
    xs, _, _ = lab.parity_batch(rng, 900, 4)
    bits = xs.argmax(axis=-1)
    check_uniform(bits, 2, "bits")
    check_uniform(2 * bits[1] + bits[2], 4, "pairs of bits")
    check_uniform(2 * bits[2, 1:] + bits[2, :-1], 4, "bits of neighbours")


@task(5)
def test_batches_come_from_the_generator_alone(lab):
    for make in (
        lambda rng: lab.copy_batch(rng, 6, 8, 5, 3),
        lambda rng: lab.parity_batch(rng, 6, 11),
    ):
        rng = np.random.default_rng(35)
        first, second = make(rng), make(rng)
        again = make(np.random.default_rng(35))
        check.equal(again, first, name="the same generator, the same batch")
        other = bool((first[0] != second[0]).any())
        check.that(other, "the next batch is another one", name="two batches")


@task(5)
def test_sizes_below_1(lab, rng):
    for low in (0, -2):
        for i, name in enumerate(("batch", "n_symbols", "length", "delay")):
            args = [3, 4, 2, 5]
            args[i] = low
            call = lambda args=args: lab.copy_batch(rng, *args)  # noqa: E731
            check.raises(ValueError, call, match=name)
        for args, name in (((low, 4), "batch"), ((4, low), "length")):
            call = lambda args=args: lab.parity_batch(rng, *args)  # noqa: E731
            check.raises(ValueError, call, match=name)


# --- Task 6 ----------------------------------------------------------------------


@task(6)
def test_chunks_of_thirteen_ids(lab):
    got = list(islice(lab.stream_chunks(np.arange(13), 2, 3), 3))
    called = "stream_chunks(arange(13), 2, 3), three chunks"
    x = [[[0, 6], [1, 7], [2, 8]], [[3, 9], [4, 10], [5, 11]]]
    expected = [
        (np.array(x[0]), np.array(x[0]) + 1, True),
        (np.array(x[1]), np.array(x[1]) + 1, False),
        (np.array(x[0]), np.array(x[0]) + 1, True),
    ]
    check.equal(got, expected, name="(x, y, new_epoch)", input=called)


@task(6)
def test_chunks_of_drawn_texts(lab, rng):
    for N, batch, T in ((50, 3, 4), (41, 5, 8), (64, 7, 2), (29, 1, 5), (30, 4, 7)):
        ids = rng.integers(10, 99, N)
        length = (N - 1) // batch
        in_epoch = length // T
        want = 2 * in_epoch + 1
        got = list(islice(lab.stream_chunks(ids, batch, T), want))
        called = f"stream_chunks of {N} ids, batch {batch}, seq_len {T}"
        expected = []
        for c in [*range(in_epoch), *range(in_epoch), 0]:
            places = [[b * length + c * T + i for b in range(batch)] for i in range(T)]
            places = np.array(places)
            expected.append((ids[places], ids[places + 1], c == 0))
        check.equal(got, expected, name="two epochs and a chunk", input=called)
    x, y, _ = next(iter(lab.stream_chunks(ids.astype(np.uint16), 4, 7)))
    kinds = str(x.dtype), str(y.dtype)
    check.equal(kinds, ("uint16", "uint16"), name="dtypes of x and y for uint16 ids")


@task(6)
def test_texts_that_are_too_short(lab):
    first = next(iter(lab.stream_chunks(np.arange(13), 4, 3)))
    check.equal(first[1][-1, -1], 12, name="13 ids are enough for 4 x 3")
    wrong = [((12, 4, 3), "ids"), ((13, 0, 3), "batch"), ((13, 4, 0), "seq_len")]
    for (n, batch, seq_len), name in wrong:
        ids = np.arange(n)
        call = lambda a=(ids, batch, seq_len): next(iter(lab.stream_chunks(*a)))  # noqa: E731
        called = f"stream_chunks(arange({n}), {batch}, {seq_len})"
        check.raises(ValueError, call, match=name, input=called)


def train_by_complex_steps(params, chunks, rates, clip):
    """Losses and parameters of a loop that knows no backpropagation."""
    V, H = params["Wxh"].shape
    p = {name: array.astype(complex) for name, array in params.items()}
    m = {name: np.zeros(array.shape) for name, array in params.items()}
    v = {name: np.zeros(array.shape) for name, array in params.items()}
    h, losses = None, []
    for t, ((x, y, new), lr) in enumerate(zip(chunks, rates, strict=True), start=1):
        start = np.zeros((x.shape[1], H)) if h is None or new else h
        xs, wanted = one_hot(x, V), one_hot(y, V)

        def loss(xs=xs, wanted=wanted, start=start):
            logits = run(xs, start, p)[1]
            logs = logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))
            return -np.sum(wanted * logs) / wanted[..., 0].size

        losses.append(float(loss().real))
        h = run(xs, start, p)[0].real
        grads = {name: slope(loss, p[name]) for name in NAMES}
        norm = math.sqrt(sum(float(np.sum(g * g)) for g in grads.values()))
        for name in NAMES:
            g = grads[name] * min(1.0, clip / norm)
            m[name] = 0.9 * m[name] + 0.1 * g
            v[name] = 0.999 * v[name] + 0.001 * g * g
            corrected = m[name] / (1 - 0.9**t)
            p[name] -= lr * corrected / (np.sqrt(v[name] / (1 - 0.999**t)) + 1e-8)
    return losses, {name: array.real for name, array in p.items()}


def drawn_training(rng, news):
    """Parameters for 4 symbols and 3 hidden units, and chunks of 5 steps, 2 streams."""
    _, _, params = draw(rng, I=4, H=3, V=4)
    ids = rng.integers(4, size=(2, len(news) + 1, 5, 2))
    chunks = [(ids[0, c], ids[1, c], new) for c, new in enumerate(news)]
    return params, chunks


@task(6, mutates=True)
def test_training_as_by_complex_steps(lab, rng):
    news = [True, False, True, False, False]
    for clip, called in ((0.2, "lr 0.05, clip 0.2"), (math.inf, "lr 0.05, no clip")):
        params, chunks = drawn_training(rng, news)
        called = f"5 chunks, the third is a new epoch; {called}"
        expected = train_by_complex_steps(params, chunks, [0.05] * 5, clip)
        got = lab.train_char_rnn(params, iter(chunks), 5, 0.05, clip)
        check.close(got, expected[0], rtol=1e-7, atol=1e-9, name="losses", input=called)
        check.close(
            params, expected[1], rtol=1e-7, atol=1e-7, name="params after", input=called
        )


@task(6, mutates=True)
def test_training_with_a_changing_rate(lab, rng):
    params, chunks = drawn_training(rng, [False, False, False, False])
    held = dict(params)
    rates, asked = [0.1, 0.02, 0.3], []

    def lr(step):
        asked.append(step)
        return rates[step] if step in range(3) else 0.0

    called = "rates 0.1, 0.02, 0.3 from a function; 3 steps, clip 1, 4 chunks"
    expected = train_by_complex_steps(params, chunks[:3], rates, 1.0)
    source = iter(chunks)
    got = lab.train_char_rnn(params, source, 3, lr, 1.0)
    steps = sorted(set(asked))
    check.equal(steps, [0, 1, 2], name="steps that lr was asked for", input=called)
    check.close(got, expected[0], rtol=1e-7, atol=1e-9, name="losses", input=called)
    for name in NAMES:  # the arrays that the caller holds
        close = {"rtol": 1e-7, "atol": 1e-7, "name": f"the caller's {name}"}
        check.close(held[name], expected[1][name], **close, input=called)
    left = len(list(source))
    check.equal(left, 1, name="chunks left after 3 of 4", input=called)
    few = lab.train_char_rnn(params, iter(chunks[:2]), 9, 0.01, 1.0)
    called = "steps = 9, and only 2 chunks"
    check.equal(len(few), 2, name="number of losses", input=called)


@task(6, mutates=True)
def test_training_in_float32(lab, rng):
    params, chunks = drawn_training(rng, [True, False, False])
    expected = train_by_complex_steps(params, chunks, [0.01] * 3, 1.0)
    small = half(params)
    got = lab.train_char_rnn(small, iter(chunks), 3, 0.01, 1.0)
    check.close(got, expected[0], rtol=1e-3, atol=1e-4, name="losses")
    kinds = {name: str(array.dtype) for name, array in small.items()}
    check.equal(kinds, dict.fromkeys(NAMES, "float32"), name="dtypes after")


# --- Task 7 ----------------------------------------------------------------------


def cycle_network(order):
    """Says after each symbol the one that follows it in `order`; needs no memory."""
    n = len(order)
    follow = np.zeros((n, n))
    follow[order, np.roll(order, -1)] = 1
    zero = np.zeros((n, n))
    return {
        "Wxh": 3 * np.eye(n),
        "Whh": zero,
        "bh": np.zeros(n),
        "Why": 60 * follow,
        "by": np.zeros(n),
    }


def echo_network(n):
    """Says the symbol before the last one: its state holds the last two."""
    keep = np.zeros((2 * n, 2 * n))
    keep[:n, n:] = 3 * np.eye(n)  # the first half moves into the second
    return {
        "Wxh": 3 * np.eye(n, 2 * n),
        "Whh": keep,
        "bh": np.zeros(2 * n),
        "Why": 60 * np.eye(2 * n, n, -n),
        "by": np.zeros(n),
    }


@task(7)
def test_a_network_that_knows_a_cycle(lab, rng):
    params = cycle_network([0, 3, 1, 4, 2])
    for temperature in (0.0, 0.5, 1.0):
        got = lab.sample(params, [3], 7, rng, temperature)
        called = f"the cycle 0 3 1 4 2; seed 3, n = 7, temperature {temperature}"
        check.equal(got, np.array([1, 4, 2, 0, 3, 1, 4]), input=called)


@task(7)
def test_a_network_that_remembers_two_symbols(lab, rng):
    got = lab.sample(echo_network(6), [4, 2, 5], 6, rng)
    called = "a network that says the symbol before the last; seed 4 2 5, n = 6"
    check.equal(got, np.array([2, 5, 2, 5, 2, 5]), input=called)


@task(7)
def test_the_likeliest_symbols_of_drawn_networks(lab, rng):
    for _ in range(3):
        _, _, params = draw(rng, I=6, H=5, V=6)
        params["Whh"] *= 2
        seed = [int(s) for s in rng.integers(6, size=4)]
        got = lab.sample(params, seed, 20, rng, temperature=0.0)
        h, expected = np.zeros((1, 5)), []
        for s in seed[:-1]:
            h, _ = run(one_hot([[s]], 6), h, params)
        last = seed[-1]
        for _ in range(20):
            h, logits = run(one_hot([[last]], 6), h, params)
            last = int(np.argmax(logits[0, 0]))
            expected.append(last)
        called = f"a drawn network, seed {seed}, n = 20, temperature 0"
        check.equal(got, np.array(expected), input=called)
    flat = {name: np.zeros_like(array) for name, array in params.items()}
    flat["by"] = np.array([1.0, 2.0, 0.0, 2.0, 2.0, 1.0])
    got = lab.sample(flat, [5], 8, rng, temperature=0.0)
    called = "logits 1 2 0 2 2 1 at every step, n = 8, temperature 0"
    check.equal(got, np.full(8, 1), input=called)


@task(7)
def test_frequencies_at_three_temperatures(lab, rng):
    p = np.array([0.1, 0.6, 0.3])
    params = {name: np.zeros(shape) for name, shape in (("Wxh", (3, 2)), ("bh", 2))}
    params |= {"Whh": np.zeros((2, 2)), "Why": np.zeros((2, 3)), "by": np.log(p) + 900}
    n = 600
    for temperature in (1.0, 0.5, 2.0):
        wanted = p ** (1 / temperature) / np.sum(p ** (1 / temperature))
        drawn = lab.sample(params, [0], n, rng, temperature)
        share = np.bincount(drawn, minlength=3) / n
        near = bool(
            (abs(share - wanted) < 6 * np.sqrt(wanted * (1 - wanted) / n)).all()
        )
        shares = ", ".join(f"{w:.2f}" for w in wanted)
        called = (
            f"p = 0.1, 0.6, 0.3 at temperature {temperature}; shares of {n} symbols"
        )
        check.that(near, f"about {shares}", np.round(share, 2), input=called)


@task(7)
def test_the_same_generator_gives_the_same_text(lab, rng):
    _, _, params = draw(rng, I=6, H=5, V=6)
    first = lab.sample(params, [2], 40, np.random.default_rng(7))
    again = lab.sample(params, [2], 40, np.random.default_rng(7))
    other = lab.sample(params, [2], 40, np.random.default_rng(8))
    check.equal(again, first, name="the same generator again")
    check.that(bool((other != first).any()), "another text", other, name="another one")
    small = lab.sample(half(params), [2, 1], 9, rng, temperature=1e-3)
    check.equal((small.shape, str(small.dtype)), ((9,), "int64"), name="float32 params")


@task(7)
def test_arguments_of_sample(lab, rng):
    params = cycle_network([0, 1, 2])
    check.equal(lab.sample(params, np.array([1]), 2, rng), np.array([2, 0]))
    call = lambda: lab.sample(params, [], 2, rng)  # noqa: E731
    check.raises(ValueError, call, match="seed_ids")
    call = lambda: lab.sample(params, [1], 2, rng, temperature=-0.5)  # noqa: E731
    check.raises(ValueError, call, match="temperature")
    for wrong in ([1, 3], [-1]):
        call = lambda wrong=wrong: lab.sample(params, wrong, 2, rng)  # noqa: E731
        check.raises(ValueError, call)  # one_hot says ids; seed_ids is as good
