"""Lab 2.7 by another route: closures on edges, Kahn's order, einsum, log-softmax."""

from __future__ import annotations

import math
import numbers
from collections import deque

import numpy as np


class Node:
    __slots__ = ("data", "edges", "grad", "op")
    __array_ufunc__ = None

    def _one(self, y, slope):
        return self._result(y, "f", (self, slope))

    def __add__(self, other):
        other = self._lift(other)
        one = np.ones(np.shape(self.data)), np.ones(np.shape(other.data))
        if isinstance(self, Value):
            one = 1, 1
        return self._result(
            self.data + other.data, "add", (self, one[0]), (other, one[1])
        )

    def __mul__(self, other):
        other = self._lift(other)
        y = other.data * self.data
        if isinstance(self, Value):
            return self._result(y, "mul", (self, other.data), (other, self.data))
        return self._result(
            y,
            "mul",
            (self, lambda g, b=other.data: b * g),
            (other, lambda g, a=self.data: a * g),
        )

    def __pow__(self, exponent):
        if type(exponent) not in (int, float):
            raise TypeError("the exponent is a number")
        return self._one(
            np.power(self.data, float(exponent)),
            exponent * np.power(self.data, exponent - 1.0),
        )

    def exp(self):
        y = np.exp(self.data)
        return self._one(y, y)

    def log(self):
        return self._one(np.log(self.data), np.reciprocal(self.data))

    def tanh(self):
        return self._one(
            np.tanh(self.data), 1 / np.cosh(np.clip(self.data, -300, 300)) ** 2
        )

    def sigmoid(self):
        e = np.exp(-np.abs(self.data))
        y = np.where(np.asarray(self.data) >= 0, 1 / (1 + e), e / (1 + e))
        return self._one(y, e / (1 + e) ** 2)

    def relu(self):
        return self._one(np.maximum(self.data, 0), np.heaviside(self.data, 0.0))

    def __neg__(self):
        zero = self._lift(0)
        return self._result(
            -self.data,
            "neg",
            (self, -np.ones(np.shape(self.data)) if zero is None else -1.0),
        )

    def __sub__(self, other):
        other = self._lift(other)
        return self._result(self.data - other.data, "sub", (self, 1.0), (other, -1.0))

    def __truediv__(self, other):
        other = self._lift(other)
        a, b = self.data, other.data
        return self._result(a / b, "div", (self, 1.0 / b), (other, -a / b / b))

    def __radd__(self, other):
        return self._lift(other) + self

    def __rmul__(self, other):
        return self._lift(other) * self

    def __rsub__(self, other):
        return self._lift(other) - self

    def __rtruediv__(self, other):
        return self._lift(other) / self


def topological_order(root):
    users, todo = {id(root): 0}, [root]
    while todo:
        for source, _ in todo.pop().edges:
            if id(source) not in users:
                users[id(source)] = 0
                todo.append(source)
            users[id(source)] += 1
    order, ready = [], deque([root])
    while ready:
        node = ready.popleft()
        order.append(node)
        for source, _ in node.edges:
            users[id(source)] -= 1
            if users[id(source)] == 0:
                ready.append(source)
    order.reverse()
    return order


class Value(Node):
    __slots__ = ()

    def __init__(self, data, edges=(), op=""):
        self.data = float(data)
        self.edges = edges
        self.op = op
        self.grad = 0.0

    @staticmethod
    def _lift(x):
        if isinstance(x, Value):
            return x
        if isinstance(x, numbers.Real):
            return Value(x)
        raise TypeError("other is no number")

    @staticmethod
    def _result(data, op, *edges):
        return Value(data, edges, op)

    def backward(self):
        contributions = {}
        for node in topological_order(self)[::-1]:
            total = contributions.pop(id(node), 0.0) + (1.0 if node is self else 0.0)
            node.grad = total if node.edges else node.grad + total
            for source, slope in node.edges:
                before = contributions.get(id(source), 0.0)
                contributions[id(source)] = before + total * slope


def to_dot(root):
    nodes = topological_order(root)
    names = {id(n): f"v{i}" for i, n in enumerate(nodes)}
    text = "digraph G {\n"
    for n in nodes:
        text += f'{names[id(n)]} [label="{n.op}"]\n'
        for s, _ in n.edges:
            text += f"{names[id(s)]} -> {names[id(n)]}\n"
    return text + "}"


class MLP:
    def __init__(self, sizes, *, rng):
        if len(sizes) <= 1:
            raise ValueError("sizes is too short")
        self.sizes = list(sizes)
        self.weights = {}
        for layer in range(len(sizes) - 1):
            std = (2 / sizes[layer]) ** 0.5
            W = rng.standard_normal((sizes[layer], sizes[layer + 1])) * std
            for i in range(sizes[layer]):
                for j in range(sizes[layer + 1]):
                    self.weights[layer, i, j] = Value(W[i, j])
            for j in range(sizes[layer + 1]):
                self.weights[layer, sizes[layer], j] = Value(0)

    def __call__(self, x):
        if len(x) != self.sizes[0]:
            raise ValueError("x is not as long as the input layer")
        for layer in range(len(self.sizes) - 1):
            n, out = self.sizes[layer], []
            for j in range(self.sizes[layer + 1]):
                total = Value(0)
                for i in range(n):
                    total = total + self.weights[layer, i, j] * x[i]
                total = total + self.weights[layer, n, j]
                out.append(total if layer == len(self.sizes) - 2 else total.relu())
            x = out
        return x[0] if len(x) == 1 else x

    def parameters(self):
        return list(self.weights.values())


