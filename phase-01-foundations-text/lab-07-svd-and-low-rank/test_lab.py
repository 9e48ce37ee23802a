"""The marking scheme of lab 1.7: what each task must do, and how we know.

Most inputs are built backwards: singular values first, then random directions, so the
right answer is known without an SVD. Beside that: numpy's spectral norm for task 1,
Eckart and Young's error for tasks 2 and 3, scikit-learn's PCA for task 4, the variance
of a sum for task 5, plain matrix products for task 6. Speed is never graded.
"""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from sklearn.decomposition import PCA

from common.grading import check, task

# Small enough for paper: AᵀA = [[25, 20], [20, 25]] has the eigenvalues 45 and 5, so
# the singular values are √45 and √5, with u = [1, 3]/√10 and v = [1, 1]/√2 for √45.
SMALL = np.array([[3.0, 0.0], [4.0, 5.0]])
BEST_OF_SMALL = np.array([[1.5, 1.5], [4.5, 4.5]])  # √45 u vᵀ


def orthonormal(rng, rows, cols):
    """Random orthonormal columns."""
    return np.linalg.qr(rng.standard_normal((rows, cols)))[0]


def known_svd(rng, m, n, s):
    """U (m, p), s (p,), V (n, p) and the matrix (m, n) that they make."""
    U, V = orthonormal(rng, m, len(s)), orthonormal(rng, n, len(s))
    return U, np.asarray(s), V, U * s @ V.T


# --- Task 1 ----------------------------------------------------------------------


@task(1)
def test_stretch_of_a_small_matrix(lab, rng):
    sigma, u, v = lab.power_iteration(SMALL, rng=rng)
    check.close(sigma, math.sqrt(45), rtol=1e-8, name="sigma")
    together = np.array([[1.0, 1.0], [3.0, 3.0]]) / math.sqrt(20)
    check.close(np.outer(u, v), together, atol=1e-5, name="u times v")


@task(1)
def test_small_matrices_scaled_to_a_target(lab, rng):
    for W in (SMALL, SMALL / 10):
        got = lab.spectral_normalize(W, target=2.0, rng=rng)
        check.close(got, SMALL * 2 / math.sqrt(45), rtol=1e-8)


@task(1)
def test_a_shear_stretches_more_than_its_eigenvalue(lab, rng):
    sigma, _, _ = lab.power_iteration(np.array([[1.0, 1000.0], [0.0, 1.0]]), rng=rng)
    check.close(sigma, (1000 + math.sqrt(1000**2 + 4)) / 2, rtol=1e-8, name="sigma")


@task(1)
def test_tall_and_wide_matrices(lab, rng):
    for m, n in [(9, 5), (4, 7), (40, 30)]:
        s = 7.0 / 1.2 ** np.arange(min(m, n))
        U, _, V, A = known_svd(rng, m, n, s)
        sigma, u, v = lab.power_iteration(A, rng=rng)
        check.close(sigma, float(np.linalg.norm(A, 2)), rtol=1e-8, name="sigma")
        check.close(np.outer(u, v), np.outer(U[:, 0], V[:, 0]), atol=1e-5, name="u, v")
        lengths = [float(np.linalg.norm(x)) for x in (u, v)]
        check.close(lengths, [1.0, 1.0], name="lengths of u and v")


@task(1)
def test_scaled_matrices_have_the_target_as_norm(lab, rng):
    for shape, target in [((8, 3), 1.0), ((2, 6), 0.5), ((5, 4), 30.0)]:
        W = known_svd(rng, *shape, 3.0 / 1.3 ** np.arange(min(shape)))[-1]
        got = lab.spectral_normalize(W, target=target, rng=rng)
        check.close(got, W * target / 3.0, rtol=1e-7)


@task(1)
def test_power_iteration_of_zeros_and_of_no_matrix(lab, rng):
    sigma, u, v = lab.power_iteration(np.zeros((3, 5)), rng=rng)
    check.equal(sigma, 0.0, name="sigma")
    check.close(float(u @ u), 1.0, name="length of u")
    check.close(float(v @ v), 1.0, name="length of v")
    check.equal((u.shape, v.shape), ((3,), (5,)), name="shapes of u and v")
    power, scale = lab.power_iteration, lab.spectral_normalize
    check.raises(ValueError, lambda: power(np.ones(4), rng=rng), match="A")
    check.raises(ValueError, lambda: power(SMALL, n_iter=0, rng=rng), match="n_iter")
    check.raises(ValueError, lambda: scale(np.ones(4), rng=rng), match="W")
    check.raises(ValueError, lambda: scale(np.zeros((2, 3)), rng=rng), match="W")
    for target in (0.0, -1.0):
        call = lambda t=target: scale(SMALL, target=t, rng=rng)  # noqa: E731
        check.raises(ValueError, call, match="target")


