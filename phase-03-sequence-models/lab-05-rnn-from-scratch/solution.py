"""A recurrent network from scratch: a state that reads a sequence, step by step.

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
    """The next state: f(x Wxh + h Whh + bh), with f = tanh or the identity.

    (Elman 1990.) x is (B, I) and h (B, H); returns (B, H). The identity makes a linear
    network, whose gradients are known in closed form (task 4). ValueError as
    `check_activation`.
    """
    # task 1
    check_activation(activation)
    return _activate(x @ params["Wxh"] + params["bh"] + h @ params["Whh"], activation)


def _activate(z: np.ndarray, activation: str) -> np.ndarray:
    # task 1
    return np.tanh(z) if activation == "tanh" else z


def rnn_forward(
    xs: np.ndarray, h0: np.ndarray, params: Params, activation: str = "tanh"
) -> tuple[np.ndarray, np.ndarray]:
    """All states and logits of T steps with the same weights.

    Step t = 0 .. T - 1 takes xs[t] and the state hs[t] to the next state hs[t + 1],
    and that to its logits, hs[t + 1] Why + by.

    Args:
        xs: inputs (T, B, I), T at least 1.
        h0: the state before the first step, (B, H).

    Returns:
        hs: (T + 1, B, H), with hs[0] equal to h0.
        logits: (T, B, V).

    ValueError as `check_activation`.
    """
    # task 1
    check_activation(activation)
    T, B, _ = xs.shape
    # the inputs do not wait for each other: one large product instead of T small ones
    projected = _rows(xs) @ params["Wxh"] + params["bh"]
    projected = projected.reshape(T, B, -1)
    hs = np.empty((T + 1, *projected.shape[1:]), projected.dtype)
    hs[0] = h0
    for t in range(T):
        hs[t + 1] = _activate(projected[t] + hs[t] @ params["Whh"], activation)
    logits = _rows(hs[1:]) @ params["Why"] + params["by"]
    return hs, logits.reshape(T, B, -1)


def _rows(array: np.ndarray) -> np.ndarray:
    # task 1
    return array.reshape(-1, array.shape[-1])  # (T, B, n) -> (T * B, n)


# --- Task 2 (1 point): the loss and its gradient ---------------------------------


def softmax_cross_entropy(
    logits: np.ndarray, targets: np.ndarray, mask: np.ndarray | None = None
) -> tuple[float, np.ndarray]:
    """The mean of -log softmax(z)_target over all steps that count, and its gradient.

    z is one row of the logits; n is how many steps count. The gradient of such a row is
    (softmax(z) - onehot(target)) / n, that of any other is 0.

    Args:
        logits: (T, B, V); may be as large as 1e4, and as far apart.
        targets: integers (T, B), each in 0 .. V - 1, also where they do not count.
        mask: bool (T, B), True where a step counts; None counts all.

    Returns:
        The loss, a Python float, and dlogits (T, B, V).

    ValueError that names targets: one is outside 0 .. V - 1; mask: no step counts.
    """
    # task 2
    V = logits.shape[-1]
    if not (targets.min() >= 0 and targets.max() < V):
        raise ValueError(f"targets must be in 0 .. {V - 1}")
    counts = np.ones(targets.shape, bool) if mask is None else mask
    n = np.count_nonzero(counts)
    if n == 0:
        raise ValueError("mask must be True for at least one step")
    # each row loses its own maximum: exp(1000) overflows
    shifted = logits - logits.max(axis=-1, keepdims=True)
    dlogits = np.exp(shifted)
    totals = dlogits.sum(axis=-1, keepdims=True)
    own = targets[..., None]
    losses = np.log(totals) - np.take_along_axis(shifted, own, axis=-1)  # (T, B, 1)
    dlogits /= totals
    share = counts[..., None].astype(logits.dtype) / n
    picked = np.take_along_axis(dlogits, own, axis=-1)
    np.put_along_axis(dlogits, own, picked - 1, axis=-1)
    dlogits *= share
    return float(np.sum(losses * share)), dlogits


# --- Task 3 (3 points): backpropagation through time ------------------------------


def rnn_backward(
    xs: np.ndarray,
    hs: np.ndarray,
    dlogits: np.ndarray,
    params: Params,
    dh_last: np.ndarray | None = None,
    activation: str = "tanh",
) -> tuple[Params, np.ndarray]:
    """The gradients of a loss L, from the last step to the first (Werbos 1990).

    The state hs[t + 1] is used twice: for the logits of step t and for the next step.
    Both uses send a gradient, and they add. Each weight is used in all T steps, and its
    gradient is the sum over them.

    Args:
        xs: inputs (T, B, I), as in `rnn_forward`.
        hs: states (T + 1, B, H), as it returned them.
        dlogits: dL/dlogits (T, B, V).
        dh_last: what L gets through the last state hs[T] besides its logits, (B, H);
            None for nothing.

    Returns:
        dL/d of each of the `params`, a dict with the same keys and shapes.
        dL/dh0, (B, H).

    Nothing is divided by T or B: a mean is in dlogits already. ValueError as
    `check_activation`.
    """
    # task 3
    check_activation(activation)
    dhs = (_rows(dlogits) @ params["Why"].T).reshape(hs[1:].shape)
    dzs = np.empty_like(dhs)  # of what tanh is applied to
    dh = np.zeros_like(hs[0]) if dh_last is None else dh_last
    for t in reversed(range(len(xs))):
        dh = dhs[t] + dh  # from the logits, and from the step after
        dzs[t] = _through_activation(dh, hs[t + 1], activation)
        dh = dzs[t] @ params["Whh"].T
    dz_rows, dlogit_rows = _rows(dzs), _rows(dlogits)
    grads = {
        "Wxh": _rows(xs).T @ dz_rows,  # a product of (I, T * B) sums over T and B
        "Whh": _rows(hs[:-1]).T @ dz_rows,
        "bh": dz_rows.sum(axis=0),
        "Why": _rows(hs[1:]).T @ dlogit_rows,
        "by": dlogit_rows.sum(axis=0),
    }
    return grads, dh


def _through_activation(dh: np.ndarray, h: np.ndarray, activation: str) -> np.ndarray:
    # task 3
    return dh * (1 - h**2) if activation == "tanh" else dh  # tanh' from the output h


# --- Task 4 (1 point): gradient norms through time, clipping ----------------------


def hidden_gradient_norms(
    xs: np.ndarray, h0: np.ndarray, params: Params, activation: str = "tanh"
) -> np.ndarray:
    """How much the last state still depends on each state before it.

    Let S be the sum of all B * H numbers of the last state hs[T]. Entry t - 1 of the
    result, t = 1 .. T, is the norm of dS/dhs[t], the root of the sum of its B * H
    squares; so the last entry is sqrt(B * H). Each step back multiplies by the slope of
    f and by Whh^T: norms shrink or grow by powers (Bengio et al. 1994).

    xs is (T, B, I), h0 (B, H); returns (T,). ValueError as `check_activation`.
    """
    # task 4
    hs, _ = rnn_forward(xs, h0, params, activation)
    dh = np.ones_like(hs[-1])
    norms = np.empty(len(xs), hs.dtype)
    for t in reversed(range(1, len(hs))):
        norms[t - 1] = np.linalg.norm(dh)
        slope = 1 - hs[t] ** 2 if activation == "tanh" else 1.0
        dh = (dh * slope) @ params["Whh"].T
    return norms


def clip_global_norm(grads: Params, max_norm: float) -> tuple[Params, float]:
    """Shorten the gradient to `max_norm` if it is longer (Pascanu et al. 2013).

    Its norm is that of all entries of all arrays as one long vector. Where it is above
    `max_norm`, every array is multiplied by max_norm / norm; otherwise all stay as they
    are. An infinite `max_norm` never clips.

    Returns a dict of copies, with the same keys and dtypes (float32 times a Python
    float is float32, times an np.float64 it is not), and the norm before, a float.
    ValueError: `max_norm` is not above 0.
    """
    # task 4
    if not max_norm > 0:
        raise ValueError(f"max_norm must be above 0, got {max_norm}")
    # in float64: the square of an entry of 1e20, in an explosion, is no float32
    squares = (np.square(grad, dtype=np.float64) for grad in grads.values())
    norm = math.sqrt(sum(float(np.sum(square)) for square in squares))
    scale = max_norm / norm if norm > max_norm else 1.0
    return {name: scale * grad for name, grad in grads.items()}, norm


# --- Task 5 (1 point): two tasks that need memory --------------------------------


def copy_batch(
    rng: np.random.Generator, batch: int, n_symbols: int, length: int, delay: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Remember `length` symbols for `delay` steps, then write them down in order.

    Symbols are 0 .. n_symbols - 1, the blank is n_symbols, "go" is n_symbols + 1. A
    sequence has T = length + delay + length inputs: symbols drawn uniformly; delay - 1
    blanks and a "go"; `length` blanks, during which the symbols are the targets. For
    the symbols 4, 0, 7 of 8 and a delay of 2 (the dots are 0, and do not count):

        inputs   4 0 7 8 9 8 8 8
        targets  . . . . . 4 0 7

    Returns:
        xs: the inputs as one-hot rows, float64 (T, batch, n_symbols + 2).
        targets: int64 (T, batch), 0 where they do not count.
        mask: bool (T, batch), True for the last `length` steps.

    ValueError that names batch, n_symbols, length or delay: it is below 1.
    """
    # task 5
    check_at_least(1, batch=batch, n_symbols=n_symbols, length=length, delay=delay)
    T, blank, go = 2 * length + delay, n_symbols, n_symbols + 1
    symbols = rng.integers(n_symbols, size=(length, batch))
    inputs = np.full((T, batch), blank)
    inputs[:length] = symbols
    inputs[length + delay - 1] = go
    targets = np.zeros((T, batch), np.int64)
    targets[-length:] = symbols
    mask = np.zeros((T, batch), bool)
    mask[-length:] = True
    return one_hot(inputs, n_symbols + 2), targets, mask


