"""Pose map: the pose that a person is to take, as PIDM reads it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from atelier.errors import RowError
from atelier.geometry.pose_map import NUM_CHANNELS, pose_map
from atelier.stages.base import Columns, RowStage, StageConfig


@dataclass(frozen=True, kw_only=True)
class PoseMap(StageConfig):
    """Draws the 20-channel pose map.

    Args:
        size: working size (H, W).
        drawn_size: of the map, where the network sees pictures squeezed to another size; limbs keep their width.
    """

    name = "pose_map"

    size: tuple[int, int]
    drawn_size: tuple[int, int] | None = None

    def columns(self) -> Columns:
        return Columns.of(PoseMapStage)

    def build(self, device: torch.device) -> PoseMapStage:
        """The stage; it draws on the CPU."""
        return PoseMapStage(self)


class PoseMapStage(RowStage):
    """Writes `pose_map` uint8 [H, W, 20] of the drawn size from `target_keypoints`, BODY_25 [25, 3] in working pixels.

    Error: `no_pose` where the keypoints hold no limb, so that there is nothing to be posed by.
    """

    name = "pose_map"
    reads = ("target_keypoints",)
    writes = ("pose_map",)

    def __init__(self, config: PoseMap) -> None:
        self._size, self._drawn_size = config.size, config.drawn_size or config.size

    def blank(self) -> dict[str, Any]:
        return {"pose_map": np.zeros((*self._drawn_size, NUM_CHANNELS), np.uint8)}

    def run_row(self, row: Mapping[str, Any]) -> Mapping[str, Any]:
        drawn = pose_map(row["target_keypoints"], self._size, self._drawn_size)
        if (drawn[..., 3:] == 255).all():
            raise RowError(
                "no_pose", "target_keypoints: no limb of the pose lies in the picture; two joints of one are needed"
            )
        return {"pose_map": drawn}
