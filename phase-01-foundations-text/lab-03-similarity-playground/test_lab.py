"""The marking scheme of lab 1.3: what each task must do, and how we know.

Oracles: SciPy's cdist and double loops for the measures, Kahan's formula for angles, a
triple loop for triangles, a full sort for top_k, loops for the contrast. Properties
explain. Speed is never graded.
"""

from __future__ import annotations

import math
import statistics

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.spatial.distance import cdist

from common.grading import check, task

EXACT = {"rtol": 1e-10, "atol": 1e-12}  # the same formula in float64
# Where two nearly equal numbers are subtracted: the root of a rounding error.
ROOTED = {"rtol": 1e-9, "atol": 1e-6}

GRID = st.integers(-6, 6)  # whole numbers: sums and products of them are exact


def points(rows: int, columns: int):
    """Arrays of small whole numbers, as floats."""
    return hnp.arrays(np.float64, (rows, columns), elements=GRID)


def dots_by_loops(U, V):
    """Dot products, one sum without rounding for each pair."""
    return np.array(
        [[math.fsum(a * b for a, b in zip(u, v, strict=True)) for v in V] for u in U]
    )


def cosines_by_loops(U, V):
    """Cosines from the loops above; rows must not be zero."""
    u = np.sqrt(np.diag(dots_by_loops(U, U)))[:, None]
    return dots_by_loops(U, V) / u / np.sqrt(np.diag(dots_by_loops(V, V)))


def multiples(rng):
    """Rows, and multiples of each: rounding lifts a third of these cosines beyond 1."""
    U = rng.normal(size=(15, 100))
    return U, np.concatenate([factor * U for factor in (0.37, 2.9, -1.3, -7.1)])


# --- Task 1 ----------------------------------------------------------------------


@task(1)
def test_three_small_matrices(lab):
    X = np.array([[0.0, 3.0, 4.0], [0.0, 0.0, 0.0], [2.0, 0.0, 0.0]])
    expected = np.array([[0.0, 0.6, 0.8], [0.0, 0.0, 0.0], [1.0, 0.0, 0.0]])
    check.close(lab.normalize(X), expected, **EXACT, name="normalize")
    U = np.array([[3.0, 4.0], [0.0, 2.0]])
    V = np.array([[4.0, 3.0], [5.0, 0.0], [0.0, -7.0]])
    dots = np.array([[24.0, 15.0, -28.0], [6.0, 0.0, -14.0]])
    check.close(lab.dot_product(U, V), dots, **EXACT, name="dot product")
    cosines = np.array([[0.96, 0.6, -0.8], [0.6, 0.0, -1.0]])
    check.close(lab.cosine_similarity(U, V), cosines, **EXACT, name="cosine")


@task(1)
def test_drawn_vectors_against_loops(lab, rng):
    for n, m, d in [(5, 7, 11), (8, 3, 2), (6, 6, 6)]:
        U, V = rng.normal(1, 3, size=(n, d)), rng.normal(-1, 2, size=(m, d))
        check.close(lab.dot_product(U, V), dots_by_loops(U, V), **EXACT)
        check.close(lab.cosine_similarity(U, V), cosines_by_loops(U, V), **EXACT)
        unit = U / np.sqrt(np.diag(dots_by_loops(U, U)))[:, None]
        check.close(lab.normalize(U), unit, **EXACT)


@task(1)
def test_cosine_of_a_zero_vector_is_zero(lab):
    U = np.array([[0.0, 0.0, 0.0], [1.0, 2.0, 2.0]])
    V = np.array([[2.0, 1.0, 2.0], [0.0, 0.0, 0.0]])
    expected = np.array([[0.0, 0.0], [8 / 9, 0.0]])
    check.close(lab.cosine_similarity(U, V), expected, **EXACT)


@task(1)
def test_no_cosine_lies_outside_minus_one_and_one(lab, rng):
    U, V = multiples(rng)
    got = lab.cosine_similarity(U, V)
    check.close(got, np.clip(1 - cdist(U, V, "cosine"), -1, 1), **EXACT)
    inside = bool((np.abs(np.asarray(got)) <= 1).all())
    check.that(inside, "every value in [-1, 1]", got, name="range")


