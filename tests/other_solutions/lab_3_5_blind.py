"""Lab 3.5 solved from its README and lab.py alone, in ways that are not the nearest.

Sums by einsum, the loss by logaddexp, norms by one-step backward passes, samples by the
Gumbel trick, streams by an index table.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from types import SimpleNamespace

import numpy as np

from common import labs

Params = dict[str, np.ndarray]
Chunk = tuple[np.ndarray, np.ndarray, bool]  # inputs and targets (T, B), new_epoch

Adam = labs.solution("2.8").Adam
orthogonal = labs.solution("2.6").orthogonal


# --- Given: checks, one-hot vectors, the start, Adam for a dict, evaluation ------


def check_at_least(low: int, **counts: int) -> None:
    """ValueError, with the name in it, if one of the `counts` is below `low`."""
    for name, count in counts.items():
        if count < low:
            raise ValueError(f"{name} must be at least {low}, got {count}")


def check_activation(activation: str) -> None:
    """ValueError unless `activation` is "tanh" or "identity"."""
    if activation not in ("tanh", "identity"):
        raise ValueError(f"activation must be 'tanh' or 'identity', got {activation!r}")


def one_hot(ids: np.ndarray, n: int, dtype: np.typing.DTypeLike = np.float64):
    """Integers (...) to rows (..., n) of zeros with a 1 at place `ids`.

    A one-hot row times a matrix is one row of the matrix, so Wxh is a table with a row
    for each symbol. ValueError: some of `ids` are not in 0 .. n - 1.
    """
    ids = np.asarray(ids)
    if ids.size and not (ids.min() >= 0 and ids.max() < n):
        raise ValueError(f"ids must be in 0 .. {n - 1}, got {ids.min()} .. {ids.max()}")
    rows = np.zeros((*ids.shape, n), dtype)
    np.put_along_axis(rows, ids[..., None], 1, axis=-1)
    return rows


def init_rnn(
    n_in: int, n_hidden: int, n_out: int, rng: np.random.Generator, radius: float = 1.0
) -> Params:
    """Whh orthogonal (lab 2.6) times `radius`, Wxh and Why N(0, 1/fan_in), biases 0.

    All eigenvalues of Whh then have the absolute value `radius`. float64.
    """
    return {
        "Wxh": rng.standard_normal((n_in, n_hidden)) / math.sqrt(n_in),
        "Whh": orthogonal((n_hidden, n_hidden), gain=radius, rng=rng),
        "bh": np.zeros(n_hidden),
        "Why": rng.standard_normal((n_hidden, n_out)) / math.sqrt(n_hidden),
        "by": np.zeros(n_out),
    }


class DictAdam:
    """Lab 2.8's Adam for a dict of arrays, which it changes in place."""

    def __init__(self, params: Params) -> None:
        self.weights = {
            name: SimpleNamespace(data=array, grad=None)
            for name, array in params.items()
        }
        self.adam = Adam(self.weights.values())

    def step(self, grads: Params, lr: float) -> None:
        """One step against the gradients, at the rate `lr`."""
        for name, weight in self.weights.items():
            weight.grad = grads[name]
        self.adam.lr = lr
        self.adam.step()


def evaluate_stream(params: Params, ids: np.ndarray, seq_len: int = 1000) -> float:
    """The mean of -log p(ids[t + 1] given all of ids[0 .. t]), in nats per symbol.

    The state starts at zero and is carried through the whole text, so that the result
    does not depend on `seq_len`, which is how much is in memory at a time.
    """
    n_in, n_hidden = params["Wxh"].shape
    h, total = np.zeros((1, n_hidden), params["Whh"].dtype), 0.0
    for start in range(0, len(ids) - 1, seq_len):
        y = ids[start + 1 : start + 1 + seq_len, None]
        xs = one_hot(ids[start : start + len(y), None], n_in, h.dtype)
        hs, logits = rnn_forward(xs, h, params)
        total += softmax_cross_entropy(logits, y)[0] * len(y)
        h = hs[-1]
    return total / (len(ids) - 1)


# --- Task 1 (2 points): a step, and the unrolled forward pass ---------------------


