"""What HumanDiffusion's UNet is made of beside the alignment: time, residual blocks, self-attention."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float, Real
from torch import Tensor, nn

from atelier.models.layers.attention import attend, zeroed
from atelier.models.tensors import Features

_LONGEST_PERIOD = 10_000.0


class TimeEmbedding(nn.Module):
    """A timestep as a vector: sines and cosines of falling frequency, then two linear layers."""

    def __init__(self, width: int) -> None:
        super().__init__()
        half = width // 2
        falling = torch.exp(-math.log(_LONGEST_PERIOD) * torch.arange(half, dtype=torch.float32) / half)
        self.register_buffer("frequencies", falling, persistent=False)
        self.first = nn.Linear(2 * half, 4 * width)
        self.second = nn.Linear(4 * width, 4 * width)

    def forward(self, timestep: Real[Tensor, " batch"]) -> Float[Tensor, "batch width"]:
        """Timesteps may be fractional."""
        angles = timestep.float()[:, None] * self.get_buffer("frequencies").float()
        waves = torch.cat([angles.sin(), angles.cos()], 1).to(self.first.weight.dtype)
        return self.second(F.silu(self.first(waves)))


class ResidualBlock(nn.Module):
    """Two convolutions and a shortcut; the time scales and shifts between them. Starts as its shortcut."""

    def __init__(self, width_in: int, width_out: int, time_width: int, num_groups: int) -> None:
        super().__init__()
        self.first = nn.Sequential(
            nn.GroupNorm(_groups(width_in, num_groups), width_in),
            nn.SiLU(),
            nn.Conv2d(width_in, width_out, 3, padding=1),
        )
        self.time = nn.Sequential(nn.SiLU(), nn.Linear(time_width, 2 * width_out))
        self.norm = nn.GroupNorm(num_groups, width_out)
        self.second = zeroed(nn.Conv2d(width_out, width_out, 3, padding=1))
        self.shortcut = nn.Identity() if width_in == width_out else nn.Conv2d(width_in, width_out, 1)

    def forward(self, features: Features, time: Tensor) -> Float[Tensor, "batch channels_out height width"]:
        scale, shift = self.time(time)[:, :, None, None].chunk(2, 1)
        hidden = self.norm(self.first(features)) * (1 + scale) + shift
        return self.shortcut(features) + self.second(F.silu(hidden))


class SelfAttention(nn.Module):
    """Every position attends to all of the picture's. Starts by adding nothing."""

    def __init__(self, width: int, head_width: int, num_groups: int) -> None:
        super().__init__()
        self.num_heads = num_heads(width, head_width)
        self.norm = nn.GroupNorm(num_groups, width)
        self.to_qkv = nn.Conv2d(width, 3 * width, 1)
        self.out = zeroed(nn.Conv2d(width, width, 1))

    def forward(self, features: Features) -> Features:
        queries, keys, values = self.to_qkv(self.norm(features)).flatten(2).transpose(1, 2).chunk(3, 2)
        mixed = attend(queries, keys, values, self.num_heads, bias=None)
        return features + self.out(mixed.transpose(1, 2).view_as(features))


def num_heads(width: int, head_width: int) -> int:
    """Heads of `head_width` channels; one where they do not come out even."""
    return width // head_width if width % head_width == 0 else 1


def _groups(width: int, num_groups: int) -> int:
    """Where skips are joined the widths of two levels add up: the nearest divisor below holds there."""
    return math.gcd(width, num_groups)
