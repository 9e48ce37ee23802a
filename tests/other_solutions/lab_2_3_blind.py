"""Logistic regression, lab 2.3: a solution written from README and stub alone.

You build a sigmoid that never overflows, the cross-entropy and its gradient, a checker
for any gradient, and the classifier on top of them.

1 sigmoid (1)       2 cross-entropy (2)   3 gradients (2)   4 gradient checker (2)
5 training (1)      6 predictions (1)     7 rare classes (1)

A model is a pair: w, the weights, float64 (D,), and b, the bias, a Python float. Its
logits are z = X @ w + b, float64 (N,), the log-odds of class 1. Labels y are 0 or 1.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import logit

# --- Given: the checks that the functions here make of their input ---------------


def as_labels(y: ArrayLike) -> np.ndarray:
    """Labels as float64. ValueError: y is not (N,), N > 0, or not of 0 and 1 only."""
    y = np.asarray(y, dtype=np.float64)
    if y.ndim != 1 or not y.size or not np.isin(y, (0.0, 1.0)).all():
        raise ValueError(f"y must be (N,) and hold 0 and 1 only, got {y.shape}: {y}")
    return y


def as_logits(z: ArrayLike, y: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """Logits and labels as float64. ValueError: y as above, or z not of y's shape."""
    y, z = as_labels(y), np.asarray(z, dtype=np.float64)
    if z.shape != y.shape:
        raise ValueError(f"z must have the shape {y.shape} of y, got {z.shape}")
    return z, y


def as_weights(sample_weight: ArrayLike | None, n: int) -> np.ndarray:
    """As float64 (n,); None: ones. ValueError: not (n,), negative, NaN or all 0."""
    if sample_weight is None:
        return np.ones(n)
    weight = np.asarray(sample_weight, dtype=np.float64)
    if weight.shape != (n,) or not (weight >= 0).all() or not weight.any():
        raise ValueError(f"sample_weight must be {n} numbers from 0 up, not all 0")
    return weight


def logits(X: ArrayLike, w: ArrayLike, b: float) -> np.ndarray:
    """X @ w + b, float64 (N,). ValueError: X not (N, D), N or D 0, or w not (D,)."""
    X, w = np.asarray(X, dtype=np.float64), np.asarray(w, dtype=np.float64)
    if X.ndim != 2 or 0 in X.shape:
        raise ValueError(f"X must be (N, D), one example a row, got {X.shape}")
    if w.shape != X.shape[1:]:
        raise ValueError(f"w must be ({X.shape[1]},), one a column, got {w.shape}")
    return X @ w + b


def as_threshold(threshold: float) -> float:
    """ValueError: threshold does not lie between 0 and 1, both excluded."""
    if not 0.0 < threshold < 1.0:
        raise ValueError(f"threshold must lie between 0 and 1, got {threshold}")
    return float(threshold)


# --- Task 1 (1 point): a sigmoid for every float ---------------------------------


def sigmoid(z: ArrayLike) -> np.ndarray:
    """The probability that belongs to the log-odds z: 1 / (1 + exp(-z)).

    z may have any shape; the result is float64 of that shape, a number for a number.
    No z overflows or warns, and small results keep their digits: sigmoid(-700) is
    9.86e-305, sigmoid(-1e4) is 0.0. Infinities give 0 and 1, NaN gives NaN.
    """

    def one(number: float) -> float:
        if number >= 0:
            return 1.0 / (1.0 + math.exp(-number))
        odds = math.exp(number)
        return odds / (1.0 + odds)

    z = np.asarray(z, dtype=np.float64)
    flat = [one(number) for number in z.ravel().tolist()]
    return np.array(flat, dtype=np.float64).reshape(z.shape)[()]


def log_sigmoid(z: ArrayLike) -> np.ndarray:
    """The natural logarithm of `sigmoid(z)`, also where that rounds to 0 or to 1.

    Shapes as `sigmoid`. No z overflows or warns: log_sigmoid(-1e4) is -1e4 and
    log_sigmoid(40) is -4.25e-18. Minus infinity gives itself, infinity 0, NaN NaN.
    """
    return 0.0 - np.logaddexp(0.0, -np.asarray(z, dtype=np.float64))


# --- Task 2 (2 points): binary cross-entropy from logits -------------------------


def bce_with_logits(
    z: ArrayLike, y: ArrayLike, *, sample_weight: ArrayLike | None = None
) -> float:
    """Binary cross-entropy in nats, averaged over the examples.

    One example costs -log p where y is 1 and -log(1 - p) where y is 0, with
    p = sigmoid(z) (Bishop 2006, eq. 4.90, there a sum). It holds for every finite z:
    z = -1000 with y = 1 costs 1000, not infinity.

    Args:
        z: finite logits (N,).
        y: labels (N,), 0 or 1; bool, int or float.
        sample_weight: what each example counts, (N,). The result is then the sum of
            weight * cost over the sum of weights. None: all count 1.

    Returns a Python float. ValueError as `as_logits` and `as_weights`.
    """
    z, y = as_logits(z, y)
    share = as_weights(sample_weight, y.size)
    share = share / share.sum()
    against = np.where(y == 1, -z, z)
    return float(np.einsum("i,i->", share, np.logaddexp(0.0, against)))


