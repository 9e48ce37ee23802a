"""Lab 3.6 by another route: gates by index and einsum, layers on the public steps,
backward by explicit per-gate products, clipping with one flat vector, a loop for the
products of gates, a model trained through torch's own pieces."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

KINDS = ("rnn", "gru", "lstm")


def _rows(W, k, H):
    return W[k * H : (k + 1) * H]


def lstm_step(x, h, c, W_ih, W_hh, b_ih, b_hh):
    H = h.size(1)
    if W_hh.size(0) != 4 * H or W_hh.size(1) != H:
        raise ValueError("W_hh does not fit h")

    def block(k):
        return (
            torch.einsum("bi,hi->bh", x, _rows(W_ih, k, H))
            + torch.einsum("bj,hj->bh", h, _rows(W_hh, k, H))
            + (b_ih + b_hh)[k * H : (k + 1) * H]
        )

    write, keep, show = block(0).sigmoid(), block(1).sigmoid(), block(3).sigmoid()
    new = torch.lerp(torch.zeros_like(c), c, keep) + write * block(2).tanh()
    return show * new.tanh(), new


def lstm_step_forward_np(x, h, c, W_ih, W_hh, b_ih, b_hh):
    given = [torch.tensor(v) for v in (x, h, c, W_ih, W_hh, b_ih, b_hh)]
    new_h, new_c = lstm_step(*given)
    return new_h.numpy(), new_c.numpy(), given


def lstm_step_backward(dh, dc, cache):
    x, h, c, W_ih, W_hh, b_ih, b_hh = (v.numpy() for v in cache)
    B, H = h.shape
    total = {k: np.zeros_like(v.numpy()) for k, v in zip("xhc", cache, strict=False)}
    dW_ih, dW_hh, db = np.zeros_like(W_ih), np.zeros_like(W_hh), np.zeros_like(b_ih)
    for b in range(B):  # one example at a time
        a = W_ih @ x[b] + W_hh @ h[b] + b_ih + b_hh
        i, f, o = (1 / (1 + np.exp(-a[k * H : (k + 1) * H])) for k in (0, 1, 3))
        g = np.tanh(a[2 * H : 3 * H])
        t = np.tanh(f * c[b] + i * g)
        through = dh[b] * o * (1 - t) * (1 + t) + dc[b]
        da = np.hstack(
            [
                through * g * i * (1 - i),
                through * c[b] * f * (1 - f),
                through * i * (1 - g * g),
                dh[b] * t * o * (1 - o),
            ]
        )
        total["x"][b], total["h"][b] = W_ih.T @ da, W_hh.T @ da
        total["c"][b] = through * f
        dW_ih += np.outer(da, x[b])
        dW_hh += np.outer(da, h[b])
        db += da
    return total | {"W_ih": dW_ih, "W_hh": dW_hh, "b_ih": db, "b_hh": db}


def gru_step(x, h, W_ih, W_hh, b_ih, b_hh):
    H = h.size(1)
    if tuple(W_hh.size()) != (3 * H, H):
        raise ValueError("W_hh does not fit h")
    u, v = x @ W_ih.T + b_ih, h @ W_hh.T + b_hh
    gates = (u[:, : 2 * H] + v[:, : 2 * H]).sigmoid()
    r, z = gates[:, :H], gates[:, H:]
    n = (u[:, 2 * H :] + r * v[:, 2 * H :]).tanh()
    return torch.lerp(n, h, z)


class GatedLayer(nn.Module):
    def __init__(self, n_in, n_hidden, gates):
        super().__init__()
        self.n_hidden, rows = n_hidden, gates * n_hidden
        bound = 1 / math.sqrt(n_hidden)
        for name, shape in (
            ("weight_ih", (rows, n_in)),
            ("weight_hh", (rows, n_hidden)),
            ("bias_ih", (rows,)),
            ("bias_hh", (rows,)),
        ):
            start = torch.empty(shape).uniform_(-bound, bound)
            self.register_parameter(name, nn.Parameter(start))

    def load_torch_(self, layer):
        state = {k.removesuffix("_l0"): v for k, v in layer.state_dict().items()}
        self.load_state_dict(state)

    def _weights(self):
        return self.weight_ih, self.weight_hh, self.bias_ih, self.bias_hh

    def _check(self, x):
        if x.dim() != 3 or x.size(-1) != self.weight_ih.size(1):
            raise ValueError("x does not fit")


class LSTM(GatedLayer):
    def __init__(self, n_in, n_hidden):
        super().__init__(n_in, n_hidden, 4)

    def forward(self, x, state=None):
        self._check(x)
        if state is None:
            zeros = torch.zeros(x.size(0), self.n_hidden, dtype=x.dtype)
            state = (zeros, zeros)
        out = []
        for t in range(x.size(1)):
            state = lstm_step(x[:, t], *state, *self._weights())
            out.append(state[0].unsqueeze(1))
        return torch.cat(out, 1), state


class GRU(GatedLayer):
    def __init__(self, n_in, n_hidden):
        super().__init__(n_in, n_hidden, 3)

    def forward(self, x, state=None):
        self._check(x)
        if state is None:
            state = torch.zeros(x.size(0), self.n_hidden, dtype=x.dtype)
        out = []
        for t in range(x.size(1)):
            state = gru_step(x[:, t], state, *self._weights())
            out.append(state)
        return torch.stack(out).transpose(0, 1), state


def init_gated_(layer, rng, forget_bias=1.0):
    H, n_in = layer.n_hidden, layer.weight_ih.size(1)
    bound = math.sqrt(6 / (n_in + H))
    for k in range(layer.weight_hh.size(0) // H):
        square = torch.randn(H, H, generator=rng, dtype=torch.float64)
        q, r = torch.linalg.qr(square)
        _rows(layer.weight_hh.data, k, H).copy_(q * r.diagonal().sign())
    layer.weight_ih.data.uniform_(-bound, bound, generator=rng)
    layer.bias_ih.data.fill_(0), layer.bias_hh.data.fill_(0)
    if isinstance(layer, LSTM):
        _rows(layer.bias_ih.data, 1, H).fill_(forget_bias)


def clip_global_norm_(params, max_norm):
    if max_norm <= 0:
        raise ValueError("max_norm")
    params = [p for p in params if p.grad is not None]
    flat = torch.cat([torch.zeros(1), *(p.grad.reshape(-1) for p in params)])
    norm = float(torch.linalg.vector_norm(flat))
    scale = min(1.0, max_norm / norm) if norm else 1.0
    for p in params:
        p.grad = p.grad * scale
    return norm


def cell_path_gradient(forget_gates):
    if len(forget_gates.shape) != 2:
        raise ValueError("forget_gates")
    rows = [torch.ones_like(forget_gates[0])]
    for f in reversed(forget_gates[1:]):
        rows.insert(0, rows[0] * f)
    return torch.stack(rows)


class TorchLayer(nn.Module):
    def __init__(self, layer):
        super().__init__()
        self.layer = layer

    def forward(self, x, state=None):
        if state is not None:
            state = (
                tuple(s.unsqueeze(0) for s in state)
                if isinstance(state, tuple)
                else state.unsqueeze(0)
            )
        out, state = self.layer(x, state)
        if isinstance(state, tuple):
            return out, tuple(s.squeeze(0) for s in state)
        return out, state.squeeze(0)


class CharRNN(nn.Module):
    def __init__(self, vocab, kind, d_embed, hidden):
        super().__init__()
        makers = {
            "rnn": lambda: TorchLayer(nn.RNN(d_embed, hidden, batch_first=True)),
            "gru": lambda: GRU(d_embed, hidden),
            "lstm": lambda: LSTM(d_embed, hidden),
        }
        if kind not in makers:
            raise ValueError(f"unknown kind {kind}")
        self.head = nn.Linear(hidden, vocab)
        self.layer = makers[kind]()
        self.embed = nn.Embedding(vocab, d_embed)

    def forward(self, ids, state=None):
        if not bool(((ids >= 0) & (ids < self.embed.num_embeddings)).all()):
            raise ValueError("ids out of range")
        out, state = self.layer(F.embedding(ids, self.embed.weight), state)
        return self.head(out), state


@dataclass
class History:
    loss: list[float] = field(default_factory=list)
    grad_norm: list[float] = field(default_factory=list)


def detach(state):
    if isinstance(state, tuple):
        return tuple(s.detach() for s in state)
    return None if state is None else state.detach()


def train_char(model, chunks, steps, lr, clip):
    rates = lr if callable(lr) else lambda step: lr
    optimizer = torch.optim.Adam(model.parameters(), lr=rates(0))
    history, state, source = History(), None, iter(chunks)
    for step in range(steps):
        try:
            x, y, new_epoch = next(source)
        except StopIteration:
            break
        for group in optimizer.param_groups:
            group["lr"] = rates(step)
        if new_epoch:
            state = None
        model.zero_grad()
        logits, state = model(torch.from_numpy(np.ascontiguousarray(x.T)), state)
        state = detach(state)
        y = torch.from_numpy(np.ascontiguousarray(y.T))
        logp = logits.log_softmax(-1).gather(-1, y.unsqueeze(-1))
        loss = -logp.mean()
        loss.backward()
        history.loss.append(float(loss.detach()))
        history.grad_norm.append(clip_global_norm_(model.parameters(), clip))
        optimizer.step()
    return history


def evaluate_stream(model, ids, chunk):
    if chunk < 1:
        raise ValueError("chunk")
    if len(ids) < 2:
        raise ValueError("ids")
    ids, state, losses = torch.tensor(np.asarray(ids)), None, []
    with torch.no_grad():
        inputs, targets = ids[:-1].split(chunk), ids[1:].split(chunk)
        for x, y in zip(inputs, targets, strict=True):
            logits, state = model(x.view(1, -1), state)
            losses.append(F.cross_entropy(logits[0], y, reduction="none"))
    return float(torch.cat(losses).double().mean())


def sample(model, seed_ids, n, rng, temperature=1.0):
    if temperature < 0:
        raise ValueError("temperature")
    if len(seed_ids) < 1:
        raise ValueError("seed_ids")
    state, drawn = None, []
    with torch.no_grad():
        for i in seed_ids:
            logits, state = model(torch.tensor([[int(i)]]), state)
        for _ in range(n):
            level = logits[0, -1]
            if temperature > 0:  # Gumbel's trick instead of multinomial
                u = torch.rand(level.shape, generator=rng, dtype=torch.float64)
                level = level / temperature - (-u.log()).log()
            drawn.append(int(level.argmax()))
            logits, state = model(torch.tensor([[drawn[-1]]]), state)
    return torch.tensor(drawn).long()
