"""The marking scheme of lab 2.2: what each task must do, and how we know.

Oracles: SciPy's huber and central differences for the losses, NumPy's lstsq and polyfit
for the fits, the statistics module for the scaler, a walk in plain Python loops for the
descent, singular values for the learning rate. Properties explain. No training has to
"go well": paths are compared number by number, and bounds are theorems.
"""

from __future__ import annotations

import math
import statistics

import numpy as np
import scipy.special
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from common.grading import check, differences, task

EXACT = {"rtol": 1e-10, "atol": 1e-12}  # the same formula in float64
SOLVED = {"rtol": 1e-8, "atol": 1e-8}  # through a linear system

EIGHTHS = st.integers(-40, 40).map(lambda i: i / 8)  # sums of these are exact


def check_model(got, w, b, *, about="", **tolerance):
    """A pair (w, b), where b is a float; `about` says what the call does not show."""
    check.close(got[0], w, **tolerance, name=f"w{about}")
    check.close(got[1], float(b), **tolerance, name=f"b{about}")


def best_fit(X, y, lam=0.0):
    """The model (w, b) by lstsq; the penalty is D more rows whose target is 0."""
    N, D = X.shape
    A = np.column_stack([X, np.ones(N)])
    rows = np.column_stack([math.sqrt(N * lam / 2) * np.eye(D), np.zeros(D)])
    A, y = np.vstack([A, rows]), np.concatenate([y, np.zeros(D)])
    found = np.linalg.lstsq(A, y, rcond=None)[0]
    return found[:-1], found[-1]


# --- Task 1 ----------------------------------------------------------------------

Y = np.array([1.0, 2.0, 3.0, 4.0])
P = np.array([1.0, 2.5, 1.0, 8.0])  # residuals 0, 0.5, -2, 4


def mean_loss(name, delta=1.0):
    """The mean loss as a function of the residuals: one line, or SciPy's huber."""
    return {
        "mse": lambda r: math.fsum(r * r) / len(r),
        "mae": lambda r: math.fsum(abs(r)) / len(r),
        "huber": lambda r: math.fsum(scipy.special.huber(delta, r)) / len(r),
    }[name]


def away_from_kinks(rng, n, delta):
    """Targets and predictions; |r| is more than 1e-3 away from 0 and from delta."""
    inside = rng.uniform(0.1, 0.9, n) * delta
    outside = delta + rng.uniform(0.1, 5.0, n)
    r = rng.choice([-1, 1], n) * np.where(rng.random(n) < 0.5, inside, outside)
    y = rng.normal(2, 3, n)
    return y, y + r


@task(1)
def test_four_residuals(lab):
    check.close(lab.mse(Y, P), 5.0625, **EXACT, name="mse")
    check.close(lab.mae(Y, P), 1.625, **EXACT, name="mae")
    # 0, 0.125, 1.5, 3.5 with delta 1; with delta 2: 0, 0.125, 2, 6
    check.close(lab.huber(Y, P), 1.28125, **EXACT, name="huber")
    check.close(lab.huber(Y, P, delta=2.0), 2.03125, **EXACT, name="delta=2")


@task(1)
def test_gradients_of_four_residuals(lab):
    slopes = np.array([0.0, 0.25, -1.0, 2.0])
    check.close(lab.mse_grad(Y, P), slopes, **EXACT, name="mse_grad")
    slopes = np.array([0.0, 0.25, -0.25, 0.25])
    check.close(lab.mae_grad(Y, P), slopes, **EXACT, name="mae_grad")
    slopes = np.array([0.0, 0.125, -0.25, 0.25])
    check.close(lab.huber_grad(Y, P), slopes, **EXACT, name="huber_grad")
    slopes = np.array([0.0, 0.125, -0.5, 0.5])
    got = lab.huber_grad(Y, P, delta=2.0)
    check.close(got, slopes, **EXACT, name="delta=2")


