"""Gated recurrent cells: LSTM and GRU as torch.nn computes them, and a model of text.

You build both cells, the LSTM's backward pass by hand, layers over time, a start that
lets gradients through, and the training of a character model with carried state.

1 lstm_step (2)      2 LSTM backward by hand (2)   3 gru_step (1)   4 layers (1)
5 init, clipping (2)  6 cell_path_gradient (1)     7 the character model (1)

B batch, T time, I input size, H hidden size, V symbols. Weights lie as in torch.nn,
(out, in), gates stacked: i, f, g, o in an LSTM, r, z, n in a GRU.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

Chunk = tuple[np.ndarray, np.ndarray, bool]  # inputs and targets (T, B), new_epoch
LSTM_GATES, GRU_GATES = 4, 3
KINDS = ("rnn", "gru", "lstm")


# --- Task 1 (2 points): one step of an LSTM --------------------------------------


def lstm_step(
    x: Tensor,
    h: Tensor,
    c: Tensor,
    W_ih: Tensor,
    W_hh: Tensor,
    b_ih: Tensor,
    b_hh: Tensor,
) -> tuple[Tensor, Tensor]:
    """One step of a batch: what torch.nn.LSTMCell computes.

    Cut W_ih x + b_ih + W_hh h + b_hh into four blocks of H, in the order i, f, g, o.
    The gates i, f, o are the sigmoid of their blocks, g is the tanh of its block; then
    c' = f * c + i * g and h' = o * tanh(c'), entry by entry (Hochreiter & Schmidhuber
    1997; the forget gate f: Gers et al. 2000).

    Args:
        x: input (B, I).
        h: hidden state (B, H), what the cell showed last.
        c: cell state (B, H), what it keeps.
        W_ih, W_hh: (4H, I) and (4H, H).
        b_ih, b_hh: (4H,) each; they add.

    Returns:
        h' and c', (B, H) each, in the dtype of the arguments; these are not changed.
        Autograd can follow them back to every argument.

    Raises:
        ValueError: W_hh is not (4H, H).
    """
    # task 1
    _check_gates(W_hh, h, LSTM_GATES)
    return _lstm_update(F.linear(x, W_ih, b_ih) + F.linear(h, W_hh, b_hh), c)


def _check_gates(W_hh: Tensor, h: Tensor, gates: int) -> None:
    """Given: ValueError unless W_hh holds `gates` blocks for the hidden size of h."""
    expected = (gates * h.shape[-1], h.shape[-1])
    if tuple(W_hh.shape) != expected:
        raise ValueError(f"W_hh: expected shape {expected}, got {tuple(W_hh.shape)}")


def _lstm_update(gates: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
    """The part of a step that follows the matrix products: gates (B, 4H)."""
    # task 1
    i, f, g, o = gates.chunk(LSTM_GATES, dim=1)
    c_next = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
    return torch.sigmoid(o) * torch.tanh(c_next), c_next


# --- Task 2 (2 points): the same step and its gradient by hand, in NumPy ---------


def lstm_step_forward_np(
    x: np.ndarray,
    h: np.ndarray,
    c: np.ndarray,
    W_ih: np.ndarray,
    W_hh: np.ndarray,
    b_ih: np.ndarray,
    b_hh: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, Any]:
    """`lstm_step` for float64 arrays, shapes unchecked: h', c', and a cache.

    The cache is whatever your `lstm_step_backward` needs; nobody else looks into it.
    No argument is changed. Sums of 1000 or -1000, where exp overflows, give no nan.
    """
    # task 2
    blocks = np.split(x @ W_ih.T + b_ih + h @ W_hh.T + b_hh, LSTM_GATES, axis=1)
    # the sigmoid as a tanh: exp(-a) would overflow where a gate is shut tight
    i, f, o = (0.5 + 0.5 * np.tanh(blocks[k] / 2) for k in (0, 1, 3))
    g = np.tanh(blocks[2])
    c_next = f * c + i * g
    shown = np.tanh(c_next)
    return o * shown, c_next, (x, h, c, W_ih, W_hh, i, f, g, o, shown)


def lstm_step_backward(
    dh: np.ndarray, dc: np.ndarray, cache: Any
) -> dict[str, np.ndarray]:
    """Gradients of the step, from the gradients that arrive at its two outputs.

    Args:
        dh: dL/dh' (B, H): from the layer above and from the next step's use of h'.
        dc: dL/dc' (B, H): from the next step, which got the cell; without the part
            that flows through h', which is yours to add.
        cache: from `lstm_step_forward_np`.

    Returns:
        dL/d... for "x" (B, I), "h" (B, H), "c" (B, H), "W_ih" (4H, I), "W_hh"
        (4H, H), "b_ih" (4H,), "b_hh" (4H,): weights and biases summed over the batch.
        No argument is changed, so a cache can be used twice.
    """
    # task 2
    x, h, c, W_ih, W_hh, i, f, g, o, shown = cache
    dc_total = dc + dh * o * (1 - shown**2)  # two ways lead out of the cell
    da = np.concatenate(
        [
            dc_total * g * i * (1 - i),
            dc_total * c * f * (1 - f),
            dc_total * i * (1 - g**2),
            dh * shown * o * (1 - o),
        ],
        axis=1,
    )  # (B, 4H), before sigmoid and tanh
    db = da.sum(axis=0)
    into = {"x": da @ W_ih, "h": da @ W_hh, "c": dc_total * f}
    weights = {"W_ih": da.T @ x, "W_hh": da.T @ h}
    return {**into, **weights, "b_ih": db, "b_hh": db.copy()}


# --- Task 3 (1 point): one step of a GRU -----------------------------------------


def gru_step(
    x: Tensor, h: Tensor, W_ih: Tensor, W_hh: Tensor, b_ih: Tensor, b_hh: Tensor
) -> Tensor:
    """One step of a batch: what torch.nn.GRUCell computes.

    With u = W_ih x + b_ih and v = W_hh h + b_hh, each cut into three blocks of H in the
    order r, z, n (Cho et al. 2014, in the version that cuDNN and torch use):
    r = sigmoid(u_r + v_r),  z = sigmoid(u_z + v_z),
    n = tanh(u_n + r * v_n),  h' = (1 - z) * n + z * h.

    Args:
        x, h: (B, I) and (B, H).
        W_ih, W_hh: (3H, I) and (3H, H).
        b_ih, b_hh: (3H,) each.

    Returns:
        h' (B, H), in the dtype of the arguments; these are not changed. Autograd can
        follow it back to every argument.

    Raises:
        ValueError: W_hh is not (3H, H).
    """
    # task 3
    _check_gates(W_hh, h, GRU_GATES)
    return _gru_update(F.linear(x, W_ih, b_ih), F.linear(h, W_hh, b_hh), h)


def _gru_update(from_x: Tensor, from_h: Tensor, h: Tensor) -> Tensor:
    """The part of a step that follows the matrix products, (B, 3H) each."""
    # task 3
    x_r, x_z, x_n = from_x.chunk(GRU_GATES, dim=1)
    h_r, h_z, h_n = from_h.chunk(GRU_GATES, dim=1)
    z = torch.sigmoid(x_z + h_z)
    n = torch.tanh(x_n + torch.sigmoid(x_r + h_r) * h_n)
    return n + z * (h - n)  # (1 - z) n + z h, with one product less


# --- Task 4 (1 point): layers over time ------------------------------------------


class GatedLayer(nn.Module):
    """Given: the parameters of one layer, drawn as torch draws them."""

    def __init__(self, n_in: int, n_hidden: int, gates: int) -> None:
        super().__init__()
        self.n_hidden, rows = n_hidden, gates * n_hidden
        self.weight_ih = nn.Parameter(torch.empty(rows, n_in))
        self.weight_hh = nn.Parameter(torch.empty(rows, n_hidden))
        self.bias_ih = nn.Parameter(torch.empty(rows))
        self.bias_hh = nn.Parameter(torch.empty(rows))
        for p in self.parameters():
            nn.init.uniform_(p, -1 / math.sqrt(n_hidden), 1 / math.sqrt(n_hidden))

    @torch.no_grad()
    def load_torch_(self, layer: nn.RNNBase) -> None:
        """Copy the weights of a one-layer nn.LSTM or nn.GRU."""
        for name, p in self.named_parameters():
            p.copy_(getattr(layer, f"{name}_l0"))


class LSTM(GatedLayer):
    """One LSTM layer, batch first."""

    def __init__(self, n_in: int, n_hidden: int) -> None:
        super().__init__(n_in, n_hidden, LSTM_GATES)

    def forward(
        self, x: Tensor, state: tuple[Tensor, Tensor] | None = None
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """x (B, T, I) -> h of every step (B, T, H), and (h, c) after the last step.

        `state` is (h, c), (B, H) each, from where to go on; None means zeros, in the
        dtype of the parameters, which x has too. With the returned state a second call
        goes on as if the two texts were one, and so do its gradients. T is 1 or more.
        ValueError: x is not (B, T, n_in).
        """
        # task 4
        _check_input(self, x)
        h, c = state or (x.new_zeros(len(x), self.n_hidden),) * 2
        # the inputs do not wait for h: one large product for all steps
        projected = F.linear(x, self.weight_ih, self.bias_ih + self.bias_hh)
        W, out = self.weight_hh.T, []
        for step in projected.unbind(1):
            h, c = _lstm_update(torch.addmm(step, h, W), c)
            out.append(h)
        return torch.stack(out, dim=1), (h, c)


class GRU(GatedLayer):
    """One GRU layer, batch first."""

    def __init__(self, n_in: int, n_hidden: int) -> None:
        super().__init__(n_in, n_hidden, GRU_GATES)

    def forward(self, x: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """x (B, T, I) -> h of every step (B, T, H), and h (B, H) after the last step.

        `state` is h (B, H), from where to go on; None means zeros; all as in `LSTM`.
        ValueError: x is not (B, T, n_in).
        """
        # task 4
        _check_input(self, x)
        h = x.new_zeros(len(x), self.n_hidden) if state is None else state
        projected = F.linear(x, self.weight_ih, self.bias_ih)  # b_hh stays with h
        W, out = self.weight_hh.T, []
        for step in projected.unbind(1):
            h = _gru_update(step, torch.addmm(self.bias_hh, h, W), h)
            out.append(h)
        return torch.stack(out, dim=1), h


def _check_input(layer: GatedLayer, x: Tensor) -> None:
    """Given: ValueError unless x is (B, T, n_in)."""
    n_in = layer.weight_ih.shape[1]
    if x.ndim != 3 or x.shape[2] != n_in:
        raise ValueError(f"x: expected shape (B, T, {n_in}), got {tuple(x.shape)}")


# --- Task 5 (2 points): a good start, and steps of bounded length ----------------


@torch.no_grad()
def init_gated_(
    layer: GatedLayer, rng: torch.Generator, forget_bias: float = 1.0
) -> None:
    """Draw the parameters of an LSTM or a GRU anew, in place.

    Every gate is a layer of its own, so each block of H rows is drawn by itself:
    in weight_ih uniform in ±sqrt(6 / (I + H)) (Glorot & Bengio 2010), in weight_hh
    a random orthogonal matrix (Saxe et al. 2014). Biases are 0, except, in an LSTM,
    the forget block of bias_ih, which is `forget_bias` (Jozefowicz et al. 2015). In a
    GRU all biases are 0 and `forget_bias` has no effect.

    Args:
        layer: weight_hh is (4H, H) in an LSTM, (3H, H) in a GRU.
        rng: the only source of randomness; it moves on with every draw.
        forget_bias: what a forget gate adds in all: bias_ih plus bias_hh.
    """
    # task 5
    gates, H = len(layer.weight_hh) // layer.n_hidden, layer.n_hidden
    for block in layer.weight_ih.chunk(gates):
        nn.init.xavier_uniform_(block, generator=rng)
    for block in layer.weight_hh.chunk(gates):
        nn.init.orthogonal_(block, generator=rng)
    layer.bias_ih.zero_()
    layer.bias_hh.zero_()
    if gates == LSTM_GATES:
        layer.bias_ih[H : 2 * H] = forget_bias


@torch.no_grad()
def clip_global_norm_(params: Iterable[Tensor], max_norm: float) -> float:
    """Scale all gradients by one factor, so that together they are not too long.

    The length is that of the vector of all gradients in a row. Above `max_norm` it
    becomes `max_norm`, otherwise nothing changes (Pascanu et al. 2013). math.inf never
    clips. Parameters whose .grad is None do not count.

    Args:
        params: a list, or a generator such as model.parameters().
        max_norm: the limit.

    Returns:
        The length before; 0.0 if there are no gradients or all are 0.

    Raises:
        ValueError: max_norm is not positive.
    """
    # task 5
    if not max_norm > 0:
        raise ValueError(f"max_norm must be positive, got {max_norm}")
    grads = [p.grad for p in params if p.grad is not None]
    norm = math.sqrt(sum(float(g.square().sum()) for g in grads))
    if norm > max_norm:
        for g in grads:
            g.mul_(max_norm / norm)
    return norm


# --- Task 6 (1 point): what the cell lets through --------------------------------


def cell_path_gradient(forget_gates: Tensor) -> Tensor:
    """How much of each cell state is left in the last one: ∂c_T/∂c_t along the cell.

    c_t = f_t * c_(t-1) + ...: if nothing flows back through h, the derivative is the
    product of the forget gates after t, f_(t+1) * ... * f_T. The result is (T, H), a
    row for each t from 1 to T; the last row is 1, and f_1 is in none.

    Args:
        forget_gates: f_1 to f_T after the sigmoid, (T, H).

    Raises:
        ValueError: forget_gates is not two-dimensional.
    """
    # task 6
    if forget_gates.ndim != 2:
        raise ValueError(f"forget_gates: expected (T, H), got {forget_gates.shape}")
    later = torch.cat([forget_gates[1:], torch.ones_like(forget_gates[:1])])
    return later.flip(0).cumprod(0).flip(0)


# --- Task 7 (1 point): a model of characters -------------------------------------


class TorchLayer(nn.Module):
    """Given: a layer of torch.nn (one layer, batch first) with the states of ours."""

    def __init__(self, layer: nn.RNNBase) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        """As `LSTM.forward`, or as `GRU.forward` if the layer has no cell state."""
        if isinstance(state, tuple):
            state = tuple(part[None] for part in state)  # torch wants (1, B, H)
        elif state is not None:
            state = state[None]
        out, state = self.layer(x, state)
        if isinstance(state, tuple):
            return out, tuple(part[0] for part in state)
        return out, state[0]


class CharRNN(nn.Module):
    """Symbols in, logits of the next symbol out.

    `embed` is nn.Embedding(vocab, d_embed), `layer` the recurrent layer (d_embed to
    hidden), `head` nn.Linear(hidden, vocab). The layer is an `LSTM`, a `GRU`, or for
    "rnn" a `TorchLayer` around a plain nn.RNN. Each part keeps the weights it was made
    with, from torch's global generator; who wants `init_gated_` calls it on `layer`.
    """

    def __init__(self, vocab: int, kind: str, d_embed: int, hidden: int) -> None:
        """ValueError: `kind` is not in KINDS."""
        # task 7
        super().__init__()
        if kind not in KINDS:
            raise ValueError(f"kind: expected one of {KINDS}, got {kind!r}")
        self.embed = nn.Embedding(vocab, d_embed)
        if kind == "rnn":
            self.layer = TorchLayer(nn.RNN(d_embed, hidden, batch_first=True))
        else:
            self.layer = (LSTM if kind == "lstm" else GRU)(d_embed, hidden)
        self.head = nn.Linear(hidden, vocab)

    def forward(self, ids: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        """ids (B, T) int64 -> logits (B, T, V), and the layer's state after T steps.

        ValueError: ids outside 0 to V - 1.
        """
        # task 7
        vocab = self.embed.num_embeddings
        if int(ids.min()) < 0 or int(ids.max()) >= vocab:
            raise ValueError(f"ids: expected 0 to {vocab - 1}")
        out, state = self.layer(self.embed(ids), state)
        return self.head(out), state


@dataclass
class History:
    """Given: the loss of each step, and the length of its gradient before clipping."""

    loss: list[float] = field(default_factory=list)
    grad_norm: list[float] = field(default_factory=list)


def detach(state: Any) -> Any:
    """Given: the same values without their graph. A state is None, h, or (h, c)."""
    if isinstance(state, tuple):
        return tuple(part.detach() for part in state)
    return None if state is None else state.detach()


def train_char(
    model: nn.Module,
    chunks: Iterable[Chunk],
    steps: int,
    lr: float | Callable[[int], float],
    clip: float,
) -> History:
    """Truncated backpropagation through time: a step of torch's Adam on each chunk.

    At most `steps` chunks are read. The state goes on from chunk to chunk as a value:
    gradients end where the chunk begins. It is zero at the first chunk and wherever
    new_epoch is True. Gradients are clipped to the global norm `clip`. Adam has its
    default betas and eps. The parameters are changed in place.

    Args:
        model: as `CharRNN`: model(ids (B, T), state) gives logits and the next state.
        chunks: as lab 3.5's `stream_chunks` yields them: x, y (T, B) int64, time first,
            and new_epoch.
        lr: the rate, or a function of the step 0, 1, ... that gives it.

    Returns each chunk's mean cross-entropy before its step, in nats, and the norms. It
    ends early if `chunks` does, and takes no more of them than it needs.
    """
    # task 7
    optimizer = torch.optim.Adam(model.parameters())
    history, state = History(), None
    for step, (x, y, new_epoch) in zip(range(steps), chunks, strict=False):
        optimizer.param_groups[0]["lr"] = lr(step) if callable(lr) else lr
        state = None if new_epoch else detach(state)
        logits, state = model(torch.as_tensor(x).T, state)
        targets = torch.as_tensor(y).T
        loss = F.cross_entropy(logits.flatten(0, 1), targets.flatten())
        optimizer.zero_grad()
        loss.backward()
        history.loss.append(loss.item())
        history.grad_norm.append(clip_global_norm_(model.parameters(), clip))
        optimizer.step()
    return history


@torch.no_grad()
def evaluate_stream(model: nn.Module, ids: Sequence[int], chunk: int) -> float:
    """Mean nats of each of ids[1:], given all before it: N - 1 predictions.

    `ids` is a list or an int64 array. The text goes through as one stream (B = 1) from
    a zero state, in pieces of `chunk` predictions to save memory (the last may be
    shorter), and no graph is kept; the result does not depend on `chunk`.
    ValueError: chunk below 1, or fewer than 2 ids.
    """
    # task 7
    if chunk < 1:
        raise ValueError(f"chunk must be 1 or more, got {chunk}")
    if len(ids) < 2:
        raise ValueError(f"ids: expected 2 or more, got {len(ids)}")
    stream, state, total = torch.as_tensor(ids)[None], None, 0.0
    for start in range(0, stream.shape[1] - 1, chunk):
        y = stream[0, start + 1 : start + 1 + chunk]
        logits, state = model(stream[:, start : start + len(y)], state)
        total += F.cross_entropy(logits[0], y, reduction="sum").item()
    return total / (stream.shape[1] - 1)


@torch.no_grad()
def sample(
    model: nn.Module,
    seed_ids: Sequence[int],
    n: int,
    rng: torch.Generator,
    temperature: float = 1.0,
) -> Tensor:
    """Read `seed_ids` from a zero state, then draw n symbols, each fed back as input.

    `seed_ids` is a list or an int64 array. A symbol is drawn from
    softmax(logits / temperature), which may not overflow however small the temperature;
    0 always takes the largest logit (the first of equal ones). No graph is kept.
    Returns int64 (n,), without the seed; n may be 0. ValueError that names seed_ids:
    empty; temperature: below 0.
    """
    # task 7
    if not temperature >= 0:
        raise ValueError(f"temperature must be at least 0, got {temperature}")
    if len(seed_ids) == 0:
        raise ValueError("seed_ids must hold at least one symbol")
    x, state, drawn = torch.as_tensor(seed_ids)[None], None, []
    for _ in range(n):
        logits, state = model(x, state)
        last = logits[0, -1]
        if temperature == 0:
            x = last.argmax().view(1, 1)
        else:
            # the largest becomes 0 first: a tiny temperature would make it infinite
            scaled = (last - last.max()).double() / temperature
            p = torch.softmax(scaled, dim=0).to(last.dtype)
            x = torch.multinomial(p, 1, generator=rng)[None]
        drawn.append(int(x))
    return torch.tensor(drawn, dtype=torch.int64)
