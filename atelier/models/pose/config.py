"""What the small keypoint network is built from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from atelier.errors import ConfigError
from atelier.models.layers.pyramid import PyramidConfig


@dataclass(frozen=True, kw_only=True)
class PoseNetConfig(PyramidConfig):
    """Refined to a quarter of the picture's resolution, where the heatmaps are."""

    model: ClassVar[str] = "pose_net"

    decoder_widths: tuple[int, ...] = (80, 64, 64)
    num_joints: int = 25
    """BODY_25's, in its order."""
    min_confidence: float = 0.3
    """A joint below it is missing."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.min_confidence <= 1:
            raise ConfigError(f"min_confidence: is {self.min_confidence}, must be 0..1")


def pose_closet() -> PoseNetConfig:
    """The one that is trained on the closet's drawn people: 1 M parameters, 256x192."""
    return PoseNetConfig()
