"""Another way through lab 3.5: one stacked matrix, einsum, recursion, own Adam.

You build the forward pass, backpropagation through time by hand, the measurement of
vanishing and exploding gradients, two toy tasks, and a character model of Shakespeare.

1 step, forward (2)    2 loss (1)               3 backpropagation through time (3)
4 gradient norms, clipping (1)   5 copy and parity (1)   6 training (1)   7 sampling (1)

T is the number of steps, B of sequences side by side, I of inputs, H of hidden units,
V of output classes. Time is the first axis everywhere. `params` is a dict with Wxh (I,
H), Whh (H, H), bh (H,), Why (H, V), by (V,); a row vector times a matrix is a layer. No
function changes its arguments, but for the training. What is computed from arrays has
their float type: float64 as everything starts, float32 for speed.
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
    """One product with [Wxh; Whh; bh] stacked below each other."""
    if activation not in {"tanh", "identity"}:
        raise ValueError("activation is unknown")
    stacked = np.vstack([params["Wxh"], params["Whh"], params["bh"][None]])
    ones = np.ones((len(x), 1), dtype=x.dtype)
    z = np.hstack([x, h, ones]) @ stacked
    # tanh(z) = 2 sigmoid(2 z) - 1
    return z if activation == "identity" else 2 / (1 + np.exp(-2 * z)) - 1


def rnn_forward(
    xs: np.ndarray, h0: np.ndarray, params: Params, activation: str = "tanh"
) -> tuple[np.ndarray, np.ndarray]:
    """Steps one after the other, gathered in lists."""
    hs, logits = [h0], []
    for x in xs:
        hs.append(rnn_step(x, hs[-1], params, activation))
        logits.append(np.einsum("bh,hv->bv", hs[-1], params["Why"]) + params["by"])
    return np.stack(hs), np.stack(logits)


# --- Task 2 (1 point): the loss and its gradient ---------------------------------


def softmax_cross_entropy(
    logits: np.ndarray, targets: np.ndarray, mask: np.ndarray | None = None
) -> tuple[float, np.ndarray]:
    """Only the rows that count are computed, with logaddexp."""
    V = logits.shape[2]
    if np.any(targets < 0) or np.any(targets >= V):
        raise ValueError("targets out of range")
    if mask is None:
        mask = np.ones_like(targets, dtype=bool)
    rows, wanted = logits[mask], targets[mask]
    if len(rows) == 0:
        raise ValueError("mask leaves nothing")
    log_p = rows - np.logaddexp.reduce(rows, axis=1, keepdims=True)
    dlogits = np.zeros_like(logits)
    dlogits[mask] = (np.exp(log_p) - np.eye(V, dtype=logits.dtype)[wanted]) / len(rows)
    return -sum(float(r[k]) for r, k in zip(log_p, wanted, strict=True)) / len(
        rows
    ), dlogits


# --- Task 3 (3 points): backpropagation through time ------------------------------


def rnn_backward(
    xs: np.ndarray,
    hs: np.ndarray,
    dlogits: np.ndarray,
    params: Params,
    dh_last: np.ndarray | None = None,
    activation: str = "tanh",
) -> tuple[Params, np.ndarray]:
    """Adds to each gradient step by step."""
    if activation not in {"tanh", "identity"}:
        raise ValueError("activation is unknown")
    grads = {name: np.zeros_like(array) for name, array in params.items()}
    dh = np.zeros(hs[0].shape, hs.dtype) if dh_last is None else dh_last.copy()
    for t in range(len(xs) - 1, -1, -1):
        dh += np.einsum("bv,hv->bh", dlogits[t], params["Why"])
        dz = dh if activation == "identity" else dh * (1 - hs[t + 1]) * (1 + hs[t + 1])
        grads["Why"] += np.einsum("bh,bv->hv", hs[t + 1], dlogits[t])
        grads["by"] += np.einsum("bv->v", dlogits[t])
        grads["Wxh"] += np.einsum("bi,bh->ih", xs[t], dz)
        grads["Whh"] += np.einsum("bg,bh->gh", hs[t], dz)
        grads["bh"] += np.einsum("bh->h", dz)
        dh = np.einsum("bh,gh->bg", dz, params["Whh"])
    return grads, dh


# --- Task 4 (1 point): gradient norms through time, clipping ----------------------


def hidden_gradient_norms(
    xs: np.ndarray, h0: np.ndarray, params: Params, activation: str = "tanh"
) -> np.ndarray:
    """One call of `rnn_backward` for each state, with no gradient from the logits."""
    hs, logits = rnn_forward(xs, h0, params, activation)
    T, nothing, ones = len(xs), np.zeros_like(logits), np.ones_like(hs[-1])
    norms = [
        np.sqrt(
            (
                rnn_backward(xs[t:], hs[t:], nothing[t:], params, ones, activation)[1]
                ** 2
            ).sum()
        )
        for t in range(1, T)
    ]
    return np.array([*norms, np.sqrt(ones.size)], dtype=hs.dtype)


def clip_global_norm(grads: Params, max_norm: float) -> tuple[Params, float]:
    """One long vector, cut up again."""
    if max_norm <= 0 or np.isnan(max_norm):
        raise ValueError("max_norm has to be positive")
    vector = np.concatenate([grad.ravel() for grad in grads.values()])
    norm = float(np.linalg.norm(vector))
    if norm > max_norm:
        vector = vector * float(max_norm / norm)
    ends = np.cumsum([grad.size for grad in grads.values()])
    parts = np.split(vector, ends[:-1])
    return {
        name: part.reshape(grad.shape)
        for (name, grad), part in zip(grads.items(), parts, strict=True)
    }, norm


# --- Task 5 (1 point): two tasks that need memory --------------------------------


def copy_batch(
    rng: np.random.Generator, batch: int, n_symbols: int, length: int, delay: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """One sequence after the other."""
    for name, value in {
        "batch": batch,
        "n_symbols": n_symbols,
        "length": length,
        "delay": delay,
    }.items():
        if value < 1:
            raise ValueError(f"{name} is below 1")
    T = length + delay + length
    xs = np.zeros((T, batch, n_symbols + 2))
    targets = np.zeros((T, batch), dtype=np.int64)
    for b in range(batch):
        symbols = [int(rng.integers(0, n_symbols)) for _ in range(length)]
        line = (
            symbols + (delay - 1) * [n_symbols] + [n_symbols + 1] + length * [n_symbols]
        )
        for t, symbol in enumerate(line):
            xs[t, b, symbol] = 1.0
        targets[length + delay :, b] = symbols
    mask = np.repeat((np.arange(T) >= length + delay)[:, None], batch, axis=1)
    return xs, targets, mask


def parity_batch(
    rng: np.random.Generator, batch: int, length: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """With the xor of NumPy."""
    if batch < 1:
        raise ValueError("batch is below 1")
    if length < 1:
        raise ValueError("length is below 1")
    bits = (rng.random((length, batch)) < 0.5).astype(np.int64)
    xs = np.stack([1.0 - bits, bits + 0.0], axis=2)
    return xs, np.bitwise_xor.accumulate(bits, axis=0), np.full((length, batch), True)


# --- Task 6 (1 point): truncated training with a carried state -------------------


class _Chunks:
    def __init__(self, ids: np.ndarray, batch: int, seq_len: int) -> None:
        self.ids, self.seq_len = ids, seq_len
        self.starts = np.arange(batch) * ((len(ids) - 1) // batch)
        self.per_epoch = (len(ids) - 1) // batch // seq_len
        self.count = 0

    def __iter__(self) -> Iterator[Chunk]:
        return self

    def __next__(self) -> Chunk:
        c = self.count % self.per_epoch
        places = self.starts + c * self.seq_len + np.arange(self.seq_len)[:, None]
        self.count += 1
        return self.ids[places], self.ids[places + 1], c == 0


def stream_chunks(ids: np.ndarray, batch: int, seq_len: int) -> Iterator[Chunk]:
    """An object that counts; errors come at once."""
    if batch < 1:
        raise ValueError("batch is below 1")
    if seq_len < 1:
        raise ValueError("seq_len is below 1")
    if (len(ids) - 1) // batch < seq_len:
        raise ValueError("ids are too few")
    return _Chunks(ids, batch, seq_len)


def train_char_rnn(
    params: Params,
    chunks: Iterable[Chunk],
    steps: int,
    lr: float | Callable[[int], float],
    clip: float,
) -> list[float]:
    """With an Adam of its own."""
    source, losses, h = iter(chunks), [], None
    first = {name: np.zeros_like(array) for name, array in params.items()}
    second = {name: np.zeros_like(array) for name, array in params.items()}
    for step in range(steps):
        try:
            x, y, new_epoch = next(source)
        except StopIteration:
            break
        if h is None or new_epoch:
            h = np.zeros((x.shape[1], len(params["bh"])), params["bh"].dtype)
        xs = np.eye(len(params["Wxh"]), dtype=params["Wxh"].dtype)[x]
        hs, logits = rnn_forward(xs, h, params)
        loss, dlogits = softmax_cross_entropy(logits, y)
        grads = clip_global_norm(rnn_backward(xs, hs, dlogits, params)[0], clip)[0]
        rate = lr(step) if callable(lr) else lr
        for name, array in params.items():
            first[name] = 0.9 * first[name] + 0.1 * grads[name]
            second[name] = 0.999 * second[name] + 0.001 * grads[name] ** 2
            m = first[name] / (1 - 0.9 ** (step + 1))
            v = second[name] / (1 - 0.999 ** (step + 1))
            array[...] = array - rate * m / (v**0.5 + 1e-8)
        h = hs[-1]
        losses.append(loss)
    return losses


# --- Task 7 (1 point): sampling --------------------------------------------------


def sample(
    params: Params,
    seed_ids: Sequence[int],
    n: int,
    rng: np.random.Generator,
    temperature: float = 1.0,
) -> np.ndarray:
    """The whole seed at once; a symbol is where the running sum passes a number."""
    if temperature < 0:
        raise ValueError("temperature is negative")
    if len(seed_ids) < 1:
        raise ValueError("seed_ids is empty")
    V, H = params["Wxh"].shape
    xs = one_hot(np.array(seed_ids)[:, None], V)
    h = np.zeros((1, H))
    text: list[int] = []
    while len(text) < n:
        hs, logits = rnn_forward(xs, h, params)
        h, last = hs[-1], logits[-1, 0]
        if temperature == 0:
            text.append(int(last.argmax()))
        else:
            log_p = (last - last.max()) / temperature
            sums = np.cumsum(np.exp(log_p))
            text.append(int(np.searchsorted(sums, rng.random() * sums[-1], "right")))
        xs = one_hot([[text[-1]]], V)
    return np.array(text, dtype=np.int64)
