"""Lab 2.4 by another route: loops over examples and classes, Python numbers, math."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from common import labs

minibatches = labs.solution("1.5").minibatches
softmax = labs.solution("1.6").softmax


def need(fine, kind, message):
    if not fine:
        raise kind(message)


def labels_of(y, K, name):
    y = np.asarray(y)
    need(y.ndim == 1, ValueError, f"{name}: one-dimensional please")
    out = []
    for t in y.tolist():
        need(isinstance(t, int), TypeError, f"{name}: integers please, not {t!r}")
        need(0 <= t < K, ValueError, f"{name}: {t} is no class")
        out.append(t)
    return out


def table_of(z, name):
    z = np.array(z, dtype=float)
    need(z.ndim == 2 and z.size > 0, ValueError, f"{name}: a table please")
    return z


def pair_of(z, y, a, b):
    z = table_of(z, a)
    y = labels_of(y, z.shape[1], b)
    need(len(y) == len(z), ValueError, f"{b}: one for each row please")
    return z, y


def log_total(row):
    """log of the sum of exponentials, two at a time."""
    total = -math.inf
    for x in row.tolist():
        total = np.logaddexp(total, x)
    return float(total)


def cross_entropy(logits: ArrayLike, targets: ArrayLike) -> float:
    z, y = pair_of(logits, targets, "logits", "targets")
    return math.fsum(log_total(row) - row[t] for row, t in zip(z, y)) / len(y)


def one_row(row, t):
    """softmax less onehot, from differences of logits only."""
    out = np.exp(row - log_total(row))
    out[t] = -math.fsum(out[k] for k in range(len(row)) if k != t)
    return out


def cross_entropy_gradient(logits: ArrayLike, targets: ArrayLike) -> np.ndarray:
    z, y = pair_of(logits, targets, "logits", "targets")
    return np.array([one_row(row, t) for row, t in zip(z, y)]) / len(y)


def balanced_class_weights(y: ArrayLike, n_classes: int) -> np.ndarray:
    y = labels_of(y, n_classes, "y")
    weights = np.empty(n_classes)
    for k in range(n_classes):
        need(k in y, ValueError, f"y: no example of class {k}")
        weights[k] = len(y) / n_classes / y.count(k)
    return weights


def softmax_cross_entropy(
    logits: ArrayLike, targets: ArrayLike, *, class_weight: ArrayLike | None = None
) -> tuple[float, np.ndarray]:
    z, y = pair_of(logits, targets, "logits", "targets")
    K = z.shape[1]
    if class_weight is None:
        class_weight = [1.0] * K
    w = [float(x) for x in np.asarray(class_weight).ravel()]
    need(len(w) == K, ValueError, "class_weight: one for each class please")
    for x in w:
        need(0 < x < math.inf, ValueError, f"class_weight: not {x}")
    total = sum(w[t] for t in y)
    loss = sum(w[t] * (log_total(row) - row[t]) for row, t in zip(z, y)) / total
    return float(loss), np.array(
        [w[t] * one_row(row, t) for row, t in zip(z, y)]
    ) / total


class SoftmaxRegression:
    def __init__(self, n_features: int, n_classes: int) -> None:
        self.W = np.zeros((n_features, n_classes))
        self.b = np.zeros(n_classes)

    def logits(self, X: ArrayLike) -> np.ndarray:
        X = np.array(X, dtype=float)
        need(X.ndim == 2, ValueError, "X: a table please")
        need(X.shape[1] == self.W.shape[0], ValueError, "X: wrong number of columns")
        return np.einsum("nd,dk->nk", X, self.W) + self.b[None, :]

    def predict_proba(self, X: ArrayLike) -> np.ndarray:
        z = self.logits(X)
        return np.array([np.exp(row - log_total(row)) for row in z])

    def predict(self, X: ArrayLike) -> np.ndarray:
        z = self.logits(X).tolist()
        return np.array([row.index(max(row)) for row in z], dtype=np.int64)

    def fit(
        self,
        X: ArrayLike,
        y: ArrayLike,
        *,
        lr: float = 0.5,
        epochs: int = 100,
        batch_size: int | None = None,
        lam: float = 0.0,
        class_weight: ArrayLike | None = None,
        rng: np.random.Generator | None = None,
    ) -> list[float]:
        need(lr > 0, ValueError, "lr: positive please")
        need(lam >= 0, ValueError, "lam: not negative please")
        X = np.array(X, dtype=float)
        K = len(self.b)
        pair_of(self.logits(X), y, "X", "y")
        y = np.asarray(y)
        if batch_size is not None and batch_size < 1:
            raise ValueError("batch_size: at least 1 please")
        if class_weight is None:
            class_weight = np.ones(K)
        weights = np.asarray(class_weight, dtype=float)
        losses = []
        for _ in range(epochs):
            order = np.arange(len(y))
            if rng is not None and batch_size is not None:
                order = rng.permutation(len(y))
            step = batch_size or len(y)
            for start in range(0, len(y), step):
                rows = order[start : start + step]
                dW, db = np.zeros_like(self.W), np.zeros_like(self.b)
                P = self.predict_proba(X[rows])
                for x, t, p in zip(X[rows], y[rows], P):
                    gap = weights[t] * (p - np.eye(K)[t])
                    dW += x[:, None] * gap[None, :]
                    db += gap
                total = weights[y[rows]].sum()
                self.W = (1 - lr * lam) * self.W - lr / total * dW
                self.b = self.b - lr / total * db
            z, cost, total = self.logits(X), 0.0, 0.0
            for row, t in zip(z, y):
                cost += weights[t] * (log_total(row) - row[t])
                total += weights[t]
            losses.append(float(cost / total + 0.5 * lam * np.linalg.norm(self.W) ** 2))
        return losses


def confusion_matrix(
    y_true: ArrayLike, y_pred: ArrayLike, n_classes: int
) -> np.ndarray:
    a = labels_of(y_true, n_classes, "y_true")
    b = labels_of(y_pred, n_classes, "y_pred")
    need(len(a) == len(b), ValueError, "y_pred: as many as y_true please")
    flat = [0] * n_classes**2
    for i, j in zip(a, b):
        flat[i * n_classes + j] += 1
    return np.array(flat, dtype=np.int64).reshape(n_classes, n_classes)


def counts_of(cm):
    cm = np.asarray(cm)
    need(cm.ndim == 2 and cm.shape[0] == cm.shape[1], ValueError, "cm: square please")
    need(cm.min() >= 0 and cm.any(), ValueError, "cm: counts please")
    return [[int(n) for n in row] for row in cm]


def accuracy(cm: ArrayLike) -> float:
    cm = counts_of(cm)
    return sum(row[k] for k, row in enumerate(cm)) / sum(map(sum, cm))


def precision_recall_f1(
    cm: ArrayLike, *, average: Literal["macro", "micro", "weighted"] | None = None
) -> tuple:
    cm = counts_of(cm)
    need(
        average in (None, "macro", "micro", "weighted"), ValueError, "average: unknown"
    )
    if average == "micro":
        return (accuracy(cm),) * 3
    P, R, F = [], [], []
    support = [sum(row) for row in cm]
    for k in range(len(cm)):
        hit, called = cm[k][k], sum(row[k] for row in cm)
        p = hit / called if called else 0.0
        r = hit / support[k] if support[k] else 0.0
        P.append(p)
        R.append(r)
        F.append(2 / (1 / p + 1 / r) if hit else 0.0)
    if average is None:
        return np.array(P), np.array(R), np.array(F)
    w = support if average == "weighted" else [1] * len(cm)
    return tuple(sum(a * b for a, b in zip(w, s)) / sum(w) for s in (P, R, F))


def reliability(
    probs: ArrayLike, y: ArrayLike, *, n_bins: int = 15
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    probs, y = pair_of(probs, y, "probs", "y")
    need(n_bins >= 1, ValueError, "n_bins: at least one")
    conf, acc = [[] for _ in range(n_bins)], [[] for _ in range(n_bins)]
    for row, t in zip(probs.tolist(), y):
        need(min(row) >= 0, ValueError, "probs: not negative please")
        need(abs(sum(row) - 1) <= 1e-6, ValueError, "probs: rows sum to 1 please")
        c = max(row)
        m = min(math.floor(c * n_bins), n_bins - 1)
        conf[m].append(c)
        acc[m].append(float(row.index(c) == t))

    def mean(values):
        return math.fsum(values) / len(values) if values else math.nan

    counts = np.array([len(c) for c in conf], dtype=np.int64)
    return np.array(list(map(mean, conf))), np.array(list(map(mean, acc))), counts


def expected_calibration_error(
    probs: ArrayLike, y: ArrayLike, *, n_bins: int = 15
) -> float:
    conf, acc, n = reliability(probs, y, n_bins=n_bins)
    total = 0.0
    for c, a, m in zip(conf, acc, n):
        if m:
            total += m * abs(c - a)
    return float(total / n.sum())
