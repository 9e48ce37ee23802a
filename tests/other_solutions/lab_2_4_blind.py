"""Lab 2.4, a solution written from README and stub alone: softmax, metrics.

You build the loss under every classifier and its gradient, train with it, count what
went wrong, and ask whether a model that says "90 % sure" is right 9 times in 10.

1 cross-entropy (2)     2 its gradient (2)   3 class weights (1)   4 training (1)
5 confusion matrix (1)  6 F1 (1)             7 calibration (2)

N examples, D features, K classes numbered 0 to K - 1. Losses are in nats. Arguments
stay as they are; floats are computed and returned as float64. An error names the
argument at fault; the given helpers check y, logits, targets, probs and cm for you.
"""

from __future__ import annotations

import bisect
import math
from collections import Counter
from fractions import Fraction
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike
from scipy import sparse

from common import labs

minibatches = labs.solution("1.5").minibatches  # one epoch, some rows at a time
softmax = labs.solution("1.6").softmax  # along the last axis, without overflow


# --- Given: the checks that the functions here make of their input ---------------


def as_labels(y: ArrayLike, n_classes: int, name: str = "y") -> np.ndarray:
    """Class numbers as int64 (N,), N may be 0; `name` is what an error calls them.

    TypeError: not integers. ValueError: not (N,), or one is outside 0..n_classes - 1.
    """
    y = np.asarray(y)
    if y.size and y.dtype.kind not in "iu":
        raise TypeError(f"{name} must be integers, got {y.dtype}")
    if y.ndim != 1:
        raise ValueError(f"{name} must have shape (N,), got {y.shape}")
    if ((y < 0) | (y >= n_classes)).any():  # NumPy would take -1 for the last class
        raise ValueError(f"{name} must be in 0..{n_classes - 1}")
    return y.astype(np.int64)


def as_scores(
    scores: ArrayLike, y: ArrayLike, names: tuple[str, str] = ("logits", "targets")
) -> tuple[np.ndarray, np.ndarray]:
    """A row of K numbers per example, float64 (N, K), and its class, int64 (N,).

    ValueError: not (N, K) with N and K at least 1, or as `as_labels` for N classes.
    """
    scores = np.asarray(scores, dtype=np.float64)
    if scores.ndim != 2 or 0 in scores.shape:
        raise ValueError(f"{names[0]} must have shape (N, K), got {scores.shape}")
    if len(y := as_labels(y, scores.shape[1], names[1])) != len(scores):
        raise ValueError(f"{names[1]} must be ({len(scores)},), got {y.shape}")
    return scores, y


def as_counts(cm: ArrayLike) -> np.ndarray:
    """A confusion matrix as float64 (K, K).

    ValueError: `cm` is not square, sums to 0, or an entry is negative or not whole.
    """
    cm = np.asarray(cm, dtype=np.float64)
    if cm.ndim != 2 or cm.shape[0] != cm.shape[1]:
        raise ValueError(f"cm must have shape (K, K), got {cm.shape}")
    if not ((cm >= 0) & (cm == np.round(cm))).all() or cm.sum() == 0:
        raise ValueError("cm must hold whole counts, and at least one example")
    return cm


# --- Task 1 (2 points): the loss --------------------------------------------------
# In tasks 1 to 3 logits are finite scores (N, K), not probabilities, and targets the
# true classes, integers (N,). N is at least 1. Wrong input raises as `as_scores` does.


def cross_entropy(logits: ArrayLike, targets: ArrayLike) -> float:
    """The mean over the examples of -log softmax(z)_t, with z a row and t its target.

    A row costs log(Σ_k exp(z_k)) - z_t: K equal logits cost log(K), and [0, log 3]
    costs log(4) = 1.386 for target 0. Logits may be as large as 1e4, and as far apart,
    also from row to row: [0, 10000] costs exactly 10000 for target 0. A Python float.
    """
    logits, targets = as_scores(logits, targets)
    return math.fsum(_row_losses(logits, targets)) / len(logits)


def _row_losses(z: np.ndarray, t: np.ndarray) -> np.ndarray:
    """How much each row costs, (N,): log of the sum of exp(z_k - z_t), two at a time.

    logaddexp joins two logarithms without leaving them, so nothing overflows.
    """
    above_target = z - np.take_along_axis(z, t[:, None], axis=1)
    return np.logaddexp.reduce(above_target, axis=1)


# --- Task 2 (2 points): the gradient ----------------------------------------------


