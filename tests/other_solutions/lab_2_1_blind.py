"""A solution of lab 2.1 written from README and stub alone.

The perceptron: a line that learns from its mistakes, and the wall it runs into.

You build the first learning rule, the bound on how often it can be wrong, XOR, which
no line can do, two ways around XOR, and the average that makes the rule steady.

1 score, predict (1)      2 perceptron_fit (3)       3 margin and bound (2)
4 XOR, best line (2)      5 two ways around XOR (1)  6 averaged perceptron (1)

Labels y are -1 and +1. A model is a pair: w, the weights, float64 (D,), and b, the
bias, a float. Its line is X @ w + b = 0. No function changes its arguments.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
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


def as_weights(w: ArrayLike, d: int) -> np.ndarray:
    w = np.asarray(w, dtype=np.float64)
    if w.shape != (d,):
        raise ValueError(f"w must be ({d},), got {w.shape}")
    return w


# --- Task 1 (1 point): score and predict -----------------------------------------


def linear_score(X: ArrayLike, w: ArrayLike, b: float) -> np.ndarray:
    """The score w · x + b of every row x of X: positive on one side of the line.

    X is (N, D), w (D,), b a float. Returns float64 (N,).

    Raises:
        ValueError: X as in `as_points`, or `w` is not (D,); names the argument.
    """
    X = as_points(X)
    w = as_weights(w, X.shape[1])
    return np.einsum("nd,d->n", X, w) + float(b)


def predict(X: ArrayLike, w: ArrayLike, b: float) -> np.ndarray:
    """The class of every row of X: +1 where its score is 0 or more, else -1.

    Returns int64 (N,) of -1 and +1. ValueError as `linear_score`.
    """
    classes = [1 if score >= 0 else -1 for score in linear_score(X, w, b)]
    return np.array(classes, dtype=np.int64)


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


def shown_rows(n: int, rng: np.random.Generator | None) -> Iterator[int]:
    yield from range(n) if rng is None else rng.permutation(n).tolist()


def train(
    X: ArrayLike, y: ArrayLike, max_epochs: int, rng: np.random.Generator | None
) -> tuple[PerceptronResult, list[tuple[int, int]]]:
    """The training, and for every update (the rows shown before it, the row)."""
    X = as_points(X)
    y = as_labels(y, len(X))
    if max_epochs < 1:
        raise ValueError(f"max_epochs must be at least 1, got {max_epochs}")
    rows, labels = X.tolist(), y.tolist()
    w, b = [0.0] * X.shape[1], 0.0
    log: list[tuple[int, int]] = []
    counts: list[int] = []
    shown = 0
    while len(counts) < max_epochs and (not counts or counts[-1]):
        counts.append(0)
        for i in shown_rows(len(rows), rng):
            x, t = rows[i], labels[i]
            score = sum((wi * xi for wi, xi in zip(w, x, strict=True)), start=b)
            if t * score <= 0:
                w = [wi + t * xi for wi, xi in zip(w, x, strict=True)]
                b += t
                counts[-1] += 1
                log.append((shown, i))
            shown += 1
    return PerceptronResult(np.array(w), b, len(log), counts, counts[-1] == 0), log


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
        max_epochs: most epochs to run, at least 1.
        rng: None shows the rows in their order, in every epoch. A generator shows them
            in the order `rng.permutation(N)`, drawn anew at the start of each epoch;
            nothing else is drawn.

    Returns:
        A PerceptronResult with the weights and the bias at the end.

    Raises:
        ValueError: X as in `as_points`, y as in `as_labels`, or `max_epochs` is below
            1; names the argument.
    """
    return train(X, y, max_epochs, rng)[0]


# --- Task 3 (2 points): margin and Novikoff's bound ------------------------------


def geometric_margin(X: ArrayLike, y: ArrayLike, w: ArrayLike, b: float) -> float:
    """How far the line stays from the points: min over rows of y (w · x + b) / ‖w‖.

    It is the distance of the nearest point if the line separates the classes, and
    minus the distance of the worst one (or 0) if it does not. Returns a Python float.

    Raises:
        ValueError: X, y or `w` as in `linear_score` and `as_labels`, or all of `w` is
            0, which is no line; names the argument.
    """
    X = as_points(X)
    y = as_labels(y, len(X))
    w = as_weights(w, X.shape[1])
    if not w.any():
        raise ValueError("w must not be all 0: that is no line")
    return float(min(y * linear_score(X, w, b))) / math.hypot(*w)


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
    X = as_points(X)
    y = as_labels(y, len(X))
    w = as_weights(w, X.shape[1])
    gap = float(min(y * linear_score(X, w, b)))
    if not gap > 0:
        raise ValueError("w must separate the classes, and does not")
    radius = max(math.hypot(*x, 1.0) for x in X)
    return (radius / (gap / math.hypot(*w, b))) ** 2


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
    if n_per_corner < 1:
        raise ValueError(f"n_per_corner must be at least 1, got {n_per_corner}")
    if not 0 <= noise < 0.5:
        raise ValueError(f"noise must be at least 0 and below 0.5, got {noise}")
    if noise > 0 and rng is None:
        raise ValueError("rng must be a generator where noise is above 0")
    corner = np.arange(4 * n_per_corner) // n_per_corner
    X = np.stack([corner >> 1, corner & 1], axis=1).astype(np.float64)
    if noise > 0:
        X += rng.uniform(-noise, noise, size=X.shape)
    return X, np.where((corner == 1) | (corner == 2), 1, -1).astype(np.int64)