# --- Task 3 (2 points): gradients ------------------------------------------------


def bce_grad(
    z: ArrayLike, y: ArrayLike, *, sample_weight: ArrayLike | None = None
) -> np.ndarray:
    """The derivative of `bce_with_logits` with respect to each logit.

    Entry i is (sigmoid(z_i) - y_i) / N (Bishop 2006, eq. 4.91, there of a sum). With
    weights, weight_i / (sum of weights) stands in place of 1 / N. Returns float64 (N,),
    right to 1e-12. Arguments and errors as `bce_with_logits`.
    """
    z, y = as_logits(z, y)
    weight = as_weights(sample_weight, y.size)
    total = math.fsum(weight)
    grad = []
    for z_i, y_i, weight_i in zip(z, y, weight, strict=True):
        sign = 1.0 - 2.0 * y_i
        grad.append(sign * float(sigmoid(sign * z_i)) * (weight_i / total))
    return np.array(grad, dtype=np.float64)


def loss_and_grad(
    w: ArrayLike,
    b: float,
    X: ArrayLike,
    y: ArrayLike,
    *,
    lam: float = 0.0,
    sample_weight: ArrayLike | None = None,
) -> tuple[float, np.ndarray, float]:
    """The loss of a model and its gradient.

    The loss is bce_with_logits(X @ w + b, y, sample_weight) + (lam / 2) * (sum of w²):
    the penalty is on the weights only, not on the bias, and is never weighted.

    Args:
        w, b, X: the model and the examples: (D,), a number, (N, D).
        y, sample_weight: as `bce_with_logits`.
        lam: strength of the penalty, from 0 up.

    Returns:
        The loss (a Python float) and its derivatives with respect to w (float64 (D,))
        and to b (a Python float).

    Raises:
        ValueError: `lam` is negative, or as `logits` and `bce_with_logits`.
    """
    if not lam >= 0:
        raise ValueError(f"lam must be 0 or more, got {lam}")
    X, w = np.asarray(X, dtype=np.float64), np.asarray(w, dtype=np.float64)
    z = logits(X, w, b)
    dz = bce_grad(z, y, sample_weight=sample_weight)
    loss = bce_with_logits(z, y, sample_weight=sample_weight)
    loss += 0.5 * lam * sum(float(w_j) ** 2 for w_j in w)
    dw = np.einsum("nd,n->d", X, dz) + lam * w
    return loss, dw, math.fsum(dz)


# --- Task 4 (2 points): the finite-difference checker ----------------------------


def numerical_gradient(
    f: Callable[[np.ndarray], float], x: np.ndarray, *, h: float = 1e-5
) -> np.ndarray:
    """The derivative of f with respect to each entry of x, by central differences.

    For each entry it is (f with h added to it - f with h taken away) / (2 h), while all
    other entries are as given. The entry is changed in the array x itself, and f is
    called with that same array, never with a copy: so f may also ignore its argument
    and read x through another name, as a network reads its parameters. Each stored
    value is put back after its turn: in the end x is what it was, bit for bit.

    Args:
        f: takes the array x, returns a number, leaves x as it is.
        x: a writable NumPy array of floats of any shape, () and empty too; it may be a
            view, such as a transpose. float64, or float32 with few right digits.
        h: the step for all entries, above 0.

    Returns:
        A float64 array of the shape of x.

    Raises:
        TypeError: `x` is not a NumPy array of floats (an int array would drop h).
        ValueError: `h` is not above 0.
    """
    if not isinstance(x, np.ndarray) or not np.issubdtype(x.dtype, np.floating):
        raise TypeError("x must be a NumPy array of floats")
    if not h > 0:
        raise ValueError(f"h must be above 0, got {h}")
    slopes = []
    for k in range(x.size):
        kept = x.flat[k]
        values = []
        try:
            for step in (h, -h):
                x.flat[k] = kept + step
                values.append(float(f(x)))
        finally:
            x.flat[k] = kept
        slopes.append((values[0] - values[1]) / (2.0 * h))
    return np.array(slopes, dtype=np.float64).reshape(x.shape)