@task(1)
def test_losses_and_gradients_against_scipy_and_differences(lab, rng):
    for n, delta in [(7, 0.5), (11, 1.75)]:
        y, p = away_from_kinks(rng, n, delta)
        for name in ("mse", "mae", "huber"):
            more = {"delta": delta} if name == "huber" else {}
            value = getattr(lab, name)(y, p, **more)
            slope = getattr(lab, f"{name}_grad")(y, p, **more)
            oracle = mean_loss(name, delta)
            check.close(value, oracle(p - y), **EXACT, name=name)
            expected = differences(oracle, p - y)
            check.close(slope, expected, rtol=1e-6, atol=1e-8, name=f"{name}_grad")


@task(1)
def test_huber_lies_between_the_two_others(lab, rng):
    y, p = away_from_kinks(rng, 9, 1.0)
    wide = lab.huber(y, p, delta=1e6)
    check.close(wide, mean_loss("mse")(p - y) / 2, **EXACT, name="½ mse")
    narrow = lab.huber(y, p, delta=1e-7) / 1e-7
    check.close(narrow, mean_loss("mae")(p - y), rtol=1e-5, name="delta · mae")
    below, above = (lab.huber([0.0], [1.5 + h], delta=1.5) for h in (0, 1e-9))
    check.close(above - below, 0.0, atol=1e-8, name="jump at delta")


@task(1)
@settings(max_examples=20)
@given(hnp.arrays(np.float64, 5, elements=EIGHTHS))
def test_mean_and_median_are_the_best_constants(lab, y):
    at_mean = lab.mse_grad(y, np.full(5, y.mean()))
    check.close(float(np.sum(at_mean)), 0.0, **EXACT, name="slope at the mean")
    best = lab.mae(y, np.full(5, np.median(y)))
    expected = math.fsum(abs(y - statistics.median(y))) / 5
    check.close(best, expected, **EXACT, name="mae at the median")
    others = [lab.mae(y, np.full(5, c)) for c in y]
    check.that(min(others) >= best - 1e-12, "no constant beats the median", others)


@task(1)
def test_arguments_of_the_losses(lab):
    column, good = np.ones((2, 1)), [1, 1]
    check.close(lab.mse([1, 1], [2, 4]), 5.0, **EXACT, name="lists")
    check.close(lab.mae_grad([1, 1], [2, 4]), np.array([0.5, 0.5]), name="lists")
    for name in ("mse", "mse_grad", "mae", "mae_grad", "huber", "huber_grad"):
        loss = getattr(lab, name)
        check.raises(ValueError, lambda f=loss: f(good, column), match="p")
        check.raises(ValueError, lambda f=loss: f(column, good), match="y")
        check.raises(ValueError, lambda f=loss: f([], []), match="y")
    for delta in (0.0, -1.0, float("nan")):
        for loss in (lab.huber, lab.huber_grad):
            bad = {"delta": delta}
            check.raises(
                ValueError, lambda f=loss, d=bad: f(good, good, **d), match="delta"
            )


# --- Task 2 ----------------------------------------------------------------------


def whole_numbers(rng, N, D):
    """Columns of whole numbers: means of 16 of them are exact."""
    return np.array([rng.permutation(N) for _ in range(D)], dtype=float).T


@task(2)
def test_four_points_and_a_plane(lab):
    X = np.array([[0.0, 0.0], [2.0, 0.0], [0.0, 2.0], [2.0, 2.0]])
    # 3 + 2 x1 - x2, and 1, -1, -1, 1 on top, which no plane can follow
    y = np.array([4.0, 6.0, 0.0, 6.0])
    check_model(lab.normal_equation(X, y), np.array([2.0, -1.0]), 3.0, **SOLVED)
    got = lab.predict(X, [2.0, -1.0], 3.0)
    check.close(got, np.array([3.0, 7.0, 1.0, 5.0]), **EXACT, name="predict")


