"""The target pose guider: the drawn pose, down to the latents' size, for TargetNet's first features."""

from __future__ import annotations

from itertools import pairwise

from jaxtyping import Float
from torch import Tensor, nn

from atelier.models.layers.attention import zeroed
from atelier.models.truepose.config import TruePoseConfig
from atelier.models.truepose.networks_unet import Finest

DrawnPose = Float[Tensor, "batch pose_channels height width"]
"""[0, 1]: OpenPose's skeleton on black, or PIDM's pose map, as the config says."""


class PoseGuider(nn.Module):
    """From the drawn pose to what is added after TargetNet's first convolution; starts by adding nothing."""

    def __init__(self, config: TruePoseConfig) -> None:
        super().__init__()
        widths = config.guider_widths
        layers: list[nn.Module] = [nn.Conv2d(config.pose_channels, widths[0], 3, padding=1), nn.SiLU()]
        for width, next_width in pairwise(widths):
            layers += [nn.Conv2d(width, width, 3, padding=1), nn.SiLU()]
            layers += [nn.Conv2d(width, next_width, 3, stride=2, padding=1), nn.SiLU()]
        self.layers = nn.Sequential(*layers)
        self.out = zeroed(nn.Conv2d(widths[-1], config.widths[0], 3, padding=1))

    def forward(self, pose: DrawnPose) -> Finest:
        return self.out(self.layers(pose))
