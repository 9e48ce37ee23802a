"""PyTorch essentials: tensors, autograd and the training loop, checked by closed forms.

You solve ten tensor puzzles without a loop, fit a line by hand and with nn.Module, and
build three tools of every training script. CPU only; a GPU is used where there is one.

1 puzzles 1-5 (1)            2 puzzles 6-10 (2)     3 fit_manual (2)
4 LinearRegression (2)       5 views, copies (1)    6 accumulate, evaluate (1)
7 time_step, to_device (1)   + mlp_manual_backward (bonus)
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from common.device import synchronize

# --- Task 1 (1 point): puzzles 1-5 -----------------------------------------------

# Each puzzle is one idea in one or a few lines. Enough for all ten: indexing,
# arithmetic, comparisons, broadcasting, arange, where, sum, max, mean, all, exp, sqrt.
# Not allowed: loops and comprehensions (map and filter are loops), and the functions
# that are the answer already: as_strided, bincount, cdist, diag, einsum, eye, histc,
# histogram, index_add, kron, logsumexp, normalize, one_hot, outer, pairwise_distance,
# scatter, softmax, std, tril, triu, unfold, unique, var, vmap and their relatives.


def outer(a: Tensor, b: Tensor) -> Tensor:
    """Puzzle 1: every product of an entry of `a` (n,) and one of `b` (m,), as (n, m).

    outer([1, 2], [3, 4, 5]) is [[3, 4, 5], [6, 8, 10]].
    """
    # task 1
    return a[:, None] * b  # (n, 1) times (m,) broadcasts to (n, m)


def pairwise_sq_dists(X: Tensor, Y: Tensor) -> Tensor:
    """Puzzle 2: squared Euclidean distances of the rows of X (N, D) and Y (M, D).

    Entry (i, j) of the result (N, M) is the sum over d of (X[i, d] - Y[j, d])².
    """
    # task 1
    differences = X[:, None, :] - Y  # (N, M, D)
    return (differences**2).sum(dim=-1)


def one_hot(ids: Tensor, k: int) -> Tensor:
    """Puzzle 3: one row of k entries per id, 1 at the id and 0 elsewhere.

    Takes int64 ids (n,) from 0 to k-1, returns int64 (n, k).
    """
    # task 1
    return (ids[:, None] == torch.arange(k)).long()


def causal_mask(t: int) -> Tensor:
    """Puzzle 4: which positions a text model may look at, bool (t, t).

    Entry (i, j) is True where position i may look at j: at itself and the past.
    """
    # task 1
    positions = torch.arange(t)
    return positions <= positions[:, None]  # row i: who looks; column j: what is seen


def padding_mask(lengths: Tensor, max_len: int) -> Tensor:
    """Puzzle 5: which places of a padded batch hold a token, bool (B, max_len).

    Row i is True in its first lengths[i] places; `lengths` is int64 (B,). For lengths
    [2, 0] and max_len 3 the rows are [True, True, False] and three times False.
    """
    # task 1
    return torch.arange(max_len) < lengths[:, None]


# --- Task 2 (2 points): puzzles 6-10 ---------------------------------------------


def standardize_columns(X: Tensor) -> Tensor:
    """Puzzle 6: shift and scale each column of X (N, D) to mean 0 and deviation 1.

    The deviation is that of these N numbers, the root of mean((x - mean)²), as in
    scikit-learn's StandardScaler. A column of equal values becomes
    zeros, also where rounding makes its mean inexact. Keeps the floating dtype.
    """
    # task 2
    centred = X - X.mean(dim=0)
    deviation = (centred**2).mean(dim=0).sqrt()
    # compared as values: rounding can leave the deviation of equal values at 1e-17
    constant = (X[0] == X).all(dim=0)
    return centred / torch.where(constant, 1.0, deviation)


def sliding_windows(x: Tensor, w: int) -> Tensor:
    """Puzzle 7: all runs of w neighbours in x (n,), as rows of (n - w + 1, w).

    sliding_windows([1, 2, 3, 4], 3) is [[1, 2, 3], [2, 3, 4]].

    Raises:
        ValueError: `w` is below 1 or above n.
    """
    # task 2
    if not 1 <= w <= len(x):
        raise ValueError(f"w must be from 1 to {len(x)}, got {w}")
    starts = torch.arange(len(x) - w + 1)
    return x[starts[:, None] + torch.arange(w)]  # an index of shape (n - w + 1, w)


def bucket_counts(ids: Tensor, k: int) -> Tensor:
    """Puzzle 8: how often each of 0..k-1 occurs in the int64 ids (n,), int64 (k,)."""
    # task 2
    return (ids[:, None] == torch.arange(k)).sum(dim=0)


def row_softmax(x: Tensor) -> Tensor:
    """Puzzle 9: exp(x) divided by its row sum, for each row of x (N, K).

    Right for entries of any size, such as a row of 1000s. Keeps the floating dtype.
    """
    # task 2
    shifted = x - x.amax(dim=1, keepdim=True)  # exp(1000) overflows, exp(0) does not
    weights = shifted.exp()
    return weights / weights.sum(dim=1, keepdim=True)


def relative_positions(t: int) -> Tensor:
    """Puzzle 10: how far j comes after i: entry (i, j) is j - i, int64 (t, t)."""
    # task 2
    steps = torch.arange(t)
    return steps - steps[:, None]


# --- Task 3 (2 points): fit_manual -----------------------------------------------


@dataclass
class FitResult:
    """A fitted line, weight (d,) and bias (), and the loss before each step."""

    weight: Tensor
    bias: Tensor
    losses: list[float]


def make_regression(
    n: int, d: int, noise: float, *, generator: torch.Generator
) -> tuple[Tensor, Tensor, Tensor, float]:
    """Data around a known line: X (n, d), y (n,), true weight (d,), true bias.

    float64; `noise` is the standard deviation of what is added to y.
    """

    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    X, weight, bias = draw(n, d), draw(d), 1.5
    return X, X @ weight + bias + noise * draw(n), weight, bias


def check_fit(X: Tensor, y: Tensor, lr: float = 1.0, steps: int = 1) -> None:
    """Raise the ValueErrors that the fits below promise, with the argument's name.

    y of shape (n, 1) is refused because (n, 1) minus (n,) broadcasts to (n, n), and the
    loss would be wrong without a word (pytorch issue 16045).
    """
    if X.ndim != 2:
        raise ValueError(f"X must have shape (n, d), got {tuple(X.shape)}")
    if y.shape != (len(X),):
        raise ValueError(f"y must have shape ({len(X)},), got {tuple(y.shape)}")
    if not lr > 0:
        raise ValueError(f"lr must be above 0, got {lr}")
    if steps < 1:
        raise ValueError(f"steps must be at least 1, got {steps}")


def fit_manual(X: Tensor, y: Tensor, *, lr: float = 0.1, steps: int = 500) -> FitResult:
    """Gradient descent on mean((X @ weight + bias - y)²) with autograd alone.

    No optimizer and no nn.Module: two tensors with requires_grad, backward(), and the
    update parameter -= lr * gradient. Both start from zero.

    Args:
        X: examples (n, d), floating.
        y: targets (n,), of the same dtype.
        lr: learning rate, above 0.
        steps: number of updates, at least 1.

    Returns:
        weight and bias after the last update, detached from the graph and of X's dtype,
        and one loss per step, each measured before the update.

    Raises:
        ValueError: X is not (n, d), y is not (n,), `lr` or `steps` is too small.
    """
    # task 3
    check_fit(X, y, lr, steps)
    weight = X.new_zeros(X.shape[1], requires_grad=True)
    bias = X.new_zeros((), requires_grad=True)
    losses = []
    for _ in range(steps):
        weight.grad = bias.grad = None  # backward() adds to what is there
        predictions = X @ weight + bias  # (n,)
        loss = ((predictions - y) ** 2).mean()
        loss.backward()
        with torch.no_grad():  # the update itself is not to be differentiated
            weight -= lr * weight.grad
            bias -= lr * bias.grad
        losses.append(loss.item())
    return FitResult(weight.detach(), bias.detach(), losses)


# --- Task 4 (2 points): LinearRegression, fit_module, closed_form ----------------


class LinearRegression(nn.Module):
    """The same line as a module, with the parameters `weight` (d,) and `bias` ()."""

    def __init__(self, n_features: int) -> None:
        """Both parameters start from zero, in torch's default dtype."""
        # task 4
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(n_features))
        self.bias = nn.Parameter(torch.zeros(()))

    def forward(self, X: Tensor) -> Tensor:
        """Predictions (n,) for examples X (n, d)."""
        # task 4
        return X @ self.weight + self.bias