# --- Task 2 ----------------------------------------------------------------------


@task(2)
def test_best_rank_one_of_a_small_matrix(lab):
    check.close(lab.best_rank_k(SMALL, 1), BEST_OF_SMALL)


@task(2)
def test_energy_of_a_few_singular_values(lab):
    # squares 16 + 9 = 25: shares 64 % and 100 %
    check.equal([lab.rank_for_energy([4.0, 3.0], f) for f in (0.6, 0.9)], [1, 2])
    # exactly half is enough, and trailing zeros are never needed
    equal = np.array([2.0, 2.0, 2.0, 2.0, 0.0])
    got = [lab.rank_for_energy(equal, f) for f in (0.5, 0.51, 1.0)]
    check.equal(got, [2, 3, 4])


@task(2)
def test_stable_rank_of_a_few_matrices(lab):
    check.close(lab.stable_rank(SMALL), 50 / 45)
    check.close(lab.stable_rank(np.diag([2.0, 1.0, 1.0])[:, :2]), 1.25)
    check.close(lab.stable_rank(np.ones((3, 7))), 1.0)


@task(2)
def test_the_error_is_what_was_cut_off(lab, rng):
    for m, n, k in [(9, 5, 2), (4, 7, 3), (6, 8, 6)]:
        U, s, V, A = known_svd(rng, m, n, 5.0 / 1.3 ** np.arange(min(m, n)))
        got = lab.best_rank_k(A, k)
        check.close(got, U[:, :k] * s[:k] @ V[:, :k].T, rtol=1e-10, atol=1e-10)
        error = float(np.sum((A - got) ** 2))
        check.close(error, float(np.sum(s[k:] ** 2)), rtol=1e-10, name="squared error")


@task(2)
@given(st.integers(0, 10**6), st.integers(1, 4))
def test_no_other_matrix_of_that_rank_is_nearer(lab, seed, k):
    rng = np.random.default_rng(seed)
    A = rng.standard_normal((6, 5))
    best = lab.best_rank_k(A, k)
    left = rng.standard_normal((6, k))
    other = left @ np.linalg.lstsq(left, A, rcond=None)[0]  # the nearest with this left
    nearer = np.linalg.norm(A - other) < np.linalg.norm(A - best) * (1 - 1e-12)
    check.that(not nearer, "nothing of rank k is nearer to A", "something is nearer")


@task(2)
def test_energy_and_stable_rank_of_drawn_spectra(lab, rng):
    for p in (3, 8, 21):
        s = np.sort(rng.uniform(0.1, 4.0, p))[::-1]
        squares = [value**2 for value in s.tolist()]
        for fraction in (0.05, 0.43, 0.77, 0.98):
            k = 1
            while sum(squares[:k]) < fraction * sum(squares):
                k += 1
            check.equal(lab.rank_for_energy(s, fraction), k)
        A = known_svd(rng, p + 2, p, s)[-1]
        check.close(lab.stable_rank(A), sum(squares) / squares[0], rtol=1e-10)


@task(2)
def test_ranks_and_energies_that_make_no_sense(lab):
    A = np.arange(12.0).reshape(3, 4)
    check.close(lab.best_rank_k(A, 3), A, name="k = min(m, n)")
    for k in (0, 4, -1):
        check.raises(ValueError, lambda k=k: lab.best_rank_k(A, k), match="k")
    check.raises(ValueError, lambda: lab.best_rank_k(np.ones(4), 1), match="A")
    check.raises(ValueError, lambda: lab.stable_rank(np.ones(4)), match="A")
    check.raises(ValueError, lambda: lab.stable_rank(np.zeros((2, 3))), match="A")
    energy = lab.rank_for_energy
    for fraction in (0.0, 1.01, -0.5):
        call = lambda f=fraction: energy([2.0, 1.0], f)  # noqa: E731
        check.raises(ValueError, call, match="fraction")
    for s in ([0.0, 0.0], np.ones((2, 3)), []):
        check.raises(ValueError, lambda s=s: energy(s, 0.5), match="s")


# --- Task 3 ----------------------------------------------------------------------

# Columns at right angles: their lengths are the singular values.
SIGNS = np.array([[1, 1, 1], [1, -1, 1], [1, 1, -1], [1, -1, -1]]) / 2  # of length 1
SPREAD = SIGNS * [1000.0, 1.0, 0.001]


def product(U, s, Vt):
    """What a truncated SVD stands for."""
    return (U * s) @ Vt


