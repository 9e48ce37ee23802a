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
    # task 1
    highest = x.detach().amax(dim=dim, keepdim=True)
    # -inf - (-inf) is NaN: with 0 instead a slice of -inf stays -inf, and its exp is 0
    highest = highest.masked_fill(highest == -math.inf, 0.0)
    e = (x - highest).exp_()  # the largest is exp(0): nothing overflows
    total = e.sum(dim=dim, keepdim=True)  # 1 or more, or 0 where all is -inf
    return e / total.masked_fill(total == 0, 1.0)


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
    # task 2
    if k.shape[-1] != q.shape[-1]:
        raise ValueError(f"k must have the width of q, {q.shape[-1]}: {k.shape[-1]}")
    if v.shape[-2] != k.shape[-2]:
        raise ValueError(f"v must have one row per key, {k.shape[-2]}: {v.shape[-2]}")
    if scale is None:
        scale = 1 / math.sqrt(q.shape[-1])
    scores = (q * scale) @ k.mT  # (..., T, S); q is smaller than its scores
    weights = _masked_softmax(scores, mask)
    return weights @ v, weights


def _masked_softmax(scores: Tensor, mask: Tensor | None) -> Tensor:
    # task 2
    if mask is None:
        return softmax(scores)
    if mask.dtype != torch.bool:
        raise TypeError(f"mask must be bool, True = may attend, got {mask.dtype}")
    # before the softmax: what is not allowed must not take part in the sum either
    return softmax(scores.masked_fill(~mask, -math.inf))


# --- Task 3 (2 points): masks ----------------------------------------------------


def causal_mask(t: int, s: int | None = None) -> Tensor:
    """Who may look at whom if nobody sees the future: bool (t, s), True = may attend.

    The t queries are the last t of s positions (None: s = t), so the last query sees
    every key, and query i the keys 0 to i + s - t. causal_mask(2, 4) is
    [[1, 1, 1, 0], [1, 1, 1, 1]] in Trues and Falses.

    ValueError: `s` is below t.
    """
    # task 3
    s = t if s is None else s
    if s < t:
        raise ValueError(f"s must be at least t = {t}, got {s}")
    return torch.ones(t, s, dtype=torch.bool).tril(s - t)


def padding_mask(lengths: Tensor, s: int) -> Tensor:
    """Which of `s` keys are real in a padded batch: bool (B, 1, s), True = real.

    `lengths` (B,) has integers from 0 to s: row b is True for its first lengths[b]
    keys. The axis in the middle is for the queries, which all see the same keys.

    ValueError: one of `lengths` is below 0 or above s.
    """
    # task 3
    if bool(((lengths < 0) | (lengths > s)).any()):
        raise ValueError(f"lengths must lie in 0 to {s}, got {lengths.tolist()}")
    positions = torch.arange(s, device=lengths.device)
    return positions < lengths[:, None, None]


def combine_masks(*masks: Tensor | None) -> Tensor | None:
    """True where every mask is True, after broadcasting; a mask of None allows all.

    combine_masks(causal (T, T), padding (B, 1, T)) is (B, T, T). None if there is
    nothing but None.
    """
    # task 3
    combined = None
    for mask in masks:
        if mask is not None:
            combined = mask if combined is None else combined & mask
    return combined


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
    # task 4
    scores = q @ k.mT
    if scaled:
        scores = scores / math.sqrt(q.shape[-1])
    p = softmax(scores)
    found = {
        "variance": scores.var(correction=0),
        "entropy": -torch.xlogy(p, p).sum(dim=-1).mean(),  # xlogy(0, 0) is 0
        "max_weight": p.amax(dim=-1).mean(),
        "jacobian_diagonal": (p * (1 - p)).mean(),
    }
    return {name: value.item() for name, value in found.items()}


def softmax_jacobian(p: Tensor) -> Tensor:
    """diag(p) - p pᵀ: entry (i, j) is how weight i follows score j.

    `p` are softmax weights (n,), the result is (n, n).
    """
    # task 4
    return torch.diag(p) - torch.outer(p, p)


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
    # task 5
    queries = (q @ W_q.T).unsqueeze(-2)  # (..., T, 1, a)
    keys = (k @ W_k.T).unsqueeze(-3)  # (..., 1, S, a)
    scores = torch.tanh(queries + keys) @ w  # (..., T, S)
    weights = _masked_softmax(scores, mask)
    return weights @ v, weights


# --- Task 6 (2 points): a self-attention layer -----------------------------------


class SelfAttention(nn.Module):
    """One head: the positions of a sequence look at each other.

    Parameters q_proj.weight, k_proj.weight, v_proj.weight (d_head, d_model) and
    out_proj.weight (d_model, d_head), made by nn.Linear; there are no biases.
    """

    def __init__(self, d_model: int, d_head: int, causal: bool) -> None:
        """With `causal`, position i sees positions 0 to i; without it, all."""
        # task 6
        super().__init__()
        self.q_proj = nn.Linear(d_model, d_head, bias=False)
        self.k_proj = nn.Linear(d_model, d_head, bias=False)
        self.v_proj = nn.Linear(d_model, d_head, bias=False)
        self.out_proj = nn.Linear(d_head, d_model, bias=False)
        self.causal = causal

    def forward(
        self, x: Tensor, return_weights: bool = False
    ) -> Tensor | tuple[Tensor, Tensor]:
        """x (..., T, d_model) -> out (..., T, d_model), or out and weights (..., T, T).

        Queries, keys and values are projections of the same x; what attention gives
        back is projected to the width of x again.
        """
        # task 6
        q, k, v = self.q_proj(x), self.k_proj(x), self.v_proj(x)  # (..., T, d_head)
        mask = causal_mask(x.shape[-2]).to(x.device) if self.causal else None
        mixed, weights = scaled_dot_product_attention(q, k, v, mask)
        out = self.out_proj(mixed)
        return (out, weights) if return_weights else out


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
    # task 7
    rows, columns = weights.shape
    if len(queries) != rows:
        raise ValueError(f"queries must be {rows} labels, got {len(queries)}")
    if len(keys) != columns:
        raise ValueError(f"keys must be {columns} labels, got {len(keys)}")
    if top < 1:
        raise ValueError(f"top must be at least 1, got {top}")
    described = []
    for query, row in zip(queries, weights.tolist(), strict=True):
        # sorted keeps the order of equals, in descending order too
        largest = sorted(zip(keys, row, strict=True), key=lambda p: p[1], reverse=True)
        seen = [(key, weight) for key, weight in largest[:top] if weight > 0]
        described.append((query, seen))
    return described