@task(2)
def test_drawn_data_against_lstsq(lab, rng):
    for N, D in [(23, 4), (19, 3), (13, 6)]:
        X = rng.normal(rng.uniform(-9, 9, D), rng.uniform(0.5, 30, D), (N, D))
        y = rng.normal(50, 8, N)
        check_model(lab.normal_equation(X, y), *best_fit(X, y), **SOLVED)
        w = rng.normal(size=D)
        expected = np.array([math.fsum(x * w) + 4.5 for x in X])
        check.close(lab.predict(X, w, 4.5), expected, rtol=1e-9, name="predict")


@task(2)
def test_copied_columns_share_their_weight(lab, rng):
    X, y = whole_numbers(rng, 16, 3), rng.integers(-9, 10, 16).astype(float)
    copied = np.column_stack([X, X[:, 1], np.full(16, 7.0)])
    got = lab.normal_equation(copied, y)
    w, b = best_fit(X, y)
    expected = np.array([w[0], w[1] / 2, w[2], w[1] / 2, 0.0])
    check_model(got, expected, b, about=" with a copied column", **SOLVED)


@task(2)
def test_more_columns_than_rows_gives_the_shortest_weights(lab, rng):
    X, y = rng.normal(3, 1, size=(5, 9)), rng.normal(size=5)
    got = lab.normal_equation(X, y)
    w = np.linalg.pinv(X - X.mean(axis=0), rcond=1e-10) @ (y - y.mean())
    b = y.mean() - X.mean(axis=0) @ w
    check_model(got, w, b, about=" from 5 rows, 9 columns: the shortest", **SOLVED)


@task(2)
def test_arguments_of_the_fit(lab):
    X, y = [[1, 2], [3, 5], [4, 4]], [1, 2, 3]
    check.close(lab.predict(X, [1, 1], 0), np.array([3.0, 8.0, 8.0]), name="lists")
    check_model(lab.normal_equation(X, y), *best_fit(np.array(X), y), **SOLVED)
    column = np.ones((3, 1))
    check.raises(ValueError, lambda: lab.normal_equation(X, column), match="y")
    check.raises(ValueError, lambda: lab.normal_equation(X, [1, 2]), match="y")
    check.raises(ValueError, lambda: lab.normal_equation([1, 2, 3], y), match="X")
    check.raises(ValueError, lambda: lab.predict(X, [1, 1, 1], 0), match="X")


# --- Task 3 ----------------------------------------------------------------------

COLUMNS = np.array(  # means 5, 10, 4; deviations 2, 0, 4
    [
        [2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0],
        [10.0] * 8,
        [0.0, 8.0] * 4,
    ]
).T


@task(3)
def test_eight_rows_and_two_new_ones(lab):
    scaler = lab.Standardizer()
    check.that(scaler.fit(COLUMNS) is scaler, "fit returns the scaler itself")
    check.close(scaler.mean, np.array([5.0, 10.0, 4.0]), **EXACT, name="mean")
    check.close(scaler.scale, np.array([2.0, 1.0, 4.0]), **EXACT, name="scale")
    new = np.array([[9.0, 10.0, 0.0], [5.0, 12.0, 8.0]])
    Z = np.array([[2.0, 0.0, -1.0], [0.0, 2.0, 1.0]])
    check.close(scaler.transform(new), Z, **EXACT, name="transform")
    check.close(scaler.inverse_transform(Z), new, **EXACT, name="back")
    # (x1 - 5) / 2 · 4 + (x2 - 10) · 3 + (x3 - 4) / 4 · 8 + 1
    got = scaler.unscale([4.0, 3.0, 8.0], 1.0)
    fitted = " of unscale, mean (5, 10, 4), scale (2, 1, 4)"
    check_model(got, np.array([2.0, 3.0, 2.0]), -47.0, about=fitted, **EXACT)


