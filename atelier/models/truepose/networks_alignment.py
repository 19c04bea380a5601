"""CAA, CLIP-guided attention alignment: image tokens of whole source, face and garment in cross-attention."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from atelier.models.layers.attention import attend
from atelier.models.truepose.config import TruePoseConfig
from atelier.models.truepose.networks_encoder import Tokens
from atelier.models.truepose.networks_fusion import SourceTokens, Told
from atelier.models.truepose.networks_unet import UNet, attention_blocks
from atelier.models.truepose.regions import REGIONS
from atelier.models.truepose.views import Present

ImageTokens = Float[Tensor, "batch views tokens token_width"]
"""As cross-attention reads them; all zeros for a view that shows nothing."""


class ViewTokens(nn.Module):
    """An encoder's tokens as cross-attention reads them, with a learned vector that tells which view they are of."""

    def __init__(self, config: TruePoseConfig) -> None:
        super().__init__()
        self.project = nn.Linear(config.encoder_width, config.token_width)
        self.norm = nn.LayerNorm(config.token_width)
        num_views = 1 + len(REGIONS) if config.alignment else 1
        self.views = nn.Parameter(torch.randn(num_views, config.token_width) * 0.02)

    def forward(self, tokens: Tokens, present: Present) -> ImageTokens:
        by_view = self.norm(self.project(tokens)).unflatten(0, present.shape)
        return (by_view + self.views[:, None]) * present[:, :, None, None]


class Aligning:
    """TargetNet's cross-attention to the image tokens.

    In training it also tells how much of each position's attention goes to each view: the mean over heads, which
    `losses.alignment_loss` ties to the regions of the target's parse.

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
        queries = attn.to_q(hidden_states)
        keys, values = (told["tokens"][name][self.index].to(queries) for name in ("keys", "values"))
        if shares is None:
            return attn.to_out[0](attend(queries, keys, values, attn.heads, None))
        by_head = [part.unflatten(2, (attn.heads, -1)).transpose(1, 2) for part in (queries, keys, values)]
        logits = by_head[0] @ by_head[1].transpose(2, 3) * by_head[0].shape[3] ** -0.5
        weights = logits.float().softmax(3)
        shares.append(weights.mean(1).unflatten(2, (1 + len(REGIONS), -1)).sum(3))
        mixed = (weights.to(queries) @ by_head[2]).transpose(1, 2).flatten(2)
        return attn.to_out[0](mixed)


def token_keys_values(target_net: UNet, tokens: ImageTokens) -> dict[str, list[Tensor]]:
    """What every cross-attention layer of TargetNet reads of the image tokens, views one after another."""
    layers = [block.attn2 for block in attention_blocks(target_net)]
    flat = tokens.flatten(1, 2)
    return {"keys": [layer.to_k(flat) for layer in layers], "values": [layer.to_v(flat) for layer in layers]}
