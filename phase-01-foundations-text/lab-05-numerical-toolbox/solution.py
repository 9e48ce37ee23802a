"""A numerical toolbox: the habits under every later lab.

You seed, split, batch, broadcast, contract, sum and plot. At the end two runs with the
same seed agree bit for bit, and you can say why other runs do not.

1 seeding (1)   2 train_val_split (1)   3 minibatches (2)   4 broadcasting (2)
5 einsum (2)    6 float32 sums (1)      7 plots (1)
"""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import ArrayLike

# --- Task 1 (1 point): seeding ---------------------------------------------------


def seed_everything(seed: int) -> np.random.Generator:
    """Seed the global generators of Python, NumPy and torch (on every device).

    Each library has a generator of its own and gets this very seed: `random`, NumPy's
    legacy functions (`np.random.rand`) and torch. torch is imported in here, because
    its import takes seconds that the rest of this file does not need.

    Args:
        seed: from 0 to 2**32 - 1, what NumPy's legacy generator takes.

    Returns:
        A new generator, equal to `np.random.default_rng(seed)`.

    Raises:
        ValueError: `seed` is outside that range.
    """
    # task 1
    if not 0 <= seed < 2**32:
        raise ValueError(f"seed must be from 0 to 2**32 - 1, got {seed}")
    import torch

    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)  # seeds the CPU and every GPU
    return np.random.default_rng(seed)


def spawn_generators(seed: int, n: int) -> list[np.random.Generator]:
    """Make n generators whose streams do not overlap, one per worker.

    Generator i comes from child i of `np.random.SeedSequence(seed)`, which hashes the
    seed together with i. So it is the same for every n, and no generator of one seed
    is a generator of another seed (NumPy manual, "Parallel random number generation").
    """
    # task 1
    children = np.random.SeedSequence(seed).spawn(n)
    return [np.random.default_rng(child) for child in children]


# --- Task 2 (1 point): train_val_split -------------------------------------------


