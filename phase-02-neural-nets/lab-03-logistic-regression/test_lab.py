"""The marking scheme of lab 2.3: what each task must do, and how we know.

Oracles: SciPy's expit and log_expit, the loss as log(1 + exp(z)) - y z, its derivative
by complex steps (no subtraction, so no digits lost), Newton's method for the optimum,
exact quotients of polynomials for the checker, counting for the weights. Properties
explain. No test trains to an accuracy, and none reads the clock.
"""

from __future__ import annotations

import math

import numpy as np
from scipy.special import expit, log_expit

from common.grading import check, task

EXACT = {"rtol": 1e-10, "atol": 1e-12}  # the same formula in float64
DIGITS = {"rtol": 1e-10, "atol": 1e-300}  # small results keep their digits
QUOTIENT = {"rtol": 1e-8, "atol": 1e-8}  # central differences, h = 1e-5, f about 1
STEP = 1e-30  # of a complex step: nothing is subtracted, so as small as we like

LN2, LN3 = math.log(2), math.log(3)  # sigmoid(LN3) = 3/4, sigmoid(-LN3) = 1/4


def draw(rng, n, d):
    """A model and data with both classes; no size is 1, no logit beyond about 10."""
    X = rng.normal(0.5, 1.5, size=(n, d))
    y = rng.permutation(np.arange(n) % 3 == 0).astype(np.int64)
    return rng.normal(size=d), float(rng.normal()), X, y, rng.uniform(0.2, 3, size=n)


def loss_oracle(w, b, X, y, lam, weight):
    """Weighted mean of log(1 + exp(z)) - y z, plus the penalty; complex w, b too."""
    z = X @ w + b
    return (weight * (np.log(1 + np.exp(z)) - y * z)).sum() / weight.sum() + (
        lam / 2 * (w * w).sum()
    )


def grad_oracle(w, b, X, y, lam, weight):
    """Complex steps: the imaginary part of f(x + ih), divided by h."""
    steps = 1j * STEP * np.eye(len(w))
    dw = [loss_oracle(w + s, b, X, y, lam, weight).imag / STEP for s in steps]
    db = loss_oracle(w + 0j, b + 1j * STEP, X, y, lam, weight).imag / STEP
    return np.array(dw), float(db)


def newton(X, y, lam, weight):
    """The minimum, by Newton's method with the bias as a column that has no penalty."""
    A = np.column_stack([X, np.ones(len(X))])
    ridge = lam * np.diag([1.0] * X.shape[1] + [0.0])
    share, theta = weight / weight.sum(), np.zeros(A.shape[1])
    for _ in range(30):
        p = expit(A @ theta)
        slope = A.T @ (share * (p - y)) + ridge @ theta
        theta = theta - np.linalg.solve(
            (A.T * (share * p * (1 - p))) @ A + ridge, slope
        )
    return theta[:-1], float(theta[-1])


def refused(word, f, *args, kind=ValueError, **more):
    """f(*args, **more) must raise, and name `word`."""
    check.raises(kind, lambda: f(*args, **more), match=word)


# --- Task 1 ----------------------------------------------------------------------


@task(1)
def test_five_values_by_hand(lab):
    z = np.array([0.0, LN3, -LN3, math.log(4), -math.log(9)])
    p = np.array([0.5, 0.75, 0.25, 0.8, 0.1])
    check.close(lab.sigmoid(z), p, **EXACT, name="sigmoid")
    check.close(lab.log_sigmoid(z), np.log(p), **EXACT, name="log_sigmoid")


@task(1)
def test_nothing_overflows_and_small_results_keep_their_digits(lab, rng):
    z = np.array([20.0, 40.0, 700.0, 800.0, 1e4, 1e300, *rng.uniform(0, 705, 20)])
    z = np.concatenate([-z, [0.0], z])
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        p, log_p = lab.sigmoid(z), lab.log_sigmoid(z)
    check.close(p, expit(z), **DIGITS, name="sigmoid")
    check.close(log_p, log_expit(z), **DIGITS, name="log_sigmoid")