@task(1)
def test_inner_product_of_unit_vectors_is_the_cosine(lab, rng):
    U, V = rng.normal(size=(6, 9)), rng.normal(size=(4, 9))
    got = lab.dot_product(lab.normalize(U), lab.normalize(V))
    check.close(got, 1 - cdist(U, V, "cosine"), **EXACT)


@task(1)
@given(points(4, 3), points(3, 3), st.integers(1, 50))
def test_only_the_dot_product_feels_the_length(lab, U, V, factor):
    check.close(lab.dot_product(factor * U, V), factor * (U @ V.T), **EXACT)
    once, scaled = lab.cosine_similarity(U, V), lab.cosine_similarity(factor * U, V)
    check.close(scaled, once, **EXACT)
    check.close(lab.cosine_similarity(V, U).T, once, **EXACT)


@task(1)
def test_lists_are_taken_and_nan_is_not(lab):
    check.close(lab.dot_product([[1, 2]], [[3, 4], [5, 6]]), np.array([[11.0, 17.0]]))
    check.close(lab.normalize([[0, -2]]), np.array([[0.0, -1.0]]))
    check.close(lab.cosine_similarity([[1, 0]], [[3, 0]]), np.array([[1.0]]))
    bad, good = [[1.0, float("nan")]], [[1.0, 2.0]]
    check.raises(ValueError, lambda: lab.normalize(bad), match="X")
    for measure in (lab.dot_product, lab.cosine_similarity):
        check.raises(ValueError, lambda f=measure: f(bad, good), match="U")
        check.raises(ValueError, lambda f=measure: f(good, bad), match="V")
        check.raises(ValueError, lambda f=measure: f(good, [[1.0, 2.0, 3.0]]))


# --- Task 2 ----------------------------------------------------------------------

NAMES = {"manhattan": "cityblock", "chebyshev": "chebyshev"}


@task(2)
def test_distances_of_five_points(lab):
    U = np.array([[1.0, 2.0, -1.0], [4.0, -2.0, -1.0]])
    V = np.array([[4.0, -2.0, 11.0], [1.0, 2.0, -1.0], [1.0, -2.0, -1.0]])
    straight = np.array([[13.0, 0.0, 4.0], [12.0, 5.0, 3.0]])
    check.close(lab.euclidean(U, V), straight, **ROOTED, name="euclidean")
    direct = lab.euclidean(U, V, method="direct")
    check.close(direct, straight, **EXACT, name="direct")
    blocks = np.array([[19.0, 0.0, 4.0], [12.0, 7.0, 3.0]])
    check.close(lab.manhattan(U, V), blocks, **EXACT, name="manhattan")
    widest = np.array([[12.0, 0.0, 4.0], [12.0, 4.0, 3.0]])
    check.close(lab.chebyshev(U, V), widest, **EXACT, name="chebyshev")


@task(2)
def test_direct_keeps_its_digits_far_from_the_origin(lab, rng):
    far = 100_000_000.0
    U, V = np.array([[far, 1.0]]), np.array([[far + 3, 5.0], [far, 1.0]])
    got = lab.euclidean(U, V, method="direct")
    check.close(got, np.array([[5.0, 0.0]]), **EXACT)
    A, B = 1e4 + 1e-3 * rng.normal(size=(2, 6, 64))
    check.close(lab.euclidean(A, B, method="direct"), cdist(A, B), **EXACT)


@task(2)
def test_drawn_vectors_against_cdist(lab, rng):
    for n, m, d in [(5, 7, 11), (8, 3, 2), (6, 6, 6)]:
        U, V = rng.normal(0, 3, size=(n, d)), rng.normal(1, 2, size=(m, d))
        check.close(lab.euclidean(U, V), cdist(U, V), **ROOTED)
        gram = lab.euclidean(U, V, method="gram")
        check.close(gram, cdist(U, V), **ROOTED)
        check.close(lab.euclidean(U, V, method="direct"), cdist(U, V), **EXACT)
        for name, peer in NAMES.items():
            check.close(getattr(lab, name)(U, V), cdist(U, V, peer), **EXACT)


