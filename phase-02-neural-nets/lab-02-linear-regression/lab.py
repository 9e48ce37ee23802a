"""Linear regression: a straight line, found by algebra and by walking downhill.

You build three losses, the closed form, gradient descent in all batch sizes, and the
number that says which learning rates explode.

1 losses (2)     2 normal equation (1)   3 standardisation (1)   4 descent (3)
5 stable lr (1)  6 ridge (1)             7 polynomials (1)

A model is a pair: w, the weights, float64 (D,), and b, the bias, a Python float. It
predicts X @ w + b. An error names the argument at fault; the helpers check X, y and p.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import ArrayLike

from common import labs

minibatches = labs.solution("1.5").minibatches  # one epoch, some rows at a time


# --- Given: the checks that every function here makes of its input ---------------


def as_matrix(X: ArrayLike, columns: int | None = None) -> np.ndarray:
    """One example per row, as float64 (N, D).

    ValueError: X is not (N, D), N or D is 0, or D is not `columns` (if that is given).
    """
    X = np.asarray(X, dtype=np.float64)
    if X.ndim != 2 or 0 in X.shape or columns not in (None, X.shape[1]):
        raise ValueError(f"X must be (N, {columns or 'D'}), got {X.shape}")
    return X


def as_vectors(y: ArrayLike, p: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """Targets and predictions, as float64 (N,) and (N,).

    ValueError: y is not (N,) with N at least 1, or p has another shape than y. So
    (N, 1) is refused: (N, 1) - (N,) would be (N, N).
    """
    y, p = np.asarray(y, dtype=np.float64), np.asarray(p, dtype=np.float64)
    if y.ndim != 1 or not y.size:
        raise ValueError(f"y must be (N,) with N at least 1, got {y.shape}")
    if p.shape != y.shape:
        raise ValueError(f"p must have the shape {y.shape} of y, got {p.shape}")
    return y, p


def as_data(X: ArrayLike, y: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """Both as float64. ValueError: X as `as_matrix`, or y is not (N,) with X's N."""
    X, y = as_matrix(X), np.asarray(y, dtype=np.float64)
    if y.shape != X.shape[:1]:
        raise ValueError(f"y must be ({len(X)},), one target a row, got {y.shape}")
    return X, y


def check_positive(name: str, value: float, *, or_zero: bool = False) -> None:
    """ValueError, with `name` in it, unless value > 0, or value >= 0 with `or_zero`."""
    if not (value > 0 or (or_zero and value == 0)):  # NaN is refused too
        raise ValueError(f"{name} must be positive, got {value}")


# --- Task 1 (2 points): three losses and their gradients -------------------------
# y are targets (N,), p predictions (N,), r = p - y. A loss is a mean over the N
# examples, as a Python float. Its gradient is float64 (N,): entry i is d loss / d p_i,
# with the 1/N of the mean in it. All six raise ValueError as `as_vectors`.


def mse(y: ArrayLike, p: ArrayLike) -> float:
    """Mean squared error, mean(r²), without a ½. For [0, 0] and [1, 3] it is 5.0."""
    raise NotImplementedError("task 1")


def mse_grad(y: ArrayLike, p: ArrayLike) -> np.ndarray:
    """The gradient of `mse` in p. For [0, 0] and [1, 3] it is [1, 3]."""
    raise NotImplementedError("task 1")


def mae(y: ArrayLike, p: ArrayLike) -> float:
    """Mean absolute error, mean(|r|)."""
    raise NotImplementedError("task 1")


def mae_grad(y: ArrayLike, p: ArrayLike) -> np.ndarray:
    """The gradient of `mae` in p; 0 where r is 0, at the kink."""
    raise NotImplementedError("task 1")


def huber(y: ArrayLike, p: ArrayLike, *, delta: float = 1.0) -> float:
    """Mean of ½ r² where |r| <= delta, and of delta (|r| - ½ delta) beyond.

    It has no jump and no corner (Huber 1964). ValueError too if `delta` is not above 0.
    """
    raise NotImplementedError("task 1")


def huber_grad(y: ArrayLike, p: ArrayLike, *, delta: float = 1.0) -> np.ndarray:
    """The gradient of `huber` in p. ValueError as `huber`."""
    raise NotImplementedError("task 1")


# --- Task 2 (1 point): the closed form -------------------------------------------


def predict(X: ArrayLike, w: ArrayLike, b: float) -> np.ndarray:
    """X @ w + b for X (N, D): float64 (N,). ValueError: X is not (N, D) with w's D."""
    raise NotImplementedError("task 2")


def normal_equation(X: ArrayLike, y: ArrayLike) -> tuple[np.ndarray, float]:
    """The model (w, b) with the smallest `mse` on X (N, D) and y (N,).

    w solves Xcᵀ Xc w = Xcᵀ yc, where Xc and yc are X and y less their means over the
    rows, and b makes the residuals sum to 0 (Legendre 1805). Where many w fit equally
    well (columns that depend on each other, more columns than rows), it is the one with
    the smallest ‖w‖; b does not count in that. A singular value of Xc at or below
    max(N, D) · 2.2e-16 of the largest is rounding and counts as 0, as it does in
    np.linalg.lstsq. ValueError as `as_data`.
    """
    raise NotImplementedError("task 2")


# --- Task 3 (1 point): standardisation and back ----------------------------------


