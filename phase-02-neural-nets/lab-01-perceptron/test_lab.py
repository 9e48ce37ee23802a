"""The marking scheme of lab 2.1: what each task must do, and how we know.

Oracles: sums without rounding for scores and margins, a walk in plain fractions for
both perceptrons, scikit-learn's weights on iris, Novikoff's theorem on drawn data with
a known margin, every line with a small whole slope for the best one. Points lie on
whole numbers and eighths, so that no score of 0 hangs on rounding.
"""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from common.grading import check, task

EXACT = {"rtol": 1e-10, "atol": 1e-12}  # the same formula in float64

# Iris (R. A. Fisher 1936), 50 setosa and 50 versicolor: four lengths in millimetres.
MILLIMETRES = """
    51351402 49301402 47321302 46311502 50361402 54391704 46341403 50341502 44291402
    49311501 54371502 48341602 48301401 43301101 58401202 57441504 54391304 51351403
    57381703 51381503 54341702 51371504 46361002 51331705 48341902 50301602 50341604
    52351502 52341402 47321602 48311602 54341504 52411501 55421402 49311502 50321202
    55351302 49361401 44301302 51341502 50351303 45231303 44321302 50351606 51381904
    48301403 51381602 46321402 53371502 50331402 70324714 64324515 69314915 55234013
    65284615 57284513 63334716 49243310 66294613 52273914 50203510 59304215 60224010
    61294714 56293613 67314414 56304515 58274110 62224515 56253911 59324818 61284013
    63254915 61284712 64294313 66304414 68284814 67305017 60294515 57263510 55243811
    55243710 58273912 60275116 54304515 60344516 67314715 63234413 56304113 55254013
    55264412 61304614 58264012 50233310 56274213 57304212 57294213 62294313 51253011
    57284113
"""
IRIS_X = np.array(
    [
        [int(flower[i : i + 2]) / 10 for i in (0, 2, 4, 6)]
        for flower in MILLIMETRES.split()
    ]
)
IRIS_Y = np.repeat([-1, 1], 50)


def eighths(rng, *shape):
    """Points whose coordinates are multiples of 1/8: sums and products are exact."""
    return rng.integers(-24, 25, size=shape) / 8


def walk(X, y, orders):
    """Rosenblatt's rule in fractions, over the rows of each epoch in turn.

    Returns (w, b) after every row, and the mistakes of each epoch until one has none.
    """
    w, b, path, mistakes = [Fraction(0)] * X.shape[1], 0, [], []
    for order in orders:
        wrong = 0
        for i in order:
            x, label = [Fraction(float(c)) for c in X[i]], int(y[i])
            score = sum((a * c for a, c in zip(w, x, strict=True)), Fraction(b))
            if label * score <= 0:
                w = [a + label * c for a, c in zip(w, x, strict=True)]
                b, wrong = b + label, wrong + 1
            path.append((np.array([float(a) for a in w]), float(b)))
        mistakes.append(wrong)
        if wrong == 0:
            break
    return path, mistakes


def mean_of(path):
    """The plain average of all (w, b)."""
    columns = zip(*(w for w, _ in path), strict=True)
    w = np.array([math.fsum(column) / len(path) for column in columns])
    return w, math.fsum(b for _, b in path) / len(path)


def check_result(got, model, mistakes, note=""):
    """The fields of a PerceptronResult, the counts before the weights."""
    per_epoch = f"mistakes_per_epoch{note}"
    check.equal(got.mistakes_per_epoch, mistakes, name=per_epoch)
    check.equal(got.n_updates, sum(mistakes), name=f"n_updates{note}")
    check.equal(got.converged, mistakes[-1] == 0, name=f"converged{note}")
    check.close(got.w, np.array(model[0]), **EXACT, name=f"w{note}")
    check.close(got.b, float(model[1]), **EXACT, name=f"b{note}")


