"""Lab 3.4 by another route: indices, one-hot rows, schedulers, Gumbel noise, NumPy."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from common import labs

cosine_lr = labs.solution("2.8").cosine_lr
EarlyStopping = labs.solution("2.8").EarlyStopping
parameter_groups = labs.solution("2.10").parameter_groups  # biases do not decay


def make_windows(ids: Tensor, context: int, pad_id: int) -> tuple[Tensor, Tensor]:
    if not context >= 1:
        raise ValueError(f"a context of {context} makes no windows")
    X = torch.full((len(ids), context), pad_id, dtype=torch.int64)
    for back in range(1, context + 1):
        if back < len(ids):
            X[back:, context - back] = ids[:-back]
    return X, ids.clone()


class WindowLM(nn.Module):
    def __init__(
        self,
        vocab_size: int,
        context: int,
        d_embed: int,
        d_hidden: int,
        direct: bool = False,
    ) -> None:
        nn.Module.__init__(self)
        self.direct = None
        if direct:
            self.direct = nn.Linear(context * d_embed, vocab_size, bias=False)
        self.output = nn.Linear(d_hidden, vocab_size, bias=True)
        self.hidden = nn.Linear(d_embed * context, d_hidden)
        self.embedding = nn.Embedding(1 + vocab_size, d_embed)
        self.context = context
        self.vocab_size = vocab_size

    def forward(self, x: Tensor) -> Tensor:
        if list(x.shape[1:]) != [self.context]:
            raise ValueError(f"x has shape {x.shape}, not (B, {self.context})")
        table, H = self.embedding.weight, self.hidden.out_features
        one_hot = F.one_hot(x, self.vocab_size + 1).to(table.dtype)
        e = torch.einsum("bcv,vd->bcd", one_hot, table)
        # a sum over places, each with its own part of the matrix
        parts = self.hidden.weight.reshape(H, self.context, -1)
        h = (torch.einsum("bcd,hcd->bh", e, parts) + self.hidden.bias).tanh()
        logits = h @ self.output.weight.T + self.output.bias
        if self.direct is not None:
            parts = self.direct.weight.reshape(self.vocab_size, self.context, -1)
            logits = logits + torch.einsum("bcd,vcd->bv", e, parts)
        return logits


def parameter_count(
    vocab_size: int, context: int, d_embed: int, d_hidden: int, direct: bool = False
) -> int:
    with torch.device("meta"):
        model = WindowLM(vocab_size, context, d_embed, d_hidden, direct)
    return sum(math.prod(p.shape) for p in model.parameters())


def init_parameters_(model: WindowLM, rng: torch.Generator) -> None:
    gain = nn.init.calculate_gain("tanh")
    for name, p in reversed(list(model.named_parameters())):
        if p.dim() == 1:
            p.data[:] = 0
            continue
        scale = {"embedding": 1.0, "hidden": gain * p.shape[1] ** -0.5}
        noise = torch.randn(p.shape, generator=rng, dtype=torch.float64)
        p.data.copy_(noise * scale.get(name.split(".")[0], 0.01))


def log_probs(model: nn.Module, ids: Tensor, batch: int = 4096) -> Tensor:
    N = ids.shape[0]
    if not N:
        raise ValueError("ids has no entries")
    if batch <= 0:
        raise ValueError("a batch needs a row")
    mode = model.training
    padded = [model.vocab_size] * model.context + ids.tolist()
    out = np.empty(N)
    model.train(False)
    with torch.inference_mode():
        for first in range(0, N, batch):
            rows = range(first, min(first + batch, N))
            xb = torch.tensor([padded[i : i + model.context] for i in rows])
            logits = model(xb).numpy().astype(np.float64)
            logits -= logits.max(axis=1, keepdims=True)
            right = logits[np.arange(len(rows)), ids[rows.start : rows.stop].numpy()]
            out[rows.start : rows.stop] = right - np.log(np.exp(logits).sum(axis=1))
    model.train(mode)
    return torch.from_numpy(out)


def evaluate(model: nn.Module, ids: Tensor, batch: int = 4096) -> float:
    return -math.fsum(log_probs(model, ids, batch).tolist()) / len(ids)


def batches(
    X: Tensor, Y: Tensor, batch: int, rng: torch.Generator
) -> Iterator[tuple[Tensor, Tensor]]:
    def draw():
        u = torch.rand(batch, generator=rng, dtype=torch.float64)
        rows = (u * len(Y)).long()
        return X.index_select(0, rows), Y.index_select(0, rows)

    return iter(draw, None)


@dataclass
class History:
    train: list[float] = field(default_factory=list)
    val: list[tuple[int, float]] = field(default_factory=list)
    best_step: int = 0


def train(
    model: nn.Module,
    batches: Iterator[tuple[Tensor, Tensor]],
    evaluate_fn: Callable[[nn.Module], float],
    *,
    steps: int,
    lr: float,
    weight_decay: float,
    eval_every: int,
    patience: int,
) -> History:
    if min(steps, eval_every, patience) < 1:
        raise ValueError("steps, eval_every and patience must be 1 or more")
    groups = [
        {"params": [p], "weight_decay": weight_decay * (p.dim() >= 2)}
        for p in model.parameters()
    ]
    optimizer = torch.optim.AdamW(groups, lr=lr)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=steps)
    losses, answers, lowest, bad = [], [], math.inf, 0
    best, best_step = copy.deepcopy(model.state_dict()), 0
    while True:
        done = len(losses)
        if done == steps or not done % eval_every:
            answer = evaluate_fn(model)
            answers.append((done, answer))
            if answer < lowest:
                lowest, bad = answer, 0
                best, best_step = copy.deepcopy(model.state_dict()), done
            else:
                bad += 1
            if bad == patience or done == steps:
                break
        model.train()
        xb, yb = next(batches)
        log_p = F.log_softmax(model(xb), dim=-1)
        loss = F.nll_loss(log_p, yb)
        model.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        losses.append(float(loss))
    with torch.no_grad():
        for name, value in model.state_dict().items():
            value.copy_(best[name])
    return History(losses, answers, best_step)


def generate(
    model: nn.Module,
    prompt: Sequence[int],
    n: int,
    rng: torch.Generator,
    temperature: float = 1.0,
) -> list[int]:
    if not temperature >= 0:
        raise ValueError(f"a temperature of {temperature} is not possible")
    V, mode = model.vocab_size, model.training
    if set(prompt) - set(range(V)):
        raise ValueError(f"prompt has ids that are not in 0..{V - 1}")
    window = torch.full((1, model.context), V)
    for token in prompt:
        window = torch.cat([window[:, 1:], torch.tensor([[token]])], dim=1)
    text = []
    model.eval()
    with torch.no_grad():
        for _ in range(n):
            scores = model(window).double()
            if temperature:  # the largest of logits with Gumbel noise is a draw
                u = torch.rand(scores.shape, generator=rng, dtype=torch.float64)
                scores = scores / temperature - torch.log(-torch.log(u))
            text.append(scores.argmax(dim=1).item())
            window = torch.cat([window[:, 1:], torch.tensor([text[-1:]])], dim=1)
    model.train(mode)
    return text


def mixture_nats(p_a: Tensor, p_b: Tensor, weight: float) -> float:
    if weight < 0 or weight > 1:
        raise ValueError("the weight must be in [0, 1]")
    p = np.average(np.stack([p_a, p_b]), axis=0, weights=[weight, 1 - weight])
    return float(-np.log(p).sum() / len(p))


def best_mixture_weight(p_a: Tensor, p_b: Tensor, iters: int = 50) -> float:
    weights, p = np.array([0.5, 0.5]), np.stack([p_a, p_b], axis=1)
    while iters > 0:
        joint = p * weights
        weights = (joint / joint.sum(axis=1, keepdims=True)).mean(axis=0)
        iters -= 1
    return float(weights[0])
