"""Lab 1.5 solved blind, from its README and stub alone; it must earn 10 of 10."""

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


def seed_everything(seed: int) -> np.random.Generator:
    if not 0 <= seed <= 2**32 - 1:
        raise ValueError(f"seed {seed} is outside 0..2**32-1")
    import torch

    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
    return np.random.default_rng(seed)


def spawn_generators(seed: int, n: int) -> list[np.random.Generator]:
    return [
        np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(i,)))
        for i in range(n)
    ]


def train_val_split(
    n: int,
    *,
    val_fraction: float,
    rng: np.random.Generator,
    stratify: ArrayLike | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    if not 0 <= val_fraction <= 1:
        raise ValueError("val_fraction must be between 0 and 1")
    if stratify is None:
        groups = [list(range(n))]
    else:
        stratify = np.asarray(stratify)
        if stratify.shape != (n,):
            raise ValueError("stratify must have shape (n,)")
        d = {}
        for i, c in enumerate(stratify.tolist()):
            d.setdefault(c, []).append(i)
        groups = list(d.values())
    train, val = ([], [])
    for g in groups:
        g = rng.permutation(g).tolist()
        k = math.floor(len(g) * val_fraction + 0.5)
        val += g[:k]
        train += g[k:]
    if not train or not val:
        raise ValueError("val_fraction leaves a part empty")
    return (np.array(train, dtype=int), np.array(val, dtype=int))


def minibatches(
    *arrays: np.ndarray,
    batch_size: int,
    rng: np.random.Generator | None = None,
    drop_last: bool = False,
) -> Iterator[tuple[np.ndarray, ...]]:
    if not arrays:
        raise ValueError("no arrays")
    lengths = [len(a) for a in arrays]
    if len(set(lengths)) > 1:
        raise ValueError(f"arrays of different lengths: {lengths}")
    if batch_size < 1:
        raise ValueError("batch_size must be at least 1")
    n = lengths[0]
    order = np.arange(n)
    if rng is not None:
        rng.shuffle(order)
    for start in range(0, n, batch_size):
        idx = order[start : start + batch_size]
        if drop_last and len(idx) < batch_size:
            break
        yield tuple((a[idx] for a in arrays))


def broadcast_shapes(*shapes: tuple[int, ...]) -> tuple[int, ...]:
    out = []
    for sizes in itertools.zip_longest(*(reversed(s) for s in shapes), fillvalue=1):
        big = set(sizes) - {1}
        if len(big) > 1:
            raise ValueError(f"shapes do not fit: {shapes}")
        out.append(big.pop() if big else 1)
    return tuple(reversed(out))


def buggy_mse(y_true: np.ndarray, y_pred: np.ndarray) -> float:
    return float(np.mean((y_true - y_pred) ** 2))


def buggy_center(X: np.ndarray) -> np.ndarray:
    return X - X.mean(axis=1)


def buggy_softmax(logits: np.ndarray) -> np.ndarray:
    e = np.exp(logits - logits.max())
    return e / e.sum(axis=-1)


def buggy_attention_weights(scores: np.ndarray, mask: np.ndarray) -> np.ndarray:
    scores = np.where(mask[:, :, None], scores, -1000000000.0)
    e = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def fixed_mse(y_true: ArrayLike, y_pred: ArrayLike) -> float:
    a = np.asarray(y_true, dtype=float).ravel()
    b = np.asarray(y_pred, dtype=float).ravel()
    if len(a) != len(b):
        raise ValueError("y_true and y_pred differ in N")
    total = 0.0
    for u, v in zip(a, b):
        total += (u - v) ** 2
    return float(total / len(a))


def fixed_center(X: np.ndarray) -> np.ndarray:
    return X - X.mean(axis=0)


def fixed_softmax(logits: np.ndarray) -> np.ndarray:
    x = np.asarray(logits, dtype=np.float64)
    x = x - x.max(axis=-1, keepdims=True)
    return np.exp(x - np.log(np.exp(x).sum(axis=-1, keepdims=True)))


def fixed_attention_weights(scores: np.ndarray, mask: np.ndarray) -> np.ndarray:
    scores = np.asarray(scores, dtype=np.float64)
    if not mask.any(axis=1).all():
        raise ValueError("a row of mask has no True")
    out = np.zeros(scores.shape)
    for b in range(scores.shape[0]):
        for t in range(scores.shape[1]):
            out[b, t, mask[b]] = fixed_softmax(scores[b, t, mask[b]])
    return out


def matmul_einsum(A: np.ndarray, B: np.ndarray) -> np.ndarray:
    return np.einsum("nk,km->nm", A, B)


def batched_matmul_einsum(A: np.ndarray, B: np.ndarray) -> np.ndarray:
    return np.einsum("bnk,bkm->bnm", A, B)


def attention_scores(Q: np.ndarray, K: np.ndarray) -> np.ndarray:
    return np.einsum("bhtd,bhsd->bhts", Q, K)


def attention_output(A: np.ndarray, V: np.ndarray) -> np.ndarray:
    return np.einsum("bhts,bhsd->bhtd", A, V)


def bilinear(x: np.ndarray, W: np.ndarray, y: np.ndarray) -> np.ndarray:
    return np.einsum("nd,de,ne->n", x, W, y)


def batch_trace(M: np.ndarray) -> np.ndarray:
    return np.einsum("bnn->b", M)


def masked_row_softmax(x: np.ndarray, mask: np.ndarray) -> np.ndarray:
    x = np.where(mask, np.asarray(x, dtype=np.float64), -np.inf)
    e = np.exp(x - x.max(axis=1, keepdims=True))
    return e / np.einsum("nm->n", e).reshape(-1, 1)


def einsum_flops(spec: str, *shapes: tuple[int, ...]) -> int:
    left = spec.replace(" ", "").split("->")[0].split(",")
    if len(left) != len(shapes):
        raise ValueError("number of shapes does not fit the spec")
    size = {}
    for letters, shape in zip(left, shapes):
        if len(letters) != len(shape):
            raise ValueError(f"{letters} does not fit shapes {shapes}")
        for c, k in zip(letters, shape):
            if size.setdefault(c, k) != k:
                raise ValueError(f"two sizes for letter {c}: shapes {shapes}")
    return math.prod(size.values())


def naive_sum(x: ArrayLike) -> np.float32:
    total = np.float32(0)
    for v in np.asarray(x, dtype=np.float32):
        total = total + v
    return total


def kahan_sum(x: ArrayLike) -> np.float32:
    total = np.float32(0)
    extra = np.float32(0)
    for v in np.asarray(x, dtype=np.float32):
        term = v - extra
        new = total + term
        extra = new - total - term
        total = new
    return total


def plot_loss_curves(
    histories: Mapping[str, Sequence[float]],
    *,
    ax: Axes | None = None,
    logy: bool = False,
) -> Axes:
    import matplotlib.pyplot as plt

    if not histories:
        raise ValueError("histories is empty")
    if ax is None:
        _, ax = plt.subplots()
    for name, h in histories.items():
        ax.plot(range(len(h)), h, label=name)
    if logy:
        ax.set_yscale("log")
    ax.set_xlabel("step")
    ax.set_ylabel("loss")
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
    import matplotlib.pyplot as plt

    if ax is None:
        _, ax = plt.subplots()
    lo, hi = (X.min(axis=0), X.max(axis=0))
    pad = 0.1 * (hi - lo)
    gx = np.linspace(lo[0] - pad[0], hi[0] + pad[0], resolution)
    gy = np.linspace(lo[1] - pad[1], hi[1] + pad[1], resolution)
    xx, yy = np.meshgrid(gx, gy)
    zz = predict(np.c_[xx.ravel(), yy.ravel()]).reshape(xx.shape)
    ax.contourf(xx, yy, zz, alpha=0.3)
    ax.scatter(X[:, 0], X[:, 1], c=y, edgecolors="k")
    ax.set_xlabel("x1")
    ax.set_ylabel("x2")
    return ax


def plot_histogram(
    values: ArrayLike, *, bins: int = 50, ax: Axes | None = None
) -> Axes:
    import matplotlib.pyplot as plt

    v = np.asarray(values, dtype=float).ravel()
    if v.size == 0:
        raise ValueError("values is empty")
    if not np.isfinite(v).all():
        raise ValueError("values holds NaN or infinity")
    if ax is None:
        _, ax = plt.subplots()
    ax.hist(v, bins=bins)
    ax.set_xlabel("value")
    ax.set_ylabel("count")
    return ax