def check_runs(fit, rng, model):
    """Drawn labels, in row order (seed 0) and shuffled; `model` picks from the path."""
    shapes = [(9, 2, 6, 0), (6, 4, 30, 0), (8, 3, 7, 5), (11, 3, 40, 6)]
    for N, D, epochs, seed in shapes:
        X, y = eighths(rng, N, D), rng.choice([-1, 1], N)
        if not seed:
            path, mistakes = walk(X, y, [range(N)] * epochs)
            got = fit(X, y, max_epochs=epochs)
            check_result(got, model(path), mistakes, ", rows shown in their order")
            continue
        theirs, ours = np.random.default_rng(seed), np.random.default_rng(seed)
        got = fit(X, y, max_epochs=epochs, rng=theirs)
        path, mistakes = walk(X, y, (ours.permutation(N) for _ in range(epochs)))
        note = ", rows and their labels shown in the order of rng.permutation(N)"
        check_result(got, model(path), mistakes, note)
        check.equal(theirs.random(), ours.random(), name="next number of rng")


# --- Task 1 ----------------------------------------------------------------------

FIVE = np.array([[3.0, 1.0], [0.0, 2.0], [1.0, -1.0], [-2.0, 0.0], [0.0, 0.0]])


@task(1)
def test_five_points_and_a_line(lab):
    w, b = np.array([2.0, -1.0]), 2.0
    scores = np.array([7.0, 0.0, 5.0, -2.0, 2.0])
    check.close(lab.linear_score(FIVE, w, b), scores, **EXACT, name="scores")
    got = lab.predict(FIVE, w, b)  # the second point is on the line
    check.equal(got, np.array([1, 1, 1, -1, 1]), name="classes")


@task(1)
def test_drawn_points_against_exact_sums(lab, rng):
    for N, D in [(7, 3), (5, 11), (4, 4)]:
        X, w, b = rng.normal(size=(N, D)), rng.normal(0, 3, D), rng.normal()
        sums = np.array([math.fsum([*(x * w), b]) for x in X])
        check.close(lab.linear_score(X, w, b), sums, **EXACT, name="scores")
        X, w = eighths(rng, 40, D), eighths(rng, D)
        X[3], b = X[8], -float(X[8] @ w)  # at least two points on the line
        sums = [math.fsum([*(x * w), b]) for x in X]
        classes = np.array([1 if s >= 0 else -1 for s in sums])
        check.equal(lab.predict(X, w, b), classes, name="classes")


@task(1)
def test_arguments_of_score_and_predict(lab):
    check.close(lab.linear_score([[1, 2], [3, 4]], [1, -1], 2), np.array([1.0, 1.0]))
    check.equal(lab.predict([[1, 2], [3, 5]], [1, -1], 1), np.array([1, -1]))
    good, nan = [[1.0, 2.0], [3.0, 4.0]], [[1.0, float("nan")]]
    for name in ("linear_score", "predict"):
        call = getattr(lab, name)
        check.raises(ValueError, lambda f=call: f([1.0, 2.0], [1.0, 1.0], 0), match="X")
        check.raises(ValueError, lambda f=call: f(nan, [1.0, 1.0], 0), match="X")
        check.raises(ValueError, lambda f=call: f(good, [1.0], 0), match="w")
        check.raises(ValueError, lambda f=call: f(good, [[1.0], [1.0]], 0), match="w")


# --- Task 2 ----------------------------------------------------------------------

FOUR_X = np.array([[-1.0, 2.0], [2.0, -1.0], [1.0, 0.0], [1.0, -1.0]])
FOUR_Y = np.array([1, -1, 1, -1])


@task(2)
def test_four_points_by_hand(lab):
    got = lab.perceptron_fit(FOUR_X, FOUR_Y)
    # epoch 1, mistakes at rows 0, 2, 3: (-1, 2) 1, then (0, 2) 2, then (-1, 3) 1
    # epoch 2, a score of 0 at row 2: (0, 3) 2; epoch 3 has none
    check_result(got, ([0.0, 3.0], 2.0), [3, 1, 0])


@task(2)
def test_one_look_at_a_row_is_not_always_enough(lab):
    X, y = np.array([[4.0, 0.0], [3.0, 0.0]]), np.array([1, -1])
    # (4, 0) 1, then (1, 0) 0, which still has row 1 wrong; epoch 2: (-2, 0) -1
    got = lab.perceptron_fit(X, y, max_epochs=2)
    check_result(got, ([-2.0, 0.0], -1.0), [2, 1])


@task(2)
def test_iris_as_scikit_learn_has_it(lab):
    # Perceptron(shuffle=False, tol=None): tests/against_libraries
    got = lab.perceptron_fit(IRIS_X, IRIS_Y)
    check_result(got, ([-1.3, -4.1, 5.2, 2.2], -1.0), [2, 2, 1, 0])