@task(3)
def test_drawn_columns_against_statistics(lab, rng):
    X = rng.normal([3, -40, 0.5, 900], [2, 7, 0.01, 300], size=(13, 4))
    scaler = lab.Standardizer().fit(X)
    mean = np.array([statistics.fmean(column) for column in X.T])
    scale = np.array([statistics.pstdev(column) for column in X.T])
    check.close(scaler.mean, mean, rtol=1e-9, name="mean")
    check.close(scaler.scale, scale, rtol=1e-9, name="scale")
    new, w = rng.normal(1, 50, size=(6, 4)), rng.normal(size=4)
    Z = (new - mean) / scale
    check.close(scaler.transform(new), Z, rtol=1e-8, name="transform")
    back = scaler.inverse_transform(new)
    check.close(back, new * scale + mean, rtol=1e-8, name="inverse_transform")
    got = scaler.unscale(w, 2.5)
    b = 2.5 - math.fsum(w * mean / scale)
    fitted = f" of unscale, mean {np.round(mean, 3)}, scale {np.round(scale, 3)}"
    check_model(got, w / scale, b, rtol=1e-8, about=fitted)
    predicted = new @ np.asarray(got[0]) + got[1]
    check.close(predicted, Z @ w + 2.5, rtol=1e-6, name="predictions for X and for Z")


@task(3)
def test_constant_columns_and_those_with_little_spread(lab, rng):
    # the deviation of ten times 1234567.1 comes out as 2e-10: above that of the last
    equal = np.array([0.1, 123.4, 1234567.1])
    few = np.outer([1.0, 3.0] * 5, [1e-9, 1e-13])  # means 2e-9 and 2e-13
    X = np.column_stack([rng.normal(size=10), np.tile(equal, (10, 1)), few])
    scaler = lab.Standardizer().fit(X)
    for column, scale in [(5, 1e-13), (4, 1e-9)]:
        name = f"scale of a column of {scale:.0e} and {3 * scale:.0e}"
        got = scaler.scale[column : column + 1]
        check.close(got, np.array([scale]), rtol=1e-9, atol=0.0, name=name)
    name = f"scale of constant columns {equal.tolist()}"
    check.close(scaler.scale[1:4], np.ones(3), **EXACT, name=name)
    Z = scaler.transform(X + np.array([0.0, 2.0, 3.0, 0.0, 0.0, 0.0]))
    check.close(Z[:, 1:3], np.tile([2.0, 3.0], (10, 1)), **EXACT, name="transform")


@task(3)
def test_arguments_of_the_scaler(lab):
    scaler = lab.Standardizer().fit([[0, 5], [4, 7]])
    check.close(scaler.transform([[2, 8]]), np.array([[0.0, 2.0]]), **EXACT)
    check.raises(ValueError, lambda: scaler.transform([[1, 2, 3]]), match="X")
    check.raises(ValueError, lambda: scaler.transform([[1], [2]]), match="X")
    check.raises(ValueError, lambda: lab.Standardizer().fit([1, 2]), match="X")


# --- Task 4 ----------------------------------------------------------------------

SMALL_X = np.array([[1.0, 0.0], [0.0, 2.0], [1.0, 1.0], [2.0, 1.0]])
SMALL_Y = np.array([2.0, 4.0, 0.0, -2.0])

SLOPES = {
    "mse": lambda r, delta: 2 * r,
    "mae": lambda r, delta: math.copysign(1.0, r),
    "huber": lambda r, delta: min(max(r, -delta), delta),
}


def walk(X, y, batches, *, loss="mse", lr, lam=0.0, delta=1.0):
    """The descent in plain loops; `batches` lists the rows of every step, by epoch."""
    w, b, losses = [0.0] * X.shape[1], 0.0, []

    def residual(i):
        return math.fsum(a * c for a, c in zip(X[i], w, strict=True)) + b - y[i]

    for epoch in batches:
        for rows in epoch:
            g = [SLOPES[loss](residual(i), delta) / len(rows) for i in rows]
            sums = [math.fsum(g * x) for x in X[rows].T]
            w = [c - lr * (s + lam * c) for c, s in zip(w, sums, strict=True)]
            b -= lr * math.fsum(g)
        r = np.array([residual(i) for i in range(len(y))])
        penalty = lam / 2 * math.fsum(c * c for c in w)
        losses.append(mean_loss(loss, delta)(r) + penalty)
    return np.array(w), b, losses


