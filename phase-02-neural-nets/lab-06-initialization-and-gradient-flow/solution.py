"""Initialization and gradient flow: why a deep network that is right may not train.

Draw weights in five ways, measure what signal and gradient do on their way through the
layers, and put a name to what goes wrong.

1 fans, gain (1)    2 Xavier, He, orthogonal (2)   3 forward statistics (2)
4 gradients (2)     5 dead units (1)     6 distinct units (1)     7 clip, diagnose (1)

The network has no biases: h_0 = x, then z_l = h_{l-1} W_l and h_l = f(z_l) for the
layers l = 1 .. L, with the same activation f everywhere, also after the last layer.
Arrays are float64; only task 7 changes them. A row is an example, W_l is (d_in, d_out).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

LEAKY_SLOPE = 0.01  # of "leaky_relu" left of 0, as in PyTorch
FLAT = 0.97  # beyond this, tanh has less than 6 % of its slope at 0
DEAD_SHARE, SATURATED_SHARE, RATIO = 0.95, 0.25, 1e3  # the thresholds of `diagnose`


# --- Given: activations, and the check of a network ------------------------------


def activate(z: np.ndarray, activation: str) -> np.ndarray:
    """f(z), entry by entry, as a new array; ValueError if `activation` is unknown."""
    functions = {
        "linear": lambda: z.copy(),
        "sigmoid": lambda: 0.5 * (1 + np.tanh(0.5 * z)),  # exp(-z) would overflow
        "tanh": lambda: np.tanh(z),
        "relu": lambda: np.maximum(z, 0.0),
        "leaky_relu": lambda: np.where(z > 0, z, LEAKY_SLOPE * z),
    }
    if activation not in functions:
        raise ValueError(f"activation must be in {[*functions]}, got {activation!r}")
    return functions[activation]()


def derivative(z: np.ndarray, activation: str) -> np.ndarray:
    """f'(z), entry by entry; at exactly 0 the slope of the left side, as in PyTorch."""
    h = activate(z, activation)
    if activation == "sigmoid":
        return h * (1 - h)
    if activation == "tanh":
        return 1 - h**2
    left = {"linear": 1.0, "relu": 0.0, "leaky_relu": LEAKY_SLOPE}[activation]
    return np.where(z > 0, 1.0, left)


def check_network(x: np.ndarray, weights: Sequence[np.ndarray]) -> None:
    """ValueError if x is not (N, d_0) or some weights[i] does not fit what comes in."""
    if x.ndim != 2:
        raise ValueError(f"x must be (N, d), got shape {x.shape}")
    width = x.shape[1]
    for i, W in enumerate(weights):
        if W.ndim != 2 or len(W) != width:
            raise ValueError(f"weights[{i}] must be ({width}, d_out), got {W.shape}")
        width = W.shape[1]


# --- Task 1 (1 point): fans and gains --------------------------------------------


def fans(shape: tuple[int, int]) -> tuple[int, int]:
    """How many terms a layer W sums up for one entry: (d_in, d_out), Python ints.

    An entry of y = x W is a sum of d_in terms, one of dL/dx = dL/dy W^T of d_out terms.
    ValueError if `shape` does not have two entries or one of them is below 1.
    """
    # task 1
    if len(shape) != 2 or min(shape) < 1:
        raise ValueError(f"shape must be (d_in, d_out), each at least 1, got {shape}")
    return int(shape[0]), int(shape[1])


def gain(nonlinearity: str, *, slope: float = LEAKY_SLOPE) -> float:
    """The factor on the weights' deviation that makes up for what f takes away.

    1 for "linear" and "sigmoid", 5/3 for "tanh", sqrt(2) for "relu" and
    sqrt(2 / (1 + slope^2)) for "leaky_relu": the list of PyTorch's `calculate_gain`.
    Those of "linear" and the ReLUs keep the mean square; those of "tanh" and "sigmoid"
    are conventions, good in practice and not derived here.
    `slope` is that of "leaky_relu" left of 0; the others do not use it. Returns a
    Python float. ValueError if `nonlinearity` is another name.
    """
    # task 1
    gains = {
        "linear": 1.0,
        "sigmoid": 1.0,
        "tanh": 5 / 3,
        "relu": math.sqrt(2),
        "leaky_relu": math.sqrt(2 / (1 + slope**2)),
    }
    if nonlinearity not in gains:
        raise ValueError(f"nonlinearity must be in {[*gains]}, got {nonlinearity!r}")
    return gains[nonlinearity]


# --- Task 2 (2 points): five ways to draw weights --------------------------------
# Each returns float64 of the given shape, uses `rng` for the one draw that it names
# and for nothing else, and raises ValueError as `fans` does.


def xavier_normal(
    shape: tuple[int, int], *, gain: float = 1.0, rng: np.random.Generator
) -> np.ndarray:
    """`rng.standard_normal(shape)` times gain * sqrt(2 / (d_in + d_out)).

    A compromise between the variance 1/d_in, which keeps the signal, and 1/d_out, which
    keeps the gradient (Glorot and Bengio 2010).
    """
    # task 2
    d_in, d_out = fans(shape)
    return gain * math.sqrt(2 / (d_in + d_out)) * rng.standard_normal(shape)


