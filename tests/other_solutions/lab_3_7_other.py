"""Lab 3.7 by another route: loops over queries, einsum, logarithms and explicit sums.

Attention is computed query by query in the log domain, masks by comparing positions,
the additive score by a loop over keys, the layer with plain functions of its weights.
"""

from __future__ import annotations

import itertools
import math

import torch
from torch import nn

NOTHING = float("-inf")


def softmax(x, dim=-1):
    if x.shape[dim] == 0:
        return x
    parts = torch.unbind(x, dim)
    top = parts[0]
    for part in parts[1:]:
        top = torch.maximum(top, part)
    top = torch.where(torch.isinf(top), torch.zeros_like(top), top).detach()
    e = [torch.exp(part - top) for part in parts]
    total = sum(e)
    total = torch.where(total > 0, total, torch.ones_like(total))
    return torch.stack([part / total for part in e], dim)


def _rows(scores, mask):
    """Weights from scores (..., T, S) through the logarithm of the sum."""
    if mask is not None:
        if mask.dtype is not torch.bool:
            raise TypeError("the mask has to be of type bool")
        scores, mask = torch.broadcast_tensors(scores, mask)
        scores = torch.where(mask, scores, torch.full_like(scores, NOTHING))
    none = torch.isneginf(scores).all(-1, keepdim=True)
    safe = torch.where(none, torch.zeros_like(scores), scores)
    weights = torch.exp(safe - torch.logsumexp(safe, -1, keepdim=True))
    return torch.where(none, torch.zeros_like(weights), weights)


def scaled_dot_product_attention(q, k, v, mask=None, scale=None):
    if q.size(-1) != k.size(-1):
        raise ValueError("q and k differ in width")
    if k.size(-2) != v.size(-2):
        raise ValueError("k and v differ in number")
    factor = q.size(-1) ** -0.5 if scale is None else scale
    weights = _rows(torch.einsum("...td,...sd->...ts", q, k) * factor, mask)
    return torch.einsum("...ts,...sv->...tv", weights, v), weights


def causal_mask(t, s=None):
    if s is None:
        s = t
    if t > s:
        raise ValueError(f"more queries than keys: s = {s}")
    first = s - t
    return torch.tensor(
        [[j <= first + i for j in range(s)] for i in range(t)], dtype=torch.bool
    )


def padding_mask(lengths, s):
    rows = []
    for n in lengths.tolist():
        if not 0 <= n <= s:
            raise ValueError(f"lengths has {n}, and there are {s} keys")
        rows.append([True] * n + [False] * (s - n))
    return torch.tensor(rows).reshape(len(rows), 1, s)


def combine_masks(*masks):
    left = [mask for mask in masks if mask is not None]
    if not left:
        return None
    return torch.stack(torch.broadcast_tensors(*left)).all(dim=0)


def score_statistics(q, k, scaled):
    n, m = len(q), len(k)
    factor = 1 / math.sqrt(q.shape[1]) if scaled else 1.0
    scores = [[factor * torch.dot(a, b).item() for b in k] for a in q]
    every = list(itertools.chain(*scores))
    mean = math.fsum(every) / (n * m)
    entropy, largest, answer = [], [], []
    for row in scores:
        top = max(row)
        log_z = top + math.log(math.fsum(math.exp(s - top) for s in row))
        p = [math.exp(s - log_z) for s in row]
        # -sum p ln p = ln Z - sum p s
        entropy.append(log_z - math.fsum(a * s for a, s in zip(p, row, strict=True)))
        largest.append(max(p))
        answer += [a - a * a for a in p]
    return {
        "jacobian_diagonal": math.fsum(answer) / (n * m),
        "variance": math.fsum((s - mean) ** 2 for s in every) / (n * m),
        "max_weight": math.fsum(largest) / n,
        "entropy": math.fsum(entropy) / n,
    }


def softmax_jacobian(p):
    columns = [p * ((torch.arange(len(p)) == j).to(p) - p[j]) for j in range(len(p))]
    return torch.stack(columns, dim=1)


def additive_attention(q, k, v, W_q, W_k, w, mask=None):
    queries = torch.einsum("ad,...td->...ta", W_q, q)
    scores = []
    for j in range(k.shape[-2]):
        key = torch.einsum("ad,...d->...a", W_k, k[..., j, :])
        scores.append((torch.tanh(queries + key[..., None, :]) * w).sum(-1))
    weights = _rows(torch.stack(scores, -1), mask)
    return weights @ v, weights


class SelfAttention(nn.Module):
    def __init__(self, d_model, d_head, causal):
        super().__init__()
        sizes = {"q": (d_model, d_head), "k": (d_model, d_head)}
        sizes |= {"v": (d_model, d_head), "out": (d_head, d_model)}
        for name, (d_in, d_out) in sizes.items():
            self.add_module(f"{name}_proj", nn.Linear(d_in, d_out, False))
        self.causal = causal

    def forward(self, x, return_weights=False):
        t = x.size(-2)
        # x W_qᵀ W_k xᵀ: one matrix between the two positions
        between = self.q_proj.weight.T @ self.k_proj.weight
        scores = x @ between @ x.transpose(-1, -2) / math.sqrt(len(self.q_proj.weight))
        if self.causal:
            later = torch.arange(t)[None, :] > torch.arange(t)[:, None]
            scores = scores + torch.zeros(t, t, dtype=x.dtype).masked_fill(
                later, NOTHING
            )
        weights = torch.softmax(scores, dim=-1)
        # out_proj before the sum: the values of full width are what is averaged
        out = weights @ self.out_proj(self.v_proj(x))
        if return_weights:
            return out, weights
        return out


def describe_attention(weights, queries, keys, top=3):
    if weights.shape[0] != len(queries):
        raise ValueError("one label per row, please: queries")
    if weights.shape[1] != len(keys):
        raise ValueError("one label per column, please: keys")
    if top <= 0:
        raise ValueError("top has to be positive")
    answer = []
    for i, query in enumerate(queries):
        order = torch.sort(weights[i], descending=True, stable=True)
        pairs = zip(order.indices.tolist(), order.values.tolist(), strict=True)
        best = [(keys[j], w) for j, w in itertools.islice(pairs, top) if w != 0]
        answer.append((query, best))
    return answer