def cut(order, size):
    """An order of rows in pieces of this size; the last may be shorter."""
    return [list(order[i : i + size]) for i in range(0, len(order), size)]


def check_path(got, expected, about):
    """The end of the walk and the loss after each epoch."""
    check.close(got.losses, expected[2], rtol=1e-9, name=f"losses, {about}")
    check_model((got.w, got.b), *expected[:2], about=f", {about}", rtol=1e-9)


@task(4)
def test_two_steps_by_hand(lab):
    got = lab.gradient_descent(SMALL_X, SMALL_Y, lr=0.25, epochs=2)
    # step 1: slopes -1, -2, 0, 1, so the gradient is (1, -3) in w and -2 in b
    # step 2, from w (-0.25, 0.75), b 0.5: (2.375, -0.125) and 0
    check_model((got.w, got.b), np.array([-0.84375, 0.78125]), 0.5, **EXACT)
    check.close(got.losses, [3.90625, 2.99462890625], **EXACT, name="losses")


@task(4)
def test_one_epoch_of_single_rows_by_hand(lab):
    X, y = np.array([[1.0, 2.0], [3.0, 0.0], [0.0, 1.0]]), np.array([2.0, -1.0, 4.0])
    got = lab.gradient_descent(X, y, loss="mae", lr=0.5, epochs=1, batch_size=1)
    # row 0: -1, so w (0.5, 1), b 0.5; row 1: +1, so w (-1, 1), b 0; row 2: -1
    check_model((got.w, got.b), np.array([-1.0, 1.5]), 0.5, **EXACT)
    check.close(got.losses, [4 / 3], **EXACT, name="losses")  # r: 0.5, -1.5, -2


@task(4)
def test_two_batches_and_a_penalty_by_hand(lab):
    given = {"lr": 0.125, "epochs": 1, "batch_size": 2, "lam": 1.0}
    got = lab.gradient_descent(SMALL_X, SMALL_Y, **given)
    # step 1: slopes -2, -4, so (-2, -8) and -6: w (0.25, 1), b 0.75
    # step 2: slopes 2, 4.25, so (10.5, 6.25) + w, the penalty's part, and 6.25
    w, b = np.array([-1.09375, 0.09375]), -0.03125
    check_model((got.w, got.b), w, b, about=", lam=1", **EXACT)
    # r: -3.125, -3.84375, -1.03125, -0.125; ½ ‖w‖² is 0.6025390625
    mean = (9.765625 + 14.7744140625 + 1.0634765625 + 0.015625) / 4
    check.close(got.losses, [mean + 0.6025390625], **EXACT, name="losses, lam=1")


@task(4)
def test_paths_in_row_order_against_loops(lab, rng):
    X, y = rng.normal(1, 1, size=(11, 3)), rng.normal(5, 2, 11)
    kinds = [("mse", None, 0.2), ("mse", 4, 0.0), ("mae", 11, 0.0), ("huber", 3, 0.3)]
    for loss, size, lam in [*kinds, ("mae", None, 0.1), ("mse", 50, 0.0)]:
        given = {"loss": loss, "lr": 0.02, "lam": lam, "delta": 2.5}
        got = lab.gradient_descent(X, y, epochs=5, batch_size=size, **given)
        expected = walk(X, y, [cut(range(11), size or 11)] * 5, **given)
        check_path(got, expected, f"{loss}, 11 rows, batch_size={size}, lam={lam}")


@task(4)
def test_shuffled_paths_against_loops(lab, rng):
    X, y = rng.normal(1, 1, size=(13, 4)), rng.normal(5, 2, 13)
    for seed, size in [(3, 5), (4, 1), (5, 13), (6, None)]:
        theirs, ours = np.random.default_rng(seed), np.random.default_rng(seed)
        given = {"lr": 0.02, "lam": 0.1}
        got = lab.gradient_descent(X, y, epochs=4, batch_size=size, rng=theirs, **given)
        orders = [ours.permutation(13) if size else range(13) for _ in range(4)]
        expected = walk(X, y, [cut(o, size or 13) for o in orders], **given)
        check_path(got, expected, f"shuffled, 13 rows, batch_size={size}, lam=0.1")
        check.equal(theirs.random(), ours.random(), name="next number of rng")


