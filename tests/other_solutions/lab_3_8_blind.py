"""Lab 3.8, written from README and stub alone.

Rows go through the GRU one by one, attention is written out, decoding is free running
of the forward, whose tgt_in then is BOS and nothing else.


You build an encoder and a decoder of GRUs, with and without additive attention between
them, train them to copy, reverse or sort, and measure what free running costs.

1 batches (1)                  2 masked loss (1)          3 Encoder (2)
4 Decoder.step (2)             5 Seq2Seq.forward (2)      6 decoding and scores (1)
7 training and the gap (1)

B sequences per batch, S source and T target positions, V ids in the vocabulary, H
hidden units. Weights lie as torch.nn has them, (out, in). The GRU's inside is lab 3.6's
subject and attention is lab 3.7's; beam search is for later.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.utils import clip_grad_norm_
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence, pad_sequence

from common import labs

PAD, BOS, EOS = 0, 1, 2  # padding, begin and end of sequence
FIRST = 3  # the ids of the symbols start here
ANSWERS = {"copy": list, "reverse": lambda s: list(reversed(s)), "sort": sorted}


class Batch(NamedTuple):
    """Given: B examples, int64. Each row has its own length; PAD fills up the rest."""

    src: Tensor  # (B, S): the symbols, EOS
    lengths: Tensor  # (B,): ids in each row of src, its EOS counted
    tgt_in: Tensor  # (B, T): BOS, the answer
    tgt_out: Tensor  # (B, T): the answer, EOS


def check_ids(name: str, ids: Tensor, vocab: int) -> None:
    """Given: ValueError, with `name` in it, unless all ids are 0 to vocab - 1."""
    if not 0 <= int(ids.min()) <= int(ids.max()) < vocab:
        raise ValueError(f"{name} must have ids from 0 to {vocab - 1}")


# --- Task 1 (1 point): batches ---------------------------------------------------


def as_batch(sequences: Sequence[Sequence[int]], task: str) -> Batch:
    """The examples whose sources are these lists of symbols; ANSWERS has the answers.

    S and T are the longest row's: one more than the longest sequence has symbols. For
    [3, 4, 5] and "reverse": src 3 4 5 2, lengths 4, tgt_in 1 5 4 3, tgt_out 5 4 3 2.

    ValueError: `task` is not in ANSWERS; `sequences` is empty, or one of them is, or an
    id in them is below FIRST.
    """
    if task not in ANSWERS:
        raise ValueError(f"task must be one of {sorted(ANSWERS)}, not {task!r}")
    rows = [[int(i) for i in row] for row in sequences]
    if not rows:
        raise ValueError("sequences must not be empty")
    for row in rows:
        if not row or min(row) < FIRST:
            raise ValueError(f"sequences must have one or more ids from {FIRST} on")
    width = 1 + max(map(len, rows))
    out = torch.full((3, len(rows), width), PAD)
    lengths = torch.empty(len(rows), dtype=torch.int64)
    for b, row in enumerate(rows):
        n = len(row) + 1
        answer = torch.tensor(ANSWERS[task](row))
        out[0, b, : n - 1] = torch.tensor(row)
        out[1, b, 0] = BOS
        out[1, b, 1:n] = answer
        out[2, b, : n - 1] = answer
        out[0, b, n - 1] = out[2, b, n - 1] = EOS
        lengths[b] = n
    return Batch(out[0], lengths, out[1], out[2])


def make_batch(
    rng: torch.Generator,
    task: str,
    batch: int,
    min_len: int,
    max_len: int,
    n_symbols: int,
) -> Batch:
    """`batch` examples, drawn from `rng` and nothing else.

    The number of symbols is drawn anew for each example, min_len to max_len, both
    included; each symbol is one of the ids FIRST to FIRST + n_symbols - 1. All of them
    are equally likely. In which order the numbers are drawn is up to you.

    ValueError: as in `as_batch`; `min_len` is below 1 or above max_len.
    """
    if not 1 <= min_len <= max_len:
        raise ValueError("min_len must be from 1 to max_len")
    rows = []
    for _ in range(batch):
        n = min_len + torch.randperm(max_len - min_len + 1, generator=rng)[0].item()
        weights = torch.ones(n_symbols)
        drawn = torch.multinomial(weights, n, replacement=True, generator=rng)
        rows.append((drawn + FIRST).tolist())
    return as_batch(rows, task)


# --- Task 2 (1 point): the loss --------------------------------------------------


def masked_cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """Mean of -ln p(target), in nats, over the targets that are not PAD.

    logits (B, T, V) and targets (B, T); p is the softmax of the logits over V. Every
    target that is not PAD counts the same, EOS too. Returns a tensor without axes.

    ValueError: `targets` has PAD only, or an id outside 0 to V - 1.
    """
    check_ids("targets", targets, logits.shape[-1])
    real = torch.nonzero(targets != PAD, as_tuple=True)
    if len(real[0]) == 0:
        raise ValueError("targets must not be PAD only")
    rows = logits[real]
    right = rows.gather(1, targets[real].unsqueeze(1)).squeeze(1)
    return (rows.logsumexp(1) - right).sum() / len(rows)


# --- Task 3 (2 points): the encoder ----------------------------------------------


class Encoder(nn.Module):
    """A bidirectional GRU over the embedded source, and a bridge to the decoder."""

    def __init__(self, vocab: int, d_embed: int, hidden: int) -> None:
        """Given. Of the GRU's output the first H numbers are its forward half.

        bridge: Linear from (last forward state, last backward state), 2H, to H.
        """
        super().__init__()
        self.embedding = nn.Embedding(vocab, d_embed)
        self.gru = nn.GRU(d_embed, hidden, batch_first=True, bidirectional=True)
        self.bridge = nn.Linear(2 * hidden, hidden)

    def forward(self, src: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Read src (B, S), of which row b has lengths[b] ids, in any order of lengths.

        What stands behind them influences nothing: a row gives the same numbers alone,
        and with more columns of PAD.

        Returns:
            memory (B, S, 2H): the GRU's output at each position; zeros behind a row's
                end.
            state (B, H): tanh of the bridge. The forward half has last read the row's
                last id, its EOS, and the backward half the first.

        ValueError: `src` has an id outside the vocabulary; `lengths` are not 1 to S.
        """
        check_ids("src", src, self.embedding.num_embeddings)
        n_columns = src.shape[1]
        if int(lengths.min()) < 1 or int(lengths.max()) > n_columns:
            raise ValueError(f"lengths must be from 1 to {n_columns}")
        memory, last = [], []
        for row, n in zip(src, lengths.tolist(), strict=True):
            out, h = self.gru(self.embedding(row[:n]))
            memory.append(nn.functional.pad(out, (0, 0, 0, n_columns - n)))
            last.append(h.flatten())
        return torch.stack(memory), torch.tanh(self.bridge(torch.stack(last)))


