"""Lab 3.8 by another route: GRU cells and a mask instead of packing, rows in a loop."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

PAD, BOS, EOS = 0, 1, 2
FIRST = 3
ANSWERS = {"copy": list, "reverse": lambda s: list(reversed(s)), "sort": sorted}


class Batch(NamedTuple):
    src: Tensor
    lengths: Tensor
    tgt_in: Tensor
    tgt_out: Tensor


def check_ids(name: str, ids: Tensor, vocab: int) -> None:
    if not 0 <= int(ids.min()) <= int(ids.max()) < vocab:
        raise ValueError(f"{name} must have ids from 0 to {vocab - 1}")


def as_batch(sequences: Sequence[Sequence[int]], task: str) -> Batch:
    if task not in ("copy", "reverse", "sort"):
        raise ValueError(f"no task {task!r}: task is copy, reverse or sort")
    if len(sequences) == 0:
        raise ValueError("sequences is empty")
    width = max(len(s) for s in sequences) + 1
    src, tgt_in, tgt_out = torch.zeros(3, len(sequences), width, dtype=torch.long)
    lengths = torch.zeros(len(sequences), dtype=torch.long)
    tgt_in[:, 0] = BOS
    for b, s in enumerate(sequences):
        n = len(s)
        if n == 0 or any(i < FIRST for i in s):
            raise ValueError(f"sequences[{b}] has no symbols, or an id below {FIRST}")
        row = torch.as_tensor(list(s))
        answer = {"copy": row, "reverse": row.flip(0), "sort": row.sort().values}[task]
        src[b, :n], src[b, n] = row, EOS
        tgt_in[b, 1 : n + 1] = answer
        tgt_out[b, :n], tgt_out[b, n] = answer, EOS
        lengths[b] = n + 1
    return Batch(src, lengths, tgt_in, tgt_out)


def make_batch(
    rng: torch.Generator,
    task: str,
    batch: int,
    min_len: int,
    max_len: int,
    n_symbols: int,
) -> Batch:
    if min_len < 1 or min_len > max_len:
        raise ValueError(f"min_len = {min_len} does not fit max_len = {max_len}")
    rows = []
    for _ in range(batch):
        n = min_len + int(torch.randint(max_len - min_len + 1, (1,), generator=rng))
        rows.append((FIRST + torch.randint(n_symbols, (n,), generator=rng)).tolist())
    return as_batch(rows, task)


def masked_cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    check_ids("targets", targets, logits.size(-1))
    count = (targets != PAD).sum()
    if count == 0:
        raise ValueError("targets are all PAD")
    flat = F.cross_entropy(
        logits.reshape(-1, logits.size(-1)), targets.reshape(-1), reduction="none"
    )
    return flat.dot((targets != PAD).reshape(-1).to(flat.dtype)) / count


class Encoder(nn.Module):
    def __init__(self, vocab: int, d_embed: int, hidden: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocab, d_embed)
        self.gru = nn.GRU(d_embed, hidden, batch_first=True, bidirectional=True)
        self.bridge = nn.Linear(2 * hidden, hidden)

    def forward(self, src: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        vocab = self.embedding.num_embeddings
        if bool(((src < 0) | (src >= vocab)).any()):
            raise ValueError("src has ids that the vocabulary has not")
        if bool(((lengths < 1) | (lengths > src.shape[1])).any()):
            raise ValueError("lengths do not fit")
        x = self.embedding(src)
        real = (torch.arange(src.shape[1]) < lengths[:, None])[..., None]  # (B, S, 1)
        halves, ends = [], []
        steps = range(src.shape[1])
        for ending, order in (("_l0", steps), ("_l0_reverse", reversed(steps))):
            w = [getattr(self.gru, n + ending) for n in ("weight_ih", "weight_hh")]
            w += [getattr(self.gru, n + ending) for n in ("bias_ih", "bias_hh")]
            h = x.new_zeros(len(src), self.gru.hidden_size)
            found: list[Tensor] = [h] * src.shape[1]
            for t in order:
                h = torch.where(real[:, t], torch.gru_cell(x[:, t], h, *w), h)
                found[t] = h
            halves.append(torch.stack(found, 1))
            ends.append(h)
        memory = torch.cat(halves, 2).masked_fill(~real, 0.0)
        return memory, self.bridge(torch.cat(ends, 1)).tanh()


class Decoder(nn.Module):
    def __init__(
        self, vocab: int, d_embed: int, hidden: int, d_attention: int, attention: bool
    ) -> None:
        super().__init__()
        context = 2 * hidden if attention else 0
        self.attention = attention
        self.embedding = nn.Embedding(vocab, d_embed)
        self.cell = nn.GRUCell(d_embed + context, hidden)
        self.output = nn.Linear(hidden + context, vocab)
        if attention:
            self.query = nn.Linear(hidden, d_attention, bias=False)
            self.key = nn.Linear(2 * hidden, d_attention, bias=False)
            self.score = nn.Linear(d_attention, 1, bias=False)

    def step(
        self, token: Tensor, state: Tensor, memory: Tensor, mask: Tensor
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        x = self.embedding(token)
        if not self.attention:
            state = self.cell(x, state)
            return self.output(state), state, None
        mix = torch.tanh(self.query(state).unsqueeze(1) + self.key(memory))  # (B, S, A)
        scores = self.score(mix).squeeze(2).masked_fill(~mask.squeeze(1), float("-inf"))
        weights = torch.softmax(scores, dim=1)
        context = torch.einsum("bs,bsd->bd", weights, memory)
        state = self.cell(torch.hstack([x, context]), state)
        return self.output(torch.hstack([state, context])), state, weights


class Seq2Seq(nn.Module):
    def __init__(
        self, vocab: int, d_embed: int, hidden: int, d_attention: int, attention: bool
    ) -> None:
        super().__init__()
        self.encoder = Encoder(vocab, d_embed, hidden)
        self.decoder = Decoder(vocab, d_embed, hidden, d_attention, attention)

    def forward(
        self,
        src: Tensor,
        lengths: Tensor,
        tgt_in: Tensor,
        teacher_forcing: float = 1.0,
        rng: torch.Generator | None = None,
    ) -> tuple[Tensor, Tensor | None]:
        if not 0.0 <= teacher_forcing <= 1.0:
            raise ValueError("teacher_forcing is a probability")
        if rng is None and teacher_forcing not in (0, 1):
            raise ValueError("rng is missing")
        memory, state = self.encoder(src, lengths)
        mask = (torch.arange(src.shape[1])[None] < lengths[:, None])[:, None]
        found = []
        for column in tgt_in.T:
            if not found or teacher_forcing == 1:
                token = column
            else:
                token = found[-1][0].max(dim=1).indices
                if teacher_forcing > 0:
                    u = torch.rand(len(src), generator=rng)
                    token = token.masked_scatter(
                        u < teacher_forcing, column[u < teacher_forcing]
                    )
            logits, state, w = self.decoder.step(token, state, memory, mask)
            found.append((logits, w))
        logits = torch.cat([step[0][:, None] for step in found], dim=1)
        if found[0][1] is None:
            return logits, None
        return logits, torch.cat([step[1][:, None] for step in found], dim=1)


def greedy_decode(
    model: nn.Module, src: Tensor, lengths: Tensor, max_len: int
) -> list[list[int]]:
    answers = []
    with torch.inference_mode():
        for b in range(len(src)):  # one row after the other
            row, n = [], lengths[b : b + 1]
            memory, state = model.encoder(src[b : b + 1], n)
            mask = torch.arange(memory.shape[1])[None, None] < n
            token = torch.tensor([BOS])
            while len(row) < max_len:
                logits, state, _ = model.decoder.step(token, state, memory, mask)
                token = logits.argmax(-1)
                if token.item() == EOS:
                    break
                row.append(token.item())
            answers.append(row)
    return answers


def token_accuracy(
    pred: Sequence[Sequence[int]], gold: Sequence[Sequence[int]]
) -> float:
    if len(pred) != len(gold):
        raise ValueError("pred and gold differ")
    hits = places = 0
    for p, g in zip(pred, gold, strict=True):
        for i in range(max(len(p), len(g))):
            places += 1
            hits += list(p[i : i + 1]) == list(g[i : i + 1])
    if not sum(len(g) for g in gold):
        raise ValueError("gold is empty")
    return hits / places


def exact_match(pred: Sequence[Sequence[int]], gold: Sequence[Sequence[int]]) -> float:
    token_accuracy(pred, gold)  # raises the errors
    return sum(map(lambda p, g: [*p] == [*g], pred, gold)) / len(pred)


def train(
    model: nn.Module,
    batches: Iterator[Batch],
    steps: int,
    lr: float = 1e-3,
    clip: float = 1.0,
    after_step: Callable[[int], None] | None = None,
) -> list[float]:
    params = list(model.parameters())
    adam = torch.optim.Adam(params, lr)
    losses = []
    for n in range(1, steps + 1):
        src, lengths, tgt_in, tgt_out = next(batches)
        logits = model(src, lengths, tgt_in, teacher_forcing=1.0)[0]
        loss = masked_cross_entropy(logits, tgt_out)
        grads = torch.autograd.grad(loss, params)
        norm = torch.cat([g.flatten() for g in grads]).norm()
        for p, g in zip(params, grads, strict=True):
            p.grad = g * (clip / (norm + 1e-6)).clamp(max=1.0)
        adam.step()
        losses.append(float(loss))
        if after_step:
            after_step(n)
    return losses


def exposure_gap(model: nn.Module, batch: Batch) -> float:
    scores = []
    for ratio in (1.0, 0.0):
        with torch.no_grad():
            logits = model(batch.src, batch.lengths, batch.tgt_in, ratio)[0]
        wrong = (logits.argmax(2) != batch.tgt_out) & (batch.tgt_out != PAD)
        scores.append(1 - wrong.sum().item() / (batch.tgt_out != PAD).sum().item())
    return scores[0] - scores[1]
