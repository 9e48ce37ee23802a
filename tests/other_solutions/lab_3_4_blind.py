"""Lab 3.4 solved blind: written from the lab's README and stub alone.

Windows by index arithmetic, one block of W1 per place, draws by Gumbel's trick.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from common import labs

cosine_lr = labs.solution("2.8").cosine_lr
EarlyStopping = labs.solution("2.8").EarlyStopping
parameter_groups = labs.solution("2.10").parameter_groups  # biases do not decay


# --- Task 1 (1 point): windows ---------------------------------------------------


def make_windows(ids: Tensor, context: int, pad_id: int) -> tuple[Tensor, Tensor]:
    if context < 1:
        raise ValueError(f"context must be at least 1, got {context}")
    position = torch.arange(len(ids))[:, None]
    source = position + torch.arange(-context, 0)  # (N, context), negative: no text yet
    X = torch.where(source < 0, pad_id, ids[source.clamp(min=0)])
    return X, ids.clone()


# --- Task 2 (2 points): the model ------------------------------------------------


class WindowLM(nn.Module):
    def __init__(
        self,
        vocab_size: int,
        context: int,
        d_embed: int,
        d_hidden: int,
        direct: bool = False,
    ) -> None:
        super().__init__()
        self.vocab_size, self.context = vocab_size, context
        wide = context * d_embed
        self.embedding = nn.Embedding(vocab_size + 1, d_embed)
        self.hidden = nn.Linear(wide, d_hidden)
        self.output = nn.Linear(d_hidden, vocab_size)
        self.direct = nn.Linear(wide, vocab_size, bias=False) if direct else None

    def forward(self, x: Tensor) -> Tensor:
        if x.ndim != 2 or x.shape[1] != self.context:
            raise ValueError(
                f"x must have shape (B, {self.context}), got {tuple(x.shape)}"
            )
        # One block of columns of W1 (and W3) for each place of the window.
        places = self.embedding(x).unbind(1)  # context times (B, d)
        d = self.embedding.embedding_dim

        def affine(layer: nn.Linear) -> Tensor:
            blocks = layer.weight.split(d, dim=1)
            total = sum(e @ w.T for e, w in zip(places, blocks, strict=True))
            return total if layer.bias is None else total + layer.bias

        logits = self.output(affine(self.hidden).tanh())
        return logits if self.direct is None else logits + affine(self.direct)


def parameter_count(
    vocab_size: int, context: int, d_embed: int, d_hidden: int, direct: bool = False
) -> int:
    wide = context * d_embed
    shapes = [(vocab_size + 1, d_embed), (d_hidden, wide), (d_hidden, 1)]
    shapes += [(vocab_size, d_hidden), (vocab_size, 1)]
    if direct:
        shapes.append((vocab_size, wide))
    return sum(rows * columns for rows, columns in shapes)


# --- Task 3 (1 point): initialisation --------------------------------------------


@torch.no_grad()
def init_parameters_(model: WindowLM, rng: torch.Generator) -> None:
    fan_in = model.hidden.in_features
    std = {"embedding": 1.0, "hidden": 5 / 3 / fan_in**0.5}
    for name, p in model.named_parameters():
        layer, kind = name.split(".")
        if kind == "bias":
            p.zero_()
        else:
            noise = torch.randn(p.shape, generator=rng, dtype=p.dtype)
            p.copy_(noise * std.get(layer, 0.01))


# --- Task 4 (2 points): evaluation -----------------------------------------------


@torch.no_grad()
def log_probs(model: nn.Module, ids: Tensor, batch: int = 4096) -> Tensor:
    if len(ids) == 0:
        raise ValueError("ids must not be empty")
    if batch < 1:
        raise ValueError(f"batch must be at least 1, got {batch}")
    X, Y = make_windows(ids, model.context, model.vocab_size)
    modes = [(m, m.training) for m in model.modules()]
    out = torch.empty(len(ids), dtype=torch.float64)
    model.eval()
    try:
        for start in range(0, len(ids), batch):
            part = slice(start, start + batch)
            logits = model(X[part]).double()
            out[part] = -cross_entropy(logits, Y[part], reduction="none")
    finally:
        for m, training in modes:
            m.training = training
    return out


def evaluate(model: nn.Module, ids: Tensor, batch: int = 4096) -> float:
    return -float(log_probs(model, ids, batch).sum()) / len(ids)


# --- Task 5 (2 points): training with early stopping -----------------------------


def batches(
    X: Tensor, Y: Tensor, batch: int, rng: torch.Generator
) -> Iterator[tuple[Tensor, Tensor]]:
    everything = torch.ones(len(X))  # multinomial: equal weights, with replacement
    while True:
        rows = torch.multinomial(everything, batch, replacement=True, generator=rng)
        yield X[rows], Y[rows]


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
    for name, value in (
        ("steps", steps),
        ("eval_every", eval_every),
        ("patience", patience),
    ):
        if value < 1:
            raise ValueError(f"{name} must be at least 1, got {value}")
    history = History()
    stopper = EarlyStopping(patience)
    groups = parameter_groups(model, weight_decay)
    optimizer = torch.optim.AdamW(groups, lr=lr)
    kept = [p.detach().clone() for p in model.parameters()]

    def ask(step: int) -> bool:
        """True if training has to stop; keeps the weights at a new lowest."""
        value = float(evaluate_fn(model))
        history.val.append((step, value))
        before = stopper.best
        stop = stopper.update(value)
        if stopper.best < before:
            history.best_step = step
            for k, p in zip(kept, model.parameters(), strict=True):
                k.copy_(p.detach())
        return stop

    stop = ask(0)
    for t in range(steps):
        if stop:
            break
        model.train()
        for group in optimizer.param_groups:
            group["lr"] = cosine_lr(t, base=lr, total=steps)
        x, y = next(batches)
        loss = cross_entropy(model(x), y)
        history.train.append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if (t + 1) % eval_every == 0 or t + 1 == steps:
            stop = ask(t + 1)
    with torch.no_grad():
        for k, p in zip(kept, model.parameters(), strict=True):
            p.copy_(k)
    return history


# --- Task 6 (1 point): generation ------------------------------------------------


@torch.no_grad()
def generate(
    model: nn.Module,
    prompt: Sequence[int],
    n: int,
    rng: torch.Generator,
    temperature: float = 1.0,
) -> list[int]:
    V, context = model.vocab_size, model.context
    if not temperature >= 0:
        raise ValueError(f"temperature must be at least 0, got {temperature}")
    if any(not 0 <= i < V for i in prompt):
        raise ValueError(f"prompt has an id that is not in 0 .. {V - 1}")
    ids = [V] * context + [int(i) for i in prompt]
    start = len(ids)
    was_training = model.training
    model.eval()
    try:
        for _ in range(n):
            logits = model(torch.tensor([ids[-context:]]))[0].double()
            if temperature > 0:  # Gumbel's trick: argmax of logits plus noise
                u = torch.rand(V, generator=rng, dtype=torch.float64)
                logits = (logits - logits.max()) / temperature
                logits = logits - torch.log(-torch.log(u))
            ids.append(int(logits.argmax()))
    finally:
        model.train(was_training)
    return ids[start:]


# --- Task 7 (1 point): a mixture of two models -----------------------------------
# p_a and p_b are float64 (N,): what two models say of the same N ids, as probabilities.


def mixture_nats(p_a: Tensor, p_b: Tensor, weight: float) -> float:
    if not 0 <= weight <= 1:
        raise ValueError(f"weight must be in 0 .. 1, got {weight}")
    return -float(torch.lerp(p_b, p_a, weight).log().mean())


def best_mixture_weight(p_a: Tensor, p_b: Tensor, iters: int = 50) -> float:
    weight = 0.5
    for _ in range(iters):
        share = weight * p_a / (weight * p_a + (1 - weight) * p_b)
        weight = float(share.mean())
    return weight
