"""Softmax regression: many classes, one linear layer, and honest numbers about it.

You build the loss under every classifier and its gradient, train with it, count what
went wrong, and ask whether a model that says "90 % sure" is right 9 times in 10.

1 cross-entropy (2)     2 its gradient (2)   3 class weights (1)   4 training (1)
5 confusion matrix (1)  6 F1 (1)             7 calibration (2)

N examples, D features, K classes numbered 0 to K - 1. Losses are in nats. Arguments
stay as they are; floats are computed and returned as float64. An error names the
argument at fault; the given helpers check y, logits, targets, probs and cm for you.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

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

    ValueError: not (N, K) with N and K at least 1, or the two differ in length; and
    both errors of `as_labels` for K classes.
    """
    scores = np.asarray(scores, dtype=np.float64)
    if scores.ndim != 2 or 0 in scores.shape:
        raise ValueError(f"{names[0]} must have shape (N, K), got {scores.shape}")
    if len(y := as_labels(y, scores.shape[1], names[1])) != len(scores):
        raise ValueError(f"{names[1]} must be ({len(scores)},), got {y.shape}")
    return scores, y


def as_counts(cm: ArrayLike) -> np.ndarray:
    """A confusion matrix of finite numbers as float64 (K, K).

    ValueError: `cm` is not square, sums to 0, or an entry is negative or not whole.
    """
    cm = np.asarray(cm, dtype=np.float64)
    if cm.ndim != 2 or cm.shape[0] != cm.shape[1]:
        raise ValueError(f"cm must have shape (K, K), got {cm.shape}")
    whole = np.isfinite(cm) & (cm >= 0) & (cm == np.round(cm))
    if not whole.all() or cm.sum() == 0:
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
    raise NotImplementedError("task 1")


# --- Task 2 (2 points): the gradient ----------------------------------------------


def cross_entropy_gradient(logits: ArrayLike, targets: ArrayLike) -> np.ndarray:
    """The derivative of `cross_entropy` by each logit, float64 (N, K).

    Row n is (softmax(z) - onehot(t)) / N, where onehot(t) is 1 at place t and 0
    elsewhere (Bridle 1990). For logits [[0, log 3]] and target [0] it is
    [[-0.75, 0.75]]. Logits may be as large and as far apart as in task 1.
    """
    raise NotImplementedError("task 2")


# --- Task 3 (1 point): class weights ----------------------------------------------


def balanced_class_weights(y: ArrayLike, n_classes: int) -> np.ndarray:
    """Weights under which all classes count the same: N / (n_classes · count of class).

    y is (N,); returns float64 (n_classes,). [0, 0, 0, 1] gives [2/3, 2]. Errors as
    `as_labels`; ValueError, naming `y`, if one of the classes has no example.
    """
    raise NotImplementedError("task 3")


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
    raise NotImplementedError("task 3")


# --- Task 4 (1 point): training ---------------------------------------------------


class SoftmaxRegression:
    """One linear layer and a softmax; W is float64 (D, K), b float64 (K,), both 0."""

    def __init__(self, n_features: int, n_classes: int) -> None:
        self.W = np.zeros((n_features, n_classes))
        self.b = np.zeros(n_classes)

    def logits(self, X: ArrayLike) -> np.ndarray:
        """X @ W + b: (N, D) to float64 (N, K). ValueError if X is not (N, D)."""
        raise NotImplementedError("task 4")

    def predict_proba(self, X: ArrayLike) -> np.ndarray:
        """The softmax of the logits: (N, D) to float64 (N, K). Errors as `logits`."""
        raise NotImplementedError("task 4")

    def predict(self, X: ArrayLike) -> np.ndarray:
        """The class with the largest logit, the lower of equal ones: int64 (N,)."""
        raise NotImplementedError("task 4")

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
            epochs: passes over the data, 0 or more; 0 leaves W and b alone.
            batch_size: rows a step, at least 1; None takes all and draws nothing.
            lam: strength of the penalty, at least 0.
            class_weight: as in `softmax_cross_entropy`, for each batch by itself.
            rng: with `batch_size`, each epoch is one call of lab 1.5's
                minibatches(X, y, batch_size=batch_size, rng=rng), which draws one
                rng.permutation(N); nothing else is drawn. None keeps the order.

        Returns the loss over all N rows (class weights included) plus the penalty after
        each epoch, as Python floats. ValueError: `lr`, `lam` or `batch_size` is out of
        its range. Errors also as `logits` for X, and as `softmax_cross_entropy` for the
        logits of X and y: y is checked against K, and may be called targets there.
        """
        raise NotImplementedError("task 4")


# --- Task 5 (1 point): confusion matrix, accuracy ---------------------------------


def confusion_matrix(
    y_true: ArrayLike, y_pred: ArrayLike, n_classes: int
) -> np.ndarray:
    """How often class i was taken for class j: row i is the truth, column j the guess.

    [0, 0, 1] predicted as [0, 1, 1] gives [[1, 1], [0, 1]]. No examples give zeros.
    Returns int64 (n_classes, n_classes). Errors as `as_labels`, with the names y_true
    and y_pred; ValueError, naming `y_pred`, if it is not as long as y_true.
    """
    raise NotImplementedError("task 5")


def accuracy(cm: ArrayLike) -> float:
    """The share of `cm` (K, K) on its diagonal, a Python float. Errors: `as_counts`."""
    raise NotImplementedError("task 5")


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
    raise NotImplementedError("task 6")


# --- Task 7 (2 points): calibration -----------------------------------------------


def reliability(
    probs: ArrayLike, y: ArrayLike, *, n_bins: int = 15
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """How sure a model is and how often it is right, in bins of equal width.

    probs (N, K) are probabilities, y (N,) the true classes. The prediction is the most
    probable class (the lower of equal ones), the confidence c its probability. Bin m =
    0..n_bins - 1 has m / n_bins <= c < (m + 1) / n_bins; the last bin also has c = 1,
    and what rounding put above 1. Where c and a border differ by rounding only, as 0.6
    and 3/5 do, either side is right.

    Returns:
        conf: float64 (n_bins,), the mean confidence of the examples in each bin.
        acc: float64 (n_bins,), the share of them that is predicted right.
        count: int64 (n_bins,). Where it is 0, conf and acc are NaN.

    Errors as `as_scores`, with the names probs and y; ValueError if `probs` is negative
    or NaN somewhere or a row's sum is more than 1e-6 from 1, or `n_bins` is below 1.
    """
    raise NotImplementedError("task 7")


def expected_calibration_error(
    probs: ArrayLike, y: ArrayLike, *, n_bins: int = 15
) -> float:
    """The mean gap between confidence and accuracy over all N examples, a Python float.

    Σ_m count_m / N · abs(acc_m - conf_m) over the bins of `reliability` that are not
    empty (Naeini et al. 2015). 0 is perfect. Errors as `reliability`.
    """
    raise NotImplementedError("task 7")