@task(2)
def test_drawn_labels_and_orders_against_fractions(lab, rng):
    check_runs(lab.perceptron_fit, rng, lambda path: path[-1])


@task(2)
def test_on_xor_the_weights_come_back_to_zero_in_every_epoch(lab):
    X = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    got = lab.perceptron_fit(X, [-1, 1, 1, -1], max_epochs=25)
    check_result(got, ([0.0, 0.0], 0.0), [4] * 25)
    got = lab.perceptron_fit(X[:3], [-1, 1, 1], max_epochs=1)
    check_result(got, ([1.0, 1.0], 1.0), [3])  # then (1, 1) undoes it all


# Points pushed away from a line w · x + b = 0 by w, so that label · score >= ‖w‖².
PUSHED = st.tuples(
    hnp.arrays(np.float64, (7, 3), elements=st.integers(-4, 4)),
    hnp.arrays(np.float64, 3, elements=st.integers(-2, 2)).filter(np.any),
    st.integers(-3, 3),
)


def push(drawn):
    """X, y and a line (w, b) that separates them."""
    X, w, b = drawn
    y = np.where(X @ w + b >= 0, 1, -1)
    return X + y[:, None] * w, y, w, float(b)


def bound_by_fractions(X, y, w, b):
    """(R / γ)² with the constant input as one more column."""
    A = [[Fraction(float(c)) for c in [*x, 1.0]] for x in X]
    v = [Fraction(float(c)) for c in [*w, b]]
    scores = [sum(p * q for p, q in zip(a, v, strict=True)) for a in A]
    gap = min(int(t) * score for t, score in zip(y, scores, strict=True))
    squares = max(sum(c * c for c in a) for a in A)
    return float(squares * sum(c * c for c in v) / gap**2)


@task(2)
@settings(max_examples=20)
@given(PUSHED)
def test_separable_points_are_learned_within_the_bound(lab, drawn):
    X, y, w, b = push(drawn)
    bound = bound_by_fractions(X, y, w, b)
    got = lab.perceptron_fit(X, y, max_epochs=int(bound) + 1)
    check.equal(got.converged, True, name="converged")
    check.that(got.n_updates <= bound, f"at most {bound:g} updates", got.n_updates)
    gaps = y * (X @ np.asarray(got.w) + got.b)
    check.that(bool((gaps > 0).all()), "all labels · scores above 0", gaps)


@task(2)
def test_arguments_of_the_perceptron(lab):
    def fit(X=FOUR_X, y=FOUR_Y, **more):
        return lambda: lab.perceptron_fit(X, y, **more)

    one_class = fit(X=[[1, 2], [3, 1], [2, 5]], y=[1, 1, 1])()
    check_result(one_class, ([1.0, 2.0], 1.0), [1, 0])
    for y in ([0, 1, 1, 0], [1, 2, -1, 1], [1, 1, -1], FOUR_Y[:, None]):
        check.raises(ValueError, fit(y=y), match="y")
    check.raises(ValueError, fit(X=FOUR_X[0]), match="X")
    check.raises(ValueError, fit(X=np.full((4, 2), np.inf)), match="X")
    for epochs in (0, -3):
        check.raises(ValueError, fit(max_epochs=epochs), match="max_epochs")


# --- Task 3 ----------------------------------------------------------------------

THREE_X = np.array([[3.0, 1.0], [1.0, -2.0], [-1.0, 0.0]])
THREE_Y = np.array([1, -1, -1])
LINE = np.array([3.0, 4.0]), 2.0  # scores 15, -3, -1


@task(3)
def test_three_points_and_a_line_of_length_five(lab):
    got = lab.geometric_margin(THREE_X, THREE_Y, *LINE)
    check.close(got, 0.2, **EXACT, name="margin")
    got = lab.geometric_margin(THREE_X, -THREE_Y, *LINE)
    check.close(got, -3.0, **EXACT, name="labels turned round")
    got = lab.geometric_margin(THREE_X, THREE_Y, [3.0, 4.0], 3.0)
    check.close(got, 0.0, **EXACT, name="a point on the line")
    # R² = 9 + 1 + 1, ‖(w, b)‖² = 9 + 16 + 4, smallest label · score 1
    got = lab.novikoff_bound(THREE_X, THREE_Y, *LINE)
    check.close(got, 319.0, **EXACT, name="bound")


