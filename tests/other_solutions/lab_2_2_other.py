"""A second solution of lab 2.2 by other routes: loops, bordered systems, own batches."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np


def _vector(values, name, shape=None):
    values = np.array(values, dtype=float)
    if values.ndim != 1 or values.size == 0 or (shape and values.shape != shape):
        raise ValueError(f"{name}: expected a vector, got shape {values.shape}")
    return values


def _table(X, D=None):
    X = np.array(X, dtype=float)
    if X.ndim != 2 or X.size == 0 or (D is not None and X.shape[1] != D):
        raise ValueError(f"X has shape {X.shape}")
    return X


def _both(X, y):
    X = _table(X)
    return X, _vector(y, "y", (X.shape[0],))


def _residuals(y, p):
    y = _vector(y, "y")
    return (_vector(p, "p", y.shape) - y).tolist()


def _delta(delta):
    if not delta > 0:
        raise ValueError(f"delta = {delta}")
    return delta


def _average(values):
    return math.fsum(values) / len(values)


def mse(y, p):
    return _average([r * r for r in _residuals(y, p)])


def mse_grad(y, p):
    r = _residuals(y, p)
    return np.array([2 * x / len(r) for x in r])


def mae(y, p):
    return _average([abs(r) for r in _residuals(y, p)])


def mae_grad(y, p):
    r = _residuals(y, p)
    return np.array([((x > 0) - (x < 0)) / len(r) for x in r])


def _huber(r, delta):
    a = abs(r)
    return a * a / 2 if a < delta else delta * a - delta * delta / 2


def huber(y, p, *, delta=1.0):
    r = _residuals(y, p)
    return _average([_huber(x, _delta(delta)) for x in r])


def huber_grad(y, p, *, delta=1.0):
    r = _residuals(y, p)
    _delta(delta)
    return np.array([max(-delta, min(delta, x)) / len(r) for x in r])


def predict(X, w, b):
    w = np.asarray(w, dtype=float)
    return np.array([math.fsum(row * w) + b for row in _table(X, len(w))])


def normal_equation(X, y):
    X, y = _both(X, y)
    middle = np.array([_average(c.tolist()) for c in X.T])
    level = _average(y.tolist())
    w = np.linalg.pinv(X - middle) @ (y - level)
    return w, level - float(np.dot(w, middle))


class Standardizer:
    def fit(self, X):
        X = _table(X)
        self.mean = np.array([_average(c.tolist()) for c in X.T])
        spread = []
        for column, m in zip(X.T, self.mean, strict=True):
            same = all(v == column[0] for v in column)
            spread.append(
                1.0 if same else math.sqrt(_average([(v - m) ** 2 for v in column]))
            )
        self.scale = np.array(spread)
        return self

    def transform(self, X):
        return (_table(X, self.mean.size) - self.mean) * (1 / self.scale)

    def inverse_transform(self, Z):
        return self.mean + self.scale * np.asarray(Z, dtype=float)

    def unscale(self, w, b):
        at_zero = math.fsum(-self.mean / self.scale * np.asarray(w, dtype=float))
        return np.divide(w, self.scale), at_zero + b


@dataclass
class FitResult:
    w: np.ndarray
    b: float
    losses: list[float]


def gradient_descent(
    X,
    y,
    *,
    loss="mse",
    lr,
    epochs,
    batch_size=None,
    lam=0.0,
    delta=1.0,
    rng=None,
):
    X, y = _both(X, y)
    if loss not in ("mse", "mae", "huber"):
        raise ValueError(f"unknown loss {loss}")
    if not (lr > 0 and lam >= 0):
        raise ValueError(f"lr {lr} and lam {lam} must be positive")
    if loss == "huber":
        _delta(delta)
    if batch_size is not None and batch_size <= 0:
        raise ValueError("batch_size")
    N, D = X.shape
    A = np.hstack([X, np.ones((N, 1))])  # the bias is the last weight
    shrink = np.append(np.full(D, float(lam)), 0.0)
    theta, losses = np.zeros(D + 1), []
    for _ in range(epochs):
        order = np.arange(N)
        if batch_size and rng is not None:
            order = rng.permutation(N)
        start = 0
        while start < N:
            rows = order[start : start + (batch_size or N)]
            r = A[rows] @ theta - y[rows]
            if loss == "mse":
                slope = 2 * r
            elif loss == "mae":
                slope = np.sign(r)
            else:
                slope = np.minimum(np.maximum(r, -delta), delta)
            gradient = np.mean(A[rows] * slope[:, None], axis=0) + shrink * theta
            theta = theta - lr * gradient
            start += len(rows)
        r = A @ theta - y
        each = {"mse": np.square, "mae": np.abs}.get(loss)
        values = each(r) if each else [_huber(x, delta) for x in r]
        losses.append(float(np.mean(values) + np.sum(shrink * theta**2) / 2))
    return FitResult(theta[:-1], float(theta[-1]), losses)


def max_stable_lr(X, *, lam=0.0):
    X = _table(X)
    if not lam >= 0:
        raise ValueError(f"lam = {lam}")
    N, D = X.shape
    # the Hessian is 2/N of BᵀB, where B has more rows for the penalty
    more = np.hstack([math.sqrt(lam * N / 2) * np.eye(D), np.zeros((D, 1))])
    B = np.vstack([np.hstack([X, np.ones((N, 1))]), more])
    return float(N / np.linalg.svd(B, compute_uv=False)[0] ** 2)


def ridge(X, y, *, lam):
    X, y = _both(X, y)
    if not lam > 0:
        raise ValueError(f"lam = {lam}")
    N, D = X.shape
    # one bordered system for (w, b): the gradient in each is 0
    M, right = np.zeros((D + 1, D + 1)), np.zeros(D + 1)
    M[:D, :D] = 2 / N * X.T @ X + lam * np.eye(D)
    M[:D, D] = M[D, :D] = 2 * X.mean(axis=0)
    M[D, D] = 2.0
    right[:D], right[D] = 2 / N * X.T @ y, 2 * y.mean()
    found = np.linalg.solve(M, right)
    return found[:D], float(found[D])


def polynomial_features(x, degree):
    if degree < 1:
        raise ValueError(f"degree {degree}")
    x = _vector(x, "x")
    columns = [x]
    while len(columns) < degree:
        columns.append(columns[-1] * x)
    return np.stack(columns, axis=1)


def degree_errors(x, y, x_new, y_new, degrees, *, lam=0.0):
    def both(degree):
        P, P_new = polynomial_features(x, degree), polynomial_features(x_new, degree)
        m, s = P.mean(axis=0), P.std(axis=0)
        Z, Z_new = (P - m) / s, (P_new - m) / s
        if lam == 0:
            found = np.linalg.lstsq(np.column_stack([Z, np.ones(len(Z))]), y, rcond=-1)
            w, b = found[0][:-1], found[0][-1]
        else:
            w, b = ridge(Z, y, lam=lam)
        return mse(y, Z @ w + b), mse(y_new, Z_new @ w + b)

    pairs = [both(degree) for degree in degrees]
    return [p[0] for p in pairs], [p[1] for p in pairs]
