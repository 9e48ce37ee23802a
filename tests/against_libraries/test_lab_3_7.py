"""Lab 3.7's layer beside nn.MultiheadAttention, and kernel regression by attention.

The grader compares with F.scaled_dot_product_attention. Here the whole layer meets the
library's module with copied weights, whose mask has the other polarity.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from common import labs


@pytest.fixture(scope="module")
def lab():
    return labs.solution("3.7")


def twins(lab, width: int, causal: bool):
    """The lab's layer and torch's with one head and the same weights, float64."""
    torch.manual_seed(37)
    ours = lab.SelfAttention(width, width, causal).double()
    theirs = nn.MultiheadAttention(width, 1, bias=False, batch_first=True).double()
    with torch.no_grad():
        weights = (ours.q_proj.weight, ours.k_proj.weight, ours.v_proj.weight)
        theirs.in_proj_weight.copy_(torch.cat(weights))
        theirs.out_proj.weight.copy_(ours.out_proj.weight)
    return ours, theirs


@pytest.mark.parametrize("causal", [False, True])
def test_layer_against_multihead_attention(lab, causal):
    ours, theirs = twins(lab, 6, causal)
    x = torch.randn(3, 5, 6, dtype=torch.float64) * 2
    blocked = ~lab.causal_mask(5) if causal else None  # there True means: not allowed
    expected = theirs(x, x, x, attn_mask=blocked)
    found = ours(x, return_weights=True)
    for got, wanted in zip(found, expected, strict=True):
        torch.testing.assert_close(got, wanted, rtol=0, atol=1e-12)


def test_padding_against_multihead_attention(lab):
    ours, theirs = twins(lab, 6, False)
    x = torch.randn(3, 5, 6, dtype=torch.float64)
    mask = lab.padding_mask(torch.tensor([5, 2, 3]), 5)
    q, k, v = ours.q_proj(x), ours.k_proj(x), ours.v_proj(x)
    mixed, weights = lab.scaled_dot_product_attention(q, k, v, mask)
    expected = theirs(x, x, x, key_padding_mask=~mask[:, 0])
    torch.testing.assert_close(ours.out_proj(mixed), expected[0], rtol=0, atol=1e-12)
    torch.testing.assert_close(weights, expected[1], rtol=0, atol=1e-12)


def test_attention_against_every_backend_on_the_cpu(lab):
    from torch.nn.attention import SDPBackend, sdpa_kernel

    torch.manual_seed(37)
    q, k, v = (torch.randn(2, 3, 40, 16) for _ in "qkv")
    mask = lab.causal_mask(40)
    got, _ = lab.scaled_dot_product_attention(q, k, v, mask)
    for backend in (SDPBackend.MATH, SDPBackend.FLASH_ATTENTION):
        with sdpa_kernel(backend):
            expected = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        torch.testing.assert_close(got, expected, rtol=1e-5, atol=1e-5)


def test_a_query_that_sees_nothing(lab):
    """The library gives zeros too, since 2.5; zero gradients as well."""
    if tuple(int(n) for n in torch.__version__.split(".")[:2]) < (2, 5):
        pytest.skip("before torch 2.5 such a row is NaN")
    torch.manual_seed(37)
    q, k, v = (
        torch.randn(4, 3, dtype=torch.float64, requires_grad=True) for _ in "qkv"
    )
    mask = torch.tensor([1, 1, 0, 1])[:, None].bool().expand(4, 4)
    ours, _ = lab.scaled_dot_product_attention(q, k, v, mask)
    theirs = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-12)
    upstream = torch.randn(4, 3, dtype=torch.float64)
    for a, b in zip(
        torch.autograd.grad(ours, (q, k, v), upstream),
        torch.autograd.grad(theirs, (q, k, v), upstream),
        strict=True,
    ):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-12)


def test_second_derivatives(lab):
    torch.manual_seed(37)
    q, k, v = (
        torch.randn(3, 2, dtype=torch.float64, requires_grad=True) for _ in "qkv"
    )
    mask = lab.causal_mask(3)

    def attend(*given):
        return lab.scaled_dot_product_attention(*given, mask)[0]

    assert torch.autograd.gradcheck(attend, (q, k, v))
    assert torch.autograd.gradgradcheck(attend, (q, k, v))


def test_unit_normals_have_the_variance_of_their_width(lab):
    """Within five standard errors, which are counted over queries alone."""
    for d in (16, 512):
        generator = torch.Generator().manual_seed(d)
        q, k = (torch.randn(n, d, generator=generator).double() for n in (2000, 64))
        per_query = (q @ k.T).var(dim=1).numpy()
        error = np.std(per_query) / math.sqrt(len(per_query))
        keys = math.sqrt(2 / (64 * d)) * d  # the keys are drawn too
        for scaled, size in ((False, d), (True, 1)):
            found = lab.score_statistics(q, k, scaled)["variance"]
            assert abs(found - size) < 5 * (error + keys) * size / d


def test_kernel_regression_is_attention(lab):
    rng = np.random.default_rng(37)
    x, y, at = rng.uniform(0, 3, 20), rng.normal(size=20), rng.uniform(0, 3, 30)
    for h in (0.1, 0.5, 2.0):
        kernel = np.exp(-((at[:, None] - x) ** 2) / (2 * h**2))
        expected = kernel @ y / kernel.sum(axis=1)
        q = torch.tensor(np.stack([at, np.ones_like(at)], axis=1))
        k = torch.tensor(np.stack([x, -(x**2) / 2], axis=1))
        v = torch.tensor(y)[:, None]
        got, _ = lab.scaled_dot_product_attention(q, k, v, scale=1 / h**2)
        np.testing.assert_allclose(got[:, 0], expected, rtol=1e-9)
