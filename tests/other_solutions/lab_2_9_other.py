"""Lab 2.9 by another route: loops, full Jacobians, masks kept as booleans.

Layer and RMS norm multiply by the Jacobian of each vector; batch norm goes back through
each elementary step (the graph of Ioffe and Szegedy); the running values move towards
the batch by a share; the decays run over flat views.
"""

from __future__ import annotations

import math

import numpy as np

from common import labs

mlp_lab = labs.solution("2.5")
Layer, Parameter = mlp_lab.Layer, mlp_lab.Parameter


def check_not_negative(name, value):
    if not value >= 0:
        raise ValueError(f"{name} must be 0 or more, got {value}")


def check_last_axis(x, dim):
    if x.ndim == 0 or x.shape[-1] != dim:
        raise ValueError(f"x must have shape (..., {dim}), got {x.shape}")


def check_rows(x, dim, *, training):
    if x.ndim != 2 or x.shape[1] != dim:
        raise ValueError(f"x must have shape (N, {dim}), got {x.shape}")
    if training and len(x) < 2:
        raise ValueError(f"x must have 2 rows or more in training, got {len(x)}")


def mean_product(a, b):
    return (a * b).mean(axis=-1, keepdims=True)


def matrices(params):
    return [p for p in params if len(p.data.shape) > 1]


# --- Task 1 ---


def l2_penalty(params, lam):
    check_not_negative("lam", lam)
    return math.fsum(lam * v * v / 2 for p in matrices(params) for v in p.data.flat)


def add_l2_gradient(params, lam):
    check_not_negative("lam", lam)
    for p in matrices(params):
        np.add(p.grad, p.data * lam, out=p.grad)


def decoupled_decay(params, *, lr, weight_decay):
    check_not_negative("lr", lr)
    check_not_negative("weight_decay", weight_decay)
    for p in matrices(params):
        p.data -= lr * weight_decay * p.data


# --- Task 2 ---


class Dropout(Layer):
    def __init__(self, p, *, rng):
        if not 0 <= p < 1:
            raise ValueError(f"p must be >= 0 and < 1, got {p}")
        self.p, self.rng = p, rng

    def forward(self, x):
        dropped = None
        if self.training:
            dropped = self.rng.random(x.shape) < self.p
        self.cache = (dropped,)
        return self._apply(x)

    def _apply(self, a):
        (dropped,) = self.saved()
        if dropped is None:
            return a
        return np.where(dropped, 0.0, a / (1 - self.p))

    def backward(self, dy):
        return self._apply(dy)


# --- Tasks 3 and 4 ---


class LayerNorm(Layer):
    centred = True

    def __init__(self, dim, *, eps=1e-5):
        self.dim, self.eps = dim, eps
        self.weight = Parameter(np.ones(dim))
        self.bias = Parameter(np.zeros(dim))

    def forward(self, x):
        check_last_axis(x, self.dim)
        y, vectors = np.empty(x.shape), []
        for i in np.ndindex(x.shape[:-1]):
            v = x[i] - math.fsum(x[i]) / self.dim
            root = math.sqrt(math.fsum(v * v) / self.dim + self.eps)
            vectors.append((i, v, root))
            y[i] = v / root * self.weight.data + self.bias.data
        self.cache = vectors
        return y

    def backward(self, dy):
        n, dx = self.dim, np.empty(dy.shape)
        for i, v, root in self.saved():
            self.weight.grad += dy[i] * v / root
            self.bias.grad += dy[i]
            # d x_hat_j / d x_k
            jacobian = (np.eye(n) - 1 / n) / root - np.outer(v, v) / (n * root**3)
            dx[i] = (dy[i] * self.weight.data) @ jacobian
        return dx


class RMSNorm(Layer):
    def __init__(self, dim, *, eps=1e-6):
        self.dim, self.eps = dim, eps
        self.weight = Parameter(np.ones(dim))

    def forward(self, x):
        check_last_axis(x, self.dim)
        inverse = 1 / np.sqrt((x**2).sum(axis=-1, keepdims=True) / self.dim + self.eps)
        self.cache = {"x": x, "inverse": inverse}
        return x * inverse * self.weight.data

    def backward(self, dy):
        x, inverse = self.saved()["x"], self.saved()["inverse"]
        leading = tuple(range(x.ndim - 1))
        self.weight.grad += np.sum(dy * x * inverse, axis=leading)
        g = dy * self.weight.data
        d_inverse = np.sum(g * x, axis=-1, keepdims=True)
        d_square = d_inverse * -0.5 * inverse**3 / self.dim
        return g * inverse + 2 * x * d_square


# --- Tasks 5 and 6 ---


class BatchNorm1d(Layer):
    def __init__(self, dim, *, momentum=0.1, eps=1e-5):
        self.dim, self.momentum, self.eps = dim, momentum, eps
        self.weight = Parameter(np.ones(dim))
        self.bias = Parameter(np.zeros(dim))
        self.running_mean, self.running_var = np.zeros(dim), np.ones(dim)

    def forward(self, x):
        check_rows(x, self.dim, training=self.training)
        if self.training:
            mean, var = np.mean(x, axis=0), np.var(x, axis=0)
            self.running_mean += self.momentum * (mean - self.running_mean)
            step = np.var(x, axis=0, ddof=1) - self.running_var
            self.running_var += self.momentum * step
        else:
            mean, var = self.running_mean, self.running_var
        root = np.power(var + self.eps, 0.5)
        self.cache = ((x - mean) / root, root, self.training)
        return (x - mean) * (self.weight.data / root) + self.bias.data

    def backward(self, dy):
        x_hat, root, training = self.saved()
        self.bias.grad += np.ones(len(dy)) @ dy
        self.weight.grad += np.einsum("nd,nd->d", dy, x_hat)
        d_hat = dy * self.weight.data
        if not training:
            return d_hat / root
        centred = x_hat * root
        d_var = np.sum(d_hat * centred, axis=0) * -0.5 * root**-3.0
        d_mean = -np.sum(d_hat, axis=0) / root  # centred sums to 0
        return d_hat / root + d_var * 2 * centred / len(dy) + d_mean / len(dy)
