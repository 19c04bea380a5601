"""A small parser of one person, trained from nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Self

from jaxtyping import Float
from torch import Tensor, nn

from atelier.models.layers.pyramid import FeaturePyramid
from atelier.models.parsing.config import ParsingNetConfig
from atelier.models.tensors import Picture
from atelier.weights import load_into, read_state

STEM = "parser"
"""The weight file's name, without its suffix."""


class ParsingNet(nn.Module):
    """Class logits at half the picture's resolution; whoever reads them upsamples bilinearly."""

    def __init__(self, config: ParsingNetConfig) -> None:
        super().__init__()
        self.config = config
        self.pyramid = FeaturePyramid(config.widths, config.decoder_widths)
        self.head = nn.Conv2d(config.decoder_widths[-1], config.num_classes, 1)

    def forward(self, picture: Picture) -> Float[Tensor, "batch classes half_height half_width"]:
        """Logits; height and width of the picture may be any multiple of 32."""
        features, _ = self.pyramid(picture)
        return self.head(features)

    @classmethod
    def from_pretrained(cls, folder: str | Path) -> Self:
        """The network in a weight folder, in evaluation mode.

        Raises:
            WeightsError: not a weight folder, or keys that do not fit.
        """
        network = cls(ParsingNetConfig.from_folder(folder))
        load_into(network, read_state(folder, STEM), folder)
        return network.eval()