def xavier_uniform(
    shape: tuple[int, int], *, gain: float = 1.0, rng: np.random.Generator
) -> np.ndarray:
    """`rng.uniform(-limit, limit, shape)`, of the same deviation as `xavier_normal`.

    Uniform numbers between -a and a have the variance a^2 / 3.
    """
    # task 2
    d_in, d_out = fans(shape)
    limit = math.sqrt(3) * gain * math.sqrt(2 / (d_in + d_out))
    return rng.uniform(-limit, limit, shape)


def he_normal(
    shape: tuple[int, int], *, nonlinearity: str = "relu", rng: np.random.Generator
) -> np.ndarray:
    """`rng.standard_normal(shape)` times gain(nonlinearity) / sqrt(d_in).

    From He et al. 2015; "leaky_relu" has its default slope. ValueError also as `gain`.
    """
    # task 2
    d_in, _ = fans(shape)
    return gain(nonlinearity) / math.sqrt(d_in) * rng.standard_normal(shape)


def he_uniform(
    shape: tuple[int, int], *, nonlinearity: str = "relu", rng: np.random.Generator
) -> np.ndarray:
    """`rng.uniform(-limit, limit, shape)`, of the same deviation as `he_normal`."""
    # task 2
    d_in, _ = fans(shape)
    limit = math.sqrt(3 / d_in) * gain(nonlinearity)
    return rng.uniform(-limit, limit, shape)


def orthogonal(
    shape: tuple[int, int], *, gain: float = 1.0, rng: np.random.Generator
) -> np.ndarray:
    """gain times a random matrix with orthonormal columns (or rows, if it is wide).

    Draw the tall A = `rng.standard_normal((max(shape), min(shape)))` and write it as
    A = Q R, with orthonormal columns in Q and R upper triangular with a POSITIVE
    diagonal: what Gram and Schmidt make of the columns of A from first to last.
    `np.linalg.qr` leaves its signs open, and then not all directions are equally likely
    (Mezzadri 2007). The result is gain Q, or gain Q^T if d_in < d_out.
    """
    # task 2
    d_in, d_out = fans(shape)
    A = rng.standard_normal((max(d_in, d_out), min(d_in, d_out)))
    Q, R = np.linalg.qr(A)
    Q = Q * np.sign(np.diag(R))  # flips column i of Q, which belongs to row i of R
    return gain * (Q.T if d_in < d_out else Q)


# --- Task 3 (2 points): the signal on its way forward ----------------------------


@dataclass(frozen=True)
class LayerStats:
    """What the entries of one h_l (N, d_l) look like, in Python floats.

    `fraction_saturated` is the share of entries where f is nearly flat: abs(h) > FLAT
    for "tanh", abs(2 h - 1) > FLAT for "sigmoid"; 0.0 for the other activations.
    """

    second_moment: float  # the mean of h^2; the variance only where the mean is 0
    mean: float
    fraction_zero: float  # the share of entries that are exactly 0
    fraction_saturated: float