@task(4)
def test_an_epoch_of_tiny_steps_adds_up_to_the_whole_gradient(lab, rng):
    X, y, lr = rng.normal(2, 1, size=(12, 3)), rng.normal(9, 1, 12), 1e-8
    got = lab.gradient_descent(X, y, lr=lr, epochs=1, batch_size=3, rng=rng)
    steps = 4  # batches of 3 in 12 rows: each has the whole gradient on average
    whole = np.array([math.fsum(-2 * y * x) / 12 for x in X.T])  # at w = 0, b = 0
    check.close(np.asarray(got.w) / -lr / steps, whole, rtol=1e-5, name="steps of w")
    check.close(got.b / -lr / steps, -2 * math.fsum(y) / 12, rtol=1e-5, name="of b")


@task(4)
def test_distance_shrinks_as_fast_as_the_theorem_says(lab, rng):
    X, y = rng.normal(1, [1, 2, 0.5], size=(20, 3)), rng.normal(2, 3, 20)
    A = np.column_stack([X, np.ones(20)])
    curvature = np.linalg.eigvalsh(2 / 20 * A.T @ A)
    best = np.append(*best_fit(X, y))
    for epochs in (0, 1, 10, 40):
        got = lab.gradient_descent(X, y, lr=float(1 / curvature[-1]), epochs=epochs)
        distance = float(np.linalg.norm(np.append(got.w, got.b) - best))
        bound = (1 - curvature[0] / curvature[-1]) ** epochs * np.linalg.norm(best)
        check.that(distance <= bound * 1.000001, f"at most {bound:.6g}", distance)
        check.equal(len(got.losses), epochs, name="number of losses")


@task(4)
def test_arguments_of_the_descent(lab):
    def descend(X=SMALL_X, y=SMALL_Y, lr=0.1, epochs=2, **more):
        return lambda: lab.gradient_descent(X, y, lr=lr, epochs=epochs, **more)

    check.equal(descend(X=SMALL_X.tolist(), y=[1, 2, 3, 4])().w.shape, (2,))
    check.equal(len(descend(delta=-1.0)().losses), 2, name="delta without huber")
    check.raises(ValueError, descend(loss="mean"), match="loss")
    check.raises(ValueError, descend(lr=0.0), match="lr")
    check.raises(ValueError, descend(lr=float("nan")), match="lr")
    check.raises(ValueError, descend(lam=-0.1), match="lam")
    check.raises(ValueError, descend(batch_size=0), match="batch_size")
    check.raises(ValueError, descend(loss="huber", delta=0.0), match="delta")
    check.raises(ValueError, descend(y=SMALL_Y[:, None]), match="y")
    check.raises(ValueError, descend(X=SMALL_Y), match="X")


# --- Task 5 ----------------------------------------------------------------------

CROSS = np.array([[2.0, 0.0], [-2.0, 0.0], [0.0, 1.0], [0.0, -1.0]])


def hessian_of(X, lam):
    """Second differences of the loss in (w, b): exact for a parabola, up to rounding.

    The targets play no part in second derivatives, so they are 0 here.
    """
    D = X.shape[1]

    def f(v):
        return np.mean((X @ v[:D] + v[D]) ** 2) + lam / 2 * np.sum(v[:D] ** 2)

    E = np.eye(D + 1)
    return np.array([[(f(a + c) - f(a - c)) / 2 for c in E] for a in E])