@task(1)
def test_shapes_kinds_of_numbers_and_infinities(lab, rng):
    z = rng.normal(0, 4, size=(2, 3, 4))
    cases = [z, z[:, 1].T, np.array([-3, 0, 2]), np.float32([0.5, -1.25])]
    for f, peer in [(lab.sigmoid, expit), (lab.log_sigmoid, log_expit)]:
        for z in cases:
            check.close(f(z), peer(z.astype(np.float64)), **EXACT, name=str(z.dtype))
        check.close(float(f(-2.5)), float(peer(-2.5)), **EXACT, name="a number")
        z = np.array([-np.inf, np.inf, np.nan])
        check.close(f(z), peer(z), name="infinities, NaN")


# --- Task 2 ----------------------------------------------------------------------


@task(2)
def test_three_examples_by_hand(lab):
    z, y = np.array([0.0, LN3, LN3]), np.array([1, 1, 0])  # p = 1/2, 3/4, 3/4
    costs = [LN2, math.log(4 / 3), math.log(4)]
    check.close(lab.bce_with_logits(z, y), sum(costs) / 3, **EXACT, name="mean")
    got = lab.bce_with_logits(z, y, sample_weight=np.array([1.0, 2.0, 5.0]))
    expected = (costs[0] + 2 * costs[1] + 5 * costs[2]) / 8
    check.close(got, expected, **EXACT, name="weighted")


@task(2)
def test_a_confident_mistake_costs_its_logit(lab):
    z, y = np.array([-1000.0, 1000.0, 1000.0, -50.0]), np.array([1, 0, 1, 1])
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        got = lab.bce_with_logits(z, y)
    check.close(got, (1000 + 1000 + 0 + 50) / 4, **EXACT)


@task(2)
def test_drawn_logits(lab, rng):
    for n in (2, 7, 30):
        z, y = rng.normal(0, 6, size=n), rng.integers(0, 2, size=n)
        weight = rng.uniform(0, 4, size=n)
        cost = np.logaddexp(0, z) - y * z
        check.close(lab.bce_with_logits(z, y), float(cost.mean()), **EXACT)
        got = lab.bce_with_logits(z, y, sample_weight=weight)
        expected = math.fsum(weight * cost) / math.fsum(weight)
        check.close(got, expected, **EXACT, name="weighted")


@task(2)
def test_a_weight_is_a_number_of_copies(lab, rng):
    z, y = rng.normal(0, 3, size=9), np.arange(9) % 2
    copies = rng.permutation([0, 1, 2, 3, 1, 2, 0, 5, 1])
    cost = np.logaddexp(0, z) - y * z
    expected = float(np.repeat(cost, copies).mean())
    for weight in (copies, 0.25 * copies, list(copies)):
        got = lab.bce_with_logits(z, y, sample_weight=weight)
        check.close(got, expected, **EXACT)


@task(2)
def test_labels_and_arguments_of_the_loss(lab):
    expected = (math.log(4 / 3) + math.log(4)) / 2
    for y in ([1, 0], [1.0, 0.0], np.array([True, False])):
        check.close(lab.bce_with_logits([LN3, LN3], y), expected, **EXACT)
    check_arguments(lab.bce_with_logits)


def check_arguments(f):
    """Logits, labels and weights that the loss and its gradient refuse."""
    z, y = np.array([0.5, -1.0, 2.0]), np.array([1, 0, 1])
    for bad in ([0, 1, 2], [-1, 1, 1], [0.5, 0, 1], [[1], [0], [1]]):
        refused("y", f, z, bad)
    refused("y", f, [], [])
    refused("z", f, z[:, None], y)
    refused("z", f, z[:2], y)
    for bad in ([1, 2], [1, -1, 1], [0, 0, 0], [1, math.nan, 1], [[1, 1, 1]]):
        refused("sample_weight", f, z, y, sample_weight=bad)


# --- Task 3 ----------------------------------------------------------------------

# X @ W + LN3 is LN3 * (1, 0, -1, 1), so p is 3/4, 1/2, 1/4, 3/4.
HAND_X = np.array([[2.0, -2.0], [3.0, -4.0], [-5.0, 3.0], [1.0, -1.0]])
HAND_W, HAND_Y = np.array([LN3, LN3]), np.array([1, 0, 0, 0])


@task(3)
def test_gradient_of_four_logits_by_hand(lab):
    z = np.array([LN3, 0.0, -LN3, LN3])
    expected = np.array([-0.25, 0.5, 0.25, 0.75]) / 4
    check.close(lab.bce_grad(z, HAND_Y), expected, **EXACT, name="mean")
    got = lab.bce_grad(z, HAND_Y, sample_weight=[1, 2, 3, 4])
    check.close(got, np.array([-0.25, 1.0, 0.75, 3.0]) / 10, **EXACT, name="weighted")