@task(3)
def test_svd_of_matrices_one_can_read(lab, rng):
    U, s, Vt = lab.randomized_svd(SPREAD, 3, rng=rng)
    check.close(s, np.array([1000.0, 1.0, 0.001]), name="s")
    check.close(product(U, s, Vt), SPREAD, name="U s Vt")
    # as many samples as columns lose nothing, even without a pass
    U, s, Vt = lab.randomized_svd(SMALL, 1, oversample=1, n_iter=0, rng=rng)
    check.close(s, np.array([math.sqrt(45)]), name="s with two samples")
    # and many passes make even a single sample right
    U, s, Vt = lab.randomized_svd(SMALL, 1, oversample=0, n_iter=20, rng=rng)
    check.close(product(U, s, Vt), BEST_OF_SMALL, name="U s Vt of one sample")


@task(3)
def test_shapes_and_orthonormal_vectors(lab, rng):
    for m, n, k in [(30, 20, 4), (12, 40, 7), (9, 6, 6)]:
        U, s, Vt = lab.randomized_svd(rng.standard_normal((m, n)), k, rng=rng)
        check.equal((U.shape, s.shape, Vt.shape), ((m, k), (k,), (k, n)), name="shapes")
        check.close(U.T @ U, np.eye(k), atol=1e-10, name="UᵀU")
        check.close(Vt @ Vt.T, np.eye(k), atol=1e-10, name="VtVtᵀ")
        check.that(bool(np.all(np.diff(s) <= 0)), "s from the largest down", s)


@task(3)
def test_error_is_nearly_the_smallest_possible(lab, rng):
    for m, n, k in [(130, 90, 10), (80, 150, 6)]:
        spectrum = 1 / np.arange(1.0, min(m, n) + 1)
        A = known_svd(rng, m, n, spectrum)[-1]
        U, s, Vt = lab.randomized_svd(A, k, rng=rng)
        error = np.linalg.norm(A - product(U, s, Vt))
        ratio = float(error / np.sqrt(np.sum(spectrum[k:] ** 2)))
        check.that(ratio <= 1.05, "error at most 1.05 times the best", round(ratio, 1))


@task(3)
def test_low_rank_is_found_exactly(lab, rng):
    for m, n, k in [(25, 14, 5), (8, 33, 4)]:
        spectrum = 3.0 * 0.02 ** np.arange(k - 1)  # the rank is k - 1
        A = known_svd(rng, m, n, spectrum)[-1]
        U, s, Vt = lab.randomized_svd(A, k, oversample=3, n_iter=4, rng=rng)
        check.close(s, np.append(spectrum, 0.0), atol=1e-12, name="s")
        check.close(product(U, s, Vt), A, atol=1e-12, name="U s Vt")


@task(3)
def test_samples_that_make_no_sense(lab, rng):
    svd = lab.randomized_svd
    A = rng.standard_normal((6, 4))
    for k in (0, 5):
        check.raises(ValueError, lambda k=k: svd(A, k, rng=rng), match="k")
    check.raises(ValueError, lambda: svd(np.ones(5), 1, rng=rng), match="A")
    call = lambda: svd(A, 2, oversample=-1, rng=rng)  # noqa: E731
    check.raises(ValueError, call, match="oversample")
    check.raises(ValueError, lambda: svd(A, 2, n_iter=-1, rng=rng), match="n_iter")


# --- Task 4 ----------------------------------------------------------------------

# Around (10, 20) and along two directions at right angles: 15 each way along
# (-3, 4)/5, 5 each way along (4, 3)/5. Sums of squares 450 and 50, over N - 1 = 4.
POINTS = np.array([[1.0, 32.0], [19, 8], [14, 23], [6, 17], [10, 20]])


def signed(components):
    """The entry of largest magnitude in each row made positive."""
    return np.array([row * np.sign(row[np.argmax(np.abs(row))]) for row in components])


@task(4)
def test_components_of_five_points(lab):
    p = lab.pca_fit(POINTS, 2)
    check.close(p.mean, np.array([10.0, 20.0]), name="mean")
    check.close(p.explained_variance, np.array([112.5, 12.5]), name="variance")
    check.close(p.components, np.array([[-0.6, 0.8], [0.8, 0.6]]), name="components")
    check.close(p.explained_variance_ratio, np.array([0.9, 0.1]), name="ratio")
    one = lab.pca_fit(POINTS, 1)
    check.close(one.explained_variance_ratio, np.array([0.9]), name="ratio, k = 1")


