"""A second solution of lab 2.1, by other routes: augmented rows, loops, directions.

The perceptron carries one weight vector for (x, 1) and averages with survival counts;
the best line sweeps all directions between the critical ones; XOR is NAND and OR.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np


@dataclass
class PerceptronResult:
    w: np.ndarray
    b: float
    n_updates: int
    mistakes_per_epoch: list[int]
    converged: bool


def _rows(X, columns=None):
    X = np.array(X, dtype=float)
    good = X.ndim == 2 and X.size > 0 and np.isfinite(X).all()
    if not good or (columns is not None and X.shape[1] != columns):
        raise ValueError("X is not a table of finite numbers")
    return X


def _signs(y, n):
    y = np.array(y, dtype=float)
    if y.shape != (n,) or any(t not in (-1.0, 1.0) for t in y):
        raise ValueError("y holds something else than -1 and +1")
    return [int(t) for t in y]


def linear_score(X, w, b):
    X, w = _rows(X), np.array(w, dtype=float)
    if w.ndim != 1 or len(w) != X.shape[1]:
        raise ValueError("w has the wrong length")
    return np.array([math.fsum([*(x * w), b]) for x in X])


def predict(X, w, b):
    return 1 - 2 * (linear_score(X, w, b) < 0).astype(np.int64)


def perceptron_fit(X, y, *, max_epochs=100, rng=None):
    path, mistakes = _survivors(X, y, max_epochs, rng)
    v, _ = path[-1]
    return PerceptronResult(
        v[:-1], float(v[-1]), sum(mistakes), mistakes, not mistakes[-1]
    )


def averaged_perceptron_fit(X, y, *, max_epochs=100, rng=None):
    path, mistakes = _survivors(X, y, max_epochs, rng)
    total = np.sum([life * v for v, life in path], axis=0)
    v = total / sum(life for _, life in path)
    return PerceptronResult(
        v[:-1], float(v[-1]), sum(mistakes), mistakes, not mistakes[-1]
    )


def _survivors(X, y, max_epochs, rng):
    """Each weight vector of (x, 1), with the number of rows after which it stood."""
    X = _rows(X)
    N = len(X)
    y = _signs(y, N)
    if max_epochs <= 0:
        raise ValueError("max_epochs is too small")
    signed = np.hstack([X, np.ones((N, 1))]) * np.array(y)[:, None]
    path, mistakes = [[np.zeros(X.shape[1] + 1), 0]], []
    for _ in range(max_epochs):
        wrong = 0
        for i in range(N) if rng is None else rng.permutation(N):
            if (signed[i] * path[-1][0]).sum() <= 0:
                path.append([path[-1][0] + signed[i], 0])
                wrong += 1
            path[-1][1] += 1
        mistakes.append(wrong)
        if not wrong:
            break
    return path, mistakes


def geometric_margin(X, y, w, b):
    scores = linear_score(X, w, b)
    y = _signs(y, len(scores))
    if not np.any(w):
        raise ValueError("w is zero")
    unit = np.array(w, dtype=float) / math.hypot(*w)
    offset = b / math.hypot(*w)
    signed = [t * (x @ unit + offset) for x, t in zip(_rows(X), y, strict=True)]
    return float(min(signed))


def novikoff_bound(X, y, w, b):
    scores = linear_score(X, w, b)
    y = _signs(y, len(scores))
    gamma = min(t * s for t, s in zip(y, scores, strict=True))
    if gamma <= 0:
        raise ValueError("w leaves a point on the wrong side")
    gamma /= math.hypot(*w, b)
    radius = max(math.hypot(*x, 1.0) for x in _rows(X))
    return float((radius / gamma) ** 2)


def make_xor(n_per_corner=1, *, noise=0.0, rng=None):
    if n_per_corner < 1:
        raise ValueError("n_per_corner")
    if not 0 <= noise < 0.5:
        raise ValueError("noise")
    if noise and rng is None:
        raise ValueError("rng")
    X, y = [], []
    for first in (0.0, 1.0):
        for second in (0.0, 1.0):
            X += [[first, second]] * n_per_corner
            y += [1 if first != second else -1] * n_per_corner
    X = np.array(X)
    if noise:
        X = X + noise * (2 * rng.random(X.shape) - 1)
    return X, np.array(y)


def best_linear_accuracy(X, y):
    X = _rows(X, 2)
    y = np.array(_signs(y, len(X)))
    angles = [0.0]  # of the normals of the lines through two points, in [0, pi)
    for i in range(len(X)):
        for j in range(i):
            dx, dy = X[i] - X[j]
            if dx or dy:
                angles.append(math.atan2(dx, -dy) % math.pi)
    angles = sorted(angles)
    angles = [*angles, angles[0] + math.pi]
    best = max((y == 1).mean(), (y == -1).mean())
    for left, right in zip(angles, angles[1:], strict=False):
        if right - left < 1e-9:
            continue
        middle = (left + right) / 2
        height = X[:, 0] * math.cos(middle) + X[:, 1] * math.sin(middle)
        for cut in height:
            share = ((height >= cut) == (y == 1)).mean()
            best = max(best, share, 1 - share)
    return float(best)


def quadratic_features(X):
    X = _rows(X, 2)
    return np.array([[a, b, a * b] for a, b in X])


def xor_network(X):
    X = _rows(X, 2)
    either = X.sum(axis=1) > 0.5
    not_both = X.sum(axis=1) < 1.5
    on = either.astype(int) + not_both.astype(int) > 1.5
    return np.where(on, 1, -1)