@task(3)
def test_loss_and_gradient_of_four_rows_by_hand(lab):
    loss, dw, db = lab.loss_and_grad(HAND_W, LN3, HAND_X, HAND_Y)
    costs = [math.log(4 / 3), LN2, math.log(4 / 3), math.log(4)]
    check.close(loss, sum(costs) / 4, **EXACT, name="loss")
    check.close(dw, np.array([0.125, -0.375]), **EXACT, name="dw")
    check.close(db, 0.3125, **EXACT, name="db")
    loss, dw, db = lab.loss_and_grad(HAND_W, LN3, HAND_X, HAND_Y, lam=0.5)
    check.close(loss, sum(costs) / 4 + 0.5 * LN3**2, **EXACT, name="loss, lam=0.5")
    expected = np.array([0.125, -0.375]) + 0.5 * LN3
    check.close(dw, expected, **EXACT, name="dw, lam=0.5")
    check.close(db, 0.3125, **EXACT, name="db, lam=0.5")


@task(3)
def test_drawn_models_against_complex_steps(lab, rng):
    for n, d, lam in [(7, 3, 0.0), (5, 5, 0.7), (20, 4, 0.05)]:
        w, b, X, y, weight = draw(rng, n, d)
        got = lab.loss_and_grad(w, b, X, y, lam=lam, sample_weight=weight)
        expected = float(loss_oracle(w, b, X, y, lam, weight))
        check.close(got[0], expected, **EXACT, name="loss")
        dw, db = grad_oracle(w, b, X, y, lam, weight)
        check.close(got[1], dw, **EXACT, name="dw")
        check.close(got[2], db, **EXACT, name="db")


@task(3)
def test_drawn_logits_against_complex_steps(lab, rng):
    z, y = rng.normal(0, 3, size=8), np.arange(8) % 2
    weight = rng.uniform(0.2, 3, size=8)
    # each logit as the weight of a column of its own: X is the identity
    for given_weight, used in [(None, np.ones(8)), (weight, weight)]:
        got = lab.bce_grad(z, y, sample_weight=given_weight)
        expected = grad_oracle(z, 0.0, np.eye(8), y, 0.0, used)[0]
        check.close(got, expected, **EXACT)


@task(3)
def test_gradient_is_zero_at_the_optimum(lab, rng):
    _, _, X, y, weight = draw(rng, 30, 4)
    for lam, used in [(0.1, np.ones(30)), (0.3, weight)]:
        w, b = newton(X, y, lam, used)
        _, dw, db = lab.loss_and_grad(w, b, X, y, lam=lam, sample_weight=used)
        check.close(dw, np.zeros(4), atol=1e-9, name="dw")
        check.close(db, 0.0, atol=1e-9, name="db")


@task(3)
def test_arguments_of_the_gradients(lab):
    check_arguments(lab.bce_grad)
    f, w, X, y = lab.loss_and_grad, HAND_W, HAND_X, HAND_Y
    refused("lam", f, w, 0.5, X, y, lam=-0.1)
    refused("w", f, [1.0, 2.0, 3.0], 0.5, X, y)
    refused("X", f, w, 0.5, X[0], y)
    refused("y", f, w, 0.5, X, [0, 1, 2, 1])
    refused("y", f, w, 0.5, X, [0, 1, 1])


# --- Task 4 ----------------------------------------------------------------------


@task(4)
def test_a_cubic_with_a_large_step_by_hand(lab):
    x = np.array([2.0, 4.0])
    # (2.5³ - 1.5³) / 1 = 12.25, where the derivative is 12; x0 x1 is linear in both
    got = lab.numerical_gradient(lambda x: x[0] ** 3 + x[0] * x[1], x, h=0.5)
    check.close(got, np.array([16.25, 2.0]), **EXACT, name="h=0.5")
    got = lab.numerical_gradient(lambda x: x[0] ** 3 + x[0] * x[1], x, h=0.25)
    check.close(got, np.array([16.0625, 2.0]), **EXACT, name="h=0.25")
    got = lab.gradient_check(lambda x: x[0] ** 3, [12.0, 0.0], x, h=0.5)
    check.close(got, 0.25 / 24.25, **EXACT, name="gradient_check, h=0.5")