@task(4)
def test_coordinates_of_five_points(lab):
    mean, axis = np.array([10.0, 20.0]), np.array([[-0.6, 0.8]])
    p = lab.PCA(mean, axis, np.array([112.5]), np.array([0.9]))
    Z = np.array([[15.0], [-15.0], [0.0], [0.0], [0.0]])
    check.close(lab.pca_transform(p, POINTS), Z, name="Z")
    nearest = np.array([[1.0, 32.0], [19, 8], [10, 20], [10, 20], [10, 20]])
    check.close(lab.pca_inverse(p, Z), nearest, name="X")


@task(4)
def test_the_same_as_scikit_learn(lab, rng):
    for n, d, k in [(40, 7, 3), (9, 12, 5), (25, 6, 6)]:
        spread = 1.0 / 1.25 ** np.arange(d)
        X = rng.standard_normal((n, d)) * spread @ orthonormal(rng, d, d) + 1000.0
        ours, theirs = lab.pca_fit(X, k), PCA(k, svd_solver="full").fit(X)
        check.close(ours.mean, theirs.mean_, name="mean")
        check.close(ours.components, signed(theirs.components_), name="components")
        for name in ("explained_variance", "explained_variance_ratio"):
            got, expected = getattr(ours, name), getattr(theirs, name + "_")
            check.close(got, expected, rtol=1e-7, name=name)


@task(4)
def test_there_and_back(lab, rng):
    X = rng.standard_normal((14, 5)) @ rng.standard_normal((5, 5)) + 50.0
    p = lab.pca_fit(X, 5)
    Z = lab.pca_transform(p, X)
    check.close(lab.pca_inverse(p, Z), X, name="all components")
    check.close(Z.mean(axis=0), np.zeros(5), name="mean of Z")
    check.close(Z.T @ Z / 13, np.diag(p.explained_variance), name="covariance of Z")


@task(4)
def test_data_that_cannot_be_fitted(lab):
    for k in (0, 3):
        check.raises(ValueError, lambda k=k: lab.pca_fit(POINTS, k), match="k")
    for X in (np.ones(4), np.ones((1, 3)), np.full((4, 3), 7.0)):
        check.raises(ValueError, lambda X=X: lab.pca_fit(X, 1), match="X")
    axis = np.array([[0.6, 0.8, 0.0], [0.0, 0.0, 1.0]])
    p = lab.PCA(np.zeros(3), axis, np.array([2.0, 1.0]), np.array([0.5, 0.25]))
    check.raises(ValueError, lambda: lab.pca_transform(p, POINTS), match="X")
    check.raises(ValueError, lambda: lab.pca_inverse(p, np.ones((4, 3))), match="Z")
    check.raises(ValueError, lambda: lab.pca_inverse(p, np.ones((4, 1))), match="Z")


# --- Task 5 ----------------------------------------------------------------------


def relu(x):
    """The usual activation."""
    return np.maximum(x, 0.0)


@task(5)
def test_std_of_a_few_layers(lab):
    got = [lab.init_std(64), lab.init_std(25, gain=3.0), lab.init_std(3, gain=0.5)]
    check.close(got, [0.125, 0.6, 0.5 / math.sqrt(3)], rtol=1e-12)


@task(5)
def test_signal_through_two_layers(lab):
    x = np.array([[1.0, 2.0]])
    weights = [np.array([[1.0, -1.0], [1.0, -1.0]]), np.array([[2.0], [5.0]])]
    # [1, 2] -> [3, -3] -> [3, 0] -> [6]
    got = lab.propagate_second_moment(x, weights, relu)
    check.close(got, [2.5, 4.5, 36.0])


@task(5)
def test_signal_through_drawn_layers(lab, rng):
    for sizes, activation in [((3, 7, 4, 5), np.tanh), ((6, 2, 9), relu)]:
        x = rng.standard_normal((8, sizes[0])) + 0.5
        weights = [rng.standard_normal((a, b)) for a, b in pairwise(sizes)]
        got = lab.propagate_second_moment(x, weights, activation)
        expected, h = [float((x * x).mean())], x
        for W in weights:
            h = activation(h @ W)
            expected.append(float((h * h).mean()))
        check.close(got, expected)


@task(5)
def test_one_linear_layer_keeps_the_second_moment(lab, rng):
    x = rng.standard_normal((30, 50)) + 1.0
    std = lab.init_std(50, gain=2.0)
    W = rng.normal(0.0, std, (50, 2000))
    before, after = lab.propagate_second_moment(x, [W], lambda h: h)
    # given x, the outputs of one unit are Gaussian with covariance (4/50) x xᵀ
    error = 4 / 50 * math.sqrt(2 / 2000) * np.linalg.norm(x @ x.T) / 30
    near = abs(after - 4 * before) <= 5 * error
    check.that(near, "gain² = 4 times the input's", round(after / before, 1))