@task(3)
def test_drawn_lines_against_exact_sums(lab, rng):
    for N, D in [(7, 3), (5, 9), (4, 4)]:
        X, y = rng.normal(0, 2, size=(N, D)), rng.choice([-1, 1], N)
        w, b = rng.normal(size=D), float(rng.normal())
        gaps = [t * math.fsum([*(x * w), b]) for x, t in zip(X, y, strict=True)]
        margin = min(gaps) / math.sqrt(math.fsum(w * w))
        got = lab.geometric_margin(X, y, w, b)
        check.close(got, margin, **EXACT, name="margin")
        got = lab.geometric_margin(X, y, 8 * w, 8 * b)
        check.close(got, margin, **EXACT, name="the same line, w and b times 8")


@task(3)
@settings(max_examples=20)
@given(PUSHED)
def test_no_run_makes_more_updates_than_the_bound(lab, drawn):
    X, y, w, b = push(drawn)
    got = lab.novikoff_bound(X, y, w, b)
    check.close(got, bound_by_fractions(X, y, w, b), **EXACT, name="bound")
    _, mistakes = walk(X, y, [range(len(X))] * (int(got) + 1))
    check.that(sum(mistakes) <= got, f"at least {sum(mistakes)} updates", got)


@task(3)
def test_iris_and_its_widest_margin(lab):
    # of all lines, this one has the largest γ, 0.749; perceptron_fit needs 5 updates
    w, b = np.array([-0.30945588, -0.42971161, 1.0455034, 0.61782508]), -0.16361379
    got = lab.novikoff_bound(IRIS_X, IRIS_Y, w, b)
    check.close(got, 150.5408, rtol=1e-6, name="bound")


@task(3)
def test_arguments_of_margin_and_bound(lab):
    check.close(lab.geometric_margin([[2, 0], [0, 0]], [1, -1], [2, 0], -2), 1.0)
    check.close(lab.novikoff_bound([[2, 0], [0, 0]], [1, -1], [2, 0], -2), 10.0)
    for call in (lab.geometric_margin, lab.novikoff_bound):

        def ask(X=THREE_X, y=THREE_Y, w=LINE[0], b=LINE[1], call=call):
            return lambda: call(X, y, w, b)

        check.raises(ValueError, ask(y=[1, 0, 0]), match="y")
        check.raises(ValueError, ask(X=THREE_X[0]), match="X")
        check.raises(ValueError, ask(w=[1.0]), match="w")
        check.raises(ValueError, ask(w=[0.0, 0.0], b=0.0), match="w")
    for b in (3.0, 9.0):  # a point on the line, and one on the wrong side
        check.raises(
            ValueError,
            lambda b=b: lab.novikoff_bound(THREE_X, THREE_Y, [3.0, 4.0], b),
            match="w",
        )


# --- Task 4 ----------------------------------------------------------------------

CORNERS = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
XOR = np.array([-1, 1, 1, -1])


def best_of_whole_slopes(X, y):
    """The best share over all cuts a x1 + b x2 > c with whole a and b up to 8.

    That is every way to cut points with whole coordinates from -2 to 2. Such a cut
    changes only at directions with numbers up to 4, and between two neighbours of
    those lies their sum, with numbers up to 8.
    """
    best = 0
    for a in range(-8, 9):
        for b in range(-8, 9):
            heights = a * X[:, 0] + b * X[:, 1]
            for c in [heights.min() - 1, *heights]:
                best = max(best, int(((heights > c) == (y > 0)).sum()))
    return best / len(X)


@task(4)
def test_corners_of_xor(lab):
    X, y = lab.make_xor()
    check.equal(y, XOR, name="y")
    check.equal(X, CORNERS, name="X")
    X, y = lab.make_xor(3)
    check.equal(y, XOR[[0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3]], name="y, three each")
    check.equal(X, CORNERS[[0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3]], name="X, three each")


@task(4)
def test_noise_of_xor(lab):
    for n, noise, seed in [(3, 0.25, 7), (2, 0.4, 8)]:
        theirs, ours = np.random.default_rng(seed), np.random.default_rng(seed)
        X, y = lab.make_xor(n, noise=noise, rng=theirs)
        shifts = ours.uniform(-noise, noise, size=(4 * n, 2))
        check.close(X, np.repeat(CORNERS, n, axis=0) + shifts, **EXACT, name="X")
        check.equal(y, np.repeat(XOR, n), name="y")
        check.equal(theirs.random(), ours.random(), name="next number of rng")


