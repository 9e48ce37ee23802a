"""Attention: one function that lets every position look things up in all others.

You build the softmax, scaled dot-product attention with its masks, the older additive
form, the reason for the scale, and a layer of one head. Write them with plain tensor
operations: not torch.softmax, and nothing from torch.nn.functional. (nn.Linear is for
task 6.)

1 softmax (1)              2 attention (2)           3 masks (2)    4 why sqrt(d) (1)
5 additive attention (1)   6 SelfAttention (2)       7 describe_attention (1)

T is the number of queries, S of keys, d the width of both, dv of the values.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

# --- Task 1 (1 point): softmax ---------------------------------------------------


def softmax(x: Tensor, dim: int = -1) -> Tensor:
    """exp(x) divided by its sum along `dim`: positive numbers that sum to 1.

    Right for numbers of any size: softmax([1000, 1000 + ln 3]) is [0.25, 0.75]. An
    entry of -inf becomes 0. A slice of nothing but -inf becomes 0 everywhere, with a
    gradient of 0, and never NaN. Shape and dtype are those of `x`, a tensor of floats.
    """
    raise NotImplementedError("task 1")


# --- Task 2 (2 points): scaled dot-product attention -----------------------------


def scaled_dot_product_attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    mask: Tensor | None = None,
    scale: float | None = None,
) -> tuple[Tensor, Tensor]:
    """Each query's weighted average of the values: softmax(q kᵀ · scale) v.

    Args:
        q: queries (..., T, d); leading axes are batches, all of one shape or such that
            broadcast.
        k: keys (..., S, d).
        v: values (..., S, dv).
        mask: bool, broadcasts to (..., T, S); True where a query may look at a key,
            None: everywhere. A key that is not allowed gets a weight of exactly 0.
        scale: what scores are multiplied by; None for 1/sqrt(d).

    Returns:
        out (..., T, dv) and weights (..., T, S), of the dtype of `q`. Each row of
        weights sums to 1; a query that may look at nothing has weights 0 and out 0.

    Raises:
        TypeError: `mask` is not bool: in numbers, 0 and 1 or 0 and -inf, it is not
            clear what is meant.
        ValueError: `k` has not the width of q, or `v` not as many rows as k.

    Vaswani et al. 2017, equation 1.
    """
    raise NotImplementedError("task 2")


# --- Task 3 (2 points): masks ----------------------------------------------------


def causal_mask(t: int, s: int | None = None) -> Tensor:
    """Who may look at whom if nobody sees the future: bool (t, s), True = may attend.

    The t queries are the last t of s positions (None: s = t), so the last query sees
    every key, and query i the keys 0 to i + s - t. causal_mask(2, 4) is
    [[1, 1, 1, 0], [1, 1, 1, 1]] in Trues and Falses.

    ValueError: `s` is below t.
    """
    raise NotImplementedError("task 3")


def padding_mask(lengths: Tensor, s: int) -> Tensor:
    """Which of `s` keys are real in a padded batch: bool (B, 1, s), True = real.

    `lengths` (B,) has integers from 0 to s: row b is True for its first lengths[b]
    keys. The axis in the middle is for the queries, which all see the same keys.

    ValueError: one of `lengths` is below 0 or above s.
    """
    raise NotImplementedError("task 3")


def combine_masks(*masks: Tensor | None) -> Tensor | None:
    """True where every mask is True, after broadcasting; a mask of None allows all.

    combine_masks(causal (T, T), padding (B, 1, T)) is (B, T, T). None if there is
    nothing but None.
    """
    raise NotImplementedError("task 3")


# --- Task 4 (1 point): why sqrt(d) -----------------------------------------------


def score_statistics(q: Tensor, k: Tensor, scaled: bool) -> dict[str, float]:
    """What the width d does to scores, weights and gradients.

    Args:
        q: queries (n, d).
        k: keys (m, d).
        scaled: whether the scores q kᵀ are divided by sqrt(d).

    Returns: Python floats with these names.
        variance: of all n·m scores (divided ones if `scaled`): the mean of their
            squared distances from their mean.
        entropy: -sum p ln p of a query's weights p, in nats, mean over the queries.
            A weight of 0 counts 0.
        max_weight: the largest weight of a query, mean over the queries.
        jacobian_diagonal: dp_j / ds_j, how much a weight follows its own score; mean
            over queries and keys.
    """
    raise NotImplementedError("task 4")


def softmax_jacobian(p: Tensor) -> Tensor:
    """diag(p) - p pᵀ: entry (i, j) is how weight i follows score j.

    `p` are softmax weights (n,), the result is (n, n).
    """
    raise NotImplementedError("task 4")


# --- Task 5 (1 point): additive attention ----------------------------------------


def additive_attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    W_q: Tensor,
    W_k: Tensor,
    w: Tensor,
    mask: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Attention whose scores come from a small network: wᵀ tanh(W_q q + W_k k).

    Args:
        q: queries (..., T, d_q).
        k: keys (..., S, d_k); their width may be another one.
        v: values (..., S, dv).
        W_q, W_k: weights (a, d_q) and (a, d_k), laid out as in nn.Linear.
        w: (a,).
        mask: as in `scaled_dot_product_attention`, with the same TypeError.

    Returns:
        out (..., T, dv) and weights (..., T, S), with the rules of
        `scaled_dot_product_attention`. There is no scale.

    Bahdanau, Cho & Bengio 2015, appendix A.1.2.
    """
    raise NotImplementedError("task 5")


# --- Task 6 (2 points): a self-attention layer -----------------------------------


class SelfAttention(nn.Module):
    """One head: the positions of a sequence look at each other.

    Parameters q_proj.weight, k_proj.weight, v_proj.weight (d_head, d_model) and
    out_proj.weight (d_model, d_head), made by nn.Linear; there are no biases.
    """

    def __init__(self, d_model: int, d_head: int, causal: bool) -> None:
        """With `causal`, position i sees positions 0 to i; without it, all."""
        raise NotImplementedError("task 6")

    def forward(
        self, x: Tensor, return_weights: bool = False
    ) -> Tensor | tuple[Tensor, Tensor]:
        """x (..., T, d_model) -> out (..., T, d_model), or out and weights (..., T, T).

        Queries, keys and values are projections of the same x; what attention gives
        back is projected to the width of x again.
        """
        raise NotImplementedError("task 6")


# --- Task 7 (1 point): reading the weights ---------------------------------------


def describe_attention(
    weights: Tensor, queries: Sequence[str], keys: Sequence[str], top: int = 3
) -> list[tuple[str, list[tuple[str, float]]]]:
    """A heat map in words: what each query looks at most.

    Args:
        weights: (T, S), a row per query.
        queries: T labels.
        keys: S labels; two may be equal.
        top: how many keys at most are named for a query, at least 1.

    Returns:
        For each query its label and the pairs (label of a key, weight) of its largest
        weights, largest first; of equal weights the earlier key comes first. Keys with
        a weight of 0 are left out.

    Raises:
        ValueError: `queries` or `keys` has another length than the weights, or `top`
            is below 1.
    """
    raise NotImplementedError("task 7")
