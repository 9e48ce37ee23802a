"""A solution of lab 2.8 written from README and stub alone.

Optimizers and learning-rate schedules, equal to torch.optim to the last digits.

You build the five rules that turn gradients into steps, the schedules that change the
learning rate on the way, early stopping, and saving and going on without a trace.

1 SGD with momentum (2)   2 Nesterov (1)    3 RMSProp (1)          4 Adam (2)
5 AdamW (1)               6 schedules (1)   7 early stopping (1)   8 state_dict (1)

A step is elementwise: it treats every number of every array alike, so shapes play no
part. All of it happens in place: `p.data` stays the same array with its dtype.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from typing import Any, Protocol

import numpy as np

# --- Given: what all optimizers share --------------------------------------------


class Parameter(Protocol):
    """What an optimizer needs to know of a parameter; that of lab 2.5 fits."""

    data: np.ndarray
    grad: np.ndarray  # dL/d data, of the same shape


Params = Iterable[Parameter]


def check_range(name: str, value: float, low: float = 0, below: float = math.inf):
    """ValueError, with `name` in it, unless low <= value < below."""
    if not low <= value < below:  # NaN is refused too
        raise ValueError(f"{name} must be >= {low} and < {below}, got {value}")


def in_pieces(*arrays: np.ndarray, size: int = 1 << 15) -> Iterator:
    """Views of the same `size` entries of each array; arrays of that size come whole.

    For speed: ten operations on a large array fetch it ten times from memory; on a
    piece of it, nine of the ten find it in the cache.
    """
    if arrays[0].size <= size or not all(a.flags.c_contiguous for a in arrays):
        yield arrays
        return
    flat = [a.reshape(-1) for a in arrays]
    for start in range(0, flat[0].size, size):
        yield [a[start : start + size] for a in flat]


class Optimizer(ABC):
    """Holds the parameters and, for each of them, what earlier gradients left behind.

    `lr` may be set between two steps. `t` counts the steps; only Adam and AdamW need
    it. `state` is {name: list with one array for each parameter, of its shape and
    dtype, zeros at first}; `step` changes these arrays in place.
    """

    def __init__(self, params: Params, lr: float, weight_decay: float, *names: str):
        check_range("lr", lr)
        check_range("weight_decay", weight_decay)
        self.params = list(params)
        if not self.params:
            raise ValueError("params must hold at least one parameter")
        self.lr, self.weight_decay, self.t = lr, weight_decay, 0
        self.state = {n: [np.zeros_like(p.data) for p in self.params] for n in names}

    @abstractmethod
    def step(self) -> None:
        """Move every `p.data` in place by its `p.grad`, which stays as it is."""

    def zero_grad(self) -> None:
        """Set every `p.grad` to zero, in place."""
        for p in self.params:
            p.grad[...] = 0.0

    def gradient(self, p: Parameter) -> np.ndarray:
        """`p.grad` + weight_decay · `p.data` (an L2 penalty); only to be read."""
        if self.weight_decay == 0:
            return p.grad
        return p.grad + self.weight_decay * p.data

    # --- Task 8 (1 point): save and go on -----------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """Everything that `step` needs and that changes during training.

        Returns {"lr": self.lr, "t": self.t, "state": ...}, where the last is as
        `self.state`, but of copies: later steps do not change what was saved.
        """
        return {
            "lr": self.lr,
            "t": self.t,
            "state": {
                n: [a.copy() for a in arrays] for n, arrays in self.state.items()
            },
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over lr, t and state, as copies, from what a `state_dict()` returned.

        ValueError: "state" of `state_dict` has not the names, the number of arrays or
        the shapes of `self.state`. Then nothing has changed.
        """
        lr, t, new = state_dict["lr"], state_dict["t"], state_dict["state"]
        shapes = [p.data.shape for p in self.params]
        if sorted(new) != sorted(self.state):
            raise ValueError(
                f"state_dict needs the names {sorted(self.state)}, got {sorted(new)}"
            )
        for name, arrays in new.items():
            got = [np.shape(a) for a in arrays]
            if got != shapes:
                raise ValueError(
                    f"state_dict: shapes of {name!r} must be {shapes}, got {got}"
                )
        self.lr, self.t = lr, t
        for name, arrays in new.items():
            for mine, other in zip(self.state[name], arrays, strict=True):
                np.copyto(mine, other)


# --- Tasks 1 and 2 (2 + 1 points): SGD with momentum, Nesterov -------------------