def rnn_step(
    x: np.ndarray, h: np.ndarray, params: Params, activation: str = "tanh"
) -> np.ndarray:
    check_activation(activation)
    both = np.concatenate([x, h], axis=1)
    z = both @ np.concatenate([params["Wxh"], params["Whh"]]) + params["bh"]
    return np.tanh(z) if activation == "tanh" else z


def rnn_forward(
    xs: np.ndarray, h0: np.ndarray, params: Params, activation: str = "tanh"
) -> tuple[np.ndarray, np.ndarray]:
    check_activation(activation)
    hs = [np.array(h0)]
    for x in xs:
        hs.append(rnn_step(x, hs[-1], params, activation))
    logits = np.einsum("tbh,hv->tbv", np.stack(hs[1:]), params["Why"])
    return np.stack(hs), logits + params["by"]


# --- Task 2 (1 point): the loss and its gradient ---------------------------------


def softmax_cross_entropy(
    logits: np.ndarray, targets: np.ndarray, mask: np.ndarray | None = None
) -> tuple[float, np.ndarray]:
    n_classes = logits.shape[-1]
    targets = np.asarray(targets)
    if np.any((targets < 0) | (targets >= n_classes)):
        raise ValueError(f"targets must be in 0 .. {n_classes - 1}")
    counts = np.ones(targets.shape, bool) if mask is None else np.asarray(mask, bool)
    n = int(counts.sum())
    if n == 0:
        raise ValueError("mask lets no step count")
    log_p = logits - np.logaddexp.reduce(logits, axis=-1, keepdims=True)
    hit = np.arange(n_classes) == targets[..., None]
    loss = -float(log_p[hit & counts[..., None]].mean())
    dlogits = np.where(counts[..., None], np.exp(log_p) - hit, 0) / n
    return loss, dlogits.astype(logits.dtype)


# --- Task 3 (3 points): backpropagation through time ------------------------------


def rnn_backward(
    xs: np.ndarray,
    hs: np.ndarray,
    dlogits: np.ndarray,
    params: Params,
    dh_last: np.ndarray | None = None,
    activation: str = "tanh",
) -> tuple[Params, np.ndarray]:
    check_activation(activation)
    slopes = 1 - hs[1:] ** 2 if activation == "tanh" else np.ones_like(hs[1:])
    dhs = dlogits @ params["Why"].T
    if dh_last is not None:
        dhs[-1] = dhs[-1] + dh_last
    dzs = np.empty_like(dhs)
    back = np.zeros_like(hs[0])
    for t in reversed(range(len(xs))):
        dzs[t] = slopes[t] * (dhs[t] + back)
        back = dzs[t] @ params["Whh"].T
    grads = {
        "Wxh": np.einsum("tbi,tbh->ih", xs, dzs),
        "Whh": np.einsum("tbg,tbh->gh", hs[:-1], dzs),
        "bh": np.einsum("tbh->h", dzs),
        "Why": np.einsum("tbh,tbv->hv", hs[1:], dlogits),
        "by": np.einsum("tbv->v", dlogits),
    }
    return grads, back


# --- Task 4 (1 point): gradient norms through time, clipping ----------------------


def hidden_gradient_norms(
    xs: np.ndarray, h0: np.ndarray, params: Params, activation: str = "tanh"
) -> np.ndarray:
    hs, logits = rnn_forward(xs, h0, params, activation)
    silence = np.zeros_like(logits[:1])
    dh = np.ones_like(hs[-1])
    norms = [np.linalg.norm(dh)]
    for t in range(len(xs) - 1, 0, -1):
        _, dh = rnn_backward(
            xs[t : t + 1], hs[t : t + 2], silence, params, dh, activation
        )
        norms.insert(0, np.linalg.norm(dh))
    return np.array(norms)


def clip_global_norm(grads: Params, max_norm: float) -> tuple[Params, float]:
    if not max_norm > 0:
        raise ValueError(f"max_norm must be above 0, got {max_norm}")
    norm = math.hypot(*(float(np.linalg.norm(g)) for g in grads.values()))
    factor = min(1.0, max_norm / norm) if norm else 1.0
    return {name: g * factor for name, g in grads.items()}, norm