@task(2)
def test_gram_gives_no_nan_between_equal_rows(lab, rng):
    X = rng.normal(2, 1, size=(30, 100))
    order = rng.permutation(len(X))
    check.close(lab.euclidean(X, X[order]), cdist(X, X[order]), **ROOTED)


@task(2)
@given(points(4, 3))
def test_laws_of_a_distance(lab, X):
    for name, peer in {"euclidean": "euclidean", **NAMES}.items():
        got = getattr(lab, name)(X, X)
        check.close(got, cdist(X, X, peer), **ROOTED, name=name)
        check.close(np.diag(got), np.zeros(4), **ROOTED, name="d(x, x)")
        check.close(got.T, got, **ROOTED, name="symmetry")
        longer = got[:, None, :] > got[:, :, None] + got[None, :, :] + 1e-6
        check.equal(int(longer.sum()), 0, name="triangles violated")


@task(2)
def test_arguments_of_the_distances(lab):
    good, bad = [[1, 2]], [[float("nan"), 2.0]]
    for name in ("euclidean", "manhattan", "chebyshev"):
        measure = getattr(lab, name)
        check.close(measure(good, [[1, 5], [1, 2]]), np.array([[3.0, 0.0]]), **ROOTED)
        check.raises(ValueError, lambda f=measure: f(bad, good), match="U")
        check.raises(ValueError, lambda f=measure: f(good, bad), match="V")
        check.raises(ValueError, lambda f=measure: f(good, [[1, 2, 3]]))
    check.raises(
        ValueError, lambda: lab.euclidean(good, good, method="grams"), match="method"
    )


# --- Task 3 ----------------------------------------------------------------------


@task(3)
def test_six_cosines(lab):
    cos = np.array([[1.0, 0.5, 0.0], [-1.0, 0.875, -0.125]])
    expected = np.array([[0.0, 1.0, math.sqrt(2)], [2.0, 0.5, 1.5]])
    check.close(lab.euclidean_from_cosine(cos), expected, **EXACT)


@task(3)
def test_rounding_beyond_one_gives_no_nan(lab):
    cos = np.array([1.0000000000000002, -1.0000000000000002, 1 + 5e-10])
    check.close(lab.euclidean_from_cosine(cos), np.array([0.0, 2.0, 0.0]), **ROOTED)


@task(3)
def test_distances_of_unit_vectors(lab, rng):
    U, V = rng.normal(size=(6, 9)), rng.normal(size=(4, 9))
    U /= np.linalg.norm(U, axis=1, keepdims=True)
    V /= np.linalg.norm(V, axis=1, keepdims=True)
    V[1], V[3] = U[4], -U[2]
    cos = U @ V.T
    check.close(lab.euclidean_from_cosine(cos), cdist(U, V), **ROOTED)


@task(3)
def test_nearest_by_distance_is_nearest_by_cosine(lab, rng):
    cos = rng.permutation(np.linspace(-0.99, 0.99, 60)).reshape(4, 15)
    got = lab.euclidean_from_cosine(cos)
    check.equal(np.argsort(got, axis=1), np.argsort(-cos, axis=1))
    check.close(1 - np.square(got) / 2, cos, **EXACT)


@task(3)
def test_numbers_that_are_no_cosine(lab):
    for shape in [(5,), (2, 3, 4)]:
        check.close(lab.euclidean_from_cosine(np.full(shape, 0.5)), np.ones(shape))
    for bad in (1.001, -1.5, float("nan"), float("inf")):
        check.raises(
            ValueError,
            lambda bad=bad: lab.euclidean_from_cosine(np.array([0.5, bad])),
            match="cos",
        )


# --- Task 4 ----------------------------------------------------------------------

ANGLES = {"rtol": 1e-9, "atol": 1e-7}  # arccos near 1 keeps half of the digits


def squared(U, V):
    """The squared distance: no metric."""
    return cdist(U, V, "sqeuclidean")


def kahan_angles(U, V):
    """2 atan2(|u - v|, |u + v|) of unit vectors, in half turns; exact at all angles."""
    U = U / np.linalg.norm(U, axis=1, keepdims=True)
    V = V / np.linalg.norm(V, axis=1, keepdims=True)
    return 2 / np.pi * np.arctan2(cdist(U, V), cdist(U, -V))


