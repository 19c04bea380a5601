"""What turns views of a source into tokens: one interface, CLIP's picture tower or a small network behind it."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from jaxtyping import Float
from torch import Tensor, nn

from atelier.models.truepose.config import TruePoseConfig

Tokens = Float[Tensor, "pictures tokens encoder_width"]
"""Of one view each, in the encoder's own space."""

_SMALL_WIDTHS = (24, 48)
_NUM_GROUPS = 8


class ImageEncoder(nn.Module, ABC):
    """Pictures of one square size to tokens."""

    @abstractmethod
    def forward(self, views: Float[Tensor, "pictures 3 side side"]) -> Tokens:
        """Tokens of each view; RGB in [-1, 1], sides of the config's `crop_size`."""


class SmallImageEncoder(ImageEncoder):
    """Three strided convolutions: one token for each 8x8 pixels, learned with the denoiser."""

    def __init__(self, config: TruePoseConfig) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        width = 3
        for next_width in (*_SMALL_WIDTHS, config.encoder_width):
            layers += [nn.Conv2d(width, next_width, 3, stride=2, padding=1)]
            layers += [nn.GroupNorm(_NUM_GROUPS, next_width), nn.SiLU()]
            width = next_width
        self.layers = nn.Sequential(*layers, nn.Conv2d(width, width, 3, padding=1))
        self.places = nn.Parameter(torch.randn((config.crop_size // 8) ** 2, width) * 0.02)

    def forward(self, views: Float[Tensor, "pictures 3 side side"]) -> Tokens:
        return self.layers(views).flatten(2).transpose(1, 2) + self.places
