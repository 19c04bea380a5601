"""A small feature pyramid that sees the whole picture and trains on a CPU."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from atelier.errors import ConfigError
from atelier.models.layers.config import ModelConfig
from atelier.models.tensors import Features, Picture

STRIDE = 32
"""Sides of the picture must be multiples of it."""


@dataclass(frozen=True, kw_only=True)
class PyramidConfig(ModelConfig):
    """What a network on a feature pyramid is built from; each kind adds its head's fields.

    Sizes are (height, width) in pixels.
    """

    input_size: tuple[int, int] = (256, 192)
    """What the weights are trained for; other pictures are scaled to its height, their aspect kept."""
    widths: tuple[int, ...] = (24, 40, 64, 96, 96)
    """Channels at 1/2, 1/4, 1/8, 1/16 and 1/32 of the picture."""
    decoder_widths: tuple[int, ...] = (64, 48, 40, 32)
    """Channels on the way up, at 1/16, 1/8, ...; as many as the output is to be refined."""

    def __post_init__(self) -> None:
        if len(self.widths) != 5:
            raise ConfigError(f"widths: {len(self.widths)} given, must be 5: 1/2 to 1/{STRIDE} of the picture")
        if not 1 <= len(self.decoder_widths) <= 4:
            raise ConfigError(f"decoder_widths: {len(self.decoder_widths)} given, must be 1 to 4")
        if any(side < STRIDE or side % STRIDE for side in self.input_size):
            raise ConfigError(f"input_size: is {self.input_size}, both sides must be multiples of {STRIDE}")

    def scaled_size(self, size: tuple[int, int]) -> tuple[int, int]:
        """What a picture of `size` is resized to: the input's height, its own aspect to the nearest stride."""
        height = self.input_size[0]
        width = round(size[1] * height / size[0] / STRIDE) * STRIDE
        return height, max(width, STRIDE)


class FeaturePyramid(nn.Module):
    """Residual levels down to 1/32 of the picture and back up by lateral sums (Lin et al. 2017), with batch norm.

    Left and right look alike up close; the coarsest level's blocks and the mean over the picture tell them apart.

    Args:
        widths, decoder_widths: as in `PyramidConfig`.
    """

    def __init__(self, widths: Sequence[int], decoder_widths: Sequence[int]) -> None:
        super().__init__()
        self.stem = nn.Sequential(*_convolution(3, widths[0], stride=2))
        self.levels = nn.ModuleList(
            nn.Sequential(*_convolution(below, width, stride=2), ResidualBlock(width))
            for below, width in itertools.pairwise(widths)
        )
        self.deepest = ResidualBlock(widths[-1])
        self.context = nn.Conv2d(widths[-1], widths[-1], 1)
        self.lateral = nn.ModuleList(
            nn.Conv2d(skip, width, 1) for skip, width in zip(widths[-2::-1], decoder_widths, strict=False)
        )
        ups = [widths[-1], *decoder_widths]
        self.reduce = nn.ModuleList(
            nn.Conv2d(below, width, 1) for below, width in zip(ups, decoder_widths, strict=False)
        )
        self.refine = nn.ModuleList(nn.Sequential(*_convolution(width, width)) for width in decoder_widths)

    def forward(
        self, picture: Picture
    ) -> tuple[Float[Tensor, "batch channels rows columns"], Float[Tensor, "batch deepest"]]:
        """Features at the finest refined level, and the mean over the picture of the coarsest."""
        x = self.stem(picture)
        skips = []
        for level in self.levels:
            skips.append(x)
            x = level(x)
        x = self.deepest(x)
        mean = x.mean((2, 3), keepdim=True)
        x = x + self.context(mean)
        for lateral, reduce, refine in zip(self.lateral, self.reduce, self.refine, strict=True):
            skip = lateral(skips.pop())
            x = refine(skip + F.interpolate(reduce(x), size=skip.shape[2:], mode="nearest"))
        return x, mean.flatten(1)


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions with batch norm around a shortcut (He et al. 2016)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Sequential(*_convolution(width, width))
        norm = nn.BatchNorm2d(width)
        nn.init.zeros_(norm.weight)  # a block starts as its shortcut, which halves the steps to a first usable map
        self.second = nn.Sequential(nn.Conv2d(width, width, 3, padding=1, bias=False), norm)

    def forward(self, x: Features) -> Features:
        """The same shape as `x`."""
        return F.relu(x + self.second(self.first(x)), inplace=True)


def _convolution(in_channels: int, out_channels: int, stride: int = 1) -> list[nn.Module]:
    convolution = nn.Conv2d(in_channels, out_channels, 3, stride=stride, padding=1, bias=False)
    return [convolution, nn.BatchNorm2d(out_channels), nn.ReLU(inplace=True)]
