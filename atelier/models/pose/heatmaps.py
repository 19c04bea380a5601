"""`PoseNet` as it is used: pictures scaled to it, its heatmaps decoded to joints."""

from __future__ import annotations

from pathlib import Path
from typing import Self

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from atelier.models.layers.pixels import picture_from_bytes
from atelier.models.pose.estimator import KeypointEstimator, Keypoints
from atelier.models.pose.networks import PoseMaps, PoseNet
from atelier.models.tensors import PictureBytes

_WINDOW = 3
"""How many cells around its peak a heatmap is averaged over: far ones would pull the joint to its mirror twin."""


class HeatmapEstimator(KeypointEstimator):
    """`PoseNet`, scaled and decoded.

    Args:
        network: in evaluation mode, on the device of the pictures to come.
    """

    def __init__(self, network: PoseNet) -> None:
        self.network = network

    @torch.inference_mode()
    def estimate(self, person: PictureBytes) -> Keypoints:
        """Keypoints whose confidence is the probability that the joint is in the picture."""
        picture = picture_from_bytes(person)
        height, width = person.shape[1:3]
        scaled = self.network.config.scaled_size((height, width))
        if scaled != (height, width):
            picture = F.interpolate(picture, size=scaled, mode="bilinear", antialias=True)
        maps = self.network(picture)
        return decode_heatmaps(maps, (height, width), min_confidence=self.network.config.min_confidence)

    @classmethod
    def from_pretrained(cls, folder: str | Path, device: torch.device | str = "cpu") -> Self:
        """The estimator in a weight folder of `PoseNet`.

        Raises:
            WeightsError: not such a folder, or keys that do not fit.
        """
        return cls(PoseNet.from_pretrained(folder).to(device))


def decode_heatmaps(maps: PoseMaps, size: tuple[int, int], *, min_confidence: float) -> Float[Tensor, "batch joints 3"]:
    """Joints (x, y, confidence): the mean place of each heatmap around its peak, finer than a cell.

    Args:
        size: (height, width) of the picture that x and y are pixels of.
        min_confidence: a joint whose presence is less likely is missing: (0, 0, 0).
    """
    rows, columns = maps.heatmaps.shape[2:]
    probability = maps.heatmaps.float().flatten(2).softmax(2)
    peak = probability.argmax(2, keepdim=True)
    cells = torch.arange(rows * columns, device=peak.device)
    row, column = cells // columns, cells % columns
    near = ((row - peak // columns).abs() <= _WINDOW) & ((column - peak % columns).abs() <= _WINDOW)
    weights = probability * near
    weights = weights / weights.sum(2, keepdim=True)
    x = ((weights * column).sum(2) + 0.5) * (size[1] / columns)
    y = ((weights * row).sum(2) + 0.5) * (size[0] / rows)
    confidence = maps.presence.float().sigmoid()
    keypoints = torch.stack([x, y, confidence], dim=2)
    return torch.where((confidence >= min_confidence).unsqueeze(2), keypoints, 0.0)