@task(4)
def test_smooth_functions_of_every_shape(lab, rng):
    for shape in [(), (5,), (3, 4), (4, 4), (2, 3, 2)]:
        A, x = rng.uniform(0.5, 2, size=shape), rng.normal(size=shape)
        got = lab.numerical_gradient(lambda x, A=A: float((A * np.sin(x)).sum()), x)
        check.close(np.asarray(got), np.asarray(A * np.cos(x)), **QUOTIENT)


@task(4)
def test_views_single_precision_and_empty_arrays(lab):
    base = np.arange(-15, 15).reshape(5, 6) / 4  # quarters: all that follows is exact
    single = base.astype(np.float32)

    def f(x):
        return float(np.square(x).sum())

    for about, x in [
        ("x is a transposed view of a larger array", base[:3, :4].T),
        ("x is every second row of an array, columns backwards", base[::2, 5:1:-1]),
        ("x is float32", single),
        ("x is a 0-d array", np.array(0.75)),
    ]:
        got = np.asarray(lab.numerical_gradient(f, x, h=0.125))
        check.equal(got, np.asarray(2 * x, dtype=np.float64), name=about)
    empty = np.empty((0, 3))
    check.equal(lab.numerical_gradient(f, empty), np.empty((0, 3)), name="empty")
    check.equal(lab.gradient_check(f, np.empty((0, 3)), empty), 0.0, name="empty")


@task(4)
def test_a_function_that_reads_x_by_another_name(lab, rng):
    # all positive, so that no derivative is near 0
    network = {"weight": rng.uniform(1, 2, (3, 2)), "bias": rng.uniform(1, 2, 2)}
    inputs = rng.uniform(1, 2, size=(5, 3))

    def output():
        return inputs @ network["weight"] + network["bias"]

    def loss(_):
        return float(np.square(output()).mean())

    right = {"weight": inputs.T @ output() / 5, "bias": output().mean(axis=0)}
    for name, x in network.items():
        got = lab.numerical_gradient(loss, x)
        check.close(got, right[name], **QUOTIENT, name=name)
        error = lab.gradient_check(loss, right[name], x)
        check.close(error, 0.0, atol=1e-8, name=f"{name}, right")
        error = lab.gradient_check(loss, 2 * right[name], x)
        check.close(error, 1 / 3, rtol=1e-6, name=f"{name}, twice too large")


@task(4)
def test_one_entry_at_a_time_and_every_bit_restored(lab):
    x = np.array([0.1, 1 / 3, -7e-9, 1e20, -0.3])
    before, seen = x.copy(), []

    def f(x):
        seen.append(int((x != before).sum()))
        return float(x[0] * x[1])

    lab.numerical_gradient(f, x)
    check.equal(x, before, name="x after numerical_gradient")
    lab.gradient_check(f, np.array([1 / 3, 0.1, 0.0, 0.0, 0.0]), x)
    check.equal(x, before, name="x after gradient_check")
    check.that(max(seen) <= 1, "at most one entry changed at a time", max(seen))


@task(4)
def test_right_gradients_pass_and_wrong_ones_do_not(lab, rng):
    x = rng.uniform(0.5, 1.5, size=(2, 3))
    right = np.exp(x)

    def error(grad, scale=1.0):
        return lab.gradient_check(lambda x: scale * float(np.exp(x).sum()), grad, x)

    twice = "2x, of size 1e-8: 1e-12 is a floor, nothing to add"
    check.close(error(right), 0.0, atol=1e-9, name="right")
    check.close(error(1e-8 * right, 1e-8), 0.0, atol=1e-9, name="right, of size 1e-8")
    check.close(error(2e-8 * right, 1e-8), 1 / 3, rtol=1e-6, name=twice)
    check.close(error(-right), 1.0, rtol=1e-6, name="sign turned")
    wrong = right.copy()
    wrong[0, 1] *= 1.5
    check.close(error(wrong), 0.2, rtol=1e-6, name="one entry 1.5x")
    wrong[1, 2] = np.nan
    check.that(math.isnan(error(wrong)), "NaN where grad holds NaN", name="NaN")