def gradient_check(
    f: Callable[[np.ndarray], float], grad: ArrayLike, x: np.ndarray, *, h: float = 1e-5
) -> float:
    """The largest relative error of a gradient, over all entries of x.

    For one entry it is |a - n| / max(|a| + |n|, 1e-12), a from `grad` and n from
    `numerical_gradient`: 0 where they are equal, 1/3 where one is twice the other, at
    most 1. Below 1e-6 means right and above 1e-3 wrong, except for derivatives so near
    0 that n is all rounding (about 1e-11 * |f|).

    Args:
        f, x, h: as `numerical_gradient`; x comes back as it was.
        grad: the gradient to check, array-like of the shape of x.

    Returns a Python float; 0.0 for an empty x, NaN if `grad` holds NaN. ValueError:
    `grad` is not of the shape of x. Other errors as `numerical_gradient`.
    """
    numeric = numerical_gradient(f, x, h=h)
    grad = np.asarray(grad, dtype=np.float64)
    if grad.shape != numeric.shape:
        raise ValueError(f"grad must have the shape {x.shape} of x, got {grad.shape}")
    worst = 0.0
    for a, n in zip(grad.ravel().tolist(), numeric.ravel().tolist(), strict=True):
        error = abs(a - n) / max(abs(a) + abs(n), 1e-12)
        if math.isnan(error):
            return math.nan
        worst = max(worst, error)
    return worst


# --- Task 5 (1 point): training --------------------------------------------------


@dataclass
class FitResult:
    """A trained model: w (D,), b, and the loss before each step."""

    w: np.ndarray
    b: float
    losses: list[float]


def fit(
    X: ArrayLike,
    y: ArrayLike,
    *,
    lr: float = 0.5,
    epochs: int = 500,
    lam: float = 0.0,
    sample_weight: ArrayLike | None = None,
) -> FitResult:
    """Gradient descent on `loss_and_grad`, all examples in every step, from zero.

    One epoch is one step: w and b both move by -lr times their derivative, each taken
    at the old w and b. X, y, lam and sample_weight are those of `loss_and_grad`.

    Returns:
        w and b after the last step, and as `losses` a list of `epochs` Python floats:
        the loss, penalty included, before each step. The first is log 2.

    Raises:
        ValueError: `lr` is not above 0, `epochs` is below 1, or as `loss_and_grad`.
    """
    if not lr > 0:
        raise ValueError(f"lr must be above 0, got {lr}")
    if epochs < 1:
        raise ValueError(f"epochs must be 1 or more, got {epochs}")
    X = np.asarray(X, dtype=np.float64)
    model = FitResult(np.zeros(X.shape[1:]), 0.0, [])
    while len(model.losses) < epochs:
        loss, dw, db = loss_and_grad(
            model.w, model.b, X, y, lam=lam, sample_weight=sample_weight
        )
        model.losses.append(loss)
        model.w = model.w - lr * dw
        model.b -= lr * db
    return model


# --- Task 6 (1 point): probabilities, threshold, boundary ------------------------


def predict_proba(X: ArrayLike, w: ArrayLike, b: float) -> np.ndarray:
    """P(class 1) of each row, sigmoid(X @ w + b): float64 (N,). Errors as `logits`."""
    return np.exp(log_sigmoid(logits(X, w, b)))


def predict(
    X: ArrayLike, w: ArrayLike, b: float, *, threshold: float = 0.5
) -> np.ndarray:
    """1 for each row of X (N, D) whose probability is at least `threshold`, else 0.

    Returns int64 (N,). Errors as `logits` and `as_threshold`.
    """
    limit = logit(as_threshold(threshold))
    return (logits(X, w, b) >= limit).astype(np.int64)


def boundary_x2(
    w: ArrayLike, b: float, x1: ArrayLike, *, threshold: float = 0.5
) -> np.ndarray:
    """For each x1 the x2 where a model of two features has p = threshold exactly.

    At threshold 0.5 that is the line w[0] * x1 + w[1] * x2 + b = 0. x1 is (M,), and so
    is the result, in float64. ValueError: w is not (2,), w[1] is 0 (then the line is
    vertical), or as `as_threshold`.
    """
    w = np.asarray(w, dtype=np.float64)
    if w.shape != (2,) or w[1] == 0:
        raise ValueError(f"w must be two numbers, the second not 0, got {w}")
    slope, offset = -w[0] / w[1], (logit(as_threshold(threshold)) - b) / w[1]
    return np.polyval([slope, offset], np.asarray(x1, dtype=np.float64))


# --- Task 7 (1 point): rare classes ----------------------------------------------


def balanced_sample_weights(y: ArrayLike) -> np.ndarray:
    """Weights that make both classes count alike: N / (2 * size of its own class).

    balanced_sample_weights([0, 0, 0, 1]) gives [2/3, 2/3, 2/3, 2]: each class sums to
    N / 2. (King and Zeng 2001, for a true share of one half.)

    Returns float64 (N,). ValueError: y as `as_labels`, or y holds one class only.
    """
    y = as_labels(y).tolist()
    sizes = Counter(y)
    if len(sizes) < 2:
        raise ValueError(f"y must hold both classes, got only {y[0]:.0f}")
    return np.array([len(y) / (2 * sizes[label]) for label in y])
