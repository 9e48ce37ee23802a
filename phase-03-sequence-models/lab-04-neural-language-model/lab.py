"""Bengio's neural language model: a window of characters in, the next one out.

You build the model and everything around it: windows, initialisation, an honest
evaluation, training with early stopping, generation, and a mixture with another model.

1 make_windows (1)   2 WindowLM, parameter_count (2)   3 init_parameters_ (1)
4 log_probs, evaluate (2)   5 batches, train (2)   6 generate (1)   7 mixture (1)

Ids are int64; V is their number (`vocab_size`), so they are 0 .. V-1, and id V is the
pad, which stands where a text has not begun yet. N is the length of a text, B of a
batch, d of an embedding, H the hidden units. Losses are in nats per id.
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
    """What the model sees at each position of a text, and what it has to say there.

    Args:
        ids: int64 (N,), not empty.
        context: how many ids a window has, at least 1.
        pad_id: stands where a window reaches back over the start of the text.

    Returns:
        X: int64 (N, context). Row i has the `context` ids before position i, the oldest
            first. `Tensor.unfold` can give it as a view; a copy is right too.
        Y: int64 (N,), the ids themselves.

    Raises:
        ValueError: `context` is below 1.

    make_windows([5, 6, 7], 2, 9) is [[9, 9], [9, 5], [5, 6]] and [5, 6, 7], as tensors.
    """
    raise NotImplementedError("task 1")


# --- Task 2 (2 points): the model ------------------------------------------------


class WindowLM(nn.Module):
    """logits = b2 + W2 tanh(b1 + W1 e) (+ W3 e), e the embeddings of a window.

    (Bengio et al. 2003, equation 1.) The layers are PyTorch's, under these names:

    embedding: nn.Embedding with V + 1 rows of d numbers; the last is the pad's, learned
        like the others.
    hidden: nn.Linear from context · d to H.
    output: nn.Linear from H to V.
    direct: nn.Linear from context · d to V, without a bias; None where not wanted.

    `vocab_size` and `context` are attributes too; the tasks below use no others.
    """

    def __init__(
        self,
        vocab_size: int,
        context: int,
        d_embed: int,
        d_hidden: int,
        direct: bool = False,
    ) -> None:
        """Make the layers, as PyTorch initialises them."""
        raise NotImplementedError("task 2")

    def forward(self, x: Tensor) -> Tensor:
        """Windows, int64 (B, context) -> logits (B, V), any numbers.

        e holds the embeddings of a window one after the other, oldest id first: all d
        numbers of the first id, then all of the second, and so on.

        ValueError: `x` is not of shape (B, context).
        """
        raise NotImplementedError("task 2")


def parameter_count(
    vocab_size: int, context: int, d_embed: int, d_hidden: int, direct: bool = False
) -> int:
    """How many numbers such a `WindowLM` learns, without making one."""
    raise NotImplementedError("task 2")


# --- Task 3 (1 point): initialisation --------------------------------------------


@torch.no_grad()
def init_parameters_(model: WindowLM, rng: torch.Generator) -> None:
    """Draw all parameters of `model` anew, in place and from `rng` alone.

    All weights are normal with mean 0. Standard deviations: 1 for the embedding (the
    pad's row too), 5/3 / sqrt(context · d) for the hidden layer, where 5/3 makes up for
    what tanh takes away (torch.nn.init.calculate_gain), and 0.01 for output and direct
    weights, so that all V answers are about equally likely at first and the loss is
    about ln V. Biases are 0.
    """
    raise NotImplementedError("task 3")


# --- Task 4 (2 points): evaluation -----------------------------------------------


@torch.no_grad()
def log_probs(model: nn.Module, ids: Tensor, batch: int = 4096) -> Tensor:
    """ln of the probability that `model` gives to each id of a text, float64 (N,).

    Position i sees the ids before it in `ids`, as many as `model.context`; where the
    text has not begun, pads (id `model.vocab_size`). The model gets `batch` windows at
    once, the last time what is left. It is in evaluation mode, its parts too, builds no
    graph, and afterwards is as it came.

    Raises:
        ValueError: `ids` is empty, or `batch` is below 1.
    """
    raise NotImplementedError("task 4")


def evaluate(model: nn.Module, ids: Tensor, batch: int = 4096) -> float:
    """The mean loss over all N positions of `ids`, in nats; errors as `log_probs`."""
    raise NotImplementedError("task 4")


# --- Task 5 (2 points): training with early stopping -----------------------------


def batches(
    X: Tensor, Y: Tensor, batch: int, rng: torch.Generator
) -> Iterator[tuple[Tensor, Tensor]]:
    """Endless pairs X (batch, context) and Y (batch,) of the same, random rows.

    Each row is drawn from `rng` on its own and all are equally likely, so one may come
    twice, and `batch` may be larger than the number of rows.
    """
    raise NotImplementedError("task 5")


@dataclass
class History:
    """Given: what `train` has seen.

    train: the loss of each batch, just before its step.
    val: pairs (steps taken so far, what `evaluate_fn` said then).
    best_step: of the pair in `val` with the lowest loss; of several, the first. NaN is
        never lowest; 0 if there is nothing else.
    """

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
    """AdamW on the cross-entropy, one batch a step; the model keeps its best weights.

    torch.optim.AdamW gets lab 2.10's `parameter_groups`, so that biases do not decay;
    its betas and eps stay as they are. Each step takes one batch, none ahead of time.
    Step t = 0, 1, ... has the rate `cosine_lr(t, base=lr, total=steps)` of lab 2.8 and
    is taken in training mode, whatever mode `evaluate_fn` leaves behind.

    `evaluate_fn(model)` is asked before the first step, after every `eval_every` steps,
    and after step number `steps` (once, if both fall together). Training ends early
    when `patience` of its answers in a row brought no new lowest, as lab 2.8's
    `EarlyStopping` counts; the answer before the first step counts like any other. (Its
    own `best_step` counts answers, not steps.) At the end the parameters of `model`,
    the same objects, hold what they held at `best_step`, bit for bit.

    Raises:
        ValueError: `steps`, `eval_every` or `patience` is below 1.
    """
    raise NotImplementedError("task 5")


# --- Task 6 (1 point): generation ------------------------------------------------


@torch.no_grad()
def generate(
    model: nn.Module,
    prompt: Sequence[int],
    n: int,
    rng: torch.Generator,
    temperature: float = 1.0,
) -> list[int]:
    """`n` ids that follow `prompt`, each drawn from what the model says about it.

    The model sees the last `model.context` ids of prompt and draws so far, and pads
    (id `model.vocab_size`) before them where there are not so many. It is in
    evaluation mode and afterwards in the mode in which it came.

    Args:
        prompt: ids, oldest first; may be empty, and longer than a window.
        n: how many to draw; 0 gives [].
        rng: the only source of randomness. How you draw from it is free.
        temperature: logits are divided by it. Small values prefer what is likely
            anyway; 0 means the most likely id each time (of equal ones, the first).

    Raises:
        ValueError: `temperature` is below 0, or an id in `prompt` is not in 0 .. V-1.
    """
    raise NotImplementedError("task 6")


# --- Task 7 (1 point): a mixture of two models -----------------------------------
# p_a and p_b are float64 (N,): what two models say of the same N ids, as probabilities.


def mixture_nats(p_a: Tensor, p_b: Tensor, weight: float) -> float:
    """The mean loss, in nats, of weight · p_a + (1 - weight) · p_b.

    ValueError: `weight` is not in 0 .. 1.
    """
    raise NotImplementedError("task 7")


def best_mixture_weight(p_a: Tensor, p_b: Tensor, iters: int = 50) -> float:
    """The weight for `mixture_nats`, fitted by `iters` steps of EM from 1/2.

    A step asks of each position which share of its mixture came from the first model,
    weight · p_a / (weight · p_a + (1 - weight) · p_b); the mean of the shares is the
    new weight (Dempster, Laird & Rubin 1977; Jelinek & Mercer 1980). No step raises the
    loss. Fit on a text that neither model was trained on, nor is evaluated on.
    """
    raise NotImplementedError("task 7")