@task(4)
def test_derivatives_at_and_near_zero(lab):
    x = np.array([1.0, -2.0, 0.5])
    for size, expected in [(0.0, 0.0), (1e-13, 0.1), (5e-13, 0.5), (1e-3, 1.0)]:
        got = lab.gradient_check(lambda x: 3.0, np.array([0.0, size, 0.0]), x)
        check.close(got, expected, **EXACT, name=f"grad {size}, f constant")


@task(4)
def test_arguments_of_the_checker(lab):
    def f(x):
        return float(np.sum(x))

    x = np.array([1.0, 2.0, 3.0])
    for bad in ([1.0, 2.0], np.array([1, 2, 3]), 2.0):
        refused("x", lab.numerical_gradient, f, bad, kind=TypeError)
    for h in (0.0, -1e-5, math.nan):
        refused("h", lab.numerical_gradient, f, x, h=h)
    check.close(lab.gradient_check(f, [1, 1, 1], x), 0.0, atol=1e-9)
    for bad in (1.0, np.ones(2), np.ones((3, 1))):
        refused("grad", lab.gradient_check, f, bad, x)


# --- Task 5 ----------------------------------------------------------------------


@task(5)
def test_one_step_by_hand(lab):
    X, y = np.array([[4.0, 0.0], [1.0, 2.0], [-1.0, -4.0]]), np.array([1, 0, 1])
    # from zero every p is 1/2: dw = (-1/3, 1), db = -1/6
    for lam in (0.0, 0.7):  # zero weights have no penalty
        got = lab.fit(X, y, lr=0.6, epochs=1, lam=lam)
        check.close(got.w, np.array([0.2, -0.6]), **EXACT, name="w")
        check.close(got.b, 0.1, **EXACT, name="b")
        check.close(got.losses, [LN2], **EXACT, name="losses")


@task(5)
def test_every_step_against_a_loop(lab, rng):
    for n, d, lam in [(7, 3, 0.0), (6, 6, 0.4)]:
        _, _, X, y, weight = draw(rng, n, d)
        for used in (np.ones(n), weight):
            w, b, losses = np.zeros(d), 0.0, []
            for _ in range(6):
                losses.append(float(loss_oracle(w, b, X, y, lam, used)))
                dw, db = grad_oracle(w, b, X, y, lam, used)
                w, b = w - 0.3 * dw, b - 0.3 * db
            got = lab.fit(X, y, lr=0.3, epochs=6, lam=lam, sample_weight=used)
            check.close(got.losses, losses, **EXACT, name="losses")
            check.close(got.w, w, **EXACT, name="w")
            check.close(got.b, b, **EXACT, name="b")


@task(5)
def test_descent_ends_where_newton_does(lab, rng):
    _, _, X, y, weight = draw(rng, 40, 3)
    X = (X - X.mean(axis=0)) / X.std(axis=0)
    lam = 0.1
    A = np.column_stack([X, np.ones(40)]) * np.sqrt(40 * weight / weight.sum())[:, None]
    lr = 1 / (np.linalg.norm(A, 2) ** 2 / 160 + lam)  # 1 / L: the loss cannot rise
    got = lab.fit(X, y, lr=lr, epochs=400, lam=lam, sample_weight=weight)
    w, b = newton(X, y, lam, weight)
    check.close(got.w, w, rtol=1e-6, atol=1e-6, name="w")
    check.close(got.b, b, rtol=1e-6, atol=1e-6, name="b")
    rises = bool((np.diff(got.losses) > 1e-12).any())
    check.that(not rises, "no loss above the one before", rises, name="losses")


@task(5)
def test_defaults_and_arguments_of_fit(lab):
    X, y = HAND_X / 4, HAND_Y
    got, same = lab.fit(X, y), lab.fit(X, y, lr=0.5, epochs=500, lam=0.0)
    check.equal(len(got.losses), 500, name="epochs")
    check.close(got.w, same.w, **EXACT, name="w")
    for lr in (0.0, -0.5, math.nan):
        refused("lr", lab.fit, X, y, lr=lr)
    refused("epochs", lab.fit, X, y, epochs=0)
    refused("lam", lab.fit, X, y, lam=-1.0)
    refused("y", lab.fit, X, [0, 1, 2, 1])
    refused("sample_weight", lab.fit, X, y, sample_weight=[1, 1])


# --- Task 6 ----------------------------------------------------------------------


