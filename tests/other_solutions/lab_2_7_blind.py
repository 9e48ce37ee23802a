"""A solution of lab 2.7 written from README and stub alone.

Autograd: what `.backward()` does, first for single numbers, then for arrays.

One idea carries every operation: a result keeps an edge to each of its inputs, and on
it the local derivative. The way back walks over the edges and multiplies.

1 operations (2)    2 order, backward (2)       3 numbers, minus, divided by (1)
4 scalar MLP (1)    5 unbroadcast (1)           6 Tensor.backward (1)
7 matmul, shapes, indexing (1)                  8 no_grad, detach, cross_entropy (1)

Not covered: second derivatives, data that change after they were used, GPUs.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike

Axis = int | tuple[int, ...] | None


class Node:
    """The operations that `Value` (one number) and `Tensor` (an array) share.

    `data` is a float or a float64 array, `self.xp` is `math` or `numpy`, and both have
    exp, log and tanh: so one line serves both. A result is made by

        self._result(data, "name", (operand, local derivative), ...)

    with an edge for each operand, in their order; two if an operand is used twice. The
    local derivative is d(result)/d(operand), for arrays entry by entry and of a shape
    that broadcasts to the result's. The name is for pictures and not graded. `other` is
    a node of the same kind or what `self._lift` makes one of: a number, for tensors
    also an array. No operation changes an operand.
    """

    __slots__ = ("data", "edges", "grad", "op")  # less memory, and faster than a dict
    __array_ufunc__ = None  # else NumPy would take `array + tensor` for itself

    # --- Task 1 (2 points): operations and their local derivatives ---

    def __add__(self, other: Any) -> Self:
        """self + other."""
        other = self._lift(other)
        return self._result(self.data + other.data, "+", (self, 1.0), (other, 1.0))

    def __mul__(self, other: Any) -> Self:
        """self * other."""
        other = self._lift(other)
        left, right = self.data, other.data
        return self._result(left * right, "*", (self, right), (other, left))

    def __pow__(self, exponent: float) -> Self:
        """For an int or float `exponent`; TypeError for all else, such as a Value."""
        if not isinstance(exponent, (int, float)):
            raise TypeError(f"exponent must be an int or a float, got {exponent!r}")
        if exponent == 0:
            slope = self.data * 0.0
        else:
            try:
                with np.errstate(divide="ignore", invalid="ignore"):
                    slope = exponent * self.data ** (exponent - 1)
            except ZeroDivisionError:  # a float 0.0: where NumPy says infinity
                slope = exponent * math.inf
        return self._result(self.data**exponent, f"**{exponent}", (self, slope))

    def exp(self) -> Self:
        """e to the power self."""
        y = self.xp.exp(self.data)
        return self._result(y, "exp", (self, y))

    def log(self) -> Self:
        """The natural logarithm, for numbers above 0."""
        return self._result(self.xp.log(self.data), "log", (self, 1.0 / self.data))

    def tanh(self) -> Self:
        """The hyperbolic tangent."""
        y = self.xp.tanh(self.data)
        return self._result(y, "tanh", (self, (1.0 - y) * (1.0 + y)))

    def sigmoid(self) -> Self:
        """1 / (1 + e^-self), to within 1e-15, and without overflow at -1000 or 1000."""
        y = 0.5 + 0.5 * self.xp.tanh(0.5 * self.data)
        return self._result(y, "sigmoid", (self, y * (1.0 - y)))

    def relu(self) -> Self:
        """max(self, 0). The derivative at exactly 0 is 0, as in PyTorch."""
        if isinstance(self.data, float):
            y, step = (self.data, 1.0) if self.data > 0 else (0.0, 0.0)
        else:
            y, step = np.maximum(self.data, 0.0), np.heaviside(self.data, 0.0)
        return self._result(y, "relu", (self, step))

    # --- Task 3 (1 point): the rest follows from +, * and ** ---

    def __neg__(self) -> Self:
        """-self."""
        return self._result(-self.data, "neg", (self, -1.0))

    def __sub__(self, other: Any) -> Self:
        """self - other."""
        other = self._lift(other)
        return self._result(self.data - other.data, "-", (self, 1.0), (other, -1.0))

    def __truediv__(self, other: Any) -> Self:
        """self / other, for an `other` without zeros."""
        other = self._lift(other)
        y = self.data / other.data
        return self._result(y, "/", (self, 1.0 / other.data), (other, -y / other.data))

    def __radd__(self, other: Any) -> Self:
        """other + self: Python calls it for `2 + v`, as 2 does not know Value."""
        return self._lift(other) + self

    def __rmul__(self, other: Any) -> Self:
        """other * self."""
        return self._lift(other) * self

    def __rsub__(self, other: Any) -> Self:
        """other - self."""
        return self._lift(other) - self

    def __rtruediv__(self, other: Any) -> Self:
        """other / self."""
        return self._lift(other) / self


# --- Task 2 (2 points): the way back -------------------------------------------------


def topological_order(root: Any) -> list:
    """All nodes that `root` was computed from, each once, inputs before results.

    Any such order will do; `root` is last. Without recursion: a graph may be 100,000
    nodes deep. A node is anything with `edges`: pairs whose first item is a node.
    """
    # Kahn: a node may speak once all results that use it have spoken.
    waiting = {id(root): 0}
    stack = [root]
    while stack:
        for source, *_ in stack.pop().edges:
            if id(source) not in waiting:
                waiting[id(source)] = 0
                stack.append(source)
            waiting[id(source)] += 1
    ready, order = [root], []
    while ready:
        node = ready.pop()
        order.append(node)
        for source, *_ in node.edges:
            waiting[id(source)] -= 1
            if waiting[id(source)] == 0:
                ready.append(source)
    return order[::-1]


class Value(Node):
    """A number that remembers how it was computed.

    data: a Python float. grad: d(root)/d(self), a float, 0.0 until `root.backward()`.
    edges: pairs (operand, local derivative), all floats; () for a leaf.
    """

    __slots__ = ()
    xp = math

    def __init__(self, data: float, edges: tuple = (), op: str = ""):
        self.data, self.edges, self.op, self.grad = float(data), edges, op, 0.0

    @staticmethod
    def _lift(x: Value | float) -> Value:
        if not isinstance(x, (Value, int, float, np.number)):
            raise TypeError(f"other must be a Value or a number, got {x!r}")
        return x if isinstance(x, Value) else Value(x)

    @staticmethod
    def _result(data: float, op: str, *edges: tuple[Value, float]) -> Value:
        return Value(data, edges, op)

    def backward(self) -> None:
        """Fill `grad` of every node that `self` was computed from: d(self)/d(node).

        The chain rule, summed over all paths (Griewank and Walther 2008, chapter 3).
        First the grad of each node with edges is set to 0.0: intermediate results start
        anew, leaves keep what they have, so that calls add up there. Then 1.0, which is
        d(self)/d(self), is added to `self.grad`. Then each node, after all that were
        computed from it, adds local derivative * its own grad to each operand's grad.
        """
        order = topological_order(self)
        for node in order:
            if node.edges:
                node.grad = 0.0
        self.grad += 1.0
        while order:
            node = order.pop()
            for source, slope in node.edges:
                source.grad += slope * node.grad


def to_dot(root: Node) -> str:
    """The graph of `root` as Graphviz text, for any Graphviz viewer. Given."""
    lines = ['digraph {\n  rankdir="LR";\n  node [shape="box"];']
    for node in topological_order(root):
        label = f"{node.op or 'leaf'}\\ndata {node.data}\\ngrad {node.grad}"
        lines.append(f'  n{id(node)} [label="{label}"];')
        lines += [f"  n{id(source)} -> n{id(node)};" for source, _ in node.edges]
    return "\n".join([*lines, "}"])


# --- Task 4 (1 point): a network of single numbers -----------------------------------


class MLP:
    """Layers y_j = b_j + sum over i of x_i * W_ij, with ReLU after all but the last."""

    def __init__(self, sizes: Sequence[int], *, rng: np.random.Generator):
        """Draw a layer for each pair of neighbours (d_in, d_out) in `sizes`, in order.

        W is `rng.standard_normal((d_in, d_out)) * sqrt(2 / d_in)` (He et al. 2015), b
        zeros; nothing else is drawn. ValueError: `sizes` has fewer than 2 numbers.
        """
        if len(sizes) < 2:
            raise ValueError(f"sizes must hold at least 2 numbers, got {list(sizes)}")
        self.sizes = list(sizes)
        self.layers = []
        for d_in, d_out in pairwise(sizes):
            drawn = rng.standard_normal((d_in, d_out)) * math.sqrt(2 / d_in)
            rows = [[Value(w) for w in row] for row in drawn]
            self.layers.append((rows, [Value(0.0) for _ in range(d_out)]))

    def __call__(self, x: Sequence[Value | float]) -> Value | list[Value]:
        """One example: `x` holds sizes[0] numbers or Values, else ValueError.

        Returns a list with a Value for each output, or the Value alone if there is one.
        """
        if len(x) != self.sizes[0]:
            raise ValueError(f"x must hold {self.sizes[0]} numbers, got {len(x)}")
        ins = [Value._lift(entry) for entry in x]
        for depth, (rows, biases) in enumerate(self.layers, 1):
            outs = []
            for j, b in enumerate(biases):  # one node for a whole weighted sum
                total, edges = b.data, [(b, 1.0)]
                for entry, row in zip(ins, rows, strict=True):
                    total += entry.data * row[j].data
                    edges += [(entry, row[j].data), (row[j], entry.data)]
                y = Value._result(total, "neuron", *edges)
                outs.append(y.relu() if depth < len(self.layers) else y)
            ins = outs
        return ins[0] if len(ins) == 1 else ins

    def parameters(self) -> list[Value]:
        """The weights themselves: by layer, W row by row (input 0 first), then b."""
        found = []
        for rows, biases in self.layers:
            for row in rows:
                found.extend(row)
            found.extend(biases)
        return found


# --- Task 5 (1 point): the way back through a broadcast ------------------------------


def unbroadcast(grad: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """dL/dx for an array x of `shape` that broadcasting stretched to grad.shape.

    An entry that was copied gets the sum over its copies: with grad = ones((2, 3)),
    shape (3,) gives [2, 2, 2] and shape (2, 1) gives [[3], [3]]. The result is float64
    of exactly `shape` (for () a NumPy scalar will do) and may be `grad` itself; `grad`
    does not change. That `shape` broadcasts to grad.shape is not checked.
    """
    grad = np.asarray(grad, dtype=np.float64)
    extra = grad.ndim - len(shape)
    kept = [a for a in range(extra, grad.ndim) if grad.shape[a] == shape[a - extra]]
    return np.einsum(grad, list(range(grad.ndim)), kept).reshape(shape)


class Tensor(Node):
    """An array that remembers how it was computed; shapes broadcast as in NumPy.

    data: float64, any shape; a float64 array is not copied.
    grad: dL/d(data), of data's shape and an array of its own; None before `backward`.
    requires_grad: whether gradients flow here; a result has it if an operand has it.
    edges: only to operands with `requires_grad`. In place of a local derivative an edge
        may hold a function: it takes dL/d(self) and returns dL/d(operand).
    recording: of the class; where it is False, results have neither.
    """

    __slots__ = ("requires_grad",)
    xp = np
    recording = True

    def __init__(self, data: ArrayLike, requires_grad: bool = False):
        self.data = np.asarray(data, dtype=np.float64)
        self.requires_grad = requires_grad
        self.grad, self.edges, self.op = None, (), ""

    @staticmethod
    def _lift(x: Tensor | ArrayLike) -> Tensor:
        return x if isinstance(x, Tensor) else Tensor(x)

    @staticmethod
    def _result(data: ArrayLike, op: str, *edges: tuple[Tensor, Any]) -> Tensor:
        out = Tensor(data)
        out.op = op
        if Tensor.recording:
            out.edges = tuple(edge for edge in edges if edge[0].requires_grad)
            out.requires_grad = bool(out.edges)
        return out

    def zero_grad(self) -> None:
        """Set `grad` to None. Given."""
        self.grad = None

    # --- Task 6 (1 point): the way back through arrays ---

    def backward(self, grad: ArrayLike | None = None) -> None:
        """As `Value.backward`, for tensors with `requires_grad`; None counts as 0.

        A node passes on its grad times the local derivative, or what the function on
        the edge makes of its grad; `unbroadcast` brings it to the operand's shape.
        `grad` is dL/d(self) and is added to `self.grad`; None stands for 1.0 where
        `self` holds a single number, in any shape. ValueError: `grad` has another
        shape, or is None elsewhere. RuntimeError: `self` has no `requires_grad`.
        """
        if not self.requires_grad:
            raise RuntimeError("backward needs a tensor with requires_grad")
        if grad is None:
            if self.data.size != 1:
                raise ValueError(f"grad must be given for a shape of {self.data.shape}")
            grad = np.ones(self.data.shape)
        seed = np.array(grad, dtype=np.float64)
        if seed.shape != self.data.shape:
            raise ValueError(
                f"grad must be of shape {self.data.shape}, got {seed.shape}"
            )

        order = topological_order(self)
        for node in order:
            if node.edges:
                node.grad = None
        self.grad = seed if self.grad is None else np.array(self.grad + seed)
        for node in reversed(order):
            for source, slope in node.edges:
                passed = slope(node.grad) if callable(slope) else slope * node.grad
                passed = unbroadcast(passed, source.data.shape)
                if source.grad is None:
                    source.grad = np.array(passed)
                else:
                    source.grad = np.array(source.grad + passed)

    # --- Task 7 (1 point): matrix product, reductions, shapes, indexing ---

    def __matmul__(self, other: Tensor | ArrayLike) -> Tensor:
        """self @ other as `np.matmul`: vectors, matrices, stacks that broadcast."""
        other = self._lift(other)
        a, b = self.data, other.data
        y = np.matmul(a, b)
        if a.ndim == b.ndim == 1:  # a number: entry by entry, the other vector
            return self._result(y, "@", (self, b), (other, a))
        # The letters of a, b and y; what ... stands for is summed by unbroadcast.
        if b.ndim == 1:
            la, lb, ly = "...nm", "m", "...n"
        elif a.ndim == 1:
            la, lb, ly = "m", "...mp", "...p"
        else:
            la, lb, ly = "...nm", "...mp", "...np"

        def dots(letters: str) -> str:
            return "..." + letters.replace(".", "")

        def back_to_a(g: np.ndarray) -> np.ndarray:
            return np.einsum(f"{ly},{lb}->{dots(la)}", g, b)

        def back_to_b(g: np.ndarray) -> np.ndarray:
            return np.einsum(f"{la},{ly}->{dots(lb)}", a, g)

        return self._result(y, "@", (self, back_to_a), (other, back_to_b))

    def sum(self, axis: Axis = None, keepdims: bool = False) -> Tensor:
        """The sum over one axis, several, or all (None), as `np.sum`."""
        y = np.sum(self.data, axis=axis, keepdims=keepdims)
        shape = self.data.shape
        thin = np.sum(self.data, axis=axis, keepdims=True).shape

        def copies(g: np.ndarray) -> np.ndarray:
            return np.broadcast_to(g.reshape(thin), shape)

        return self._result(y, "sum", (self, copies))

    def mean(self, axis: Axis = None, keepdims: bool = False) -> Tensor:
        """The mean over one axis, several, or all (None), as `np.mean`."""
        thin = np.sum(self.data, axis=axis, keepdims=True).shape
        count = 1
        for full, left in zip(self.data.shape, thin, strict=True):
            count *= full if full != left else 1
        return self.sum(axis, keepdims) / float(count)

    def max(self, axis: Axis = None, keepdims: bool = False) -> Tensor:
        """The maximum, as `np.max`; entries that tie share the gradient equally."""
        top = np.max(self.data, axis=axis, keepdims=True)
        ties = self.data == top
        share = ties / np.sum(ties, axis=axis, keepdims=True)
        y = top if keepdims else np.max(self.data, axis=axis)

        def to_the_largest(g: np.ndarray) -> np.ndarray:
            return g.reshape(top.shape) * share

        return self._result(y, "max", (self, to_the_largest))

    def reshape(self, *shape: int) -> Tensor:
        """The same entries in another shape: `x.reshape(2, -1)`, as in NumPy."""
        old = self.data.shape
        return self._result(
            self.data.reshape(*shape), "reshape", (self, lambda g: g.reshape(old))
        )

    def transpose(self, *axes: int) -> Tensor:
        """Axis i of the result is axis axes[i] >= 0 of self; no `axes`: in reverse."""
        order = axes or tuple(range(self.data.ndim))[::-1]
        y = np.einsum(self.data, range(self.data.ndim), order)
        return self._result(
            y, "transpose", (self, lambda g: np.einsum(g, order, range(g.ndim)))
        )

    def __getitem__(self, index: Any) -> Tensor:
        """self[index] as in NumPy: ints, slices, None, `...`, integer arrays."""
        shape, size = self.data.shape, self.data.size
        places = np.arange(size).reshape(shape)[index]

        def put_back(g: np.ndarray) -> np.ndarray:
            flat = np.bincount(np.ravel(places), weights=g.ravel(), minlength=size)
            return flat.reshape(shape)

        return self._result(self.data[index], "[]", (self, put_back))

    def detach(self) -> Tensor:
        """A constant on the same `data` array: no edges, requires_grad False."""
        return Tensor(self.data)


# --- Task 8 (1 point): detach (above), no_grad, a loss -------------------------------


@contextmanager
def no_grad() -> Iterator[None]:
    """Inside the block no result has edges or requires a gradient.

    Sets `Tensor.recording` to False, and afterwards back to what it was before, also
    when the block raises. Blocks may stand inside each other.
    """
    before = Tensor.recording
    Tensor.recording = False
    try:
        yield
    finally:
        Tensor.recording = before


def cross_entropy(logits: Tensor, targets: np.ndarray) -> Tensor:
    """Mean over the batch of -log softmax(logits)[target], in nats; its shape is ().

    Finite for logits of any size. Its gradient (softmax - one-hot) / N follows from the
    operations. `logits` is (N, K) with N at least 1, `targets` N integers from 0 to
    K - 1. ValueError: `logits` is not two-dimensional, or `targets` is not (N,), not of
    an integer dtype, or out of range.
    """
    if logits.data.ndim != 2:
        raise ValueError(f"logits must be (N, K), got shape {logits.data.shape}")
    n, k = logits.data.shape
    targets = np.asarray(targets)
    if (
        targets.shape != (n,)
        or not np.issubdtype(targets.dtype, np.integer)
        or not all(0 <= t < k for t in targets)
    ):
        raise ValueError(f"targets must be {n} integers from 0 to {k - 1}")
    below = logits - logits.max(axis=1, keepdims=True)
    spread = below.exp().sum(axis=1).log()
    return (spread - below[np.arange(n), targets]).mean()
