"""Regularization and normalization: what keeps networks general, and what stable.

You build two ways to keep weights small, the layer that switches units off by chance,
and three layers that bring activations to a common scale, all of them with their way
back.

1 L2 penalty, weight decay (2)   2 Dropout (2)               3 LayerNorm (2)
4 RMSNorm (1)                    5 BatchNorm1d, forward (2)  6 its backward (1)

All are lab 2.5's layers: `forward` keeps in `self.cache` everything that `backward`
needs, also in eval mode, and nowhere else, because `Sequential` exchanges the cache;
`backward` ADDS to each `grad`. A `backward` uses what the last `forward` did: calling
`train()` or `eval()` in between changes nothing. RuntimeError where there was no
`forward` (`self.saved()` says so). Arrays are float64, `x` and `dy` stay unchanged.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from common import labs

mlp_lab = labs.solution("2.5")
Layer, Parameter = mlp_lab.Layer, mlp_lab.Parameter


# --- Given: the checks of the arguments, and a mean ------------------------------


def check_not_negative(name: str, value: float) -> None:
    """ValueError, with `name` in it, unless value >= 0."""
    if not value >= 0:  # NaN is refused too
        raise ValueError(f"{name} must be 0 or more, got {value}")


def check_last_axis(x: np.ndarray, dim: int) -> None:
    """ValueError, with x in it, unless x is (..., dim)."""
    if x.ndim == 0 or x.shape[-1] != dim:
        raise ValueError(f"x must have shape (..., {dim}), got {x.shape}")


def check_rows(x: np.ndarray, dim: int, *, training: bool) -> None:
    """ValueError, with x in it, unless x is (N, dim), in training with N >= 2."""
    if x.ndim != 2 or x.shape[1] != dim:
        raise ValueError(f"x must have shape (N, {dim}), got {x.shape}")
    if training and len(x) < 2:
        raise ValueError(f"x must have 2 rows or more in training, got {len(x)}")


def mean_product(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """(a * b).mean(axis=-1, keepdims=True), without an array for the products."""
    return np.einsum("...d,...d->...", a, b)[..., None] / a.shape[-1]


# --- Task 1 (2 points): keep the weights small -----------------------------------
# `params` are lab 2.5's Parameters, each once. All three functions look only at those
# with ndim >= 2, the weight matrices; biases and the gains of norms are left alone.


def l2_penalty(params: Iterable[Parameter], lam: float) -> float:
    """(lam / 2) · ‖W‖², summed over all weight matrices; a Python float.

    ‖W‖² is the sum of the squares of the entries (Krogh and Hertz 1991). 0.0 where
    there is no matrix. ValueError: `lam` is below 0.
    """
    # task 1
    check_not_negative("lam", lam)
    squares = sum(np.square(p.data).sum() for p in params if p.data.ndim >= 2)
    return float(lam / 2 * squares)


def add_l2_gradient(params: Iterable[Parameter], lam: float) -> None:
    """Add to each matrix's `grad`, in place, the gradient of `l2_penalty`.

    `data` stays as it is. ValueError: `lam` is below 0.
    """
    # task 1
    check_not_negative("lam", lam)
    for p in params:
        if p.data.ndim >= 2:
            p.grad += lam * p.data


def decoupled_decay(
    params: Iterable[Parameter], *, lr: float, weight_decay: float
) -> None:
    """Multiply each matrix's `data`, in place, by 1 - lr · weight_decay.

    To be called before the step of an optimizer that has the learning rate `lr`. `grad`
    is neither read nor changed, so that no optimizer can rescale the decay (Loshchilov
    and Hutter 2019). ValueError: `lr` or `weight_decay` is below 0.
    """
    # task 1
    check_not_negative("lr", lr)
    check_not_negative("weight_decay", weight_decay)
    for p in params:
        if p.data.ndim >= 2:
            p.data *= 1 - lr * weight_decay


# --- Task 2 (2 points): dropout --------------------------------------------------


class Dropout(Layer):
    """Sets entries to 0 by chance, each on its own, in training only.

    `p` is the chance of an entry to be dropped. What is kept is divided by 1 - p, so
    that the expectation stays x ("inverted" dropout; Srivastava et al. 2014).
    ValueError: not 0 <= p < 1.
    """

    def __init__(self, p: float, *, rng: np.random.Generator):
        if not 0 <= p < 1:
            raise ValueError(f"p must be >= 0 and < 1, got {p}")
        self.p, self.rng = p, rng

    def forward(self, x: np.ndarray) -> np.ndarray:
        """x, of any shape -> y of the same shape.

        In training: one call `self.rng.random(x.shape)`, also where p is 0. An entry
        of x becomes exactly 0 where the number drawn is below p, else x / (1 - p).
        In eval: y equals x (x itself or a copy), and nothing is drawn, so that
        evaluating in between does not change later masks.
        """
        # task 2
        self.cache = 1.0
        if self.training:
            kept = self.rng.random(x.shape) >= self.p
            self.cache = kept / (1 - self.p)
        return x * self.cache

    def backward(self, dy: np.ndarray) -> np.ndarray:
        """dL/dx = dL/dy · ∂y/∂x, with the mask of the last `forward`; draws nothing.

        `dy` is dL/dy, as in all layers.
        """
        # task 2
        return dy * self.saved()


# --- Task 3 (2 points): layer norm -----------------------------------------------


class LayerNorm(Layer):
    """Each vector along the last axis on its own: less its mean, over its deviation.

    x_hat = (x - mean) / sqrt(var + eps) and y = weight · x_hat + bias, where mean and
    var (biased: divided by dim) are those of the vector (Ba, Kiros and Hinton 2016).
    `weight` is the gain γ, ones at first, `bias` the shift β, zeros; both (dim,).
    """

    def __init__(self, dim: int, *, eps: float = 1e-5):
        self.dim, self.eps = dim, eps
        self.weight = Parameter(np.ones(dim))
        self.bias = Parameter(np.zeros(dim))

    def forward(self, x: np.ndarray) -> np.ndarray:
        """x (..., dim) -> y of the same shape; the same in training and eval.

        Square after the mean was subtracted: mean(x²) - mean² loses its digits where
        the mean is large. ValueError: as `check_last_axis`.
        """
        # task 3
        check_last_axis(x, self.dim)
        x_hat = x - x.mean(axis=-1, keepdims=True)
        var = mean_product(x_hat, x_hat)
        std = np.sqrt(var + self.eps)
        x_hat /= std  # in place here and below: new large arrays cost a third more time
        self.cache = x_hat, std
        y = self.weight.data * x_hat
        y += self.bias.data
        return y

    def backward(self, dy: np.ndarray) -> np.ndarray:
        """dy (..., dim) -> dL/dx; adds to `weight.grad` and `bias.grad`.

        Every entry of x moves its vector's mean and var as well, so three ways lead
        from x to y. With g = weight · dy, and means along the last axis:
        dL/dx = (g - mean(g) - x_hat · mean(g · x_hat)) / sqrt(var + eps).
        """
        # task 3
        x_hat, std = self.saved()
        rows = -1, self.dim
        self.weight.grad += (dy * x_hat).reshape(rows).sum(axis=0)
        self.bias.grad += dy.reshape(rows).sum(axis=0)
        g = self.weight.data * dy
        by_mean = g.mean(axis=-1, keepdims=True)
        by_var = mean_product(g, x_hat)
        g -= by_mean
        g -= by_var * x_hat
        g /= std
        return g


# --- Task 4 (1 point): RMS norm --------------------------------------------------


class RMSNorm(Layer):
    """Each vector along the last axis over its root mean square; nothing is centred.

    y = weight · x / sqrt(mean(x²) + eps), the mean along the last axis (Zhang and
    Sennrich 2019). `weight` is (dim,), ones at first; there is no bias.
    """

    def __init__(self, dim: int, *, eps: float = 1e-6):
        self.dim, self.eps = dim, eps
        self.weight = Parameter(np.ones(dim))

    def forward(self, x: np.ndarray) -> np.ndarray:
        """x (..., dim) -> y of the same shape. ValueError: as `check_last_axis`."""
        # task 4
        check_last_axis(x, self.dim)
        rms = np.sqrt(mean_product(x, x) + self.eps)
        x_hat = x / rms
        self.cache = x_hat, rms
        return self.weight.data * x_hat

    def backward(self, dy: np.ndarray) -> np.ndarray:
        """dy (..., dim) -> dL/dx; adds to `weight.grad`.

        The formula is for you to derive: that of `LayerNorm` without the way over the
        mean, which is not subtracted here.
        """
        # task 4
        x_hat, rms = self.saved()
        self.weight.grad += (dy * x_hat).reshape(-1, self.dim).sum(axis=0)
        g = self.weight.data * dy
        return (g - mean_product(g, x_hat) * x_hat) / rms


# --- Tasks 5 and 6 (2 + 1 points): batch norm ------------------------------------


class BatchNorm1d(Layer):
    """Each column on its own, over the examples of the batch (Ioffe and Szegedy 2015).

    `weight` and `bias` are as in `LayerNorm`. `running_mean`, zeros at first, and
    `running_var`, ones, both float64 (dim,) and no Parameters, are what eval uses.
    """

    def __init__(self, dim: int, *, momentum: float = 0.1, eps: float = 1e-5):
        self.dim, self.momentum, self.eps = dim, momentum, eps
        self.weight = Parameter(np.ones(dim))
        self.bias = Parameter(np.zeros(dim))
        self.running_mean, self.running_var = np.zeros(dim), np.ones(dim)

    def forward(self, x: np.ndarray) -> np.ndarray:
        """x (N, dim) -> y (N, dim) = weight · x_hat + bias.

        x_hat = (x - mean) / sqrt(var + eps). In training, mean and var are those of the
        columns of x, var divided by N. Each running value then becomes (1 - momentum)
        times itself plus momentum times that of the batch, as in PyTorch; for
        `running_var` that of the batch is divided by N - 1. In eval, mean and var are
        the running ones, and nothing changes.

        Leaves the tuple (x_hat, sqrt(var + eps), self.training) in `self.cache`; the
        second is (dim,). Keep to this form: where your forward is not right yet, your
        `backward` is graded with ours. ValueError: as `check_rows`.
        """
        # task 5
        check_rows(x, self.dim, training=self.training)
        mean, var = self.running_mean, self.running_var
        if self.training:
            mean, var = x.mean(axis=0), x.var(axis=0)
            unbiased = var * len(x) / (len(x) - 1)
            m = self.momentum
            self.running_mean = (1 - m) * self.running_mean + m * mean
            self.running_var = (1 - m) * self.running_var + m * unbiased
        std = np.sqrt(var + self.eps)
        x_hat = (x - mean) / std
        self.cache = x_hat, std, self.training
        return self.weight.data * x_hat + self.bias.data

    def backward(self, dy: np.ndarray) -> np.ndarray:
        """dy (N, dim) -> dL/dx; adds to `weight.grad` and `bias.grad`.

        After a forward in training, mean and var depend on every example of the batch;
        after one in eval they are constants.
        """
        # task 6
        x_hat, std, training = self.saved()
        self.weight.grad += (dy * x_hat).sum(axis=0)
        self.bias.grad += dy.sum(axis=0)
        g = self.weight.data * dy
        if training:
            g = g - g.mean(axis=0) - x_hat * (g * x_hat).mean(axis=0)
        return g / std
