"""The critics of training: patch discriminators at several scales (pix2pixHD's, as in HR-VITON)."""

from __future__ import annotations

from dataclasses import dataclass

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from atelier.models.layers.spectral import SpectralConv2d
from atelier.models.tensors import Features

SEGMENTATION_CRITIC_INPUTS = 21 + 13
"""What the segmentation generator reads, and a segmentation."""
ALIAS_CRITIC_INPUTS = 7 + 3
"""A layout and a picture."""


@dataclass(frozen=True, kw_only=True)
class DiscriminatorConfig:
    """The defaults are those of the same team's public training code (HR-VITON)."""

    in_channels: int
    width: int = 64
    """Channels after the first convolution; each further one doubles them, to at most eight times."""
    num_layers: int = 4
    """Convolutions before the last, which gives one score per patch."""
    num_scales: int = 2
    """How many discriminators; each sees the picture at half the size of the one before."""


class PatchDiscriminator(nn.Module):
    """Convolutions 4x4 with spectral and instance norm; every patch gets its own score."""

    def __init__(self, config: DiscriminatorConfig) -> None:
        super().__init__()
        width = config.width
        layers: list[nn.Module] = [
            nn.Sequential(nn.Conv2d(config.in_channels, width, 4, stride=2, padding=2), nn.LeakyReLU(0.2))
        ]
        for index in range(1, config.num_layers):
            wider = min(2 * width, 8 * config.width)
            stride = 1 if index == config.num_layers - 1 else 2
            # No bias: the instance norm that follows would take it out again.
            conv = SpectralConv2d(width, wider, 4, stride=stride, padding=2, bias=False)
            layers.append(nn.Sequential(conv, nn.InstanceNorm2d(wider), nn.LeakyReLU(0.2)))
            width = wider
        layers.append(nn.Conv2d(width, 1, 4, padding=2))
        self.layers = nn.ModuleList(layers)

    def forward(self, x: Features) -> list[Tensor]:
        """Every layer's output, the scores [B, 1, h, w] last; the ones before serve feature matching."""
        outputs = []
        for layer in self.layers:
            x = layer(x)
            outputs.append(x)
        return outputs


class MultiscaleDiscriminator(nn.Module):
    """Patch discriminators on a pyramid of the same picture."""

    def __init__(self, config: DiscriminatorConfig) -> None:
        super().__init__()
        self.scales = nn.ModuleList(PatchDiscriminator(config) for _ in range(config.num_scales))

    def forward(self, x: Float[Tensor, "batch in_channels height width"]) -> list[list[Tensor]]:
        """One list of layer outputs per scale, finest first."""
        outputs = []
        for discriminator in self.scales:
            outputs.append(discriminator(x))
            x = F.avg_pool2d(x, 3, stride=2, padding=1, count_include_pad=False)
        return outputs