@task(4)
def test_six_angles(lab):
    U = np.array([[1.0, 0.0], [1.0, 1.0]])
    V = np.array([[5.0, 0.0], [0.0, 3.0], [-2.0, 0.0]])
    expected = np.array([[0.0, 0.5, 1.0], [0.25, 0.25, 0.75]])
    check.close(lab.angular_distance(U, V), expected, **ANGLES)


@task(4)
def test_one_minus_cosine_breaks_the_triangle_at_0_45_90_degrees(lab):
    X = np.array([[1.0, 0.0], [1.0, 1.0], [0.0, 1.0]])
    got = lab.triangle_violations(lambda U, V: cdist(U, V, "cosine"), X)
    check.equal(got, 2, name="1 - cosine")
    check.equal(lab.triangle_violations(cdist, X), 0, name="euclidean")
    line = np.array([[0.0, 0.0], [1.0, 0.0], [2.0, 0.0], [5.0, 0.0]])
    check.equal(lab.triangle_violations(squared, line), 8, name="squared distance")


@task(4)
def test_rounding_is_no_violation(lab):
    def nearly(U, V):
        D = cdist(U, V, "cityblock")
        return D + 1e-12 * (D > 2.5)

    X = np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 2.0]])
    check.equal(lab.triangle_violations(nearly, X), 0, name="default atol")
    check.equal(lab.triangle_violations(nearly, X, atol=1e-14), 2, name="atol=1e-14")
    check.equal(lab.triangle_violations(squared, X, atol=0.5), 0, name="atol=0.5")
    line = np.array([[0.0, 0.0], [1.0, 0.0], [2.0, 0.0]])
    check.equal(lab.triangle_violations(squared, line, atol=1.5), 2, name="atol=1.5")


@task(4)
def test_drawn_points_against_a_triple_loop(lab, rng):
    X = rng.integers(-5, 6, size=(9, 4)).astype(float)
    D = squared(X, X)
    three = range(len(X))
    longer = [
        D[i, k] > D[i, j] + D[j, k] + 1e-9 for i in three for j in three for k in three
    ]
    check.equal(lab.triangle_violations(squared, X), sum(map(int, longer)))
    for name in ("euclidean", "cityblock", "chebyshev"):
        got = lab.triangle_violations(lambda U, V, n=name: cdist(U, V, n), X)
        check.equal(got, 0, name=name)


@task(4)
def test_drawn_angles(lab, rng):
    U, V = rng.normal(size=(7, 5)), rng.normal(size=(4, 5))
    V[1], V[2] = 3 * U[5], -2 * U[0]
    check.close(lab.angular_distance(U, V), kahan_angles(U, V), **ANGLES)


@task(4)
def test_no_angle_is_nan(lab, rng):
    U, V = multiples(rng)
    check.close(lab.angular_distance(U, V), kahan_angles(U, V), **ANGLES)


@task(4)
@given(points(5, 3))
def test_angles_keep_the_triangle_inequality(lab, X):
    got = lab.angular_distance(X, X)
    check.close(got.T, got, **ANGLES, name="symmetry")
    some = got[np.ix_(*[np.abs(X).sum(axis=1) > 0] * 2)]
    longer = some[:, None, :] > some[:, :, None] + some[None, :, :] + 1e-6
    check.equal(int(longer.sum()), 0, name="triangles violated")


@task(4)
def test_zero_vectors_and_bad_input_of_angles(lab):
    zero, good = np.zeros((1, 2)), np.array([[3.0, 0.0], [-3.0, 0.0]])
    check.close(lab.angular_distance(zero, good), np.array([[0.5, 0.5]]), **ANGLES)
    bad = [[1.0, float("nan")]]
    check.raises(ValueError, lambda: lab.angular_distance(good, bad), match="V")
    check.raises(ValueError, lambda: lab.angular_distance(good, [[1, 2, 3]]))
    check.raises(ValueError, lambda: lab.triangle_violations(cdist, bad), match="X")


# --- Task 5 ----------------------------------------------------------------------

