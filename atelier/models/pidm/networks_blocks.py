"""What PIDM's UNet and its texture encoder are made of; submodules have the published names."""

from __future__ import annotations

import math
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float, Real
from torch import Tensor, nn

from atelier.models.tensors import Features

Resample = Literal["none", "down", "up"]
KeysValues = Float[Tensor, "batch _doubled _positions"]
"""Of one texture diffusion block: keys in the first half of the channels, values in the second."""

_MAX_PERIOD = 10_000.0


class TimeEmbedding(nn.Module):
    """A timestep as a vector: cosines and sines of falling frequency, then two linear layers."""

    def __init__(self, num_frequencies: int, width: int) -> None:
        super().__init__()
        self.num_frequencies = num_frequencies
        self.time_embed = nn.Sequential(nn.Linear(2 * num_frequencies, width), nn.SiLU(), nn.Linear(width, width))

    def forward(self, timestep: Real[Tensor, " batch"]) -> Float[Tensor, "batch width"]:
        """Timesteps may be fractional."""
        exponents = torch.arange(self.num_frequencies, dtype=torch.float32, device=timestep.device)
        angles = timestep.float()[:, None] * torch.exp(-math.log(_MAX_PERIOD) / self.num_frequencies * exponents)
        waves = torch.cat([angles.cos(), angles.sin()], 1)  # cosines first, as published
        return self.time_embed(waves.to(next(self.parameters()).dtype))


class GroupNorm(nn.GroupNorm):
    """A group norm in its weights' own precision, whatever autocast makes of its input, as the released code has it.

    On a CPU the backward pass of bfloat16 in channels-last order takes three times as long as this one's, which is a
    quarter of a training step.
    """

    def forward(self, input: Tensor) -> Tensor:
        return super().forward(input.to(self.weight.dtype)).to(input.dtype)


class ResBlock(nn.Module):
    """Two convolutions and a shortcut; resamples on both paths, and takes the time as scale and shift.

    Args:
        time_width: of the time's vector; None for a block that knows no time.
        resample: halves by average pooling or doubles by nearest neighbour, before the first convolution.
    """

    def __init__(
        self,
        width_in: int,
        width_out: int,
        *,
        time_width: int | None,
        num_groups: int,
        dropout: float,
        resample: Resample = "none",
    ) -> None:
        super().__init__()
        self.resample: Resample = resample
        self.in_layers = nn.Sequential(
            GroupNorm(num_groups, width_in), nn.SiLU(), nn.Conv2d(width_in, width_out, 3, padding=1)
        )
        if time_width is not None:
            self.emb_layers = nn.Sequential(nn.SiLU(), nn.Linear(time_width, 2 * width_out))
        self.out_layers = nn.Sequential(
            GroupNorm(num_groups, width_out),
            nn.SiLU(),
            nn.Dropout(dropout),
            _zeroed(nn.Conv2d(width_out, width_out, 3, padding=1)),
        )
        self.skip_connection = nn.Identity() if width_in == width_out else nn.Conv2d(width_in, width_out, 1)

    def forward(self, features: Tensor, time: Tensor | None) -> Tensor:
        normalize, activate, convolve = self.in_layers
        hidden = convolve(_resampled(activate(normalize(features)), self.resample))
        normalize, *rest = self.out_layers
        hidden = normalize(hidden)
        if time is not None:
            scale, shift = self.emb_layers(time)[:, :, None, None].chunk(2, 1)
            hidden = hidden * (1 + scale) + shift
        for layer in rest:
            hidden = layer(hidden)
        return self.skip_connection(_resampled(features, self.resample)) + hidden


class TextureDiffusionBlock(nn.Module):
    """TDB: every position of the noisy picture attends to all positions of the source's features.

    Cross-attention only, one head. Keys and values know neither the noisy picture nor the time: `keys_values` is theirs
    alone, so that a sampling run computes them once.
    """

    def __init__(self, width: int, num_groups: int) -> None:
        super().__init__()
        self.norm = GroupNorm(num_groups, width)
        self.to_q = nn.Conv1d(width, width, 1)
        self.to_kv = nn.Conv1d(width, 2 * width, 1)
        self.proj_out2 = _zeroed(nn.Conv1d(width, width, 1))

    def keys_values(self, texture: Features) -> KeysValues:
        """From the source's feature map at this block's resolution."""
        return self.to_kv(texture.flatten(2))

    def forward(self, features: Tensor, keys_values: Tensor) -> Tensor:
        queries = self.to_q(self.norm(features).flatten(2))
        keys, values = keys_values.chunk(2, 1)
        query, key, value = (part.transpose(1, 2).unsqueeze(1) for part in (queries, keys, values))
        attended = F.scaled_dot_product_attention(query, key, value).squeeze(1).transpose(1, 2)
        return features + self.proj_out2(attended).view_as(features)


def _resampled(features: Tensor, resample: Resample) -> Tensor:
    match resample:
        case "down":
            return F.avg_pool2d(features, 2)
        case "up":
            return F.interpolate(features, scale_factor=2.0, mode="nearest")
        case _:
            return features


def _zeroed(layer: nn.Module) -> nn.Module:
    """A layer that starts by adding nothing."""
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)
    return layer