def parity_batch(
    rng: np.random.Generator, batch: int, length: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Say after each bit whether the number of ones so far is odd.

    Bits are drawn uniformly. Bits 1 0 1 1 have the targets 1 1 0 1.

    Returns:
        xs: the bits as one-hot rows, float64 (length, batch, 2).
        targets: int64 (length, batch), 1 for odd and 0 for even.
        mask: bool (length, batch), True everywhere.

    ValueError that names batch or length: it is below 1.
    """
    # task 5
    check_at_least(1, batch=batch, length=length)
    bits = rng.integers(2, size=(length, batch))
    targets = np.cumsum(bits, axis=0) % 2
    return one_hot(bits, 2), targets.astype(np.int64), np.ones((length, batch), bool)


# --- Task 6 (1 point): truncated training with a carried state -------------------


def stream_chunks(ids: np.ndarray, batch: int, seq_len: int) -> Iterator[Chunk]:
    """Cut a text into `batch` streams and read them side by side, over and over.

    With N ids, each stream has L = (N - 1) // batch inputs: stream b those from b * L
    on. Chunk c, of the L // seq_len in an epoch, has in column b the inputs c * seq_len
    .. (c + 1) * seq_len - 1 of stream b; the target of an input is the id after it in
    the text. So column b of a chunk goes on where column b of the last chunk ended.
    What is left over at the end of a stream is not used. The ids 0 .. 12 with batch 2
    and seq_len 3 give columns 0 1 2 and 6 7 8, then 3 4 5 and 9 10 11, then again.

    Yields (x, y, new_epoch) without end: inputs and targets, of the dtype of `ids`,
    (seq_len, batch), and whether it is the first chunk of an epoch.

    ValueError, at the call or at the first chunk, that names batch or seq_len: it is
    below 1; ids: too few of them for one chunk.
    """
    # task 6
    check_at_least(1, batch=batch, seq_len=seq_len)
    length = (len(ids) - 1) // batch
    if length < seq_len:
        raise ValueError(f"{batch * seq_len + 1} ids are needed, got {len(ids)}")
    inputs = ids[: batch * length].reshape(batch, length).T  # (L, batch)
    targets = ids[1 : batch * length + 1].reshape(batch, length).T
    while True:
        for start in range(0, length - seq_len + 1, seq_len):
            part = slice(start, start + seq_len)
            yield inputs[part], targets[part], start == 0


def train_char_rnn(
    params: Params,
    chunks: Iterable[Chunk],
    steps: int,
    lr: float | Callable[[int], float],
    clip: float,
) -> list[float]:
    """Truncated backpropagation through time: one Adam step for each of `steps` chunks.

    The state goes on from chunk to chunk as a value, without a gradient into the chunk
    before; it is zero at the first chunk and wherever new_epoch is True. For each
    chunk: forward, mean loss, backward, `clip_global_norm` with `clip`, a step of
    `DictAdam`. The arrays of `params` are changed in place.

    Args:
        chunks: as `stream_chunks` yields them; the V symbols are the I inputs too.
        lr: the rate, or a function of the step 0, 1, ... that gives it.

    Returns the loss of each chunk before its step, as floats. It ends early if `chunks`
    does, and takes no more of them than it needs.
    """
    # task 6
    n_symbols, n_hidden = params["Wxh"].shape
    dtype, adam = params["Wxh"].dtype, DictAdam(params)
    losses: list[float] = []
    for step, (x, y, new_epoch) in zip(range(steps), chunks, strict=False):
        if new_epoch or step == 0:
            h = np.zeros((x.shape[1], n_hidden), dtype)
        xs = one_hot(x, n_symbols, dtype)
        hs, logits = rnn_forward(xs, h, params)
        loss, dlogits = softmax_cross_entropy(logits, y)
        grads, _ = rnn_backward(xs, hs, dlogits, params)
        grads, _ = clip_global_norm(grads, clip)
        adam.step(grads, lr(step) if callable(lr) else lr)
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
    """Read `seed_ids` from a zero state, then draw n symbols, each fed back as input.

    A symbol is drawn from softmax(logits / temperature): below 1 the likely ones become
    likelier, 0 always takes the largest logit (the first of equal ones).

    Returns int64 (n,), without the seed. ValueError that names seed_ids: empty;
    temperature: below 0; as `one_hot`: a symbol of the seed is not in 0 .. V - 1.
    """
    # task 7
    if len(seed_ids) == 0:
        raise ValueError("seed_ids must hold at least one symbol")
    if not temperature >= 0:
        raise ValueError(f"temperature must be at least 0, got {temperature}")
    n_symbols, n_hidden = params["Wxh"].shape
    h = np.zeros((1, n_hidden), params["Whh"].dtype)
    for symbol in seed_ids:
        h = rnn_step(one_hot([symbol], n_symbols, h.dtype), h, params)
    drawn = np.empty(n, np.int64)
    for i in range(n):
        logits = h[0] @ params["Why"] + params["by"]
        drawn[i] = _draw(logits, rng, temperature)
        h = rnn_step(one_hot(drawn[i : i + 1], n_symbols, h.dtype), h, params)
    return drawn


def _draw(logits: np.ndarray, rng: np.random.Generator, temperature: float) -> int:
    # task 7
    if temperature == 0:
        return int(np.argmax(logits))
    below = logits.astype(np.float64) - logits.max()
    weights = np.exp(below / temperature)  # the largest exponent is 0
    return int(rng.choice(len(weights), p=weights / weights.sum()))