# --- Task 4 (2 points): one step of the decoder ----------------------------------


class Decoder(nn.Module):
    """A GRU cell that writes one id per step and may look back at the memory."""

    def __init__(
        self, vocab: int, d_embed: int, hidden: int, d_attention: int, attention: bool
    ) -> None:
        """Given. Where two vectors enter a layer side by side, their order is:

        cell: GRUCell of (embedded token, context); output: Linear of (new state,
        context) to V. Without attention there is no context, and no query, key, score.
        """
        super().__init__()
        context = 2 * hidden if attention else 0  # numbers in a context vector
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
        """Read one token and the memory, and say what could come next.

        With attention, as Bahdanau et al. (2015) have it: the query is `state`, from
        before this step; keys and values are the memory; lab 3.7's `additive_attention`
        scores them with the weights of `query`, `key` and `score`. The context it gives
        enters both the cell and the output layer.

        Args:
            token (B,): the id before the one to predict, BOS at first.
            state (B, H): the encoder's at first, then what the last step returned.
            memory (B, S, 2H): the encoder's. Not looked at if `attention` is False.
            mask (B, 1, S): True where the source has an id, as lab 3.7's
                `padding_mask` gives it.

        Returns:
            logits (B, V) for the next id, the new state (B, H), and the weights (B, S)
            of the memory, or None without attention.
        """
        embedded = self.embedding(token)
        if not self.attention:
            state = self.cell(embedded, state)
            return self.output(state), state, None
        hidden = self.query(state).unsqueeze(1) + self.key(memory)
        scores = self.score(torch.tanh(hidden)).squeeze(2)
        weights = scores.masked_fill(~mask[:, 0], -torch.inf).softmax(1)
        context = torch.einsum("bs,bsd->bd", weights, memory)
        state = self.cell(torch.hstack([embedded, context]), state)
        return self.output(torch.hstack([state, context])), state, weights


# --- Task 5 (2 points): teacher forcing ------------------------------------------


