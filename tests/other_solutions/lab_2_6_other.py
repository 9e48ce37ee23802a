"""Lab 2.6 by another route: loops, recursion, einsum, Gram-Schmidt, plain Python."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

LEAKY_SLOPE = 0.01
FLAT = 0.97
DEAD_SHARE, SATURATED_SHARE, RATIO = 0.95, 0.25, 1e3


def activate(z, activation):
    if activation == "linear":
        return z + 0.0
    if activation == "sigmoid":
        e = np.exp(-np.abs(z))
        return np.where(z >= 0, 1 / (1 + e), e / (1 + e))
    if activation == "tanh":
        return np.tanh(z)
    if activation == "relu":
        return z * (z > 0)
    if activation == "leaky_relu":
        return z * np.where(z > 0, 1.0, LEAKY_SLOPE)
    raise ValueError(f"activation {activation!r} is unknown")


def derivative(z, activation):
    h = activate(z, activation)
    if activation == "sigmoid":
        return h * (1 - h)
    if activation == "tanh":
        return 1 / np.cosh(z) ** 2
    left = dict(linear=1.0, relu=0.0, leaky_relu=LEAKY_SLOPE)[activation]
    return (z > 0) + left * (z <= 0)


def check_network(x, weights):
    if x.ndim != 2:
        raise ValueError("x is not a matrix")
    width = x.shape[1]
    for W in weights:
        if W.ndim != 2 or W.shape[0] != width:
            raise ValueError("weights do not fit")
        width = W.shape[1]


def fans(shape):
    try:
        rows, columns = shape
    except ValueError:
        raise ValueError("shape needs two entries") from None
    if rows <= 0 or columns <= 0:
        raise ValueError("shape must be positive")
    return rows, columns


def gain(nonlinearity, *, slope=LEAKY_SLOPE):
    if nonlinearity in ("linear", "sigmoid"):
        return 1.0
    if nonlinearity == "tanh":
        return 5.0 / 3.0
    if nonlinearity == "relu":
        return 2.0**0.5
    if nonlinearity == "leaky_relu":
        return (0.5 + 0.5 * slope * slope) ** -0.5
    raise ValueError(f"unknown nonlinearity {nonlinearity}")


def xavier_normal(shape, *, gain=1.0, rng):
    return rng.normal(0.0, gain * (sum(fans(shape)) / 2) ** -0.5, size=shape)


def xavier_uniform(shape, *, gain=1.0, rng):
    a = gain * math.sqrt(6 / sum(fans(shape)))
    return a * (2 * rng.random(shape) - 1)


def he_normal(shape, *, nonlinearity="relu", rng):
    rows, _ = fans(shape)
    return rng.normal(0.0, math.sqrt(gain(nonlinearity) ** 2 / rows), size=shape)


def he_uniform(shape, *, nonlinearity="relu", rng):
    rows, _ = fans(shape)
    a = gain(nonlinearity) * math.sqrt(3 / rows)
    return 2 * a * rng.random(shape) - a


def orthogonal(shape, *, gain=1.0, rng):
    rows, columns = fans(shape)
    A = rng.standard_normal((max(shape), min(shape)))
    # A^T A = R^T R with a positive diagonal: Cholesky; Q = A R^-1, polished once
    for _ in range(2):
        L = np.linalg.cholesky(A.T @ A)
        A = np.linalg.solve(L, A.T).T
    return gain * (A if rows >= columns else A.T.copy())


@dataclass(frozen=True)
class LayerStats:
    second_moment: float
    mean: float
    fraction_zero: float
    fraction_saturated: float


def forward(x, weights, activation):
    check_network(x, weights)
    activate(np.zeros(1), activation)
    if len(weights) == 0:
        return [], [x]
    z = np.einsum("ni,ij->nj", x, weights[0])
    h = activate(z, activation)
    rest_z, rest_h = forward(h, weights[1:], activation)
    return [z, *rest_z], [x, *rest_h]


def forward_stats(x, weights, activation):
    found = []
    for h in forward(x, weights, activation)[1][1:]:
        mean = sum(h.ravel().tolist()) / h.size
        if activation == "tanh":
            flat = np.count_nonzero((h > FLAT) | (h < -FLAT))
        elif activation == "sigmoid":
            flat = np.count_nonzero((h > (1 + FLAT) / 2) | (h < (1 - FLAT) / 2))
        else:
            flat = 0
        second = float(h.var() + mean**2)
        zeros = 1 - np.count_nonzero(h) / h.size
        found.append(LayerStats(second, mean, zeros, flat / h.size))
    return found


def weight_gradients(x, weights, activation, dy):
    z, h = forward(x, weights, activation)
    if dy.shape != (h[-1]).shape:
        raise ValueError("dy has the wrong shape")

    def back(layer, d):
        if layer < 0:
            return []
        d = d * derivative(z[layer], activation)
        mine = np.einsum("ni,nj->ij", h[layer], d)
        return [*back(layer - 1, np.einsum("nj,ij->ni", d, weights[layer])), mine]

    return back(len(weights) - 1, dy)


def gradient_norms(x, weights, activation, dy):
    grads = weight_gradients(x, weights, activation, dy)
    return [math.sqrt(np.trace(g @ g.T)) for g in grads]


def dead_units(pre_activations):
    z = pre_activations
    if len(z.shape) != 2 or z.shape[0] < 1:
        raise ValueError("pre_activations need rows")
    return z.max(axis=0) <= 0


def distinct_units(W, *, atol=1e-12):
    if W.ndim != 2:
        raise ValueError("W is not a matrix")
    H = W.shape[1]
    apart = (np.abs(W[:, :, None] - W[:, None, :]) > atol).any(axis=0)
    new = []
    for j in range(H):
        if apart[j, new].all():
            new.append(j)
    return len(new)


def clip_grad_norm(grads, max_norm):
    if not max_norm > 0:
        raise ValueError("max_norm is not positive")
    norm = float(np.linalg.norm([np.linalg.norm(g.ravel()) for g in grads]))
    scale = min(1.0, max_norm / norm) if norm > 0 else 1.0
    if scale < 1.0:
        for g in grads:
            g[...] = g * scale
    return norm


def diagnose(stats, grad_norms):
    if len(stats) < 1:
        raise ValueError("no stats")
    if len(stats) != len(grad_norms):
        raise ValueError("grad_norms of another length")
    numbers = [s.second_moment for s in stats] + list(grad_norms)
    first, last = stats[0].second_moment, stats[-1].second_moment
    top, bottom = grad_norms[0], grad_norms[-1]
    if max(s.fraction_zero for s in stats) >= DEAD_SHARE:
        return "dead"
    if max(s.fraction_saturated for s in stats) >= SATURATED_SHARE:
        return "saturated"
    if not all(math.isfinite(v) for v in numbers):
        return "exploding"
    if last > first * RATIO or top > bottom * RATIO:
        return "exploding"
    if last * RATIO <= first or top * RATIO <= bottom:
        return "vanishing"
    return "healthy"