@task(6)
def test_four_points_and_three_thresholds(lab):
    X, w = np.array([[0.0, 1.0], [1.0, 2.75], [-1.0, 0.0], [2.0, 1.0]]), [2.0, -1.0]
    # z = 0, 1/4, -1, 4, so p = 1/2 exactly, 0.56, 0.27, 0.98
    got = lab.predict_proba(X, w, 1.0)
    check.close(got, expit(np.array([0.0, 0.25, -1.0, 4.0])), **EXACT, name="p")
    got = lab.predict(X, w, 1.0)
    check.equal(got, np.array([1, 1, 0, 1]), name="threshold=0.5, the default")
    got = lab.predict(X, w, 1.0, threshold=0.75)
    check.equal(got, np.array([0, 0, 0, 1]), name="threshold=0.75")
    got = lab.predict(X, w, 1.0, threshold=0.25)
    check.equal(got, np.array([1, 1, 1, 1]), name="threshold=0.25")


@task(6)
def test_lines_by_hand_and_drawn(lab, rng):
    x1, x2 = np.array([0.0, 1.0, -2.5]), np.array([0.25, 0.75, -1.0])
    got = lab.boundary_x2([2.0, -4.0], 1.0, x1)
    check.close(got, x2, **EXACT, name="threshold=0.5, the default")
    got = lab.boundary_x2([2.0, -4.0], 1.0, x1, threshold=0.75)
    check.close(got, x2 - LN3 / 4, **EXACT, name="threshold=0.75")
    for threshold in (0.5, 0.1, 0.85):
        w, b, x1 = rng.uniform(0.5, 2, size=2), float(rng.normal()), rng.normal(size=5)
        got = lab.boundary_x2(w, b, x1, threshold=threshold)
        p = expit(w[0] * x1 + w[1] * np.asarray(got) + b)
        name = f"p on the line, threshold={threshold}"
        check.close(p, np.full(5, threshold), **EXACT, name=name)


@task(6)
def test_drawn_predictions(lab, rng):
    for n, d, threshold in [(30, 4, 0.5), (25, 5, 0.3), (6, 6, 0.9)]:
        w, b, X, _, _ = draw(rng, n, d)
        p = expit(X @ w + b)
        check.close(lab.predict_proba(X, w, b), p, **EXACT, name="probabilities")
        X, p = X[np.abs(p - threshold) > 1e-6], p[np.abs(p - threshold) > 1e-6]
        got = lab.predict(X, w, b, threshold=threshold)
        expected = (p > threshold).astype(np.int64)
        check.equal(got, expected, name=f"threshold={threshold}")


@task(6)
def test_arguments_of_the_predictions(lab):
    X, w = HAND_X, [1.0, -2.0]
    for t in (0.0, 1.0, -0.2, 1.5, math.nan):
        refused("threshold", lab.predict, X, w, 0.0, threshold=t)
        refused("threshold", lab.boundary_x2, w, 0.0, [1.0, 2.0], threshold=t)
    for f in (lab.predict_proba, lab.predict):
        refused("w", f, X, [1.0, 2.0, 3.0], 0.0)
        refused("X", f, [1.0, 2.0], w, 0.0)
    for bad in ([1.0, 0.0], [1.0, 2.0, 3.0]):
        refused("w", lab.boundary_x2, bad, 0.5, [1.0, 2.0])


# --- Task 7 ----------------------------------------------------------------------


@task(7)
def test_one_positive_in_four(lab):
    got = lab.balanced_sample_weights(np.array([0, 0, 0, 1]))
    check.close(got, np.array([2 / 3, 2 / 3, 2 / 3, 2.0]), **EXACT)


@task(7)
def test_drawn_labels_against_counting(lab, rng):
    for zeros, ones in [(9, 2), (3, 8), (5, 5)]:
        y = rng.permutation([0] * zeros + [1] * ones)
        n = zeros + ones
        expected = np.array([n / (2 * ones) if c else n / (2 * zeros) for c in y])
        for labels in (y, y.tolist(), y.astype(float), y.astype(bool)):
            check.close(lab.balanced_sample_weights(labels), expected, **EXACT)


@task(7)
def test_arguments_of_the_weights(lab):
    check.close(lab.balanced_sample_weights([1, 0]), np.array([1.0, 1.0]), **EXACT)
    for bad in ([0, 0, 0], [1, 1], [0, 1, 2], [], [[0], [1]]):
        refused("y", lab.balanced_sample_weights, bad)