@task(5)
def test_layers_that_make_no_sense(lab):
    for fan_in in (0, -3):
        check.raises(ValueError, lambda f=fan_in: lab.init_std(f), match="fan_in")
    for gain in (0.0, -1.0):
        check.raises(ValueError, lambda g=gain: lab.init_std(4, gain=g), match="gain")
    through, x = lab.propagate_second_moment, np.ones((2, 3))
    check.close(through(x, [], relu), [1.0], name="no layers")
    check.raises(ValueError, lambda: through(np.ones(3), [], relu), match="x")
    wrong = [np.ones((3, 4)), np.ones((3, 5))]
    check.raises(ValueError, lambda: through(x, wrong, relu), match="weights")


# --- Task 6 ----------------------------------------------------------------------

LORA = {
    "W": np.array([[1.0, 1, 1, 1], [9, 9, 9, 9], [0, 0, 0, 10]]),
    "A": np.array([[1.0, 0], [5, 5], [0, 1]]),
    "B": np.array([[1.0, 0, 0, 1], [0, 1, 0, 1]]),
}


@task(6)
def test_one_row_by_hand(lab):
    x = np.array([[1.0, 0.0, 2.0]])
    # x W = [1, 1, 1, 21], x A = [1, 2], (x A) B = [1, 2, 0, 3], times 6/2
    got = lab.lora_forward(x, **LORA, alpha=6.0)
    check.close(got, np.array([[4.0, 7.0, 1.0, 30.0]]), rtol=1e-12)
    merged = np.array([[4.0, 1, 1, 4], [24, 24, 9, 39], [0, 3, 0, 13]])
    check.close(lab.lora_merge(**LORA, alpha=6.0), merged, rtol=1e-12)
    counts = [lab.lora_param_count(64, 128, 2), lab.lora_param_count(5, 3, 1)]
    check.equal(counts, [384, 8])


@task(6)
def test_a_new_update_changes_nothing_and_can_learn(lab, rng):
    A, B = lab.lora_init(400, 30, 8, rng=rng)
    check.equal(B, np.zeros((8, 30)), name="B")
    check.equal((A.shape, str(A.dtype)), ((400, 8), "float64"), name="shape of A")
    check.equal(int(np.linalg.matrix_rank(A)), 8, name="rank of A")
    # the mean of 3,200 squares of a normal variable, within 5 standard errors
    share = float(np.mean(A**2)) * 400
    near = abs(share - 1) <= 5 * math.sqrt(2 / A.size)
    check.that(near, "A with standard deviation 1/√d_in", round(share, 1))
    W, x = rng.standard_normal((400, 30)), rng.standard_normal((5, 400))
    check.close(lab.lora_forward(x, W, A, B, 16.0), x @ W, name="output at the start")


@task(6)
def test_merged_and_unmerged_do_the_same(lab, rng):
    for n, d_in, d_out, r, alpha in [(4, 7, 5, 3, 1.5), (3, 6, 9, 2, 8.0)]:
        x, W = rng.standard_normal((n, d_in)), rng.standard_normal((d_in, d_out))
        A, B = rng.standard_normal((d_in, r)), rng.standard_normal((r, d_out))
        update = sum(np.outer(A[:, i], B[i]) for i in range(r)) * (alpha / r)
        merged = lab.lora_merge(W, A, B, alpha)
        check.close(merged, W + update, rtol=1e-12, atol=1e-12, name="merged")
        check.equal(
            int(np.linalg.matrix_rank(merged - W)), r, name="rank of the update"
        )
        got = lab.lora_forward(x, W, A, B, alpha)
        check.close(got, x @ (W + update), rtol=1e-12, atol=1e-12, name="output")


@task(6)
def test_updates_that_make_no_sense(lab, rng):
    for r in (0, 4):
        call = lambda r=r: lab.lora_init(5, 3, r, rng=rng)  # noqa: E731
        check.raises(ValueError, call, match="r")
        check.raises(ValueError, lambda r=r: lab.lora_param_count(5, 3, r), match="r")
    W, A, B = LORA["W"], LORA["A"], LORA["B"]
    x = np.ones((2, 3))
    for wrong, name in [((W, A[:2], B), "A"), ((W, A, B[:1]), "B")]:
        forward = lambda w=wrong: lab.lora_forward(x, *w, 1.0)  # noqa: E731
        check.raises(ValueError, forward, match=name)
        check.raises(ValueError, lambda w=wrong: lab.lora_merge(*w, 1.0), match=name)
