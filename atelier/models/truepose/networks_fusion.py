"""HPFA, human-parsing-guided fusion attention: what TargetNet's self-attention takes of SourceNet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from atelier.models.layers.attention import attend, zeroed
from atelier.models.truepose.config import TruePoseConfig
from atelier.models.truepose.networks_unet import UNet, attention_blocks
from atelier.models.truepose.regions import REGIONS, RegionMasks, select, touched

Told = Mapping[str, Any]
"""What TargetNet is told, free of the noisy picture and of the time: tensors of B rows, in lists and mappings."""
SourceTokens = Float[Tensor, "batch positions channels"]
"""SourceNet's features where a block is about to attend."""


class Reading:
    """SourceNet's self-attention: as any, but what it attends over is kept for TargetNet."""

    def __call__(
        self,
        attn: Any,
        hidden_states: SourceTokens,
        encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None,
        bank: list[Tensor] | None = None,
    ) -> SourceTokens:
        assert bank is not None
        bank.append(hidden_states)
        queries, keys, values = attn.to_q(hidden_states), attn.to_k(hidden_states), attn.to_v(hidden_states)
        return attn.to_out[0](attend(queries, keys, values, attn.heads, None))


class ReadingTokens:
    """SourceNet's cross-attention to the whole source's tokens."""

    def __call__(
        self,
        attn: Any,
        hidden_states: SourceTokens,
        encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None,
        bank: list[Tensor] | None = None,
    ) -> SourceTokens:
        keys, values = attn.to_k(encoder_hidden_states), attn.to_v(encoder_hidden_states)
        return attn.to_out[0](attend(attn.to_q(hidden_states), keys, values, attn.heads, None))


class Fusing:
    """TargetNet's self-attention: to target and source at once, and, gated, to the source's face and garment alone.

    `out = Attn(Q, [K_t; K_s]) + Σ g_r · Attn(Q, K_s of region r)`, with a gate for each position, head and region that
    is linear in the position's features and starts at zero.

    Args:
        index: of the block in the order of the forward pass.
    """

    def __init__(self, index: int) -> None:
        self.index = index

    def __call__(
        self,
        attn: Any,
        hidden_states: SourceTokens,
        encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None,
        told: Told | None = None,
        gates: nn.ModuleList | None = None,
        shares: list[Tensor] | None = None,
    ) -> SourceTokens:
        assert told is not None
        queries, own_keys, own_values = (layer(hidden_states) for layer in (attn.to_q, attn.to_k, attn.to_v))
        keys = torch.cat([own_keys, told["keys"][self.index].to(own_keys)], 1)
        values = torch.cat([own_values, told["values"][self.index].to(own_values)], 1)
        bias = _for_both(told["bias"][self.index], own_keys.shape[1]) if "bias" in told else None
        mixed = attend(queries, keys, values, attn.heads, bias)
        if gates is not None:
            by_region = gates[self.index](hidden_states).unflatten(2, (len(REGIONS), attn.heads)).unbind(2)
            for region, gate in zip(REGIONS, by_region, strict=True):
                part = told[region]
                keys, values = (part[name][self.index].to(queries) for name in ("keys", "values"))
                found = attend(queries, keys, values, attn.heads, part["bias"][self.index])
                gate = gate * part["present"].to(gate)
                mixed = mixed + (gate[..., None] * found.unflatten(2, (attn.heads, -1))).flatten(2).to(mixed)
        return attn.to_out[0](mixed)


class Fusion(nn.ModuleList):
    """The gates of every self-attention layer of TargetNet: from a position's features, one a region and head."""

    def __init__(self, target_net: UNet) -> None:
        layers = [block.attn1 for block in attention_blocks(target_net)]
        super().__init__(zeroed(nn.Linear(layer.query_dim, len(REGIONS) * layer.heads)) for layer in layers)


def source_keys_values(target_net: UNet, bank: Sequence[Tensor]) -> dict[str, list[Tensor]]:
    """What every self-attention layer of TargetNet reads of the source, by TargetNet's own weights."""
    layers = [block.attn1 for block in attention_blocks(target_net)]
    return {
        "keys": [layer.to_k(tokens) for layer, tokens in zip(layers, bank, strict=True)],
        "values": [layer.to_v(tokens) for layer, tokens in zip(layers, bank, strict=True)],
    }


def region_keys_values(
    source: Mapping[str, list[Tensor]],
    masks: RegionMasks,
    grids: Mapping[int, tuple[int, int]],
    config: TruePoseConfig,
) -> dict[str, dict[str, Any]]:
    """The part of `source_keys_values` that belongs to each region.

    `bias` is -inf for places that a region does not fill; where it fills none, `present` is 0 and there is no -inf: a
    softmax over nothing would be NaN.
    """
    regions = {}
    for index, (region, share) in enumerate(zip(REGIONS, (config.face_share, config.garment_share), strict=True)):
        chosen = {}
        for number, grid in grids.items():
            positions, counts = select(touched(masks[:, index], grid), share)
            empty = ~counts.any(1, keepdim=True)
            bias = torch.zeros_like(positions, dtype=torch.float32).masked_fill(~(counts | empty), float("-inf"))
            chosen[number] = positions[..., None], bias[:, None, None, :]
        gathered = {
            name: [tokens.gather(1, chosen[tokens.shape[1]][0].expand(-1, -1, tokens.shape[2])) for tokens in layers]
            for name, layers in source.items()
        }
        present = masks[:, index].flatten(1).any(1).float()[:, None, None]
        biases = [chosen[tokens.shape[1]][1] for tokens in source["keys"]]
        regions[region] = {**gathered, "bias": biases, "present": present}
    return regions


def _for_both(bias: Float[Tensor, "batch 1 1 source"], num_own: int) -> Float[Tensor, "batch 1 1 both"]:
    """A bias of the source's tokens, with none for the target's own."""
    return torch.cat([bias.new_zeros(len(bias), 1, 1, num_own), bias], 3)