@task(4)
def test_best_line_of_small_sets(lab):
    def best(X, y):
        return lab.best_linear_accuracy(np.array(X, dtype=float), y)

    check.close(best(CORNERS, XOR), 0.75, **EXACT, name="XOR")
    check.close(best(CORNERS, [-1, 1, 1, 1]), 1.0, **EXACT, name="OR")
    check.close(best(CORNERS, [1, -1, -1, -1]), 1.0, **EXACT, name="not OR")
    row = [[3, 1], [1, 1], [5, 1]]
    check.close(best(row, [-1, 1, 1]), 2 / 3, **EXACT, name="+ - + on a line")
    check.close(best(row, [-1, 1, -1]), 1.0, **EXACT, name="+ - - on a line")
    equal = [[2, 5], [2, 5], [2, 5], [2, 5]]
    check.close(best(equal, [1, -1, -1, -1]), 0.75, **EXACT, name="all in one place")
    pairs = [[0, 0], [0, 0], [3, 1], [3, 1], [3, 1]]
    check.close(best(pairs, [1, -1, 1, 1, -1]), 0.6, **EXACT, name="two places")
    check.close(best([[1, 4], [2, 2]], [-1, -1]), 1.0, **EXACT, name="one class")
    check.close(best([[4, 4]], [1]), 1.0, **EXACT, name="one point")


