"""Lab 3.7 as a learner wrote it, from README.md and lab.py alone.

The softmax carries its own backward pass, masks come from counting, attention is
einsum with the scale put on the keys, and the layer multiplies one stacked matrix.
"""

from __future__ import annotations

import functools
import heapq
from collections.abc import Sequence

import torch
from torch import Tensor, nn


class _Softmax(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x: Tensor, dim: int) -> Tensor:
        top = x.amax(dim, keepdim=True)
        top = torch.where(top == -torch.inf, torch.zeros_like(top), top)
        e = torch.exp(x - top)
        total = e.sum(dim, keepdim=True)
        p = e / torch.where(total == 0, torch.ones_like(total), total)
        ctx.save_for_backward(p)
        ctx.dim = dim
        return p

    @staticmethod
    def backward(ctx, grad: Tensor) -> tuple[Tensor, None]:
        (p,) = ctx.saved_tensors
        return p * (grad - (grad * p).sum(ctx.dim, keepdim=True)), None


def softmax(x: Tensor, dim: int = -1) -> Tensor:
    return _Softmax.apply(x, dim)


def _look_up(scores: Tensor, v: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor]:
    if mask is not None:
        nothing = torch.full((), -torch.inf, dtype=scores.dtype)
        scores = torch.where(mask, scores, nothing)
    weights = softmax(scores)
    return torch.einsum("...ts,...sv->...tv", weights, v), weights


def _check_mask(mask: Tensor | None) -> None:
    if mask is not None and mask.dtype is not torch.bool:
        raise TypeError(f"mask must be bool, not {mask.dtype}")


def scaled_dot_product_attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    mask: Tensor | None = None,
    scale: float | None = None,
) -> tuple[Tensor, Tensor]:
    _check_mask(mask)
    if q.shape[-1] != k.shape[-1]:
        raise ValueError(f"k has width {k.shape[-1]}, the queries {q.shape[-1]}")
    if k.shape[-2] != v.shape[-2]:
        raise ValueError(f"v has {v.shape[-2]} values for {k.shape[-2]} keys")
    if scale is None:
        scale = q.shape[-1] ** -0.5
    return _look_up(torch.einsum("...td,...sd->...ts", q, scale * k), v, mask)


def causal_mask(t: int, s: int | None = None) -> Tensor:
    s = t if s is None else s
    if s < t:
        raise ValueError(f"s must be at least t = {t}, not {s}")
    seen = s - t + 1 + torch.arange(t)  # how many keys each query sees
    return padding_mask(seen, s).squeeze(1)


def padding_mask(lengths: Tensor, s: int) -> Tensor:
    if ((lengths < 0) | (lengths > s)).any():
        raise ValueError(f"lengths must be from 0 to {s}, got {lengths.tolist()}")
    return (torch.arange(s) - lengths[:, None] < 0)[:, None]


def combine_masks(*masks: Tensor | None) -> Tensor | None:
    given = [mask for mask in masks if mask is not None]
    return functools.reduce(torch.logical_and, given) if given else None


def score_statistics(q: Tensor, k: Tensor, scaled: bool) -> dict[str, float]:
    scores = q @ k.T
    if scaled:
        scores = scores / q.shape[1] ** 0.5
    p = softmax(scores)
    surprise = -torch.log(torch.where(p > 0, p, torch.ones_like(p)))
    return {
        "variance": float(scores.var(unbiased=False)),
        "entropy": float((p * surprise).sum() / len(q)),
        "max_weight": float(p.amax(1).mean()),
        "jacobian_diagonal": float((p - p * p).mean()),
    }


def softmax_jacobian(p: Tensor) -> Tensor:
    return p[:, None] * (torch.eye(len(p), dtype=p.dtype) - p[None])


def additive_attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    W_q: Tensor,
    W_k: Tensor,
    w: Tensor,
    mask: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    _check_mask(mask)
    queries = q @ W_q.mT
    keys = k @ W_k.mT
    rows = [
        torch.tanh(keys + queries[..., i : i + 1, :]) @ w for i in range(q.shape[-2])
    ]
    return _look_up(torch.stack(rows, -2), v, mask)


class SelfAttention(nn.Module):
    def __init__(self, d_model: int, d_head: int, causal: bool) -> None:
        super().__init__()
        for name in "qkv":
            setattr(self, f"{name}_proj", nn.Linear(d_model, d_head, bias=False))
        self.out_proj = nn.Linear(d_head, d_model, bias=False)
        self.causal = causal

    def forward(
        self, x: Tensor, return_weights: bool = False
    ) -> Tensor | tuple[Tensor, Tensor]:
        stacked = torch.cat(
            [self.q_proj.weight, self.k_proj.weight, self.v_proj.weight]
        )
        q, k, v = (x @ stacked.T).chunk(3, dim=-1)
        mask = causal_mask(x.shape[-2]) if self.causal else None
        out, weights = scaled_dot_product_attention(q, k, v, mask)
        out = out @ self.out_proj.weight.T
        return (out, weights) if return_weights else out


def describe_attention(
    weights: Tensor, queries: Sequence[str], keys: Sequence[str], top: int = 3
) -> list[tuple[str, list[tuple[str, float]]]]:
    if len(queries) != weights.shape[0]:
        raise ValueError(f"queries: {len(queries)} labels for {weights.shape[0]} rows")
    if len(keys) != weights.shape[1]:
        raise ValueError(f"keys: {len(keys)} labels for {weights.shape[1]} columns")
    if top < 1:
        raise ValueError(f"top must be at least 1, not {top}")
    told = []
    for query, row in zip(queries, weights.tolist(), strict=True):
        best = heapq.nlargest(top, ((x, -j) for j, x in enumerate(row) if x != 0))
        told.append((query, [(keys[-j], x) for x, j in best]))
    return told