def fit_module(
    model: nn.Module, X: Tensor, y: Tensor, *, lr: float = 0.1, steps: int = 500
) -> list[float]:
    """Train any model that maps X (n, d) to (n,) on the mean squared error, in place.

    Plain torch.optim.SGD on all of X in every step. A .grad that the model brings along
    from earlier has no influence.

    Returns:
        One loss per step, each measured before the update.

    Raises:
        ValueError: X is not (n, d), y is not (n,), `lr` or `steps` is too small.
    """
    # task 4
    check_fit(X, y, lr, steps)
    optimizer = torch.optim.SGD(model.parameters(), lr=lr)
    losses = []
    for _ in range(steps):
        optimizer.zero_grad()
        loss = nn.functional.mse_loss(model(X), y)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def closed_form(X: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """The weight (d,) and bias () with the smallest mean squared error, by algebra.

    Least squares on X (n, d) with a column of ones, whose weight is the bias. The
    columns of X and the ones are linearly independent.

    Raises:
        ValueError: X is not (n, d) or y is not (n,).
    """
    # task 4
    check_fit(X, y)
    ones = X.new_ones(len(X), 1)
    design = torch.cat([X, ones], dim=1)  # (n, d + 1)
    solution = torch.linalg.lstsq(design, y[:, None]).solution[:, 0]
    return solution[:-1], solution[-1]


# --- Task 5 (1 point): views and copies ------------------------------------------

# Ten operations on x = torch.arange(12.).reshape(3, 4), float32 and contiguous.
OPERATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "x[1]": lambda x: x[1],
    "x[:, ::2]": lambda x: x[:, ::2],
    "x[[0, 2]]": lambda x: x[[0, 2]],
    "x[x > 4]": lambda x: x[x > 4],
    "x.T": lambda x: x.T,
    "x.reshape(4, 3)": lambda x: x.reshape(4, 3),
    "x.T.reshape(12)": lambda x: x.T.reshape(12),
    "x.T.contiguous()": lambda x: x.T.contiguous(),
    "x.detach()": lambda x: x.detach(),
    "x.to(torch.float32)": lambda x: x.to(torch.float32),
}

