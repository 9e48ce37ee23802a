"""The perceptron: a line that learns from its mistakes, and the wall it runs into.

You build the first learning rule, the bound on how often it can be wrong, XOR, which
no line can do, two ways around XOR, and the average that makes the rule steady.

1 score, predict (1)      2 perceptron_fit (3)       3 margin and bound (2)
4 XOR, best line (2)      5 two ways around XOR (1)  6 averaged perceptron (1)

Labels y are -1 and +1. A model is a pair: w, the weights, float64 (D,), and b, the
bias, a float. Its line is X @ w + b = 0. No function changes its arguments.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike

# --- Given: the checks that the functions here make of their input ---------------


def as_points(X: ArrayLike) -> np.ndarray:
    """X as float64. ValueError naming X: not (N, D), N or D is 0, NaN or infinity."""
    X = np.asarray(X, dtype=np.float64)
    if X.ndim != 2 or 0 in X.shape or not np.isfinite(X).all():
        raise ValueError(f"X must be (N, D), finite, one point a row, got {X.shape}")
    return X


def as_plane(X: ArrayLike) -> np.ndarray:
    """X as float64 (N, 2). ValueError naming X: as above, or D is not 2."""
    X = as_points(X)
    if X.shape[1] != 2:
        raise ValueError(f"X must be (N, 2), points of the plane, got {X.shape}")
    return X


def as_labels(y: ArrayLike, n: int) -> np.ndarray:
    """y as float64 (n,). ValueError naming y: not (n,), or not of -1 and +1 only."""
    y = np.asarray(y, dtype=np.float64)
    if y.shape != (n,) or not np.isin(y, (-1.0, 1.0)).all():
        raise ValueError(f"y must be ({n},) and hold -1 and +1 only, got {y.shape}")
    return y


# --- Task 1 (1 point): score and predict -----------------------------------------


def linear_score(X: ArrayLike, w: ArrayLike, b: float) -> np.ndarray:
    """The score w · x + b of every row x of X: positive on one side of the line.

    X is (N, D), w (D,), b a float. Returns float64 (N,).

    Raises:
        ValueError: X as in `as_points`, or `w` is not (D,); names the argument.
    """
    raise NotImplementedError("task 1")


def predict(X: ArrayLike, w: ArrayLike, b: float) -> np.ndarray:
    """The class of every row of X: +1 where its score is 0 or more, else -1.

    Returns int64 (N,) of -1 and +1. ValueError as `linear_score`.
    """
    raise NotImplementedError("task 1")


# --- Task 2 (3 points): the perceptron -------------------------------------------


@dataclass
class PerceptronResult:
    """What a training run ends with (given).

    Attributes:
        w: weights, float64 (D,).
        b: bias, a Python float.
        n_updates: how often the weights were changed, a Python int.
        mistakes_per_epoch: Python ints, one for each epoch that was run, in order.
        converged: True if the last epoch had no mistake, else False.
    """

    w: np.ndarray
    b: float
    n_updates: int
    mistakes_per_epoch: list[int]
    converged: bool


def perceptron_fit(
    X: ArrayLike,
    y: ArrayLike,
    *,
    max_epochs: int = 100,
    rng: np.random.Generator | None = None,
) -> PerceptronResult:
    """Learn a line by Rosenblatt's rule (1958), from weights and bias 0.

    An epoch shows every row once. A row x with label t is a mistake if
    t · (w · x + b) <= 0 with the weights of that moment; then, and only then, w grows
    by t · x and b by t, before the next row is shown. Training ends after the first
    epoch without a mistake, which is counted too, or after `max_epochs`.

    Args:
        X: points, (N, D).
        y: labels -1 and +1, (N,); one class alone is allowed.
        max_epochs: most epochs to run, an int, at least 1.
        rng: None shows the rows in their order, in every epoch. A generator shows them
            in the order `rng.permutation(N)`, drawn anew at the start of each epoch;
            nothing else is drawn.

    Returns:
        A PerceptronResult with the weights and the bias at the end.

    Raises:
        ValueError: X as in `as_points`, y as in `as_labels`, or `max_epochs` is below
            1; names the argument.
    """
    raise NotImplementedError("task 2")


# --- Task 3 (2 points): margin and Novikoff's bound ------------------------------


def geometric_margin(X: ArrayLike, y: ArrayLike, w: ArrayLike, b: float) -> float:
    """How far the line stays from the points: min over rows of y (w · x + b) / ‖w‖.

    It is the distance of the nearest point if the line separates the classes, and
    minus the distance of the worst one (or 0) if it does not. Returns a Python float.

    Raises:
        ValueError: X, y or `w` as in `linear_score` and `as_labels`, or all of `w` is
            0, which is no line; names the argument.
    """
    raise NotImplementedError("task 3")


def novikoff_bound(X: ArrayLike, y: ArrayLike, w: ArrayLike, b: float) -> float:
    """The most updates that perceptron_fit can make, by Novikoff (1962): (R / γ)².

    The bias is one more weight, whose input is always 1. So each point is (x, 1) and
    the separating weights are (w, b): R is the largest ‖(x, 1)‖ among the rows, and γ
    the smallest y (w · x + b) / ‖(w, b)‖. It holds for every (w, b) that separates.

    Returns:
        A Python float, not rounded.

    Raises:
        ValueError: X, y or `w` as in `linear_score` and `as_labels`; or y (w · x + b)
            is 0 or less for some row, so that `w` does not separate (names w).
    """
    raise NotImplementedError("task 3")


# --- Task 4 (2 points): XOR and the best line -------------------------------------


def make_xor(
    n_per_corner: int = 1,
    *,
    noise: float = 0.0,
    rng: np.random.Generator | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Points at the corners of the unit square: +1 where exactly one coordinate is 1.

    Args:
        n_per_corner: points at each corner, at least 1.
        noise: half the side of the square around its corner in which a point lies, at
            least 0 and below 0.5.
        rng: where the noise is drawn; not used, and may be None, if `noise` is 0. The
            shifts of all coordinates are `rng.uniform(-noise, noise, size=(N, 2))`.

    Returns:
        X: float64 (N, 2) with N = 4 · n_per_corner: first all points of corner (0, 0),
            then those of (0, 1), (1, 0) and (1, 1).
        y: int64 (N,) of -1 and +1.

    Raises:
        ValueError: `n_per_corner` or `noise` is out of its range, or `rng` is None
            although `noise` is above 0; names the argument.
    """
    raise NotImplementedError("task 4")


