"""Lab 2.5 by another route: loops, recursion, fill, its own differences."""

from __future__ import annotations

import itertools
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import DTypeLike


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
        W, b = self.weight.data, self.bias.data
        if np.ndim(x) != 2 or np.shape(x)[1] != W.shape[0]:
            raise ValueError(f"x: expected (N, {W.shape[0]}), got {np.shape(x)}")
        self.cache = np.array(x)
        y = np.empty((len(x), W.shape[1]), np.result_type(x, W))
        for n, row in enumerate(x):
            for j in range(W.shape[1]):
                y[n, j] = b[j] + sum(row[i] * W[i, j] for i in range(len(row)))
        return y

    def backward(self, dy: np.ndarray) -> np.ndarray:
        x = self.saved()
        for row, d in zip(x, dy, strict=True):  # example by example
            self.weight.grad += np.outer(row, d)
            self.bias.grad += d
        return np.einsum("nj,ij->ni", dy, self.weight.data)


def sigmoid(x):
    """By halves, so that exp never sees a positive number."""
    e = np.exp(-np.abs(x))
    return np.where(x >= 0, 1 / (1 + e), e / (1 + e))


# --- Task 2 (2 points): activations, any shape -----------------------------------


class ReLU(Layer):
    """max(x, 0), entry by entry. The derivative at exactly 0 is 0, as in PyTorch."""

    def forward(self, x: np.ndarray) -> np.ndarray:
        self.cache = np.array(x)
        return np.where(x > 0, x, np.zeros_like(x))

    def backward(self, dy: np.ndarray) -> np.ndarray:
        dx = np.array(dy)
        dx[self.saved() <= 0] = 0
        return dx


class Tanh(Layer):
    """The hyperbolic tangent, entry by entry, between -1 and 1."""

    def forward(self, x: np.ndarray) -> np.ndarray:
        e = np.exp(-2 * np.abs(x))
        y = np.sign(x) * (1 - e) / (1 + e)
        self.cache = x.copy()
        return y

    def backward(self, dy: np.ndarray) -> np.ndarray:
        return dy / np.cosh(np.clip(self.saved(), -40, 40)) ** 2


class Sigmoid(Layer):
    """s(x) = 1 / (1 + exp(-x)), entry by entry; no x overflows or warns."""

    def forward(self, x: np.ndarray) -> np.ndarray:
        self.cache = np.array(x)
        return sigmoid(x)

    def backward(self, dy: np.ndarray) -> np.ndarray:
        x = self.saved()
        return dy * sigmoid(x) * sigmoid(-x)


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
        self.cache = []
        h = x
        for layer in self.layers:
            h = layer.forward(h)
            self.cache = [(layer, layer.cache), *self.cache]
        return h

    def backward(self, dy: np.ndarray) -> np.ndarray:
        def back(calls, d):
            if not calls:
                return d
            (layer, kept), *rest = calls
            layer.cache = kept
            return back(rest, layer.backward(d))

        return back(self.saved(), dy)

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
        if np.shape(y) != (len(logits),):
            raise ValueError(f"y: expected ({len(logits)},), got {np.shape(y)}")
        total, p = 0.0, []
        for row, target in zip(np.asarray(logits, dtype=float), y, strict=True):
            total += np.logaddexp.reduce(row) - row[target]
            p.append(np.exp(row - np.logaddexp.reduce(row)))
        hot = np.eye(logits.shape[1], dtype=logits.dtype)[y]
        self.cache = np.array(p, logits.dtype), hot
        return float(total / len(y))

    def backward(self) -> np.ndarray:
        if self.cache is None:
            raise RuntimeError("no forward yet")
        p, hot = self.cache
        return (p - hot) / len(p)


# --- Task 5 (1 point): one step --------------------------------------------------


def zero_grad(params: Sequence[Parameter]) -> None:
    for p in params:
        p.grad.fill(0)


def sgd_step(params: Sequence[Parameter], *, lr: float) -> None:
    if not (isinstance(lr, (int, float)) and lr > 0):
        raise ValueError(f"lr: {lr}")
    for p in params:
        np.subtract(p.data, np.multiply(p.grad, lr), out=p.data)


# --- Task 6 (1 point): trust, but check ------------------------------------------


def check_gradients(
    model: Layer,
    loss: SoftmaxCrossEntropy,
    X: np.ndarray,
    y: np.ndarray,
    *,
    h: float = 1e-5,
) -> dict[str, float]:
    for p in model.parameters():
        p.grad[:] = 0
    loss.forward(model.forward(X), y)
    model.backward(loss.backward())
    worst = {}
    for name, p in model.named_parameters().items():
        worst[name] = 0.0
        flat, grads = p.data.reshape(-1), p.grad.reshape(-1)
        for i in range(flat.size):
            old, values = flat[i], []
            for moved in (old + h, old - h):
                flat[i] = moved
                values.append(loss.forward(model.forward(X), y))
            flat[i] = old
            slope = (values[0] - values[1]) / (2 * h)
            size = max(abs(slope) + abs(float(grads[i])), 1e-12)
            worst[name] = max(worst[name], abs(slope - float(grads[i])) / size)
    return worst


# --- Task 7 (2 points): training -------------------------------------------------


def accuracy(model: Layer, X: np.ndarray, y: np.ndarray) -> float:
    mode = model.training
    model.eval()
    logits = model.forward(X)
    model.train() if mode else model.eval()
    right = [int(np.argmax(row)) == int(t) for row, t in zip(logits, y, strict=True)]
    return sum(right) / len(right)


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
    if sum(part is None for part in (X_val, y_val)) == 1:
        raise ValueError("X_val or y_val is missing")
    loss, history = SoftmaxCrossEntropy(), History()
    for _ in range(epochs):
        order = rng.permutation(len(X))
        losses = np.empty(len(X))
        model.train()
        for start in range(0, len(X), batch_size):
            rows = order[start : start + batch_size]
            losses[rows] = loss.forward(model.forward(X[rows]), y[rows])
            zero_grad(model.parameters())
            model.backward(loss.backward())
            sgd_step(model.parameters(), lr=lr)
        history.train_loss.append(float(losses.mean()))
        if X_val is not None:
            model.eval()
            logits = model.forward(X_val)
            history.val_loss.append(loss.forward(logits, y_val))
            history.val_accuracy.append(float(np.mean(np.argmax(logits, 1) == y_val)))
    model.train()
    return history