@task(5)
def test_three_curvatures_by_hand(lab):
    # AᵀA is diag(8, 2, 4), and the Hessian 2/4 of it: diag(4, 1, 2)
    check.close(lab.max_stable_lr(CROSS), 0.5, **EXACT, name="a weight is steepest")
    check.close(lab.max_stable_lr(CROSS, lam=1.0), 0.4, **EXACT, name="lam=1")
    # diag(0.25, 0.0625, 2), and lam is added to the first two
    for lam, limit in [(0.0, 1.0), (1.5, 1.0), (2.25, 0.8)]:
        got = lab.max_stable_lr(CROSS / 4, lam=lam)
        check.close(got, limit, **EXACT, name=f"small columns, lam={lam}")


@task(5)
def test_drawn_data_against_singular_values(lab, rng):
    for N, D in [(12, 3), (5, 8), (6, 6)]:
        X = rng.normal(2, rng.uniform(0.5, 4, D), size=(N, D))
        largest = np.linalg.norm(np.column_stack([X, np.ones(N)]), 2) ** 2
        check.close(lab.max_stable_lr(X), float(N / largest), rtol=1e-9)
        for lam in (0.3, 7.0):
            steepest = max(np.linalg.eigvals(hessian_of(X, lam)).real)
            check.close(lab.max_stable_lr(X, lam=lam), float(2 / steepest), rtol=1e-7)


@task(5)
def test_one_percent_below_shrinks_and_above_grows(lab, rng):
    X = rng.normal(1, [0.2, 3, 1, 0.5], size=(15, 4))
    limit = lab.max_stable_lr(X)
    H = hessian_of(X, 0.0)
    for share, what in [(0.99, "shrinks"), (1.01, "grows")]:
        v = np.linalg.eigh(H)[1][:, -1]  # a start in the steepest direction
        for _ in range(20):
            v = v - share * limit * (H @ v)
        size = float(np.linalg.norm(v))
        check.that((size > 1) == (what == "grows"), f"distance {what}", size)
        # the factor is 1 - lr L in each of the 20 steps
        check.close(size, abs(1 - 2 * share) ** 20, rtol=1e-6, name="distance")


@task(5)
def test_arguments_of_the_stable_lr(lab):
    check.close(lab.max_stable_lr([[2, 0], [-2, 0], [0, 1], [0, -1]]), 0.5, **EXACT)
    check.raises(ValueError, lambda: lab.max_stable_lr(CROSS, lam=-1.0), match="lam")
    check.raises(ValueError, lambda: lab.max_stable_lr([1.0, 2.0]), match="X")


# --- Task 6 ----------------------------------------------------------------------


@task(6)
def test_four_points_and_two_penalties(lab):
    X = np.array([[1.0, 4.0], [3.0, 4.0], [1.0, 6.0], [3.0, 6.0]])
    y = np.array([14.0, 18.0, 0.0, 8.0])
    # Xcᵀ Xc = 4 I, Xcᵀ yc = (12, -24), mean of y 10, means of X 2 and 5
    check_model(lab.ridge(X, y, lam=1.0), np.array([2.0, -4.0]), 26.0, **EXACT)
    check_model(lab.ridge(X, y, lam=2.0), np.array([1.5, -3.0]), 22.0, **EXACT)


@task(6)
def test_drawn_ridge_against_lstsq_with_more_rows(lab, rng):
    for N, D in [(14, 4), (5, 8), (6, 6)]:
        X, y = rng.normal(3, 2, size=(N, D)), rng.normal(-7, 4, N)
        X[:, 1] = X[:, 0]  # a copied column does not matter here
        for lam in (0.05, 0.8, 30.0):
            check_model(lab.ridge(X, y, lam=lam), *best_fit(X, y, lam), **SOLVED)


@task(6)
def test_shifted_targets_and_doubled_rows(lab, rng):
    X, y = rng.normal(2, 1, size=(8, 3)), rng.normal(size=8)
    w, b = best_fit(X, y, 0.4)
    check_model(lab.ridge(X, y + 100, lam=0.4), w, b + 100, **SOLVED)
    twice = lab.ridge(np.vstack([X, X]), np.concatenate([y, y]), lam=0.4)
    check_model(twice, w, b, **SOLVED)  # the loss is a mean: nothing has changed


