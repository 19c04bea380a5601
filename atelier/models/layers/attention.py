"""Attention by heads through the fused kernels, and layers that start by adding nothing."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn


def attend(
    queries: Float[Tensor, "batch positions width"],
    keys: Float[Tensor, "batch tokens width"],
    values: Float[Tensor, "batch tokens width"],
    num_heads: int,
    bias: Float[Tensor, "batch 1 bias_positions tokens"] | None,
) -> Float[Tensor, "batch positions width"]:
    """Attention by heads; `bias` is added to the logits and is the same for all heads."""
    # Channels must lie next to each other, or the fused kernels refuse: it was half of a small network's time.
    q, k, v = (part.contiguous().unflatten(2, (num_heads, -1)).transpose(1, 2) for part in (queries, keys, values))
    bias = None if bias is None else bias.to(queries.dtype)
    if queries.requires_grad and queries.dtype == torch.bfloat16 and queries.device.type == "cpu":
        return _by_products(q, k, v, bias).transpose(1, 2).flatten(2)
    return F.scaled_dot_product_attention(q, k, v, attn_mask=bias).transpose(1, 2).flatten(2)


def _by_products(queries: Tensor, keys: Tensor, values: Tensor, bias: Tensor | None) -> Tensor:
    """The same by two products and a softmax: on a CPU the fused kernel's backward pass in bfloat16 takes two to seven
    times as long."""
    with torch.autocast(queries.device.type, enabled=False):
        logits = queries @ keys.transpose(2, 3) * queries.shape[3] ** -0.5
        return (logits if bias is None else logits + bias).softmax(3) @ values


def zeroed(layer: nn.Module) -> nn.Module:
    """A layer that starts by giving zeros."""
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)
    return layer