# --- Task 5 (1 point): two tasks that need memory --------------------------------


def copy_batch(
    rng: np.random.Generator, batch: int, n_symbols: int, length: int, delay: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    check_at_least(1, batch=batch, n_symbols=n_symbols, length=length, delay=delay)
    symbols = rng.integers(n_symbols, size=(batch, length)).T
    n_steps = length + delay + length
    ids = np.full((n_steps, batch), n_symbols)
    ids[:length] = symbols
    ids[-length - 1] = n_symbols + 1
    targets = np.zeros((n_steps, batch), np.int64)
    targets[-length:] = symbols
    mask = np.zeros((n_steps, batch), bool)
    mask[-length:] = True
    return one_hot(ids, n_symbols + 2), targets, mask


def parity_batch(
    rng: np.random.Generator, batch: int, length: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    check_at_least(1, batch=batch, length=length)
    bits = rng.random((length, batch)) < 0.5
    targets = np.logical_xor.accumulate(bits, axis=0).astype(np.int64)
    return one_hot(bits.astype(int), 2), targets, np.ones((length, batch), bool)


# --- Task 6 (1 point): truncated training with a carried state -------------------


def stream_chunks(ids: np.ndarray, batch: int, seq_len: int) -> Iterator[Chunk]:
    check_at_least(1, batch=batch, seq_len=seq_len)
    ids = np.asarray(ids)
    n_stream = (len(ids) - 1) // batch
    n_chunks = n_stream // seq_len
    if n_chunks < 1:
        raise ValueError(f"ids: {len(ids)} are too few for one chunk")
    places = np.arange(seq_len)[:, None] + n_stream * np.arange(batch)
    c = 0
    while True:
        at = places + c * seq_len
        yield ids[at], ids[at + 1], c == 0
        c = (c + 1) % n_chunks


def train_char_rnn(
    params: Params,
    chunks: Iterable[Chunk],
    steps: int,
    lr: float | Callable[[int], float],
    clip: float,
) -> list[float]:
    n_in, n_hidden = params["Wxh"].shape
    dtype = params["Whh"].dtype
    adam = DictAdam(params)
    losses: list[float] = []
    h = None
    for step, (x, y, new_epoch) in zip(range(steps), chunks):
        if h is None or new_epoch:
            h = np.zeros((x.shape[1], n_hidden), dtype)
        xs = one_hot(x, n_in, dtype)
        hs, logits = rnn_forward(xs, h, params)
        loss, dlogits = softmax_cross_entropy(logits, y)
        grads, _ = rnn_backward(xs, hs, dlogits, params)
        grads, _ = clip_global_norm(grads, clip)
        adam.step(grads, lr(step) if callable(lr) else lr)
        losses.append(loss)
        h = hs[-1]
    return losses


# --- Task 7 (1 point): sampling --------------------------------------------------


def sample(
    params: Params,
    seed_ids: Sequence[int],
    n: int,
    rng: np.random.Generator,
    temperature: float = 1.0,
) -> np.ndarray:
    n_in, n_hidden = params["Wxh"].shape
    seed_ids = [int(i) for i in seed_ids]
    if not seed_ids or min(seed_ids) < 0 or max(seed_ids) >= n_in:
        raise ValueError(f"seed_ids must be some of 0 .. {n_in - 1}, got {seed_ids}")
    if temperature < 0:
        raise ValueError(f"temperature must be at least 0, got {temperature}")
    eye = np.eye(n_in, dtype=params["Whh"].dtype)
    h = np.zeros((1, n_hidden), eye.dtype)
    for i in seed_ids:
        h = rnn_step(eye[[i]], h, params)
    drawn = np.empty(n, np.int64)
    for k in range(n):
        z = (h @ params["Why"] + params["by"])[0]
        if temperature > 0:
            z = (z - z.max()) / temperature + rng.gumbel(size=len(z))
        drawn[k] = z.argmax()
        h = rnn_step(eye[[drawn[k]]], h, params)
    return drawn
