"""Sequence to sequence: a network that reads, and one that writes, with attention.

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
    raise NotImplementedError("task 1")


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
    are equally likely, whatever was drawn before. In which order the numbers are drawn
    is up to you.

    ValueError: `task` as in `as_batch`; `min_len` is below 1 or above max_len.
    """
    raise NotImplementedError("task 1")


# --- Task 2 (1 point): the loss --------------------------------------------------


def masked_cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """Mean of -ln p(target), in nats, over the targets that are not PAD.

    logits (B, T, V) and targets (B, T); p is the softmax of the logits over V. Every
    target that is not PAD counts the same, EOS too. Large logits, such as 1000,
    overflow nothing. Returns a tensor without axes.

    ValueError: `targets` has PAD only, or an id outside 0 to V - 1.
    """
    raise NotImplementedError("task 2")


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
        raise NotImplementedError("task 3")


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
        scores them with the weights of `query`, `key` and `score`; its `w` is a vector,
        score.weight has one row. The context it gives enters both the cell and the
        output layer.

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
        raise NotImplementedError("task 4")


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
        sampling, S. Bengio et al., 2015): unless it is 0 or 1, each step from
        1 on draws u = torch.rand(B, generator=rng), and the rows with u <
        teacher_forcing get it.

        Returns:
            logits (B, T, V), and the weights (B, T, S), or None without attention.

        ValueError: `teacher_forcing` is not 0 to 1; or it is in between, and there is
        no `rng`.
        """
        raise NotImplementedError("task 5")


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
    raise NotImplementedError("task 6")


def token_accuracy(
    pred: Sequence[Sequence[int]], gold: Sequence[Sequence[int]]
) -> float:
    """Share of right ids: same row, same place. What is missing or too much is wrong.

    A row counts as many places as the longer of its two lists has. [[5, 4, 3], [3, 4]]
    against [[5, 4, 3], [3, 9, 5]]: 4 of 6. There is at least one id in `gold`.

    ValueError: `pred` has not as many rows as gold.
    """
    raise NotImplementedError("task 6")


def exact_match(pred: Sequence[Sequence[int]], gold: Sequence[Sequence[int]]) -> float:
    """Share of rows that are right from the first id to the last. Errors as above."""
    raise NotImplementedError("task 6")


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

    There are at least as many. The loss is the masked one, with teacher forcing 1. The
    gradients of all parameters together are clipped to the norm `clip`, as
    torch.nn.utils.clip_grad_norm_ does. `after_step(n)` is called when n steps are
    done, n = 1, 2, ....

    Returns the loss of each batch just before its step.
    """
    raise NotImplementedError("task 7")


@torch.no_grad()
def exposure_gap(model: nn.Module, batch: Batch) -> float:
    """Accuracy with teacher forcing 1, minus accuracy with teacher forcing 0.

    Accuracy is the share of the targets in tgt_out that are not PAD, EOS counted, to
    which `model(src, lengths, tgt_in, ...)` gives the largest logit at their place.
    """
    raise NotImplementedError("task 7")