class Standardizer:
    """Brings each column to mean 0 and standard deviation 1, as `fit` found them.

    Attributes, float64 (D,), set by `fit`: `mean`, and `scale`, the root of the mean
    squared deviation (divided by N, not by N - 1). For a column of N equal numbers
    `scale` is exactly 1, also where rounding makes their deviation 1e-17 or 1e-10; for
    any other column it is the deviation, even 1e-13. So equality decides, no threshold.
    What happens before `fit` is not graded.
    """

    def fit(self, X: ArrayLike) -> Standardizer:
        """Learn from X (N, D) and return self. ValueError as `as_matrix`."""
        raise NotImplementedError("task 3")

    def transform(self, X: ArrayLike) -> np.ndarray:
        """(X - mean) / scale for X (M, D). ValueError: X has not the D of `fit`."""
        raise NotImplementedError("task 3")

    def inverse_transform(self, Z: ArrayLike) -> np.ndarray:
        """The X (M, D) of which `transform` made Z (M, D); a wrong D is not graded."""
        raise NotImplementedError("task 3")

    def unscale(self, w: ArrayLike, b: float) -> tuple[np.ndarray, float]:
        """The model for X that predicts what the model (w, b) does for transform(X)."""
        raise NotImplementedError("task 3")


# --- Task 4 (3 points): gradient descent -----------------------------------------


@dataclass
class FitResult:
    """A model, and the loss over all data after each epoch."""

    w: np.ndarray  # float64 (D,)
    b: float
    losses: list[float]  # one per epoch, Python floats


def choose_loss(loss: str, delta: float) -> tuple[Callable, Callable]:
    """Given: the loss of that name and its gradient, both to be called with (y, p).

    ValueError: `loss` is not "mse", "mae" or "huber".
    """
    pairs = {
        "mse": (mse, mse_grad),
        "mae": (mae, mae_grad),
        "huber": (partial(huber, delta=delta), partial(huber_grad, delta=delta)),
    }
    if loss not in pairs:
        raise ValueError(f"loss must be one of {', '.join(pairs)}, got {loss!r}")
    return pairs[loss]


def gradient_descent(
    X: ArrayLike,
    y: ArrayLike,
    *,
    loss: str = "mse",
    lr: float,
    epochs: int,
    batch_size: int | None = None,
    lam: float = 0.0,
    delta: float = 1.0,
    rng: np.random.Generator | None = None,
) -> FitResult:
    """Walk from w = 0, b = 0 against the gradient of the loss plus (lam/2) ‖w‖².

    Every batch makes one step: w and b change by -lr times their gradients, which are
    those of the mean loss over the rows of the batch plus (lam/2) ‖w‖², both at the old
    w and b. After each epoch, `losses` gets the mean loss over all N rows plus (lam/2)
    ‖w‖². Nothing stops it early, not even infinity; NumPy may warn of overflow then.

    Args:
        X, y: (N, D) and (N,).
        loss: "mse", "mae" or "huber".
        lr: the learning rate, above 0.
        epochs: passes over the data, from 0 (zeros and []) up; below 0 is not graded.
        batch_size: rows in a step, at least 1; the last batch of an epoch has what is
            left. None makes one step an epoch, with all rows.
        lam: the ridge penalty, at least 0. It does not touch b.
        delta: of the Huber loss; the other losses ignore it.
        rng: shuffles. With `batch_size`, each epoch begins with one call of
            rng.permutation(N), as in `minibatches`, and cuts it into batches from left
            to right; nothing else is drawn. Without rng, rows stay in their order.

    Raises:
        ValueError: `loss`, `lr` or `lam` is out of its range; so is `batch_size`, or
            `delta` with "huber" (at the latest in the first epoch); or as `as_data`.
    """
    raise NotImplementedError("task 4")


# --- Task 5 (1 point): the largest stable learning rate --------------------------


def max_stable_lr(X: ArrayLike, *, lam: float = 0.0) -> float:
    """The learning rate above which batch descent explodes, on mse plus (lam/2) ‖w‖².

    It is 2 / L, where L is the largest eigenvalue of the Hessian: the matrix of second
    derivatives in w and b together, (D+1, D+1) (Boyd & Vandenberghe 2004, ch. 9).
    X is (N, D). Returns a Python float. ValueError: `lam` below 0, or as `as_matrix`.
    """
    raise NotImplementedError("task 5")


# --- Task 6 (1 point): ridge -----------------------------------------------------


def ridge(X: ArrayLike, y: ArrayLike, *, lam: float) -> tuple[np.ndarray, float]:
    """The model with the smallest mse + (lam/2) ‖w‖² (Hoerl & Kennard 1970).

    X is (N, D), y (N,). `mse` is a mean over the N rows; the penalty does not touch b.
    ValueError: `lam` is not above 0, or as `as_data`.
    """
    raise NotImplementedError("task 6")


# --- Task 7 (1 point): polynomials, under- and overfitting -----------------------


def polynomial_features(x: ArrayLike, degree: int) -> np.ndarray:
    """The columns x, x², ..., x**degree of x (N,): float64 (N, degree), no constant.

    ValueError: `degree` is below 1, or `x` is not (N,).
    """
    raise NotImplementedError("task 7")


def degree_errors(
    x: ArrayLike,
    y: ArrayLike,
    x_new: ArrayLike,
    y_new: ArrayLike,
    degrees: Sequence[int],
    *,
    lam: float = 0.0,
) -> tuple[list[float], list[float]]:
    """Fit one polynomial per degree; its mse on x (N,), y (N,) and on M new points.

    The features are standardised with the mean and scale of those of x, on x_new too.
    The fit on the standardised features is `normal_equation` for lam = 0, else `ridge`.

    Returns two lists of Python floats, one entry per degree in the order given: the mse
    on (x, y), which was fitted, and on (x_new, y_new). Bad input is not graded here.
    """
    raise NotImplementedError("task 7")