def train_val_split(
    n: int,
    *,
    val_fraction: float,
    rng: np.random.Generator,
    stratify: ArrayLike | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Split the rows 0..n-1 at random into a training and a validation part.

    The validation part gets floor(n * val_fraction + 0.5) rows. With `stratify` that
    rule holds for each class by itself: 8 rows of class "a" and 4 of class "b" give
    2 + 1 rows for a fraction of 0.25.

    Args:
        n: number of rows.
        val_fraction: share of the validation part, between 0 and 1.
        rng: the only source of randomness.
        stratify: class of each row, (n,); None treats all rows alike.

    Returns:
        train, val: integer arrays of row numbers, in any order; each row is in exactly
        one of them.

    Raises:
        ValueError: `val_fraction` is not between 0 and 1 or leaves the whole training
            or validation part empty (a small class may be missing from one of them), or
            `stratify` does not have the shape (n,).
    """
    # task 2
    if not 0 < val_fraction < 1:
        raise ValueError(f"val_fraction must be between 0 and 1, got {val_fraction}")
    labels = np.zeros(n) if stratify is None else np.asarray(stratify)
    if labels.shape != (n,):
        raise ValueError(f"stratify must have shape ({n},), got {labels.shape}")
    empty = np.arange(0)
    train, val = [empty], [empty]
    for label in np.unique(labels):
        members = rng.permutation(np.flatnonzero(labels == label))
        n_val = math.floor(len(members) * val_fraction + 0.5)
        train.append(members[n_val:])
        val.append(members[:n_val])
    parts = np.concatenate(train), np.concatenate(val)
    if not all(map(len, parts)):
        raise ValueError(f"val_fraction {val_fraction} of {n} rows leaves a part empty")
    return rng.permutation(parts[0]), rng.permutation(parts[1])  # classes mixed


# --- Task 3 (2 points): minibatches ----------------------------------------------


def minibatches(
    *arrays: np.ndarray,
    batch_size: int,
    rng: np.random.Generator | None = None,
    drop_last: bool = False,
) -> Iterator[tuple[np.ndarray, ...]]:
    """Go through all rows once (one epoch), a few at a time.

    Row k of every array belongs to the same example and stays with it. Without `rng`
    the rows come in their order; with `rng` each call shuffles anew, so one generator
    gives every epoch an order of its own. 7 rows in batches of 3 make 3 + 3 + 1.

    Args:
        arrays: X (N, D), y (N,) and so on: anything with a length that an integer
            array can index. They are not changed.
        batch_size: rows per batch, at least 1; the last batch may be shorter.
        rng: what to shuffle with.
        drop_last: leave a shorter last batch out.

    Yields:
        One tuple per batch, with one array for each of `arrays`.

    Raises:
        ValueError: no `arrays`, or of different lengths (the message has `arrays` and
            the lengths); `batch_size` below 1. At the latest with the first batch.
    """
    # task 3
    lengths = [len(array) for array in arrays]
    if len(set(lengths)) != 1:
        raise ValueError(f"arrays must all have one length, got {lengths}")
    if batch_size < 1:
        raise ValueError(f"batch_size must be at least 1, got {batch_size}")
    n = lengths[0]
    order = np.arange(n) if rng is None else rng.permutation(n)
    end = n - n % batch_size if drop_last else n
    for start in range(0, end, batch_size):
        rows = order[start : start + batch_size]
        yield tuple(array[rows] for array in arrays)


# --- Task 4 (2 points): broadcasting and four shape bugs -------------------------


def broadcast_shapes(*shapes: tuple[int, ...]) -> tuple[int, ...]:
    """The shape that arrays of these shapes have together.

    Shapes are compared from the right and a missing size counts as 1. Two sizes fit
    when they are equal or one of them is 1 (NumPy manual, "Broadcasting"). (4, 1) and
    (3,) give (4, 3); no shapes give ().

    Raises:
        ValueError: the `shapes` do not fit.
    """
    # task 4
    result = []
    backwards = [reversed(shape) for shape in shapes]
    for sizes in itertools.zip_longest(*backwards, fillvalue=1):
        wanted = set(sizes) - {1}
        if len(wanted) > 1:
            raise ValueError(f"shapes {shapes} do not fit: {sorted(wanted)} meet")
        result.append(wanted.pop() if wanted else 1)
    return tuple(reversed(result))


# Four functions as one finds them in real code. Each runs on the input its author
# tried, gives a number that looks right, and is wrong. They stay as they are; write the
# repaired versions below them.


def buggy_mse(y_true: np.ndarray, y_pred: np.ndarray) -> float:
    """Mean squared error, wrong when one side is (N, 1) and the other (N,)."""
    return float(np.mean((y_true - y_pred) ** 2))


def buggy_center(X: np.ndarray) -> np.ndarray:
    """Subtract the mean of each feature, tried on a square X (N, D) only."""
    return X - X.mean(axis=1)


def buggy_softmax(logits: np.ndarray) -> np.ndarray:
    """Softmax of each row, tried on a square array of small logits only."""
    e = np.exp(logits - logits.max())
    return e / e.sum(axis=-1)


def buggy_attention_weights(scores: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Attention weights, tried where every token is real; two places, one mistake."""
    scores = np.where(mask[:, :, None], scores, -1e9)  # (B, T, T)
    e = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def fixed_mse(y_true: ArrayLike, y_pred: ArrayLike) -> float:
    """Mean of the squared differences of N pairs.

    Args:
        y_true: (N,) or (N, 1).
        y_pred: (N,) or (N, 1), not always the same of the two as `y_true`.

    Raises:
        ValueError: `y_true` and `y_pred` differ in N.
    """
    # task 4
    y_true, y_pred = np.ravel(y_true), np.ravel(y_pred)
    if len(y_true) != len(y_pred):
        raise ValueError(f"y_true has {len(y_true)} values, y_pred {len(y_pred)}")
    return float(np.mean((y_true - y_pred) ** 2))


def fixed_center(X: np.ndarray) -> np.ndarray:
    """Subtract from each feature its mean over the N examples: (N, D) to (N, D)."""
    # task 4
    return X - X.mean(axis=0)  # (N, D) - (D,)


def fixed_softmax(logits: np.ndarray) -> np.ndarray:
    """Softmax along the last axis: (..., K) to float64 (..., K); the K sum to 1.

    It must not matter how far apart the rows are: finite logits give finite results.
    """
    # task 4
    # exp(1000) overflows; a shift of a whole row does not change its softmax
    e = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def fixed_attention_weights(scores: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """How much each query looks at each key, with padding left out.

    Args:
        scores: (B, T, S), row t holds the scores of query t for the S keys.
        mask: bool (B, S), True where key s of sequence b is a real token.

    Returns:
        float64 (B, T, S): the softmax over the real keys, 0 for the others.

    Raises:
        ValueError: a row of `mask` has no True.
    """
    # task 4
    if not mask.any(axis=-1).all():
        raise ValueError("mask must have a True in every row")
    return fixed_softmax(np.where(mask[:, None, :], scores, -np.inf))  # mask (B, 1, S)


# --- Task 5 (2 points): einsum ---------------------------------------------------
# One call of np.einsum in each of the seven functions. The letters of a spec are loop
# variables: those behind the arrow stay, the others are summed over.


def matmul_einsum(A: np.ndarray, B: np.ndarray) -> np.ndarray:
    """Matrix product: (N, K) and (K, M) to (N, M)."""
    # task 5
    return np.einsum("nk,km->nm", A, B)


def batched_matmul_einsum(A: np.ndarray, B: np.ndarray) -> np.ndarray:
    """One matrix product per batch entry: (B, N, K) and (B, K, M) to (B, N, M)."""
    # task 5
    return np.einsum("bnk,bkm->bnm", A, B)


def attention_scores(Q: np.ndarray, K: np.ndarray) -> np.ndarray:
    """Dot product of each query with each key, not yet scaled.

    (B, H, T, D) and (B, H, S, D) to (B, H, T, S): B sequences, H heads, T queries, S
    keys, D numbers in each.
    """
    # task 5
    return np.einsum("bhtd,bhsd->bhts", Q, K)


def attention_output(A: np.ndarray, V: np.ndarray) -> np.ndarray:
    """Mix the values with the weights: (B, H, T, S), (B, H, S, D) to (B, H, T, D)."""
    # task 5
    return np.einsum("bhts,bhsd->bhtd", A, V)


def bilinear(x: np.ndarray, W: np.ndarray, y: np.ndarray) -> np.ndarray:
    """x_n · W · y_n for each row n: (N, D), (D, E) and (N, E) to (N,)."""
    # task 5
    return np.einsum("nd,de,ne->n", x, W, y)


def batch_trace(M: np.ndarray) -> np.ndarray:
    """Sum of the diagonal of each matrix: (B, N, N) to (B,)."""
    # task 5
    return np.einsum("bii->b", M)


def masked_row_softmax(x: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Softmax of each row over the entries where `mask` is True, and 0 elsewhere.

    Args:
        x: (N, M); entries where `mask` is False have no influence, however large.
        mask: bool (N, M), with a True in each row.

    Returns:
        float64 (N, M); each row sums to 1. The row sums are the einsum.
    """
    # task 5
    top = np.max(x, axis=1, keepdims=True, where=mask, initial=-np.inf)  # (N, 1)
    e = np.exp(np.where(mask, x - top, -np.inf))  # exp(-inf) is 0
    return e / np.einsum("nm->n", e)[:, None]


def einsum_flops(spec: str, *shapes: tuple[int, ...]) -> int:
    """Multiply-adds of an einsum that is evaluated directly, by one nest of loops.

    One loop per letter and one multiply-add inside: the product of the sizes of all
    different letters, summed ones included. "ij,jk->ik" with (2, 3) and (3, 4) costs
    2 * 3 * 4 = 24.

    Args:
        spec: letters, commas and the arrow; spaces do not count, and no "...".
        shapes: one per operand.

    Raises:
        ValueError: the `shapes` do not fit the spec: their number, the number of
            sizes in one of them, or two sizes for one letter.
    """
    # task 5
    operands = spec.replace(" ", "").split("->")[0].split(",")
    if [len(letters) for letters in operands] != [len(shape) for shape in shapes]:
        raise ValueError(f"shapes {shapes} do not fit the operands of {spec!r}")
    sizes: dict[str, int] = {}
    for letter, size in zip("".join(operands), itertools.chain(*shapes), strict=True):
        if sizes.setdefault(letter, size) != size:
            raise ValueError(f"shapes give {letter!r} two sizes: {shapes}")
    return math.prod(sizes.values())


# --- Task 6 (1 point): float32 sums ----------------------------------------------


def naive_sum(x: ArrayLike) -> np.float32:
    """Add up numbers from left to right, rounded to float32 after each addition.

    x is 1-D and is read as float32; the sum of nothing is 0. `np.sum` adds in another
    order (pairs, then pairs of pairs) and gives another result.
    """
    # task 6
    total = np.float32(0)
    for value in np.asarray(x, dtype=np.float32):
        total = total + value
    return total


def kahan_sum(x: ArrayLike) -> np.float32:
    """Add up from left to right in float32, and carry along what rounding lost.

    The compensated summation of Kahan (1965), as in Goldberg (1991), theorem 8: for up
    to some million positive numbers the result is within two units in the last place.
    x is 1-D and is read as float32; the sum of nothing is 0.
    """
    # task 6
    total = excess = np.float32(0)
    for value in np.asarray(x, dtype=np.float32):
        term = value - excess
        new = total + term  # rounds: the low digits of term are lost
        excess = (new - total) - term  # what was added, minus what should have been
        total = new
    return total


# --- Task 7 (1 point): plots -----------------------------------------------------
# Each draws into `ax`, or into a new figure where `ax` is None, and returns the Axes.
# Both axes get a label. Nothing is shown or saved: that is for the caller.


def plot_loss_curves(
    histories: Mapping[str, Sequence[float]],
    *,
    ax: Axes | None = None,
    logy: bool = False,
) -> Axes:
    """Draw one line per history over the steps 0, 1, 2 and so on, with a legend.

    Args:
        histories: the losses of each run by its name, which is its label.
        logy: make the y axis logarithmic; the data stay as they are.

    Raises:
        ValueError: `histories` is empty.
    """
    # task 7
    if not histories:
        raise ValueError("histories must hold at least one run")
    ax = _axes(ax)
    for name, losses in histories.items():
        ax.plot(range(len(losses)), losses, label=name)
    ax.set(xlabel="step", ylabel="loss", yscale="log" if logy else "linear")
    ax.legend()
    return ax


def plot_decision_boundary(
    predict: Callable[[np.ndarray], np.ndarray],
    X: np.ndarray,
    y: np.ndarray,
    *,
    resolution: int = 200,
    ax: Axes | None = None,
) -> Axes:
    """Colour the plane by the predicted class and draw the points X on top of it.

    Args:
        predict: maps points (M, 2) to integer classes (M,).
        X: (N, 2); the first column goes along x, the second along y.
        y: classes of the points, integers (N,).
        resolution: grid points along each axis, resolution**2 in all. The grid reaches
            past the points by a tenth of their range on every side.
    """
    # task 7
    ax = _axes(ax)
    low, high = X.min(axis=0), X.max(axis=0)
    margin = 0.1 * (high - low)
    xs, ys = np.linspace(low - margin, high + margin, resolution).T
    grid = np.stack(np.meshgrid(xs, ys), axis=-1)  # [row, column] is (x, y)
    classes = predict(grid.reshape(-1, 2)).reshape(resolution, resolution)
    limits = {"vmin": min(classes.min(), y.min()), "vmax": max(classes.max(), y.max())}
    ax.pcolormesh(xs, ys, classes, alpha=0.3, shading="nearest", **limits)
    ax.scatter(X[:, 0], X[:, 1], c=y, s=15, edgecolors="white", **limits)
    ax.set(xlabel="first feature", ylabel="second feature")
    return ax


def plot_histogram(
    values: ArrayLike, *, bins: int = 50, ax: Axes | None = None
) -> Axes:
    """Draw one bar per bin, a rectangle as high as the number of values in it.

    Args:
        values: numbers of any shape, all finite: a histogram that leaves out NaN hides
            what you are looking for.
        bins: number of bars, of equal width from the smallest to the largest value.

    Raises:
        ValueError: `values` is empty, or holds NaN or infinity.
    """
    # task 7
    values = np.ravel(values)
    if not values.size or not np.isfinite(values).all():
        raise ValueError("values must be finite, and at least one")
    ax = _axes(ax)
    ax.hist(values, bins=bins)
    ax.set(xlabel="value", ylabel="count")
    return ax


def _axes(ax: Axes | None) -> Axes:
    # task 7
    if ax is not None:
        return ax
    import matplotlib.pyplot as plt  # not at the top: only plots need it

    return plt.subplots()[1]