def cross_entropy_gradient(logits: ArrayLike, targets: ArrayLike) -> np.ndarray:
    """The derivative of `cross_entropy` by each logit, float64 (N, K).

    Row n is (softmax(z) - onehot(t)) / N, where onehot(t) is 1 at place t and 0
    elsewhere (Bridle 1990). For logits [[0, log 3]] and target [0] it is
    [[-0.75, 0.75]]. Logits may be as large and as far apart as in task 1.
    """
    logits, targets = as_scores(logits, targets)
    gradient = np.empty_like(logits)
    for n, t in enumerate(targets):
        gradient[n] = _believed_less_true(logits[n], t) / len(logits)
    return gradient


def _believed_less_true(z: np.ndarray, t: int) -> np.ndarray:
    """softmax(z) - onehot(t) of one row; at t, minus what the others have together."""
    row = softmax(z)
    row[t] = 0.0
    row[t] = -math.fsum(row)
    return row


# --- Task 3 (1 point): class weights ----------------------------------------------


def balanced_class_weights(y: ArrayLike, n_classes: int) -> np.ndarray:
    """Weights under which all classes count the same: N / (n_classes · count of class).

    y is (N,); returns float64 (n_classes,). [0, 0, 0, 1] gives [2/3, 2]. Errors as
    `as_labels`; ValueError, naming `y`, if one of the classes has no example.
    """
    y = as_labels(y, n_classes)
    seen = Counter(y.tolist())
    if missing := [k for k in range(n_classes) if not seen[k]]:
        raise ValueError(f"y has no example of the classes {missing}")
    return np.array([len(y) / (n_classes * seen[k]) for k in range(n_classes)])


def softmax_cross_entropy(
    logits: ArrayLike, targets: ArrayLike, *, class_weight: ArrayLike | None = None
) -> tuple[float, np.ndarray]:
    """Loss and gradient at once; an example of class t has the weight class_weight[t].

    With l_n the loss of example n alone and w_n its weight, the loss is
    Σ w_n l_n / Σ w_n. Both sums run over the N examples, so ten times the weights
    change nothing, as in torch. Row n of the gradient is
    (softmax(z) - onehot(t)) · w_n / Σ w_n. Large logits as in task 1. `class_weight` is
    (K,), each finite and above 0, else ValueError; None counts every example once.

    Returns the loss, a Python float, and the gradient, float64 (N, K).
    """
    z, t = as_scores(logits, targets)
    K = z.shape[1]
    weight = np.ones(K)
    if class_weight is not None:
        weight = np.array(class_weight, dtype=np.float64)
        if weight.shape != (K,):
            raise ValueError(f"class_weight must be ({K},), got {weight.shape}")
        if not (np.isfinite(weight) & (weight > 0)).all():
            raise ValueError("class_weight must be finite and above 0")
    share = weight[t] / weight[t].max()  # only the ratios count
    share = share / math.fsum(share)  # (N,), sums to 1
    loss = math.fsum(share * _row_losses(z, t))
    rows = [_believed_less_true(*pair) for pair in zip(z, t, strict=True)]
    return loss, np.einsum("nk,n->nk", rows, share)


# --- Task 4 (1 point): training ---------------------------------------------------


