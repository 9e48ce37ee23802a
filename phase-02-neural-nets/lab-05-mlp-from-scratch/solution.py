"""A multi-layer perceptron in NumPy, with every derivative written by hand.

You build layers that know how to go forward and backward, a loss that starts the way
back, and the loop that trains a network with them.

1 Linear (2)              2 ReLU, Tanh, Sigmoid (2)   3 Sequential (1)
4 SoftmaxCrossEntropy (1) 5 zero_grad, sgd_step (1)   6 check_gradients (1)
7 accuracy, train (2)

N is the number of examples in a batch, D the number of inputs, K of classes. A capital
L stands for the loss, and `dy` for dL/dy: how fast the loss changes with each entry of
y. Labs 2.6 to 2.10 use the same layers.
"""

from __future__ import annotations

import itertools
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from common import labs

gradient_check = labs.solution("2.3").gradient_check
minibatches = labs.solution("1.5").minibatches


# --- Given: the protocol of all layers -------------------------------------------


class Parameter:
    """An array that training changes, and the gradient of the loss with respect to it.

    `grad` starts at zero. `backward` of a layer ADDS to it, because an array that is
    used in two places gets a contribution from each.
    """

    def __init__(self, data: np.ndarray):
        self.data = data
        self.grad = np.zeros_like(data)


class Layer(ABC):
    """A function with a way back.

    `forward` leaves in `self.cache` what `backward` will need. A second `backward`
    without a `forward` in between is allowed: it reads the same cache and adds to the
    gradients once more. No layer changes the arrays `x` and `dy` that it is given.
    """

    training = True  # some layers (lab 2.9) behave differently after eval()
    cache: Any = None

    @abstractmethod
    def forward(self, x: np.ndarray) -> np.ndarray:
        """Compute y from x."""

    @abstractmethod
    def backward(self, dy: np.ndarray) -> np.ndarray:
        """Take dL/dy, add dL/dp to each parameter's `grad`, return dL/dx."""

    def saved(self) -> Any:
        """What the last `forward` kept; RuntimeError if there was none."""
        if self.cache is None:
            raise RuntimeError(f"{type(self).__name__}: call forward before backward")
        return self.cache

    def named_parameters(self) -> dict[str, Parameter]:
        """Each attribute that is a Parameter, by its name."""
        return {k: v for k, v in vars(self).items() if isinstance(v, Parameter)}

    def parameters(self) -> list[Parameter]:
        """All parameters, each once, also if two layers share it."""
        return list({id(p): p for p in self.named_parameters().values()}.values())

    def train(self) -> None:
        self.training = True

    def eval(self) -> None:
        self.training = False


# --- Task 1 (2 points): Linear ---------------------------------------------------


class Linear(Layer):
    """y = x W + b for x (N, d_in), W (d_in, d_out), b (d_out,).

    W starts with `rng.standard_normal((d_in, d_out))` times sqrt(2 / d_in) (He et al.
    2015; lab 2.6 derives it), b with zeros; both have the given dtype.
    """

    def __init__(
        self,
        d_in: int,
        d_out: int,
        *,
        rng: np.random.Generator,
        dtype: DTypeLike = np.float64,
    ):
        weight = rng.standard_normal((d_in, d_out)) * np.sqrt(2 / d_in)
        self.weight = Parameter(weight.astype(dtype))
        self.bias = Parameter(np.zeros(d_out, dtype))

    def forward(self, x: np.ndarray) -> np.ndarray:
        """x (N, d_in) -> y (N, d_out), in the dtype of `x` and the weights.

        Raises:
            ValueError: `x` is not (N, d_in); the message has `x`, its shape and d_in.
        """
        # task 1
        d_in = len(self.weight.data)
        if x.ndim != 2 or x.shape[1] != d_in:
            raise ValueError(f"x must have shape (N, {d_in}), got {x.shape}")
        self.cache = x
        return x @ self.weight.data + self.bias.data

    def backward(self, dy: np.ndarray) -> np.ndarray:
        """dy (N, d_out) -> dx (N, d_in); adds to `weight.grad` and `bias.grad`.

        dL/dW = x^T dy, dL/db = the sum of dy over the examples, dL/dx = dy W^T. The
        gradients are added in place: whoever holds the array `weight.grad` sees it.

        Raises:
            RuntimeError: there was no `forward` yet (`self.saved()` says so).
        """
        # task 1
        x = self.saved()
        self.weight.grad += x.T @ dy
        self.bias.grad += dy.sum(axis=0)
        return dy @ self.weight.data.T


# --- Task 2 (2 points): activations, any shape -----------------------------------


