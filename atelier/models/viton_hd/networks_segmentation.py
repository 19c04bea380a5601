"""The segmentation generator: a U-Net that lays out the person in the new garment (VITON-HD §3.2)."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from atelier.models.tensors import SegmentationMap
from atelier.models.viton_hd.config import VitonHDConfig
from atelier.models.viton_hd.layout import NUM_AGNOSTIC_CLASSES

SEGMENTATION_INPUTS = 21
"""garment mask 1, masked garment 3, agnostic parse 13, pose image 3, noise 1, in this order."""


class SegGenerator(nn.Module):
    """U-Net with instance norm; children are named `conv1`…`conv9`, `up6`…`up9` as in the published checkpoint."""

    def __init__(self, config: VitonHDConfig) -> None:
        super().__init__()
        widths = config.segmentation_widths
        self.num_halvings = len(widths) - 1
        previous = SEGMENTATION_INPUTS
        for level, width in enumerate(widths, start=1):
            self.add_module(f"conv{level}", _double_conv(previous, width))
            previous = width
        for level, width in enumerate(reversed(widths[:-1]), start=len(widths) + 1):
            self.add_module(f"up{level}", nn.Sequential(nn.Upsample(scale_factor=2), *_conv(previous, width)))
            last = level == 2 * self.num_halvings + 1
            self.add_module(f"conv{level}", _double_conv(2 * width, width, NUM_AGNOSTIC_CLASSES if last else 0))
            previous = width
        self.halve = nn.MaxPool2d(2)
        self.dropout = nn.Dropout(0.5)

    def forward(self, x: Float[Tensor, "batch 21 map_height map_width"]) -> SegmentationMap:
        """Per-class probabilities: each class has its own sigmoid, they do not sum to one."""
        return torch.sigmoid(self.logits(x))

    def logits(self, x: Float[Tensor, "batch 21 map_height map_width"]) -> SegmentationMap:
        """What the sigmoid is taken of; training's cross entropy wants these."""
        skips: list[Tensor] = []
        for level in range(1, self.num_halvings + 2):
            x = self.get_submodule(f"conv{level}")(x if level == 1 else self.halve(x))
            if level >= self.num_halvings:  # the two deepest levels; the skip carries the dropped values
                x = self.dropout(x)
            skips.append(x)
        skips.pop()
        for level in range(self.num_halvings + 2, 2 * self.num_halvings + 2):
            x = torch.cat([skips.pop(), self.get_submodule(f"up{level}")(x)], 1)
            x = self.get_submodule(f"conv{level}")(x)
        return x


def _conv(in_channels: int, out_channels: int) -> tuple[nn.Module, nn.Module, nn.Module]:
    return nn.Conv2d(in_channels, out_channels, 3, padding=1), nn.InstanceNorm2d(out_channels), nn.ReLU()


def _double_conv(in_channels: int, width: int, out_channels: int = 0) -> nn.Sequential:
    layers = [*_conv(in_channels, width), *_conv(width, width)]
    if out_channels:
        layers.append(nn.Conv2d(width, out_channels, 3, padding=1))
    return nn.Sequential(*layers)
