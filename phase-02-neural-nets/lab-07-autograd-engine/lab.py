"""Autograd: what `.backward()` does, first for single numbers, then for arrays.

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
        raise NotImplementedError("task 1")

    def __mul__(self, other: Any) -> Self:
        """self * other."""
        raise NotImplementedError("task 1")

    def __pow__(self, exponent: float) -> Self:
        """For an int or float `exponent`; TypeError for all else, such as a Value.

        At base 0 the local derivative is 1 for exponent 1 and 0 for exponents above 1;
        exponents below 1 are not asked for there.
        """
        raise NotImplementedError("task 1")

    def exp(self) -> Self:
        """e to the power self."""
        raise NotImplementedError("task 1")

    def log(self) -> Self:
        """The natural logarithm, for numbers above 0."""
        raise NotImplementedError("task 1")

    def tanh(self) -> Self:
        """The hyperbolic tangent."""
        raise NotImplementedError("task 1")

    def sigmoid(self) -> Self:
        """1 / (1 + e^-self), within 1e-15 (absolute), no overflow at -1000 or 1000."""
        raise NotImplementedError("task 1")

    def relu(self) -> Self:
        """max(self, 0). The derivative at exactly 0 is 0, as in PyTorch."""
        raise NotImplementedError("task 1")

    # --- Task 3 (1 point): the rest follows from +, * and ** ---

    def __neg__(self) -> Self:
        """-self."""
        raise NotImplementedError("task 3")

    def __sub__(self, other: Any) -> Self:
        """self - other."""
        raise NotImplementedError("task 3")

    def __truediv__(self, other: Any) -> Self:
        """self / other, for an `other` without zeros."""
        raise NotImplementedError("task 3")

    def __radd__(self, other: Any) -> Self:
        """other + self: Python calls it for `2 + v`, as 2 does not know Value."""
        raise NotImplementedError("task 3")

    def __rmul__(self, other: Any) -> Self:
        """other * self."""
        raise NotImplementedError("task 3")

    def __rsub__(self, other: Any) -> Self:
        """other - self."""
        raise NotImplementedError("task 3")

    def __rtruediv__(self, other: Any) -> Self:
        """other / self."""
        raise NotImplementedError("task 3")


# --- Task 2 (2 points): the way back -------------------------------------------------


def topological_order(root: Any) -> list:
    """All nodes that `root` was computed from, each once, inputs before results.

    Any such order will do; `root` is last. Without recursion: a graph may be 100,000
    nodes deep. A node is anything with `edges`: pairs whose first item is a node.
    """
    raise NotImplementedError("task 2")


class Value(Node):
    """A number that remembers how it was computed.

    data: a Python float. grad: d(root)/d(self), a float, 0.0 until `root.backward()`.
    edges: pairs (operand, local derivative as a float); () for a leaf.
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
        raise NotImplementedError("task 2")


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
        raise NotImplementedError("task 4")

    def __call__(self, x: Sequence[Value | float]) -> Value | list[Value]:
        """One example: `x` holds sizes[0] numbers or Values, else ValueError.

        Returns a list with a Value for each output, or the Value alone if there is one.
        """
        raise NotImplementedError("task 4")

    def parameters(self) -> list[Value]:
        """The weights themselves: by layer, W row by row (input 0 first), then b."""
        raise NotImplementedError("task 4")


# --- Task 5 (1 point): the way back through a broadcast ------------------------------


def unbroadcast(grad: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """dL/dx for an array x of `shape` that broadcasting stretched to grad.shape.

    An entry that was copied gets the sum over its copies: with grad = ones((2, 3)),
    shape (3,) gives [2, 2, 2] and shape (2, 1) gives [[3], [3]]. The result is float64
    of exactly `shape` (for () a NumPy scalar will do) and may be `grad` itself; `grad`
    does not change. That `shape` broadcasts to grad.shape is not checked.
    """
    raise NotImplementedError("task 5")


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
        raise NotImplementedError("task 6")

    # --- Task 7 (1 point): matrix product, reductions, shapes, indexing ---

    def __matmul__(self, other: Tensor | ArrayLike) -> Tensor:
        """self @ other as `np.matmul`: vectors, matrices, stacks that broadcast."""
        raise NotImplementedError("task 7")

    def sum(self, axis: Axis = None, keepdims: bool = False) -> Tensor:
        """The sum over one axis, several, or all (None), as `np.sum`."""
        raise NotImplementedError("task 7")

    def mean(self, axis: Axis = None, keepdims: bool = False) -> Tensor:
        """The mean over one axis, several, or all (None), as `np.mean`."""
        raise NotImplementedError("task 7")

    def max(self, axis: Axis = None, keepdims: bool = False) -> Tensor:
        """The maximum, as `np.max`; entries that tie share the gradient equally."""
        raise NotImplementedError("task 7")

    def reshape(self, *shape: int) -> Tensor:
        """The same entries in another shape: `x.reshape(2, -1)`, as in NumPy."""
        raise NotImplementedError("task 7")

    def transpose(self, *axes: int) -> Tensor:
        """Axis i of the result is axis axes[i] >= 0 of self; no `axes`: in reverse."""
        raise NotImplementedError("task 7")

    def __getitem__(self, index: Any) -> Tensor:
        """self[index] as in NumPy: ints, slices, None, `...`, integer arrays."""
        raise NotImplementedError("task 7")

    def detach(self) -> Tensor:
        """A constant on the same `data` array: no edges, requires_grad False."""
        raise NotImplementedError("task 8")


# --- Task 8 (1 point): detach (above), no_grad, a loss -------------------------------


@contextmanager
def no_grad() -> Iterator[None]:
    """Inside the block no result has edges or requires a gradient.

    Sets `Tensor.recording` to False, and afterwards back to what it was before, also
    when the block raises. Blocks may stand inside each other.
    """
    raise NotImplementedError("task 8")


def cross_entropy(logits: Tensor, targets: np.ndarray) -> Tensor:
    """Mean over the batch of -log softmax(logits)[target], in nats; its shape is ().

    Without overflow in exp, however large the logits, and without log(0), however far
    apart the rows. The gradient (softmax - one-hot) / N follows from the operations.
    `logits` is (N, K) with N at least 1, `targets` N integers from 0 to K - 1.
    ValueError: `logits` is not two-dimensional, or `targets` is not (N,), not of an
    integer dtype, or out of range.
    """
    raise NotImplementedError("task 8")