@task(6)
def test_arguments_of_ridge(lab):
    X, y = [[1, 2], [3, 5], [4, 4]], [1, 2, 3]
    got = lab.ridge(X, y, lam=2.0)
    check_model(got, *best_fit(np.array(X), y, 2.0), **SOLVED)
    for lam in (0.0, -1.0, float("nan")):
        check.raises(ValueError, lambda a=lam: lab.ridge(X, y, lam=a), match="lam")
    check.raises(ValueError, lambda: lab.ridge(X, np.ones((3, 1)), lam=1.0), match="y")
    check.raises(ValueError, lambda: lab.ridge(y, y, lam=1.0), match="X")


# --- Task 7 ----------------------------------------------------------------------


@task(7)
def test_powers_of_three_numbers(lab):
    got = lab.polynomial_features([2, -1, 3], 4)
    rows = [[2.0, 4.0, 8.0, 16.0], [-1.0, 1.0, -1.0, 1.0], [3.0, 9.0, 27.0, 81.0]]
    check.close(got, np.array(rows), **EXACT, name="degree 4")
    got = lab.polynomial_features([0.5, -1.5], 1)
    check.close(got, np.array([[0.5], [-1.5]]), **EXACT, name="degree 1")


@task(7)
def test_powers_against_vander(lab, rng):
    for N, degree in [(7, 5), (4, 4), (3, 9)]:
        x = rng.normal(0, 2, N)
        got = lab.polynomial_features(x, degree)
        expected = np.vander(x, degree + 1, increasing=True)[:, 1:]
        check.close(got, expected, **EXACT)
    check.raises(ValueError, lambda: lab.polynomial_features(x, 0), match="degree")
    check.raises(ValueError, lambda: lab.polynomial_features(got, 2), match="x")


@task(7)
def test_three_points_of_a_parabola(lab):
    got = lab.degree_errors([-1, 0, 1], [1, 0, 1], [2, 3], [4, 9], [1, 2])
    # degree 1 is the level line 2/3; degree 2 goes through all points
    check.close(got[0], [2 / 9, 0.0], **SOLVED, name="fitted points")
    check.close(got[1], [725 / 18, 0.0], **SOLVED, name="new points")
    got = lab.degree_errors([-1, 0, 1], [1, 0, 1], [2, 3], [4, 9], [2, 1])
    check.close(got[0], [0.0, 2 / 9], **SOLVED, name="fitted, in the order [2, 1]")
    check.close(got[1], [0.0, 725 / 18], **SOLVED, name="new, in the order [2, 1]")


def errors_by_lstsq(x, y, x_new, y_new, degree, lam):
    """Both errors, with standardised features and the penalty as more rows."""
    F, F_new = (np.vander(v, degree + 1)[:, :-1] for v in (x, x_new))
    mean, scale = F.mean(axis=0), F.std(axis=0)
    w, b = best_fit((F - mean) / scale, y, lam)
    r, r_new = (F - mean) / scale @ w + b - y, (F_new - mean) / scale @ w + b - y_new
    return float(np.mean(r**2)), float(np.mean(r_new**2))


@task(7)
def test_errors_of_drawn_curves(lab, rng):
    x, x_new = rng.uniform(-2, 3, 17), rng.uniform(-2, 3, 9)
    y, y_new = np.sin(2 * x) + rng.normal(0, 0.3, 17), np.sin(2 * x_new)
    degrees = [4, 1, 3]  # in the order asked for
    for lam in (0.0, 0.05, 2.0):
        got = lab.degree_errors(x, y, x_new, y_new, degrees, lam=lam)
        pairs = [errors_by_lstsq(x, y, x_new, y_new, d, lam) for d in degrees]
        fitted, unseen = (list(errors) for errors in zip(*pairs, strict=True))
        check.close(got[0], fitted, rtol=1e-6, name=f"fitted, lam={lam}")
        check.close(got[1], unseen, rtol=1e-6, name=f"new, lam={lam}")
