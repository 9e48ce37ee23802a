"""Lab 2.1's solution beside scikit-learn's Perceptron and linear programming.

The lab's grader keeps to NumPy and a few stored numbers, so that feedback is fast. Here
the reference meets the libraries themselves, and so do the grader's stored numbers.
"""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from scipy.optimize import linprog, minimize
from sklearn.datasets import load_iris
from sklearn.linear_model import Perceptron

from common import labs, seeding

lab = labs.solution("2.1")
IRIS_X, IRIS_KIND = load_iris(return_X_y=True)


def pair(plus: int, minus: int) -> tuple[np.ndarray, np.ndarray]:
    """The flowers of two kinds, +1 for `plus`, in the order of the file."""
    rows = np.isin(IRIS_KIND, (plus, minus))
    return IRIS_X[rows], np.where(IRIS_KIND[rows] == plus, 1, -1)


def grader():
    """The lab's test_lab.py as a module, for the numbers that it stores."""
    found = labs.find("2.1")[0].file("test_lab.py")
    return labs.load(found.read_text(encoding="utf-8"), found, "grader_2_1")


@pytest.mark.parametrize("epochs", [1, 4, 30])
@pytest.mark.parametrize("kinds", [(1, 0), (0, 1), (2, 0), (2, 1)])
@pytest.mark.filterwarnings("ignore:Maximum number of iteration")
def test_weights_are_those_of_scikit_learn(kinds, epochs):
    X, y = pair(*kinds)
    ours = lab.perceptron_fit(X, y, max_epochs=epochs)
    ran = len(ours.mistakes_per_epoch)
    peer = Perceptron(shuffle=False, tol=None, max_iter=ran).fit(X, y)
    np.testing.assert_allclose(ours.w, peer.coef_[0], rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(ours.b, peer.intercept_[0], rtol=1e-9, atol=1e-9)
    np.testing.assert_array_equal(lab.predict(X, ours.w, ours.b), peer.predict(X))


def test_numbers_of_the_grader_are_those_of_the_libraries():
    stored = grader()
    X, y = pair(1, 0)
    np.testing.assert_array_equal(stored.IRIS_X, X)
    np.testing.assert_array_equal(stored.IRIS_Y, y)
    peer = Perceptron(shuffle=False, tol=None, max_iter=4).fit(X, y)
    np.testing.assert_allclose(peer.coef_[0], [-1.3, -4.1, 5.2, 2.2], rtol=1e-9)
    assert peer.intercept_[0] == -1
    assert peer.t_ == 1 + 4 * 100  # rows shown, and one


def test_iris_bound_is_that_of_the_widest_margin():
    """The shortest (w, b) with y (w · x + b) >= 1 has the largest γ."""
    X, y = pair(1, 0)
    signed = np.column_stack([X, np.ones(len(X))]) * y[:, None]
    apart = {"type": "ineq", "fun": lambda v: signed @ v - 1, "jac": lambda v: signed}
    start = np.array([-0.5, -0.5, 1.0, 0.5, 0.0])
    v = minimize(
        lambda v: v @ v, start, jac=lambda v: 2 * v, constraints=apart, tol=1e-13
    ).x
    bound = lab.novikoff_bound(X, y, v[:4], v[4])
    assert bound == pytest.approx(150.5408, rel=1e-5)
    assert lab.perceptron_fit(X, y).n_updates == 5 <= bound


def separable(X: np.ndarray, y: np.ndarray) -> bool:
    """Whether some (w, b) has y (w · x + b) >= 1 for all rows."""
    signed = np.column_stack([X, np.ones(len(X))]) * y[:, None]
    free = [(None, None)] * 3
    found = linprog([0, 0, 0], A_ub=-signed, b_ub=-np.ones(len(X)), bounds=free)
    return found.status == 0


def best_by_leaving_out(X: np.ndarray, y: np.ndarray) -> float:
    """Leave out as few points as possible, so that a line separates the others."""
    N = len(X)
    for left_out in range(N):
        for keep in combinations(range(N), N - left_out):
            if separable(X[list(keep)], y[list(keep)]):
                return 1 - left_out / N
    raise AssertionError("one point is always separable")


@pytest.mark.parametrize("draw", range(20))
def test_best_line_is_that_of_linear_programming(draw):
    rng = seeding.rng(21, "best", draw)
    N = int(rng.integers(2, 8))
    if draw % 2:
        X = rng.integers(-2, 3, (N, 2)).astype(float)  # many on a line, some equal
    else:
        X = rng.normal(size=(N, 2))
    y = rng.choice([-1, 1], N)
    expected = best_by_leaving_out(X, y)
    assert lab.best_linear_accuracy(X, y) == pytest.approx(expected, abs=1e-12)
    if draw % 2:  # the grader's own oracle
        assert grader().best_of_whole_slopes(X, y) == pytest.approx(expected)


def test_networks_and_features_solve_xor_and_no_line_does():
    for draw in range(10):
        X, y = lab.make_xor(9, noise=0.2, rng=seeding.rng(21, "xor", draw))
        assert (lab.xor_network(X) == y).all()
        assert lab.best_linear_accuracy(X, y) == 0.75
        assert not lab.perceptron_fit(X, y).converged
        lifted = lab.quadratic_features(X)
        fit = lab.perceptron_fit(lifted, y, max_epochs=10_000)
        assert fit.converged
        assert lab.geometric_margin(lifted, y, fit.w, fit.b) > 0