METRICS = ("dot", "cosine", "euclidean", "manhattan", "chebyshev")


def by_full_sort(queries, items, k, metric):
    """All values of every query, sorted by closeness and then by id."""
    if metric == "dot":
        values = dots_by_loops(queries, items)
    elif metric == "cosine":
        values = 1 - cdist(queries, items, "cosine")
    else:
        values = cdist(queries, items, NAMES.get(metric, metric))
    sign = -1 if metric in ("dot", "cosine") else 1
    order = [sorted(range(len(items)), key=lambda i: (sign * v[i], i)) for v in values]
    ids = np.array(order)[:, :k]
    return ids, np.take_along_axis(values, ids, axis=1)


def check_top_k(got, expected):
    """Ids exactly, values closely."""
    check.equal(got[0], expected[0], name="ids")
    check.close(got[1], expected[1], **ROOTED, name="values")


ITEMS = np.array([[0.0, 0.0], [3.0, 0.0], [0.0, 1.0], [3.0, 4.0], [0.0, -1.0]])


@task(5)
def test_nearest_of_five_points(lab):
    queries = np.array([[0.0, 0.0], [3.0, 3.0], [0.0, -1.0]])
    ids = np.array([[0, 2, 4], [3, 1, 2], [4, 0, 2]])
    values = np.array([[0.0, 1.0, 1.0], [1.0, 3.0, math.sqrt(13)], [0.0, 1.0, 2.0]])
    got = lab.top_k(queries, ITEMS, 3, metric="euclidean", batch_size=2)
    check_top_k(got, (ids, values))


@task(5)
def test_largest_dot_products_of_five_points(lab):
    queries = np.array([[1.0, 2.0], [-1.0, 0.0]])
    ids = np.array([[3, 1, 2, 0], [0, 2, 4, 1]])
    values = np.array([[11.0, 3.0, 2.0, 0.0], [0.0, 0.0, 0.0, -3.0]])
    check_top_k(lab.top_k(queries, ITEMS, 4, metric="dot"), (ids, values))


@task(5)
def test_every_metric_against_a_full_sort(lab, rng):
    for n, m, d, k in [(5, 37, 4, 6), (7, 7, 7, 3)]:
        queries, items = rng.normal(size=(n, d)), rng.normal(size=(m, d))
        for metric in METRICS:
            got = lab.top_k(queries, items, k, metric=metric)
            check_top_k(got, by_full_sort(queries, items, k, metric))


@task(5)
def test_cosine_is_the_default(lab, rng):
    queries, items = rng.normal(size=(3, 4)), rng.normal(size=(9, 4))
    items *= rng.uniform(0.2, 5, size=(9, 1))
    check_top_k(lab.top_k(queries, items, 2), by_full_sort(queries, items, 2, "cosine"))


@task(5)
def test_ties_and_batches(lab, rng):
    queries = rng.integers(-1, 2, size=(7, 3)).astype(float)
    items = rng.integers(-1, 2, size=(40, 3)).astype(float)
    for metric in ("dot", "euclidean", "manhattan", "chebyshev"):
        for k, batch_size in [(11, 1), (11, 3), (2, 7), (40, 100)]:
            got = lab.top_k(queries, items, k, metric=metric, batch_size=batch_size)
            check_top_k(got, by_full_sort(queries, items, k, metric))


@task(5)
def test_arguments_of_top_k(lab):
    queries = [[1, 0], [0, 1]]

    def ask(k=2, items=ITEMS, **more):
        return lambda: lab.top_k(queries, items, k, **more)

    check.equal(ask(5, metric="dot")()[0].shape, (2, 5))
    check.raises(ValueError, ask(0), match="k")
    check.raises(ValueError, ask(6), match="k")
    check.raises(ValueError, ask(metric="cosinus"), match="metric")
    check.raises(ValueError, ask(batch_size=0), match="batch_size")
    check.raises(ValueError, ask(items=[[1, 2, 3], [4, 5, 6]]))
    check.raises(ValueError, ask(items=[[1.0, float("nan")]] * 2), match="items")


# --- Task 6 ----------------------------------------------------------------------