def unbroadcast(grad, shape):
    while grad.ndim > len(shape):
        grad = np.add.reduce(grad, axis=0)
    for axis in range(len(shape)):
        if shape[axis] == 1 and grad.shape[axis] != 1:
            grad = np.expand_dims(np.take(np.cumsum(grad, axis), -1, axis), axis)
    return np.asarray(grad)


class Tensor(Node):
    __slots__ = ("requires_grad",)
    recording = True

    def __init__(self, data, requires_grad=False):
        self.data = np.asarray(data, dtype=np.float64)
        self.requires_grad = requires_grad
        self.grad, self.edges, self.op = None, (), ""

    @staticmethod
    def _lift(x):
        return x if isinstance(x, Tensor) else Tensor(x)

    @staticmethod
    def _result(data, op, *edges):
        kept = tuple(e for e in edges if e[0].requires_grad and Tensor.recording)
        out = Tensor(data, bool(kept))
        out.edges, out.op = kept, op
        return out

    def zero_grad(self):
        self.grad = None

    def backward(self, grad=None):
        if not self.requires_grad:
            raise RuntimeError("no requires_grad here")
        if grad is None:
            if self.data.size > 1 or self.data.size == 0:
                raise ValueError("grad must be given")
            grad = np.ones_like(self.data)
        grad = np.array(grad, dtype=float)
        if np.shape(grad) != self.data.shape:
            raise ValueError("grad has the wrong shape")
        flowing = {id(self): grad}
        for node in reversed(topological_order(self)):
            g = flowing.pop(id(node))
            before = 0.0 if node.edges or node.grad is None else node.grad
            node.grad = np.asarray(before + g)
            for source, slope in node.edges:
                piece = slope(g) if callable(slope) else np.multiply(slope, g)
                piece = unbroadcast(np.asarray(piece), source.data.shape)
                flowing[id(source)] = flowing.get(id(source), 0.0) + piece

    def __matmul__(self, other):
        other = self._lift(other)
        a, b = self.data, other.data
        A = a[None, :] if a.ndim == 1 else a
        B = b[:, None] if b.ndim == 1 else b

        def whole(g):
            if b.ndim == 1:
                g = np.expand_dims(g, -1)
            return np.expand_dims(g, -2) if a.ndim == 1 else g

        def to_a(g):
            d = np.einsum("...ik,...jk->...ij", whole(g), B)
            return d[..., 0, :] if a.ndim == 1 else d

        def to_b(g):
            d = np.einsum("...ji,...jk->...ik", A, whole(g))
            return d[..., 0] if b.ndim == 1 else d

        return self._result(np.matmul(a, b), "mm", (self, to_a), (other, to_b))

    def _axes(self, axis):
        n = self.data.ndim
        if axis is None:
            return tuple(range(n))
        return tuple(i % n for i in (axis if isinstance(axis, tuple) else (axis,)))

    def _keep(self, axis):
        axes = self._axes(axis)
        return tuple(1 if i in axes else n for i, n in enumerate(self.data.shape))

    def sum(self, axis=None, keepdims=False):
        shape, keep = self.data.shape, self._keep(axis)
        return self._result(
            np.sum(self.data, axis, keepdims=keepdims),
            "sum",
            (self, lambda g: np.broadcast_to(g.reshape(keep), shape)),
        )

    def mean(self, axis=None, keepdims=False):
        shape, keep = self.data.shape, self._keep(axis)
        n = math.prod(shape) / math.prod(keep)
        return self._result(
            np.mean(self.data, axis, keepdims=keepdims),
            "mean",
            (self, lambda g: np.broadcast_to(g.reshape(keep) / n, shape)),
        )

    def max(self, axis=None, keepdims=False):
        keep = self._keep(axis)
        top = np.amax(self.data, axis=self._axes(axis), keepdims=True)
        ties = (self.data == top).astype(float)
        count = ties.sum(axis=self._axes(axis), keepdims=True)
        y = top if keepdims else top.reshape(np.max(self.data, axis).shape)
        return self._result(y, "max", (self, lambda g: g.reshape(keep) / count * ties))

    def reshape(self, *shape):
        return self._result(
            np.reshape(self.data, shape),
            "view",
            (self, lambda g: np.ravel(g).reshape(self.data.shape)),
        )

    def transpose(self, *axes):
        axes = axes or tuple(range(self.data.ndim))[::-1]
        inverse = [axes.index(i) for i in range(len(axes))]
        return self._result(
            np.transpose(self.data, axes),
            "T",
            (self, lambda g: np.transpose(g, inverse)),
        )

    def __getitem__(self, index):
        places = np.arange(self.data.size).reshape(self.data.shape)[index]
        n, shape = self.data.size, self.data.shape

        def back(g):
            return np.bincount(np.ravel(places), np.ravel(g), n).reshape(shape)

        return self._result(self.data[index], "get", (self, back))

    def detach(self):
        out = Tensor(0.0)
        out.data = self.data
        return out


class no_grad:
    def __enter__(self):
        self.before = Tensor.recording
        Tensor.recording = False

    def __exit__(self, *error):
        Tensor.recording = self.before
        return False


def cross_entropy(logits, targets):
    targets = np.asarray(targets)
    if len(logits.data.shape) != 2:
        raise ValueError("logits must be (N, K)")
    n, k = logits.data.shape
    if targets.shape != (n,) or not np.issubdtype(targets.dtype, np.integer):
        raise ValueError("targets must be n whole numbers")
    if not all(0 <= t < k for t in targets.tolist()):
        raise ValueError("targets out of range")
    rows = logits.data - logits.data.max(1)[:, None]
    logp = rows - np.log(np.exp(rows).sum(1))[:, None]
    hot = np.eye(k)[targets]
    loss = -(logp * hot).sum() / n
    return logits._result(loss, "nll", (logits, lambda g: g * (np.exp(logp) - hot) / n))