def best_linear_accuracy(X: ArrayLike, y: ArrayLike) -> float:
    """The largest share of points that any line in the plane gets right, exactly.

    Every (w, b) competes, also w = 0, which puts all points into one class. Rows with
    exactly the same numbers get the same class, whatever their labels. Rounding takes
    points off the line on which they should lie: one counts as on the line through two
    others if it is off it by less than 1e-9 of its distance from them. Meant for N up
    to about 100; the time grows as N³.

    Args:
        X: points of the plane, (N, 2).
        y: labels -1 and +1, (N,).

    Returns:
        A Python float: right points / N.

    Raises:
        ValueError: X as in `as_plane`, or y as in `as_labels`; names the argument.
    """
    raise NotImplementedError("task 4")


# --- Task 5 (1 point): two ways around XOR ---------------------------------------


def quadratic_features(X: ArrayLike) -> np.ndarray:
    """Each row (x1, x2) of X becomes (x1, x2, x1 · x2).

    Returns float64 (N, 3). ValueError naming X, as in `as_plane`.
    """
    raise NotImplementedError("task 5")


def xor_network(X: ArrayLike) -> np.ndarray:
    """XOR by three threshold units with weights that you choose: two hidden, one out.

    Right for every point whose two coordinates are both less than 0.25 away from those
    of a corner of the unit square: +1 near (0, 1) and (1, 0), -1 near (0, 0) and
    (1, 1). What it says elsewhere is up to you.

    Returns int64 (N,) of -1 and +1. ValueError naming X, as in `as_plane`.
    """
    raise NotImplementedError("task 5")


# --- Task 6 (1 point): the averaged perceptron -----------------------------------


def averaged_perceptron_fit(
    X: ArrayLike,
    y: ArrayLike,
    *,
    max_epochs: int = 100,
    rng: np.random.Generator | None = None,
) -> PerceptronResult:
    """Train as perceptron_fit does, and return the average of all weights on the way.

    After every row that is shown, mistake or not, the current w and b enter the
    average once (Freund and Schapire 1999); the zeros before the first row do not. So
    the average is over N times the number of epochs that were run, the last one
    without a mistake included.

    Arguments and errors are those of `perceptron_fit`.

    Returns:
        A PerceptronResult with the averaged w and b; n_updates, mistakes_per_epoch and
        converged are those of the training, as perceptron_fit reports them.
    """
    raise NotImplementedError("task 6")