def contrasts_by_loops(queries, items, metric):
    """(Dmax - Dmin) / Dmin of every query over the items that differ from it."""
    found = []
    for q in queries:
        others = [item for item in items if (item != q).any()]
        D = [cdist([q], [item], metric)[0, 0] for item in others]
        found.append((max(D) - min(D)) / min(D))
    return found


@task(6)
def test_contrast_on_a_line(lab):
    X = np.array([[0.0, 0.0], [1.0, 0.0], [3.0, 0.0], [7.0, 0.0]])
    # of the four points: (7-1)/1 = 6, (6-1)/1 = 5, (4-2)/2 = 1, (7-4)/4 = 0.75
    for metric in ("euclidean", "manhattan", "chebyshev"):
        check.close(lab.relative_contrast(X, X, metric), 3.0, **ROOTED, name=metric)
    queries = np.array([[2.0, 0.0], [0.0, 0.0], [5.0, 0.0]])
    # (5-1)/1 = 4, 6, (5-2)/2 = 1.5
    check.close(lab.relative_contrast(queries, X), 4.0, **ROOTED, name="default")


@task(6)
def test_intrinsic_dimension_of_four_distances(lab):
    # mean 3, variance (4 + 1 + 0 + 9) / 4 = 3.5
    distances = np.array([[1.0, 2.0], [3.0, 6.0]])
    check.close(lab.intrinsic_dimension(distances), 9 / 7, **EXACT)
    check.close(lab.intrinsic_dimension([10, 20, 30, 60]), 9 / 7, **EXACT)


@task(6)
def test_equidistant_points_have_no_contrast(lab):
    corners = 3 * np.eye(6)
    for metric in ("euclidean", "manhattan", "chebyshev"):
        check.close(lab.relative_contrast(corners, corners, metric), 0.0, name=metric)


@task(6)
def test_drawn_contrasts_against_loops(lab, rng):
    items = rng.normal(5, 1, size=(40, 6))
    items[3] = items[8]  # a second copy is left out like the first
    queries = np.concatenate([items[:31], rng.normal(5, 1, size=(4, 6))])
    peers = {"euclidean": "euclidean", **NAMES}
    for metric, peer in peers.items():
        expected = statistics.median(contrasts_by_loops(queries, items, peer))
        got = lab.relative_contrast(queries, items, metric)
        check.close(got, float(expected), rtol=1e-9, name=metric)


@task(6)
def test_own_copy_is_left_out_whatever_its_digits(lab, rng):
    items = rng.normal(5, 1, size=(30, 100))
    for i in range(30):
        query = items[i : i + 1]
        (expected,) = contrasts_by_loops(query, items, "euclidean")
        got = lab.relative_contrast(query, items)
        check.close(got, float(expected), rtol=1e-9, name=f"contrast of row {i}")


@task(6)
def test_intrinsic_dimension_of_drawn_distances(lab, rng):
    X, Y = rng.normal(size=(9, 5)), rng.normal(2, 1, size=(13, 5))
    D = cdist(X, Y)
    mean = math.fsum(D.ravel()) / D.size
    variance = math.fsum((x - mean) ** 2 for x in D.ravel()) / D.size
    check.close(lab.intrinsic_dimension(D), mean**2 / (2 * variance), **EXACT)
    check.close(lab.intrinsic_dimension(100 * D), mean**2 / (2 * variance), rtol=1e-9)


@task(6)
def test_where_contrast_and_dimension_mean_nothing(lab):
    X = np.array([[0.0, 1.0], [0.0, 1.0], [2.0, 5.0]])
    contrast, dimension = lab.relative_contrast, lab.intrinsic_dimension
    check.close(contrast(X[:2], X), 0.0, name="one other point")
    check.raises(ValueError, lambda: contrast(X, X, "cosine"), match="metric")
    check.raises(ValueError, lambda: contrast(X[:2], X[:2]), match="items")
    check.raises(ValueError, lambda: contrast(X, [[1, 2, 3]]))
    check.close(dimension([1.0, 3.0]), 2.0, name="two distances")
    for bad in ([2.0], [1.0, float("nan")], [2.0, 2.0, 2.0]):
        check.raises(ValueError, lambda bad=bad: dimension(bad), match="distances")