class Seq2Seq(nn.Module):
    """Both parts, with the same sizes."""

    def __init__(
        self, vocab: int, d_embed: int, hidden: int, d_attention: int, attention: bool
    ) -> None:
        """Given: an Encoder and a Decoder, which share nothing."""
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
        """Write T ids, and tell what the model thought at each of them.

        Step 0 reads tgt_in[:, 0]. At every later step t each row reads either its
        tgt_in[:, t], the right id, or its own guess: the id with the largest logit at
        step t - 1. teacher_forcing is the probability of the right id (scheduled
        sampling, S. Bengio et al., 2015): unless it is 0 or 1, a step draws u =
        torch.rand(B, generator=rng), and the rows with u < teacher_forcing get it.

        Returns:
            logits (B, T, V), and the weights (B, T, S), or None without attention.

        ValueError: `teacher_forcing` is not 0 to 1; or it is in between, and there is
        no `rng`.
        """
        if not 0 <= teacher_forcing <= 1:
            raise ValueError("teacher_forcing must be from 0 to 1")
        draws = 0 < teacher_forcing < 1
        if draws and rng is None:
            raise ValueError("rng is needed where teacher_forcing is between 0 and 1")
        memory, state = self.encoder(src, lengths)
        mask = (torch.arange(src.shape[1]) < lengths.unsqueeze(1)).unsqueeze(1)
        all_logits, all_weights = [], []
        token = tgt_in[:, 0]
        for right in tgt_in.unbind(1):
            if all_logits:
                own = all_logits[-1].argmax(1)
                if draws:
                    u = torch.rand(len(src), generator=rng)
                    token = torch.where(u < teacher_forcing, right, own)
                else:
                    token = right if teacher_forcing else own
            logits, state, weights = self.decoder.step(token, state, memory, mask)
            all_logits.append(logits)
            all_weights.append(weights)
        logits = torch.stack(all_logits, 1)
        return logits, None if weights is None else torch.stack(all_weights, 1)


# --- Task 6 (1 point): free running, and how good it is --------------------------


@torch.no_grad()
def greedy_decode(
    model: nn.Module, src: Tensor, lengths: Tensor, max_len: int
) -> list[list[int]]:
    """What the model writes by itself: from BOS on, always the id of largest logit.

    A row ends before its first EOS, or has max_len (1 or more) ids; PAD and BOS are ids
    like all others here. No gradient is kept. `model` is a Seq2Seq, or anything with
    an encoder(src, lengths), a decoder.step and a forward that mean the same as there.

    Returns B lists without EOS.
    """
    tgt_in = torch.full((len(src), max_len), BOS)
    logits, _ = model(src, lengths, tgt_in, 0.0)
    rows = logits.argmax(-1).tolist()
    return [row[: row.index(EOS)] if EOS in row else row for row in rows]


def token_accuracy(
    pred: Sequence[Sequence[int]], gold: Sequence[Sequence[int]]
) -> float:
    """Share of right ids: same row, same place. What is missing or too much is wrong.

    A row counts as many places as the longer of its two lists has. [[5, 4, 3], [3, 4]]
    against [[5, 4, 3], [3, 9, 5]]: 4 of 6. There is at least one id in `gold`.

    ValueError: `pred` has not as many rows as gold.
    """
    if len(pred) != len(gold):
        raise ValueError("pred must have as many rows as gold")
    right = places = 0
    for p, g in zip(pred, gold, strict=True):
        right += sum(a == b for a, b in zip(p, g, strict=False))
        places += max(len(p), len(g))
    return right / places


def exact_match(pred: Sequence[Sequence[int]], gold: Sequence[Sequence[int]]) -> float:
    """Share of rows that are right from the first id to the last. Errors as above."""
    if len(pred) != len(gold):
        raise ValueError("pred must have as many rows as gold")
    return sum(map(lambda p, g: list(p) == list(g), pred, gold)) / len(gold)


# --- Task 7 (1 point): training, and the exposure gap ----------------------------


def train(
    model: nn.Module,
    batches: Iterator[Batch],
    steps: int,
    lr: float = 1e-3,
    clip: float = 1.0,
    after_step: Callable[[int], None] | None = None,
) -> list[float]:
    """Take `steps` batches, no more, and make one step of Adam for each.

    The loss is the masked one, with teacher forcing 1. The gradients of all parameters
    together are clipped to the norm `clip`, as torch.nn.utils.clip_grad_norm_ does.
    `after_step(n)` is called when n steps are done, n = 1, 2, ....

    Returns the loss of each batch just before its step.
    """
    optimizer = torch.optim.Adam(model.parameters(), lr=lr)
    losses = []
    for n in range(1, steps + 1):
        batch = next(batches)
        logits, _ = model(batch.src, batch.lengths, batch.tgt_in)
        loss = masked_cross_entropy(logits, batch.tgt_out)
        optimizer.zero_grad()
        loss.backward()
        clip_grad_norm_(model.parameters(), clip)
        optimizer.step()
        losses.append(loss.item())
        if after_step:
            after_step(n)
    return losses


@torch.no_grad()
def exposure_gap(model: nn.Module, batch: Batch) -> float:
    """Accuracy with teacher forcing 1, minus accuracy with teacher forcing 0.

    Accuracy is the share of the targets in tgt_out that are not PAD, EOS counted, to
    which `model(src, lengths, tgt_in, ...)` gives the largest logit at their place.
    """
    real = batch.tgt_out != PAD
    accuracy = []
    for teacher_forcing in (1.0, 0.0):
        logits, _ = model(batch.src, batch.lengths, batch.tgt_in, teacher_forcing)
        hits = logits.argmax(-1)[real] == batch.tgt_out[real]
        accuracy.append(hits.double().mean().item())
    return accuracy[0] - accuracy[1]