class ReLU(Layer):
    """max(x, 0), entry by entry. The derivative at exactly 0 is 0, as in PyTorch."""

    def forward(self, x: np.ndarray) -> np.ndarray:
        """A new array of the shape and dtype of `x`."""
        # task 2
        self.cache = x > 0
        return np.maximum(x, 0)

    def backward(self, dy: np.ndarray) -> np.ndarray:
        """dy where x was positive, else 0."""
        # task 2
        return dy * self.saved()


class Tanh(Layer):
    """The hyperbolic tangent, entry by entry, between -1 and 1."""

    def forward(self, x: np.ndarray) -> np.ndarray:
        """A new array of the shape and dtype of `x`."""
        # task 2
        self.cache = np.tanh(x)
        return self.cache

    def backward(self, dy: np.ndarray) -> np.ndarray:
        """dy times the derivative 1 - tanh(x)^2."""
        # task 2
        return dy * (1 - self.saved() ** 2)


class Sigmoid(Layer):
    """s(x) = 1 / (1 + exp(-x)), entry by entry; no x overflows or warns."""

    def forward(self, x: np.ndarray) -> np.ndarray:
        """A new array of the shape and dtype of `x`."""
        # task 2
        self.cache = 0.5 * (1 + np.tanh(0.5 * x))  # the same function; tanh saturates
        return self.cache

    def backward(self, dy: np.ndarray) -> np.ndarray:
        """dy times the derivative s (1 - s)."""
        # task 2
        y = self.saved()
        return dy * y * (1 - y)


# --- Task 3 (1 point): Sequential ------------------------------------------------


class Sequential(Layer):
    """Layers one after the other; `layers` holds them as a list.

    The same layer object may stand in two places. Its cache then holds only the later
    call, so `Sequential` keeps the cache of each call and puts it back into the layer
    before it calls that layer's `backward`.
    """

    def __init__(self, *layers: Layer):
        self.layers = list(layers)

    def forward(self, x: np.ndarray) -> np.ndarray:
        """The output of the last layer; `x` itself where there are no layers."""
        # task 3
        self.cache = []
        for layer in self.layers:
            x = layer.forward(x)
            self.cache.append(layer.cache)
        return x

    def backward(self, dy: np.ndarray) -> np.ndarray:
        """From the last layer to the first: each takes what the one behind it gave.

        Returns dL/dx; `dy` itself where there are no layers. RuntimeError: there was no
        `forward` yet (`self.saved()` says so).
        """
        # task 3
        calls = list(zip(self.layers, self.saved(), strict=True))
        for layer, cache in reversed(calls):
            layer.cache = cache
            dy = layer.backward(dy)
        return dy

    def named_parameters(self) -> dict[str, Parameter]:
        """The layers' parameters as "layers.0.weight", "layers.0.bias" and so on."""
        return {
            f"layers.{i}.{name}": parameter
            for i, layer in enumerate(self.layers)
            for name, parameter in layer.named_parameters().items()
        }

    def train(self) -> None:
        super().train()
        for layer in self.layers:
            layer.train()

    def eval(self) -> None:
        super().eval()
        for layer in self.layers:
            layer.eval()


def mlp(
    sizes: Sequence[int],
    *,
    rng: np.random.Generator,
    activation: type[Layer] = ReLU,
    dtype: DTypeLike = np.float64,
) -> Sequential:
    """Linear layers of the given sizes with an activation between them.

    `mlp([64, 32, 10], rng=rng)` is Linear(64, 32), ReLU, Linear(32, 10).
    """
    layers: list[Layer] = []
    for d_in, d_out in itertools.pairwise(sizes):
        layers += [Linear(d_in, d_out, rng=rng, dtype=dtype), activation()]
    return Sequential(*layers[:-1])


# --- Task 4 (1 point): the loss --------------------------------------------------


class SoftmaxCrossEntropy:
    """The mean over the examples of -log softmax(logits)[y], and its gradient.

    Not a `Layer`, because it takes two arguments, but it has the same way back.
    """

    cache: Any = None

    def forward(self, logits: np.ndarray, y: np.ndarray) -> float:
        """The loss in nats (natural logarithm), as a Python float.

        Args:
            logits: (N, K), any finite floats; 1e4 must not overflow.
            y: (N,), integers from 0 to K - 1; what others give is not graded.

        Raises:
            ValueError: `y` does not have the shape (N,).
        """
        # task 4
        if y.shape != logits.shape[:1]:
            raise ValueError(f"y must have shape {logits.shape[:1]}, got {y.shape}")
        shifted = logits - logits.max(axis=1, keepdims=True)
        log_p = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
        self.cache = log_p, y
        return -float(log_p[np.arange(len(y)), y].mean())

    def backward(self) -> np.ndarray:
        """dL/dlogits = (softmax(logits) - one_hot(y)) / N.

        A new (N, K) array in the dtype of `logits`. RuntimeError: no `forward` yet.
        """
        # task 4
        if self.cache is None:
            raise RuntimeError("SoftmaxCrossEntropy: call forward before backward")
        log_p, y = self.cache
        dlogits = np.exp(log_p)
        dlogits[np.arange(len(y)), y] -= 1
        return dlogits / len(y)