@task(4)
def test_points_that_rounding_takes_off_their_line(lab, rng):
    row, name = np.outer([0.1, 0.2, 0.3], [1, 3]), "+ - + on a line but for rounding"
    got = lab.best_linear_accuracy(row, [1, -1, 1])
    check.close(got, 2 / 3, **EXACT, name=name)
    near = [[0.0, 0.0], [1.0, 1e-4], [2.0, 0.0]]
    got = lab.best_linear_accuracy(near, [1, -1, 1])
    check.close(got, 1.0, **EXACT, name="+ - + and 1e-4 off a line")
    for N in (4, 6, 7):
        angle, steps = rng.uniform(0, 2 * math.pi), rng.permutation(11)[:N]
        direction = np.array([math.cos(angle), math.sin(angle)])
        X, y = rng.normal(size=2) + np.outer(steps / 10, direction), np.ones(N, int)
        y[rng.permutation(N)[: N // 2]] = -1
        got = lab.best_linear_accuracy(X, y)
        along = y[np.argsort(steps)]  # only the first few and the rest can be cut
        right = [(along[:k] > 0).sum() + (along[k:] < 0).sum() for k in range(N + 1)]
        best = float(max(*right, N - min(right))) / N
        check.close(got, best, **EXACT, name="points on a line but for rounding")


@task(4)
def test_best_line_against_all_whole_slopes(lab, rng):
    for N in (5, 7, 9, 12, 20):
        X = rng.integers(-2, 3, size=(N, 2)).astype(float)
        y = rng.choice([-1, 1], N)
        got = lab.best_linear_accuracy(X, y)
        check.close(got, best_of_whole_slopes(X, y), **EXACT)


@task(4)
def test_no_drawn_line_beats_the_best(lab, rng):
    X, y = rng.normal(size=(14, 2)), rng.choice([-1, 1], 14)
    got = lab.best_linear_accuracy(X, y)
    angles = rng.uniform(0, 2 * math.pi, (5000, 1))
    heights = (
        np.cos(angles) * X[:, 0] + np.sin(angles) * X[:, 1] + rng.normal(angles * 0)
    )
    found = float(((heights > 0) == (y > 0)).mean(axis=1).max())
    check.that(got >= found, f"at least {found:.6g}, which a drawn line has", got)
    y = np.where(X @ [2.0, -1.0] > 0.3, 1, -1)
    check.close(lab.best_linear_accuracy(X, y), 1.0, **EXACT, name="separable")


@task(4)
def test_arguments_of_xor_and_the_best_line(lab):
    rng = np.random.default_rng(0)
    check.equal(lab.make_xor(2, noise=0.49, rng=rng)[0].shape, (8, 2))
    check.raises(ValueError, lambda: lab.make_xor(0), match="n_per_corner")
    for noise in (-0.1, 0.5, 0.75):
        check.raises(
            ValueError, lambda s=noise: lab.make_xor(noise=s, rng=rng), match="noise"
        )
    check.raises(ValueError, lambda: lab.make_xor(noise=0.1), match="rng")
    best = lab.best_linear_accuracy
    check.close(best([[0, 1], [2, 3]], [1, -1]), 1.0, **EXACT)
    check.raises(ValueError, lambda: best([[1.0, 2.0, 3.0]], [1]), match="X")
    check.raises(ValueError, lambda: best([[1.0, float("inf")]], [1]), match="X")
    check.raises(ValueError, lambda: best(CORNERS, [0, 1, 1, 0]), match="y")
    check.raises(ValueError, lambda: best(CORNERS, [1, 1, -1]), match="y")


# --- Task 5 ----------------------------------------------------------------------


@task(5)
def test_product_as_third_column(lab, rng):
    got = lab.quadratic_features([[2, 3], [-1, 4], [0, 5]])
    expected = np.array([[2.0, 3.0, 6.0], [-1.0, 4.0, -4.0], [0.0, 5.0, 0.0]])
    check.close(got, expected, **EXACT)
    X = rng.normal(size=(7, 2))
    expected = np.array([[a, b, a * b] for a, b in X])
    check.close(lab.quadratic_features(X), expected, **EXACT)


@task(5)
def test_a_plane_cuts_the_corners_of_xor(lab):
    got = lab.quadratic_features(CORNERS)
    # x1 + x2 - 2 x1 x2 is 0, 1, 1, 0
    above = np.asarray(got) @ np.array([1.0, 1.0, -2.0]) > 0.5
    check.equal(np.where(above, 1, -1), XOR)


@task(5)
def test_network_at_the_corners(lab):
    check.equal(lab.xor_network(CORNERS), XOR)
    check.equal(lab.xor_network([[1, 1], [0, 1]]), np.array([-1, 1]), name="lists")


@task(5)
def test_network_near_the_corners(lab, rng):
    labels = np.repeat(XOR, 30)
    for reach in (0.2, 0.2499):
        noise = rng.uniform(-reach, reach, size=(120, 2))
        noise[::3] = reach * rng.choice([-1, 1], size=(40, 2))  # in the very corners
        X = np.repeat(CORNERS, 30, axis=0) + noise
        check.equal(lab.xor_network(X), labels, name=f"up to {reach} away")


@task(5)
def test_arguments_of_the_two_ways(lab):
    for name in ("quadratic_features", "xor_network"):
        call = getattr(lab, name)
        check.equal(call([[1, 0]]).shape[0], 1)
        check.raises(ValueError, lambda f=call: f([[1.0, 0.0, 1.0]]), match="X")
        check.raises(ValueError, lambda f=call: f([1.0, 0.0]), match="X")
        check.raises(ValueError, lambda f=call: f([[1.0, float("nan")]]), match="X")


# --- Task 6 ----------------------------------------------------------------------


@task(6)
def test_average_on_xor_by_hand(lab):
    # (w, b) after the rows: (0, 0) -1, (0, 1) 0, (1, 1) 1, (0, 0) 0, and again
    got = lab.averaged_perceptron_fit(CORNERS, XOR, max_epochs=2)
    check_result(got, ([0.25, 0.5], 0.0), [4, 4])


@task(6)
def test_average_of_three_points_by_hand(lab):
    X, y = np.array([[4.0, 0.0], [0.0, 2.0], [1.0, 1.0]]), np.array([1, -1, -1])
    # epoch 1: (4, 0) 1, (4, -2) 0, (3, -3) -1; no mistake in epoch 2
    got = lab.averaged_perceptron_fit(X, y)
    check_result(got, ([20 / 6, -14 / 6], -3 / 6), [3, 0])


@task(6)
def test_drawn_averages_against_fractions(lab, rng):
    check_runs(lab.averaged_perceptron_fit, rng, mean_of)


@task(6)
def test_arguments_of_the_averaged_perceptron(lab):
    def fit(X=CORNERS, y=XOR, **more):
        return lambda: lab.averaged_perceptron_fit(X, y, **more)

    check.equal(fit(X=CORNERS.tolist(), y=XOR.tolist())().n_updates, 400)
    check.raises(ValueError, fit(y=[0, 1, 1, 0]), match="y")
    check.raises(ValueError, fit(X=CORNERS[0]), match="X")
    check.raises(ValueError, fit(max_epochs=0), match="max_epochs")
