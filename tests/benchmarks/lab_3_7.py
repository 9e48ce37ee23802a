"""Lab 3.7's attention beside torch's, in single precision on one thread."""

from __future__ import annotations

from collections.abc import Iterator

from common import labs
from common.device import one_torch_thread
from tests.benchmarks.table import Row, side_by_side

SHAPE = (8, 8, 256, 64)  # sequences, heads, positions, width


def rows() -> Iterator[Row]:
    """The function beside the same steps in C++, without and with a causal mask."""
    import torch
    from torch.nn.attention import SDPBackend, sdpa_kernel
    from torch.nn.functional import scaled_dot_product_attention

    lab = labs.solution("3.7")
    torch.manual_seed(0)
    q, k, v = (torch.randn(SHAPE) for _ in "qkv")

    with one_torch_thread(), torch.no_grad(), sdpa_kernel(SDPBackend.MATH):
        for name, mask in (("", None), (", causal", lab.causal_mask(SHAPE[2]))):
            yield side_by_side(
                f"3.7 attention{name}, (8, 8, 256, 64)",
                lambda m=mask: lab.scaled_dot_product_attention(q, k, v, m),
                lambda m=mask: scaled_dot_product_attention(q, k, v, attn_mask=m),
                "torch, math path",
                "at least 0.25",
                rounds=10,
                repeats=2,
            )