class SoftmaxRegression:
    """One linear layer and a softmax; W is float64 (D, K), b float64 (K,), both 0."""

    def __init__(self, n_features: int, n_classes: int) -> None:
        self.W = np.zeros((n_features, n_classes))
        self.b = np.zeros(n_classes)

    def logits(self, X: ArrayLike) -> np.ndarray:
        """X @ W + b: (N, D) to float64 (N, K). ValueError if X is not (N, D)."""
        X = np.asarray(X, dtype=np.float64)
        if X.ndim != 2 or X.shape[1] != len(self.W):
            raise ValueError(f"X must have shape (N, {len(self.W)}), got {X.shape}")
        return np.einsum("nd,dk->nk", X, self.W) + self.b

    def predict_proba(self, X: ArrayLike) -> np.ndarray:
        """The softmax of the logits: (N, D) to float64 (N, K). Errors as `logits`."""
        return softmax(self.logits(X))

    def predict(self, X: ArrayLike) -> np.ndarray:
        """The class with the largest logit, the lower of equal ones: int64 (N,)."""
        z = self.logits(X)
        best = np.zeros(len(z), dtype=np.int64)
        top = z[:, 0]
        for k in range(1, z.shape[1]):  # the champion stays unless it is beaten
            best[z[:, k] > top] = k
            top = np.maximum(top, z[:, k])
        return best

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
        """Descend on `softmax_cross_entropy` plus (lam/2) · (sum of the squares of W).

        Starts from W and b as they are. Each batch is one step: W and b lose lr times
        their gradients at that point, with the whole penalty; b is in no penalty.

        Args:
            X, y: (N, D) and integers (N,), the true classes; N is at least 1.
            lr: step size, above 0.
            epochs: passes over the data; 0 leaves W and b alone.
            batch_size: rows a step, at least 1; None takes all and draws nothing.
            lam: strength of the penalty, at least 0.
            class_weight: as in `softmax_cross_entropy`, for each batch by itself.
            rng: with `batch_size`, each epoch is one call of lab 1.5's
                minibatches(X, y, batch_size=batch_size, rng=rng), which draws one
                rng.permutation(N); nothing else is drawn. None keeps the order.

        Returns the loss over all N rows with the penalty after each epoch, as Python
        floats. ValueError: `lr`, `lam` or `batch_size` is out of its range, or as
        `logits`, `as_scores` (its names are fine) and `softmax_cross_entropy`.
        """
        if not lr > 0:
            raise ValueError(f"lr must be above 0, got {lr}")
        if not lam >= 0:
            raise ValueError(f"lam must be at least 0, got {lam}")
        if batch_size is not None and batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, got {batch_size}")
        X = np.asarray(X, dtype=np.float64)
        z, y = as_scores(self.logits(X), y)
        softmax_cross_entropy(z, y, class_weight=class_weight)  # raises before a step

        # A column of ones makes b one more row of W, which the penalty leaves out.
        X1 = np.column_stack([X, np.ones(len(X))])
        theta = np.vstack([self.W, self.b])
        penalised = np.full((len(theta), 1), float(lam))
        penalised[-1] = 0.0
        history = []
        for _ in range(epochs):
            batches = [(X1, y)]
            if batch_size is not None:
                batches = minibatches(X1, y, batch_size=batch_size, rng=rng)
            for rows, truth in batches:
                _, by_logit = softmax_cross_entropy(
                    rows @ theta, truth, class_weight=class_weight
                )
                gradient = np.einsum("nd,nk->dk", rows, by_logit) + penalised * theta
                theta = theta - lr * gradient
            loss, _ = softmax_cross_entropy(X1 @ theta, y, class_weight=class_weight)
            history.append(loss + float(np.sum(penalised * theta**2)) / 2)
        self.W, self.b = theta[:-1].copy(), theta[-1].copy()
        return history


# --- Task 5 (1 point): confusion matrix, accuracy ---------------------------------


def confusion_matrix(
    y_true: ArrayLike, y_pred: ArrayLike, n_classes: int
) -> np.ndarray:
    """How often class i was taken for class j: row i is the truth, column j the guess.

    [0, 0, 1] predicted as [0, 1, 1] gives [[1, 1], [0, 1]]. No examples give zeros.
    Returns int64 (n_classes, n_classes). Errors as `as_labels`, with the names y_true
    and y_pred; ValueError, naming `y_pred`, if it is not as long as y_true.
    """
    y_true = as_labels(y_true, n_classes, "y_true")
    y_pred = as_labels(y_pred, n_classes, "y_pred")
    if len(y_pred) != len(y_true):
        raise ValueError(f"y_pred has {len(y_pred)} labels, y_true {len(y_true)}")
    ones = np.ones(len(y_true), dtype=np.int64)
    # A sparse matrix from triples adds up those with one and the same place.
    cells = sparse.coo_array((ones, (y_true, y_pred)), shape=(n_classes, n_classes))
    return cells.toarray()


def accuracy(cm: ArrayLike) -> float:
    """The share of `cm` (K, K) on its diagonal, a Python float. Errors: `as_counts`."""
    cm = as_counts(cm)
    right = math.fsum(cm[k, k] for k in range(len(cm)))
    return right / math.fsum(cm.flat)


# --- Task 6 (1 point): precision, recall, F1 --------------------------------------