class SGD(Optimizer):
    """Descent with momentum (Polyak 1964), as torch's. `state["v"]`: velocities."""

    def __init__(
        self,
        params: Params,
        lr: float,
        *,
        momentum: float = 0.0,
        nesterov: bool = False,
        weight_decay: float = 0.0,
    ):
        super().__init__(params, lr, weight_decay, "v")
        check_range("momentum", momentum, below=1)
        if nesterov and momentum == 0:
            raise ValueError("nesterov needs a momentum above 0")
        self.momentum, self.nesterov = momentum, nesterov

    def step(self) -> None:
        """v = momentum · v + g, then p -= lr · v, with g = `self.gradient(p)`.

        The velocity sums gradients, so its first value is g itself. With `nesterov` set
        (only then), p -= lr · `self.look_ahead(g, v)` with the new v.
        """
        for p, v in zip(self.params, self.state["v"], strict=True):
            g = self.gradient(p)
            np.multiply(v, self.momentum, out=v)
            np.add(v, g, out=v)
            way = self.look_ahead(g, v) if self.nesterov else v
            np.subtract(p.data, self.lr * way, out=p.data)

    def look_ahead(self, g: np.ndarray, v: np.ndarray) -> np.ndarray:
        """What Nesterov's form moves along: g + momentum · v, as a new array.

        v contains g already. (Sutskever et al. 2013, in torch's form; see the README.)
        """
        ahead = v.copy()
        ahead *= self.momentum
        ahead += g
        return ahead


# --- Task 3 (1 point): RMSProp ---------------------------------------------------


class RMSProp(Optimizer):
    """Divide by the size of recent gradients (Tieleman & Hinton 2012), as torch's."""

    def __init__(
        self,
        params: Params,
        lr: float = 1e-2,
        *,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ):
        super().__init__(params, lr, weight_decay, "v")
        check_range("alpha", alpha, below=1)
        check_range("eps", eps)
        self.alpha, self.eps = alpha, eps

    def step(self) -> None:
        """v = alpha · v + (1 - alpha) · g², then p -= lr · g / (√v + eps).

        v is that of `self.state`, g is `self.gradient(p)`; the root is of the new v.
        """
        for p, v in zip(self.params, self.state["v"], strict=True):
            g = self.gradient(p)
            # The average moves a share 1 - alpha of the way to the new square.
            v += (1 - self.alpha) * (np.square(g) - v)
            p.data[...] = p.data - self.lr * np.divide(g, np.sqrt(v) + self.eps)


# --- Tasks 4 and 5 (2 + 1 points): Adam and AdamW --------------------------------


class Adam(Optimizer):
    """Momentum over RMSProp, its start put right (Kingma & Ba 2015), as torch's.

    `state["m"]` and `state["v"]`: averages of the gradients and of their squares.
    """

    def __init__(
        self,
        params: Params,
        lr: float = 1e-3,
        *,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ):
        super().__init__(params, lr, weight_decay, "m", "v")
        for beta in betas:
            check_range("betas", beta, below=1)
        check_range("eps", eps)
        self.betas, self.eps = betas, eps

    def step(self) -> None:
        """Count the step in `self.t`, then `self.move` all by their `self.gradient`.

        So the decay is a part of the gradient (L2) and goes into both averages.
        """
        self.t += 1
        for p, m, v in zip(self.params, *self.state.values(), strict=True):
            self.move(p.data, self.gradient(p), m, v)

    def move(self, p: np.ndarray, g: np.ndarray, m: np.ndarray, v: np.ndarray) -> None:
        """Step number `self.t`, the first is 1, for arrays; changes p, m, v in place.

        m = β₁ m + (1 - β₁) g and v = β₂ v + (1 - β₂) g², with β₁, β₂ = `self.betas`.
        Both start at 0 and so are too small at first: m̂ = m / (1 - β₁ᵗ) and
        v̂ = v / (1 - β₂ᵗ) put that right. Then p -= lr · m̂ / (√v̂ + eps).
        """
        beta1, beta2 = self.betas
        # The sums of the weights so far, by the geometric series.
        sum1 = (1 - beta1) * sum(beta1**k for k in range(self.t))
        sum2 = (1 - beta2) * sum(beta2**k for k in range(self.t))
        m += (1 - beta1) * (g - m)
        v += (1 - beta2) * (g * g - v)
        # m / sum1 / (sqrt(v / sum2) + eps), enlarged by sqrt(sum2).
        root2 = math.sqrt(sum2)
        p -= (self.lr * root2 / sum1) * (m / (np.sqrt(v) + root2 * self.eps))


