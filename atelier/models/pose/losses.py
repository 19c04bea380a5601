"""What the keypoint network is trained by."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from atelier.models.pose.networks import PoseMaps


class PoseLoss(NamedTuple):
    """`total` is what is minimised; the parts are for the log."""

    total: Float[Tensor, ""]
    heatmap: Float[Tensor, ""]
    presence: Float[Tensor, ""]


def pose_loss(
    maps: PoseMaps,
    keypoints: Float[Tensor, "batch joints 3"],
    size: tuple[int, int],
    *,
    sigma: float = 1.0,
    presence_weight: float = 0.2,
) -> PoseLoss:
    """Divergence of the heatmaps from Gaussians at the joints, plus binary cross entropy of their presence.

    Args:
        keypoints: (x, y, confidence) in pixels; confidence 0 is a missing joint, which moves no heatmap.
        size: (height, width) of the picture that `keypoints` and network input share.
        sigma: the Gaussians' standard deviation in cells of the map.
    """
    present = (keypoints[..., 2] > 0).to(maps.heatmaps.dtype)
    target = gaussian_targets(keypoints, size, (maps.heatmaps.shape[2], maps.heatmaps.shape[3]), sigma=sigma).flatten(2)
    log_probability = F.log_softmax(maps.heatmaps.flatten(2), dim=2)
    # Kullback-Leibler: cross entropy less the targets' own entropy, so that a perfect map scores 0.
    divergence = (torch.xlogy(target, target) - target * log_probability).sum(2)
    heatmap = (divergence * present).sum() / present.sum().clamp_min(1)
    presence = F.binary_cross_entropy_with_logits(maps.presence, present)
    return PoseLoss(heatmap + presence_weight * presence, heatmap, presence)


def gaussian_targets(
    keypoints: Float[Tensor, "batch joints 3"], size: tuple[int, int], map_size: tuple[int, int], *, sigma: float
) -> Float[Tensor, "batch joints map_height map_width"]:
    """A Gaussian around every joint that sums to 1 over the map's cells; `sigma` in cells.

    Keypoints count from the picture's upper left corner, so that they scale with it: the first pixel's middle is 0.5.
    """
    rows = torch.arange(map_size[0], device=keypoints.device, dtype=keypoints.dtype)
    columns = torch.arange(map_size[1], device=keypoints.device, dtype=keypoints.dtype)
    y = keypoints[..., 1:2] * (map_size[0] / size[0]) - 0.5
    x = keypoints[..., 0:1] * (map_size[1] / size[1]) - 0.5
    # Softmax over each axis: sums to 1 however near the border the joint is, and is the product's normalised Gaussian.
    vertical = (-(rows - y).square() / (2 * sigma**2)).softmax(-1)
    horizontal = (-(columns - x).square() / (2 * sigma**2)).softmax(-1)
    return vertical.unsqueeze(-1) * horizontal.unsqueeze(-2)