# For each name above: True where the result shares memory with x, False for a copy.
# Say what you expect before you try it.
VIEW_OR_COPY: dict[str, bool] = {  # task 5
    "x[1]": True,
    "x[:, ::2]": True,  # every second column is a larger stride
    "x[[0, 2]]": False,  # a list of rows has no single stride
    "x[x > 4]": False,
    "x.T": True,
    "x.reshape(4, 3)": True,
    "x.T.reshape(12)": False,  # no stride walks down the columns; view() would refuse
    "x.T.contiguous()": False,
    "x.detach()": True,  # leaves the graph, not the memory
    "x.to(torch.float32)": True,  # is float32 already: the same tensor comes back
}


def shares_memory(a: Tensor, b: Tensor) -> bool:
    """Whether two tensors (neither empty) read from the same storage.

    x[0] and x[1] do, although no number belongs to both: each is a window, with an
    offset and strides, onto the storage of x.
    """
    # task 5
    # data_ptr() of a tensor is where its window starts, that of the storage is shared
    return a.untyped_storage().data_ptr() == b.untyped_storage().data_ptr()


# --- Task 6 (1 point): accumulate_gradients, evaluate ----------------------------

LossFn = Callable[[Tensor, Tensor], Tensor]  # (predictions, targets) to a mean loss ()


def accumulate_gradients(
    model: nn.Module, batches: Sequence[tuple[Tensor, Tensor]], loss_fn: LossFn
) -> None:
    """Set every .grad to the gradient of the mean loss over all examples.

    The batches go through the model one at a time, so memory holds one batch's graph.
    They may differ in size. What was in .grad before does not count.

    Args:
        model: its parameters get the gradients; they are not updated.
        batches: pairs (X, y) with the examples in the first dimension.
        loss_fn: the mean loss of one batch, as nn.functional.mse_loss.
    """
    # task 6
    n_examples = sum(len(y) for _, y in batches)
    model.zero_grad()
    for X, y in batches:
        loss = loss_fn(model(X), y)
        (loss * len(y) / n_examples).backward()  # weighted by the batch's share