def precision_recall_f1(
    cm: ArrayLike, *, average: Literal["macro", "micro", "weighted"] | None = None
) -> tuple:
    """Three scores of each class, or of all classes together; 0 / 0 counts as 0.

    For class k of `cm` (K, K), with TP = cm[k, k], the precision is TP / (sum of column
    k), the recall TP / (sum of row k), and F1 = 2 TP / (sum of column k + sum of row
    k), the harmonic mean of the two (Sokolova and Lapalme 2009). `average`:

        None: each class by itself.
        "macro": the mean of each score over all K classes, empty ones too.
        "weighted": the same mean, with the row sums as weights.
        "micro": sums TP, columns and rows over the classes first and divides then.

    Returns precision, recall, f1: float64 (K,) each with None, else Python floats.
    ValueError: `average` is something else, or as `as_counts`.
    """
    if average not in (None, "macro", "micro", "weighted"):
        raise ValueError(f"average must be macro, micro, weighted or None: {average!r}")
    cells = [[int(cell) for cell in row] for row in as_counts(cm)]
    K = len(cells)
    hits = [cells[k][k] for k in range(K)]
    rows = [sum(row) for row in cells]
    columns = [sum(column) for column in zip(*cells, strict=True)]
    if average == "micro":
        return tuple(map(float, _three_scores(sum(hits), sum(columns), sum(rows))))
    # exact: a list of three with K fractions each
    scores = list(zip(*map(_three_scores, hits, columns, rows), strict=True))
    if average is None:
        return tuple(np.array([float(s) for s in score]) for score in scores)
    weights = rows if average == "weighted" else [1] * K
    total = sum(weights)
    return tuple(
        float(sum(w * s for w, s in zip(weights, score, strict=True)) / total)
        for score in scores
    )


def _three_scores(hits: int, called: int, true: int) -> tuple[Fraction, ...]:
    """Precision, recall and F1 as exact fractions; an empty divisor leaves 0 / 1."""
    return (
        Fraction(hits, called or 1),
        Fraction(hits, true or 1),
        Fraction(2 * hits, called + true or 1),
    )


# --- Task 7 (2 points): calibration -----------------------------------------------


def reliability(
    probs: ArrayLike, y: ArrayLike, *, n_bins: int = 15
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """How sure a model is and how often it is right, in bins of equal width.

    probs (N, K) are probabilities, y (N,) the true classes. The prediction is the most
    probable class (the lower of equal ones), the confidence c its probability. Bin m =
    0..n_bins - 1 has m / n_bins <= c < (m + 1) / n_bins; the last bin also has c = 1,
    and what rounding put above 1.

    Returns:
        conf: float64 (n_bins,), the mean confidence of the examples in each bin.
        acc: float64 (n_bins,), the share of them that is predicted right.
        count: int64 (n_bins,). Where it is 0, conf and acc are NaN.

    Errors as `as_scores`, with the names probs and y; ValueError if `probs` is negative
    or NaN somewhere or a row's sum is more than 1e-6 from 1, or `n_bins` is below 1.
    """
    probs, y = as_scores(probs, y, ("probs", "y"))
    if n_bins < 1:
        raise ValueError(f"n_bins must be at least 1, got {n_bins}")
    if not (probs >= 0).all():  # NaN fails too
        raise ValueError("probs must hold no negative number and no NaN")
    if not (abs(probs.sum(axis=1) - 1) <= 1e-6).all():
        raise ValueError("each row of probs must sum to 1")
    borders = [m / n_bins for m in range(1, n_bins)]  # between the bins
    confidences = [[] for _ in range(n_bins)]
    right = [0] * n_bins
    for row, truth in zip(probs.tolist(), y.tolist(), strict=True):
        c = max(row)
        m = bisect.bisect_right(borders, c)  # a border belongs to the bin above it
        confidences[m].append(c)
        right[m] += row.index(c) == truth
    conf, acc = np.full(n_bins, np.nan), np.full(n_bins, np.nan)
    for m, members in enumerate(confidences):
        if members:
            conf[m] = math.fsum(members) / len(members)
            acc[m] = right[m] / len(members)
    return conf, acc, np.array([len(members) for members in confidences], np.int64)


def expected_calibration_error(
    probs: ArrayLike, y: ArrayLike, *, n_bins: int = 15
) -> float:
    """The mean gap between confidence and accuracy over all N examples, a Python float.

    Σ_m count_m / N · abs(acc_m - conf_m) over the bins of `reliability` that are not
    empty (Naeini et al. 2015). 0 is perfect. Errors as `reliability`.
    """
    conf, acc, count = reliability(probs, y, n_bins=n_bins)
    gaps = (
        int(n) * abs(a - c) for c, a, n in zip(conf, acc, count, strict=True) if n > 0
    )
    return math.fsum(gaps) / int(count.sum())