def best_linear_accuracy(X: ArrayLike, y: ArrayLike) -> float:
    """The largest share of points that any line in the plane gets right, exactly.

    Every (w, b) competes, also w = 0, which puts all points into one class. Equal rows
    get the same class, whatever their labels. Meant for N up to about 100; the time
    grows as N³. Points off a common line by no more than rounding count as on it.

    Args:
        X: points of the plane, (N, 2).
        y: labels -1 and +1, (N,).

    Returns:
        A Python float: right points / N.

    Raises:
        ValueError: X as in `as_plane`, or y as in `as_labels`; names the argument.
    """
    X = as_plane(X)
    y = as_labels(y, len(X))
    # Each column onto a length of 1: it changes no line's answers, only the scale.
    span = np.ptp(X, axis=0)
    span[span == 0] = 1.0
    tol = 16 * np.finfo(float).eps * max(1.0, float((abs(X) / span).max()))
    Z = (X - X.min(axis=0)) / span
    # Walk once round. The order of the points along a direction changes only where the
    # direction is at right angles to a pair, so one look between two such is enough.
    i, j = np.triu_indices(len(Z), 1)
    dx, dy = (Z[j] - Z[i]).T
    distinct = (dx != 0) | (dy != 0)
    turns = np.unique(np.arctan2(dx[distinct], -dy[distinct]) % np.pi)
    if len(turns) == 0:
        turns = np.zeros(1)
    between = (turns + np.append(turns[1:], turns[0] + np.pi)) / 2
    best = max(np.sum(y > 0), np.sum(y < 0))
    for angle in between:
        along = Z[:, 0] * math.cos(angle) + Z[:, 1] * math.sin(angle)
        order = np.argsort(along)
        cuts = np.flatnonzero(np.diff(along[order]) > tol)
        if len(cuts):
            # -1 before the cut and +1 after it; or the other way round.
            gain = np.cumsum(-y[order])[cuts]
            right = gain + np.sum(y > 0)
            best = max(best, right.max(), len(y) - right.min())
    return float(best / len(y))


# --- Task 5 (1 point): two ways around XOR ---------------------------------------


def quadratic_features(X: ArrayLike) -> np.ndarray:
    """Each row (x1, x2) of X becomes (x1, x2, x1 · x2).

    Returns float64 (N, 3). ValueError naming X, as in `as_plane`.
    """
    X = as_plane(X)
    return np.column_stack([X, X.prod(axis=1)])


def xor_network(X: ArrayLike) -> np.ndarray:
    """XOR by three threshold units with weights that you choose: two hidden, one out.

    Right for every point whose two coordinates are both less than 0.25 away from those
    of a corner of the unit square: +1 near (0, 1) and (1, 0), -1 near (0, 0) and
    (1, 1). What it says elsewhere is up to you.

    Returns int64 (N,) of -1 and +1. ValueError naming X, as in `as_plane`.
    """
    X = as_plane(X)

    def unit(inputs: np.ndarray, w: list[float], b: float) -> np.ndarray:
        return inputs @ np.array(w) + b >= 0

    only_first = unit(X, [1.0, -1.0], -0.5)
    only_second = unit(X, [-1.0, 1.0], -0.5)
    hidden = np.stack([only_first, only_second], axis=1).astype(np.float64)
    return np.where(unit(hidden, [1.0, 1.0], -0.5), 1, -1).astype(np.int64)


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
    result, log = train(X, y, max_epochs, rng)
    X = as_points(X)
    y = as_labels(y, len(X))
    total = len(X) * len(result.mistakes_per_epoch)
    # An update stays in the weights for all rows from its own on to the last one.
    w, b = np.zeros(X.shape[1]), 0.0
    for shown, i in log:
        share = (total - shown) / total
        w += share * y[i] * X[i]
        b += share * float(y[i])
    return replace(result, w=w, b=b)