# --- Task 5 (1 point): one step --------------------------------------------------


def zero_grad(params: Sequence[Parameter]) -> None:
    """Set each `grad` to zero, in place: whoever holds the array sees the zeros."""
    # task 5
    for parameter in params:
        parameter.grad[...] = 0


def sgd_step(params: Sequence[Parameter], *, lr: float) -> None:
    """Move each parameter by -lr times its gradient, in place; `grad` stays as it is.

    ValueError: `lr` is not above 0.
    """
    # task 5
    if not lr > 0:
        raise ValueError(f"lr must be above 0, got {lr}")
    for parameter in params:
        parameter.data -= lr * parameter.grad


# --- Task 6 (1 point): trust, but check ------------------------------------------


def check_gradients(
    model: Layer,
    loss: SoftmaxCrossEntropy,
    X: np.ndarray,
    y: np.ndarray,
    *,
    h: float = 1e-5,
) -> dict[str, float]:
    """Compare every entry of every parameter's gradient with central differences.

    Lab 2.3's `gradient_check(f, grad, x)` moves the entries of the array x, here
    `parameter.data`, one at a time and calls f(x), here the loss of the whole model.
    The model is checked in the mode it is in; its mode is not touched.

    Returns:
        For each name in `model.named_parameters()` the largest relative error: 1e-7 or
        so where backward is right (1e-5 if derivatives are near 0), 0.1 and more where
        it is not. Afterwards the parameters are as before, and each `grad` is the
        gradient of this one batch, whatever was in it before.
    """

    # task 6
    def loss_now(_: np.ndarray) -> float:
        return loss.forward(model.forward(X), y)

    zero_grad(model.parameters())
    loss_now(X)
    model.backward(loss.backward())
    return {
        name: gradient_check(loss_now, parameter.grad, parameter.data, h=h)
        for name, parameter in model.named_parameters().items()
    }


# --- Task 7 (2 points): training -------------------------------------------------


def accuracy(model: Layer, X: np.ndarray, y: np.ndarray) -> float:
    """The share of rows whose largest logit (the first of equals) is at y.

    Computed in eval mode; a model that was in training mode is put back into it. No
    parameter or gradient changes. Returns a Python float.
    """
    # task 7
    was_training = model.training
    model.eval()
    hits = model.forward(X).argmax(axis=1) == y
    if was_training:
        model.train()
    return float(hits.mean())


@dataclass
class History:
    """One number per epoch; the lists of validation stay empty without validation."""

    train_loss: list[float] = field(default_factory=list)
    val_loss: list[float] = field(default_factory=list)
    val_accuracy: list[float] = field(default_factory=list)


def train(
    model: Layer,
    X: np.ndarray,
    y: np.ndarray,
    *,
    epochs: int,
    batch_size: int,
    lr: float,
    rng: np.random.Generator,
    X_val: np.ndarray | None = None,
    y_val: np.ndarray | None = None,
) -> History:
    """Plain stochastic gradient descent on the softmax cross-entropy.

    Each epoch goes once through `minibatches(X, y, batch_size=batch_size, rng=rng)`,
    the only use of `rng`, in training mode, and takes one step per batch, with the
    gradient of that batch alone. The model is in training mode at the end.

    Returns:
        train_loss: the mean over the examples of the loss that each had in its batch,
            just before that batch's step: a short last batch counts for fewer examples.
        val_loss, val_accuracy: after the epoch, on all of X_val at once, in eval mode.

    ValueError: one of X_val and y_val is given without the other; it names both. `lr`
    and `batch_size` raise as in `sgd_step` and `minibatches`.
    """
    # task 7
    if (X_val is None) != (y_val is None):
        raise ValueError("X_val and y_val must be given together")
    params, loss, history = model.parameters(), SoftmaxCrossEntropy(), History()
    for _ in range(epochs):
        model.train()
        total = 0.0
        for xb, yb in minibatches(X, y, batch_size=batch_size, rng=rng):
            zero_grad(params)
            total += loss.forward(model.forward(xb), yb) * len(yb)
            model.backward(loss.backward())
            sgd_step(params, lr=lr)
        history.train_loss.append(total / len(y))
        if X_val is not None and y_val is not None:
            model.eval()
            history.val_loss.append(loss.forward(model.forward(X_val), y_val))
            history.val_accuracy.append(accuracy(model, X_val, y_val))
    model.train()
    return history