class AdamW(Adam):
    """Adam, the decay beside the gradient (Loshchilov & Hutter 2019), as torch's."""

    def __init__(
        self, params: Params, lr: float = 1e-3, *, weight_decay: float = 1e-2, **kw: Any
    ):
        super().__init__(params, lr, weight_decay=weight_decay, **kw)

    def step(self) -> None:
        """Count the step; p *= 1 - lr · weight_decay; then `self.move` by `p.grad`."""
        self.t += 1
        for i, p in enumerate(self.params):
            p.data[...] -= self.lr * self.weight_decay * p.data
            self.move(p.data, p.grad, self.state["m"][i], self.state["v"][i])


# --- Task 6 (1 point): schedules -------------------------------------------------
# The learning rate of step t = 0, 1, 2, ..., a whole number, as a Python float.
# ValueError, naming the argument: `t` is below 0, `step_size` or `total` below 1, or
# `warmup` not in 0 <= warmup < total.


def step_lr(t: int, *, base: float, step_size: int, gamma: float) -> float:
    """`base`, multiplied by `gamma` after every `step_size` steps.

    step_lr(5, base=1.0, step_size=2, gamma=0.5) is 0.25: steps 0 and 1 have 1.0.
    """
    check_range("t", t)
    check_range("step_size", step_size, 1)
    rate = float(base)
    for _ in range(step_size, t + 1, step_size):
        rate *= gamma
    return rate


def cosine_lr(t: int, *, base: float, total: int, minimum: float = 0.0) -> float:
    """From `base` at t = 0 down half a cosine wave to `minimum` at t = total.

    minimum + (base - minimum) (1 + cos(π t / total)) / 2; beyond `total` it stays at
    `minimum` (Loshchilov & Hutter 2017, without the restarts).
    """
    check_range("t", t)
    check_range("total", total, 1)
    if t >= total:
        return float(minimum)
    share = math.cos(math.pi * t / (2 * total)) ** 2  # = (1 + cos(pi t / total)) / 2
    return float(share * base + (1 - share) * minimum)


def warmup_cosine_lr(
    t: int, *, base: float, warmup: int, total: int, minimum: float = 0.0
) -> float:
    """A straight line from 0 at t = 0 to `base` at t = warmup, then half a cosine wave.

    The wave runs from `base` at t = warmup to `minimum` at t = total, where the rate
    stays. With warmup = 0 it is `cosine_lr`.
    """
    check_range("t", t)
    check_range("total", total, 1)
    check_range("warmup", warmup, below=total)
    if t < warmup:
        return float(base * t / warmup)
    return cosine_lr(t - warmup, base=base, total=total - warmup, minimum=minimum)


# --- Task 7 (1 point): early stopping --------------------------------------------


class EarlyStopping:
    """Says when a validation score has stopped getting better (Prechelt 1998).

    Attributes:
        best: score of the last improvement, a float; first inf for mode "min" (as for a
            loss) and -inf for "max" (as for an accuracy).
        best_step: which update brought it, counted from 0; None before there is one.
        steps, bad: for `update` to count with, as it likes; not graded.
    """

    def __init__(self, patience: int, *, min_delta: float = 0.0, mode: str = "min"):
        check_range("patience", patience, 1)
        check_range("min_delta", min_delta)
        if mode not in ("min", "max"):
            raise ValueError(f"mode must be 'min' or 'max', got {mode!r}")
        self.patience, self.min_delta, self.mode = patience, min_delta, mode
        self.best = math.inf if mode == "min" else -math.inf
        self.best_step: int | None = None
        self.steps = self.bad = 0

    def update(self, value: float) -> bool:
        """Take the next score; True if the last `patience` ones were no improvements.

        A score is an improvement if it is better than `best` by more than `min_delta`;
        then it becomes `best`. Equal scores and NaN are none. Small gains add up, as
        `best` waits for them. After True one may go on, and True may become False.
        """
        gain = self.best - value if self.mode == "min" else value - self.best
        if gain > self.min_delta:
            self.best, self.best_step = float(value), self.steps
        self.steps += 1
        first = 0 if self.best_step is None else self.best_step + 1
        self.bad = self.steps - first
        return self.bad >= self.patience