def forward(
    x: np.ndarray, weights: Sequence[np.ndarray], activation: str
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """All that the network computes from x (N, d_0).

    Returns:
        z: the L pre-activations z_1 .. z_L.
        h: the L + 1 activations h_0 .. h_L; h_0 equals x.

    ValueError that names x, weights or activation, as `check_network` and `activate`.
    """
    # task 3
    check_network(x, weights)
    z, h = [], [x]
    for W in weights:
        z.append(h[-1] @ W)
        h.append(activate(z[-1], activation))
    return z, h


def forward_stats(
    x: np.ndarray, weights: Sequence[np.ndarray], activation: str
) -> list[LayerStats]:
    """The statistics of h_1 .. h_L, without h_0; N is at least 1, else as `forward`."""
    # task 3
    _, h = forward(x, weights, activation)
    stats = []
    for out in h[1:]:
        flat = {"tanh": np.abs(out) > FLAT, "sigmoid": np.abs(2 * out - 1) > FLAT}
        saturated = flat.get(activation, np.zeros_like(out))
        four = np.mean(out**2), np.mean(out), np.mean(out == 0), np.mean(saturated)
        stats.append(LayerStats(*map(float, four)))
    return stats


# --- Task 4 (2 points): the gradient on its way back -----------------------------


def weight_gradients(
    x: np.ndarray, weights: Sequence[np.ndarray], activation: str, dy: np.ndarray
) -> list[np.ndarray]:
    """dL/dW_1 .. dL/dW_L of a loss L, where dy (N, d_L) = dL/dh_L.

    From the last layer to the first: dL/dz_l = dL/dh_l * f'(z_l), entry by entry; then
    dL/dW_l = h_{l-1}^T dL/dz_l, and dL/dh_{l-1} = dL/dz_l W_l^T. Nothing is divided by
    N: a mean over the batch is in dy already.

    ValueError as `forward`, or if `dy` does not have the shape of h_L.
    """
    # task 4
    z, h = forward(x, weights, activation)
    if dy.shape != h[-1].shape:
        raise ValueError(f"dy must have shape {h[-1].shape}, got {dy.shape}")
    grads = []
    for i in reversed(range(len(weights))):
        dz = dy * derivative(z[i], activation)
        grads.append(h[i].T @ dz)  # h[i] is what weights[i] is applied to
        dy = dz @ weights[i].T
    return grads[::-1]


def gradient_norms(
    x: np.ndarray, weights: Sequence[np.ndarray], activation: str, dy: np.ndarray
) -> list[float]:
    """The Frobenius norm of each dL/dW_l: the root of the sum of its squared entries.

    Python floats, first layer first; arguments and errors as in `weight_gradients`.
    """
    # task 4
    grads = weight_gradients(x, weights, activation, dy)
    return [float(np.linalg.norm(grad)) for grad in grads]


# --- Task 5 (1 point): dead units ------------------------------------------------


def dead_units(pre_activations: np.ndarray) -> np.ndarray:
    """Which ReLU units are off for every example, so that no gradient reaches them.

    Returns bool (H,): True where the column of `pre_activations` (N, H) has no entry
    above 0; a 0 is not above 0. ValueError if it is not (N, H) or has no row.
    """
    # task 5
    if pre_activations.ndim != 2 or len(pre_activations) == 0:
        raise ValueError("pre_activations must be (N, H) with at least one row")
    return ~(pre_activations > 0).any(axis=0)


# --- Task 6 (1 point): symmetry --------------------------------------------------


def distinct_units(W: np.ndarray, *, atol: float = 1e-12) -> int:
    """How many of the H units, the columns of W (d_in, H), have weights of their own.

    Two columns are the same when no entry differs by more than `atol` (room for
    rounding, at least 0). Going from left to right, a column counts when it is not the
    same as any column that has counted before. d_in and H are at least 1. Returns a
    Python int from 1 to H. ValueError if `W` is not two-dimensional.
    """
    # task 6
    if W.ndim != 2:
        raise ValueError(f"W must be (d_in, H), got shape {W.shape}")
    counted = []
    for unit in W.T:
        if all(np.abs(unit - other).max() > atol for other in counted):
            counted.append(unit)
    return len(counted)


# --- Task 7 (1 point): clipping and a diagnosis ----------------------------------


def clip_grad_norm(grads: Sequence[np.ndarray], max_norm: float) -> float:
    """Shorten the gradient to `max_norm` if it is longer (Pascanu et al. 2013).

    Its norm is that of all entries (finite ones) of all float64 arrays as one long
    vector. Where it is above `max_norm`, each array is multiplied IN PLACE by max_norm
    / norm; otherwise no entry changes. An infinite `max_norm` never clips. Returns the
    norm before as a Python float, 0.0 without arrays. ValueError: `max_norm` not > 0.
    """
    # task 7
    if not max_norm > 0:
        raise ValueError(f"max_norm must be above 0, got {max_norm}")
    norm = math.sqrt(sum(float(np.sum(grad**2)) for grad in grads))
    if norm > max_norm:
        for grad in grads:
            grad *= max_norm / norm
    return norm


def diagnose(stats: Sequence[LayerStats], grad_norms: Sequence[float]) -> str:
    """Name what `forward_stats` and `gradient_norms` show, the first layer first.

    The first of these that holds:
    1. "dead": some layer's `fraction_zero` is at least DEAD_SHARE; nearly all entries
       are 0, which is a sign of dead units and not a count of them.
    2. "saturated": some layer's `fraction_saturated` is at least SATURATED_SHARE.
    3. "exploding": a `second_moment` or norm is infinite or NaN, or the last moment is
       above RATIO * the first, or the first norm above RATIO * the last one.
    4. "vanishing": RATIO * the last moment is at most the first one, or RATIO * the
       first norm at most the last one.   5. "healthy".

    ValueError if `stats` is empty or `grad_norms` is not as long as `stats`.
    """
    # task 7
    if not stats:
        raise ValueError("stats must hold at least one layer")
    if len(grad_norms) != len(stats):
        raise ValueError(f"grad_norms must be {len(stats)}, got {len(grad_norms)}")
    if any(layer.fraction_zero >= DEAD_SHARE for layer in stats):
        return "dead"
    if any(layer.fraction_saturated >= SATURATED_SHARE for layer in stats):
        return "saturated"
    moments = [layer.second_moment for layer in stats]
    ways = [(moments[0], moments[-1]), (grad_norms[-1], grad_norms[0])]  # (start, end)
    finite = np.isfinite([*moments, *grad_norms]).all()
    if not finite or any(end > RATIO * start for start, end in ways):
        return "exploding"
    if any(RATIO * end <= start for start, end in ways):
        return "vanishing"
    return "healthy"