def evaluate(model: nn.Module, X: Tensor, y: Tensor, loss_fn: LossFn) -> float:
    """The loss of a model in evaluation mode, as a float; nothing about it changes.

    No graph is built while the model runs, every .grad stays what it was, and the model
    is afterwards in the mode, training or evaluation, in which it came (all parts of it
    share one mode).
    """
    # task 6
    was_training = model.training
    model.eval()
    with torch.no_grad():
        loss = loss_fn(model(X), y)
    model.train(was_training)
    return loss.item()


# --- Task 7 (1 point): time_step, to_device --------------------------------------


def time_step(
    fn: Callable[[], object],
    *,
    device: str,
    warmup: int = 3,
    repeats: int = 20,
    clock: Callable[[], float] = time.perf_counter,
    synchronize: Callable[[str], None] = synchronize,
) -> float:
    """The median seconds of one call of `fn`, with the work of the call done.

    On a GPU a call returns when its work is queued. So wait for the device before each
    reading of the clock, or the wrong work is timed.

    Args:
        fn: called without arguments, `warmup` + `repeats` times.
        device: what `fn` computes on; handed to `synchronize`.
        warmup: calls before the clock counts; the first ones load and allocate.
        repeats: calls to time, each on its own; of an even number, the median is the
            mean of the two in the middle.
        clock: returns seconds; only differences count.
        synchronize: returns when the work queued on a device is done.

    Raises:
        ValueError: `warmup` is negative or `repeats` is below 1.
    """
    # task 7
    if warmup < 0:
        raise ValueError(f"warmup must not be negative, got {warmup}")
    if repeats < 1:
        raise ValueError(f"repeats must be at least 1, got {repeats}")
    for _ in range(warmup):
        fn()
    synchronize(device)  # or the first timed call would wait for the warm-up
    seconds = []
    for _ in range(repeats):
        start = clock()
        fn()
        synchronize(device)  # or only the launch is timed
        seconds.append(clock() - start)
    return statistics.median(seconds)


def to_device(data: Any, device: str) -> Any:
    """The same data with every tensor in it on `device`.

    Tensors may lie in plain lists, tuples and dicts, nested in any way; these keep
    their kind and order. Anything else stays as it is. The data given are not changed:
    unlike Module.to, Tensor.to returns a new tensor.
    """
    # task 7
    if isinstance(data, Tensor):
        return data.to(device)
    if isinstance(data, dict):
        return {key: to_device(value, device) for key, value in data.items()}
    if isinstance(data, list | tuple):
        return type(data)(to_device(value, device) for value in data)
    return data


# --- Bonus: mlp_manual_backward --------------------------------------------------


def mlp_manual_backward(
    X: Tensor, y: Tensor, W1: Tensor, b1: Tensor, W2: Tensor, b2: Tensor
) -> dict[str, Tensor]:
    """Gradients of mean((relu(X @ W1 + b1) @ W2 + b2 - y)²) without autograd.

    The mean runs over all N·K entries. The slope of relu at 0 counts as 0.

    Args:
        X: examples (N, D).
        y: targets (N, K).
        W1, b1: first layer, (D, H) and (H,).
        W2, b2: second layer, (H, K) and (K,).

    Returns:
        The gradients under the names "W1", "b1", "W2", "b2", each of its parameter's
        shape.
    """
    # task 8
    before = X @ W1 + b1  # (N, H)
    hidden = before.clamp(min=0)
    predictions = hidden @ W2 + b2  # (N, K)
    d_predictions = 2 * (predictions - y) / y.numel()
    d_before = d_predictions @ W2.T * (before > 0)  # relu lets through what was above 0
    return {
        "W1": X.T @ d_before,
        "b1": d_before.sum(dim=0),  # one bias served all N rows
        "W2": hidden.T @ d_predictions,
        "b2": d_predictions.sum(dim=0),
    }
