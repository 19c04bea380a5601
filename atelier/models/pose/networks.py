"""A small keypoint network for one person, trained from nothing."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple, Self

from jaxtyping import Float
from torch import Tensor, nn

from atelier.models.layers.pyramid import FeaturePyramid
from atelier.models.pose.config import PoseNetConfig
from atelier.models.tensors import Picture
from atelier.weights import load_into, read_state

STEM = "pose"
"""The weight file's name, without its suffix."""


class PoseMaps(NamedTuple):
    """What the network says before it is decoded."""

    heatmaps: Float[Tensor, "batch joints map_height map_width"]
    """Logits over the cells of a quarter-size map: softmax over all cells gives where the joint is."""
    presence: Float[Tensor, "batch joints"]
    """Logits that the joint is in the picture at all."""


class PoseNet(nn.Module):
    """Heatmaps of every joint at a quarter of the picture's resolution, and whether the joint is there."""

    def __init__(self, config: PoseNetConfig) -> None:
        super().__init__()
        self.config = config
        self.pyramid = FeaturePyramid(config.widths, config.decoder_widths)
        self.heatmap_head = nn.Conv2d(config.decoder_widths[-1], config.num_joints, 1)
        deepest = config.widths[-1]
        self.presence_head = nn.Sequential(
            nn.Linear(deepest, deepest), nn.ReLU(inplace=True), nn.Linear(deepest, config.num_joints)
        )

    def forward(self, picture: Picture) -> PoseMaps:
        """Height and width of the picture may be any multiple of 32."""
        features, mean = self.pyramid(picture)
        return PoseMaps(self.heatmap_head(features), self.presence_head(mean))

    @classmethod
    def from_pretrained(cls, folder: str | Path) -> Self:
        """The network in a weight folder, in evaluation mode.

        Raises:
            WeightsError: not a weight folder, or keys that do not fit.
        """
        network = cls(PoseNetConfig.from_folder(folder))
        load_into(network, read_state(folder, STEM), folder)
        return network.eval()
