"""Lab 3.6 solved from its README and stub (lab.py) alone, in ways that are not the nearest.

Gates by einsum over weights viewed as (gates, H, ...), the backward step from factors that
the forward step stores, the GRU mix by lerp, orthogonal blocks from an SVD, products of
forget gates by a doubling scan, samples by inverting the distribution function.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import accumulate, islice
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

Chunk = tuple[np.ndarray, np.ndarray, bool]  # inputs and targets (T, B), new_epoch
LSTM_GATES, GRU_GATES = 4, 3
KINDS = ("rnn", "gru", "lstm")


def _check_gates(W_hh: Any, h: Any, gates: int) -> None:
    expected = (gates * h.shape[-1], h.shape[-1])
    if tuple(W_hh.shape) != expected:
        raise ValueError(f"W_hh: expected shape {expected}, got {tuple(W_hh.shape)}")


def _blocks(x: Tensor, W: Tensor, b: Tensor, gates: int) -> Tensor:
    """W x + b as (gates, B, H)."""
    W3, b2 = W.reshape(gates, -1, W.shape[1]), b.reshape(gates, 1, -1)
    return torch.einsum("ghi,bi->gbh", W3, x) + b2


# --- Task 1 ----------------------------------------------------------------------


def _lstm_mix(a: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
    """The step after the products, from blocks (4, B, H)."""
    write, keep, show = a[[0, 1, 3]].sigmoid().unbind(0)
    c_next = torch.addcmul(keep * c, write, a[2].tanh())
    return show * c_next.tanh(), c_next


def lstm_step(
    x: Tensor,
    h: Tensor,
    c: Tensor,
    W_ih: Tensor,
    W_hh: Tensor,
    b_ih: Tensor,
    b_hh: Tensor,
) -> tuple[Tensor, Tensor]:
    _check_gates(W_hh, h, LSTM_GATES)
    a = _blocks(x, W_ih, b_ih, LSTM_GATES) + _blocks(h, W_hh, b_hh, LSTM_GATES)
    return _lstm_mix(a, c)


# --- Task 2 ----------------------------------------------------------------------


def lstm_step_forward_np(
    x: np.ndarray,
    h: np.ndarray,
    c: np.ndarray,
    W_ih: np.ndarray,
    W_hh: np.ndarray,
    b_ih: np.ndarray,
    b_hh: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, Any]:
    _check_gates(W_hh, h, LSTM_GATES)
    H = h.shape[1]
    xh = np.hstack([x, h])  # one product with one wide matrix
    W = np.hstack([W_ih, W_hh])
    a = (xh @ W.T + (b_ih + b_hh)).reshape(len(x), LSTM_GATES, H)
    s = 0.5 * (1 + np.tanh(0.5 * a))  # the sigmoid, without overflow
    i, f, o = s[:, 0], s[:, 1], s[:, 3]
    g = np.tanh(a[:, 2])
    c_next = f * c + i * g
    shown = np.tanh(c_next)
    # What one unit of gradient in front of the cell is worth at i, f, g.
    to_gates = np.stack([g * i * (1 - i), c * f * (1 - f), i * (1 - g * g)], axis=1)
    cache = {
        "xh": xh,
        "W": W,
        "n_in": x.shape[1],
        "dc_dgates": to_gates,
        "dh_do": shown * o * (1 - o),
        "dh_dc": o * (1 - shown * shown),
        "keep": f.copy(),
    }
    return o * shown, c_next, cache


def lstm_step_backward(
    dh: np.ndarray, dc: np.ndarray, cache: Any
) -> dict[str, np.ndarray]:
    n_in = cache["n_in"]
    into_cell = dc + dh * cache["dh_dc"]
    through_cell = into_cell[:, None, :] * cache["dc_dgates"]
    through_o = (dh * cache["dh_do"])[:, None, :]
    da = np.concatenate([through_cell, through_o], axis=1).reshape(len(dh), -1)
    d_xh, d_W, d_b = da @ cache["W"], da.T @ cache["xh"], da.sum(axis=0)
    return {
        "x": d_xh[:, :n_in],
        "h": d_xh[:, n_in:],
        "c": into_cell * cache["keep"],
        "W_ih": d_W[:, :n_in],
        "W_hh": d_W[:, n_in:],
        "b_ih": d_b,
        "b_hh": d_b.copy(),
    }


# --- Task 3 ----------------------------------------------------------------------


def _gru_mix(u: Tensor, v: Tensor, h: Tensor) -> Tensor:
    """The step after the products, from blocks (3, B, H)."""
    r, z = (u[:2] + v[:2]).sigmoid().unbind(0)
    n = torch.addcmul(u[2], r, v[2]).tanh()
    return torch.lerp(n, h, z)


def gru_step(
    x: Tensor, h: Tensor, W_ih: Tensor, W_hh: Tensor, b_ih: Tensor, b_hh: Tensor
) -> Tensor:
    _check_gates(W_hh, h, GRU_GATES)
    return _gru_mix(
        _blocks(x, W_ih, b_ih, GRU_GATES), _blocks(h, W_hh, b_hh, GRU_GATES), h
    )


# --- Task 4 ----------------------------------------------------------------------


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

    def _from_inputs(self, x: Tensor, gates: int) -> Tensor:
        """W_ih x + b_ih of all steps at once, (T, gates, B, H)."""
        n_in = self.weight_ih.shape[1]
        if x.ndim != 3 or x.shape[2] != n_in:
            raise ValueError(f"x: expected shape (B, T, {n_in}), got {tuple(x.shape)}")
        W = self.weight_ih.reshape(gates, self.n_hidden, n_in)
        b = self.bias_ih.reshape(gates, 1, self.n_hidden)
        return torch.einsum("ghi,bti->tgbh", W, x) + b


class LSTM(GatedLayer):
    """One LSTM layer, batch first."""

    def __init__(self, n_in: int, n_hidden: int) -> None:
        super().__init__(n_in, n_hidden, LSTM_GATES)

    def forward(
        self, x: Tensor, state: tuple[Tensor, Tensor] | None = None
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        u = self._from_inputs(x, LSTM_GATES)
        if state is None:
            state = (x.new_zeros(len(x), self.n_hidden),) * 2

        def step(past: tuple[Tensor, Tensor], u_t: Tensor) -> tuple[Tensor, Tensor]:
            h, c = past
            v = _blocks(h, self.weight_hh, self.bias_hh, LSTM_GATES)
            return _lstm_mix(u_t + v, c)

        states = list(accumulate(u, step, initial=state))[1:]
        return torch.stack([h for h, _ in states], dim=1), states[-1]


class GRU(GatedLayer):
    """One GRU layer, batch first."""

    def __init__(self, n_in: int, n_hidden: int) -> None:
        super().__init__(n_in, n_hidden, GRU_GATES)

    def forward(self, x: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        u = self._from_inputs(x, GRU_GATES)
        if state is None:
            state = x.new_zeros(len(x), self.n_hidden)

        def step(h: Tensor, u_t: Tensor) -> Tensor:
            return _gru_mix(u_t, _blocks(h, self.weight_hh, self.bias_hh, GRU_GATES), h)

        states = list(accumulate(u, step, initial=state))[1:]
        return torch.stack(states, dim=1), states[-1]


# --- Task 5 ----------------------------------------------------------------------


@torch.no_grad()
def init_gated_(
    layer: GatedLayer, rng: torch.Generator, forget_bias: float = 1.0
) -> None:
    rows, H = layer.weight_hh.shape
    gates = rows // H
    limit = math.sqrt(6 / (layer.weight_ih.shape[1] + H))
    layer.weight_ih.uniform_(-limit, limit, generator=rng)
    normal = torch.randn(gates, H, H, generator=rng, dtype=torch.float64)
    left, _, right = torch.linalg.svd(normal)
    layer.weight_hh.copy_((left @ right).reshape(rows, H))
    layer.bias_hh.zero_()
    by_gate = torch.zeros(gates)
    if gates == LSTM_GATES:
        by_gate[1] = forget_bias
    layer.bias_ih.copy_(by_gate.repeat_interleave(H))


@torch.no_grad()
def clip_global_norm_(params: Iterable[Tensor], max_norm: float) -> float:
    if not max_norm > 0:
        raise ValueError(f"max_norm: expected a positive number, got {max_norm}")
    grads = [p.grad for p in params if p.grad is not None]
    lengths = [torch.linalg.vector_norm(g, dtype=torch.float64).item() for g in grads]
    length = math.hypot(*lengths)
    if length > max_norm:
        for g in grads:
            g.mul_(max_norm / length)
    return length


# --- Task 6 ----------------------------------------------------------------------


def cell_path_gradient(forget_gates: Tensor) -> Tensor:
    if forget_gates.ndim != 2:
        raise ValueError(
            f"forget_gates: expected shape (T, H), got {tuple(forget_gates.shape)}"
        )
    T = len(forget_gates)
    ones = torch.ones_like(forget_gates)
    # Row t holds the product of the next `reach` gates; each round doubles the reach.
    out, reach = torch.cat([forget_gates[1:], ones[:1]]), 1
    while reach < T:
        out = out * torch.cat([out[reach:], ones[:reach]])
        reach *= 2
    return out


# --- Task 7 ----------------------------------------------------------------------


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
    """Symbols in, logits of the next symbol out."""

    def __init__(self, vocab: int, kind: str, d_embed: int, hidden: int) -> None:
        super().__init__()
        makers: dict[str, Callable[[], nn.Module]] = {
            "rnn": lambda: TorchLayer(nn.RNN(d_embed, hidden, batch_first=True)),
            "gru": lambda: GRU(d_embed, hidden),
            "lstm": lambda: LSTM(d_embed, hidden),
        }
        if kind not in makers:
            raise ValueError(f"kind: expected one of {KINDS}, got {kind!r}")
        self.embed = nn.Embedding(vocab, d_embed)
        self.layer = makers[kind]()
        self.head = nn.Linear(hidden, vocab)

    def forward(self, ids: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        vocab = self.embed.num_embeddings
        if bool(((ids < 0) | (ids >= vocab)).any()):
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


def _nats(logits: Tensor, targets: Tensor) -> Tensor:
    """-log p of each target: logits (B, T, V), targets (B, T)."""
    chosen = logits.gather(-1, targets[..., None]).squeeze(-1)
    return logits.logsumexp(dim=-1) - chosen


def _ids(values: Any) -> Tensor:
    return torch.from_numpy(np.array(values, dtype=np.int64))


def train_char(
    model: nn.Module,
    chunks: Iterable[Chunk],
    steps: int,
    lr: float | Callable[[int], float],
    clip: float,
) -> History:
    rate = lr if callable(lr) else lambda _: lr
    adam = torch.optim.Adam(model.parameters())
    history, state = History(), None
    for step, (x, y, new_epoch) in enumerate(islice(chunks, steps)):
        state = None if new_epoch else detach(state)
        logits, state = model(_ids(x).T, state)
        loss = _nats(logits, _ids(y).T).mean()
        adam.zero_grad()
        loss.backward()
        history.loss.append(loss.item())
        history.grad_norm.append(clip_global_norm_(model.parameters(), clip))
        for group in adam.param_groups:
            group["lr"] = rate(step)
        adam.step()
    return history


@torch.no_grad()
def evaluate_stream(model: nn.Module, ids: Sequence[int], chunk: int) -> float:
    if chunk < 1:
        raise ValueError(f"chunk: expected 1 or more, got {chunk}")
    if len(ids) < 2:
        raise ValueError(f"ids: expected 2 or more, got {len(ids)}")
    text = _ids(ids)[None]
    sums, state = [], None
    for x, y in zip(text[:, :-1].split(chunk, 1), text[:, 1:].split(chunk, 1)):
        logits, state = model(x, state)
        sums.append(_nats(logits.double(), y).sum().item())
    return math.fsum(sums) / (len(ids) - 1)


@torch.no_grad()
def sample(
    model: nn.Module,
    seed_ids: Sequence[int],
    n: int,
    rng: torch.Generator,
    temperature: float = 1.0,
) -> Tensor:
    if len(seed_ids) == 0:
        raise ValueError("seed_ids: expected at least one symbol")
    if not temperature >= 0:
        raise ValueError(f"temperature: expected 0 or more, got {temperature}")
    unread, state, drawn = _ids(seed_ids)[None], None, []
    while len(drawn) < n:
        logits, state = model(unread, state)
        last = logits[0, -1].double()
        if temperature == 0:
            symbol = int(last.argmax())
        else:
            below = (last - last.max()).div(temperature).softmax(0).cumsum(0)
            u = torch.rand(1, generator=rng, dtype=torch.float64) * below[-1]
            symbol = int(torch.searchsorted(below, u, right=True))
            symbol = min(symbol, len(below) - 1)
        drawn.append(symbol)
        unread = torch.tensor([[symbol]])
    return torch.tensor(drawn, dtype=torch.int64)
