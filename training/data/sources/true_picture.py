"""The true picture of a row whose recipe reads no picture, with its joints: decoded and fitted as recipes do people."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from atelier.errors import RowError
from atelier.images import Frame, fit, fit_keypoints
from atelier.stages.base import Columns, RowStage, StageConfig
from atelier.stages.reading import read_picture


@dataclass(frozen=True, kw_only=True)
class TruePicture(StageConfig):
    """What to read.

    Args:
        size: working size (H, W); the picture is scaled as a whole and padded to its aspect.
        num_joints: rows of its keypoints.
        min_side_px: a picture with a shorter side is rejected.
    """

    name = "true_picture"

    size: tuple[int, int]
    num_joints: int
    min_side_px: int = 16

    def columns(self) -> Columns:
        return Columns.of(TruePictureStage)

    def build(self, device: torch.device) -> TruePictureStage:
        """The stage; it works on the CPU."""
        return TruePictureStage(self)


class TruePictureStage(RowStage):
    """Reads `person_bytes`, `keypoints_given` [..., 3] in the picture's pixels, and the `frame` of the map over it.

    A confidence below 0 says that nothing is annotated of the picture. Writes `person` uint8 RGB and `keypoints`
    float32 in working pixels. Errors: those of `atelier.images`, and `pose_map_invalid` where the map has another size
    than the picture, `caption_empty`, `keypoints_absent`.
    """

    name = "true_picture"
    reads = ("person_bytes", "keypoints_given", "frame", "caption")
    writes = ("person", "keypoints")

    def __init__(self, config: TruePicture) -> None:
        self._config = config

    def blank(self) -> dict[str, Any]:
        joints = np.zeros((self._config.num_joints, 3), np.float32)
        return {"person": np.zeros((*self._config.size, 3), np.uint8), "keypoints": joints}

    def run_row(self, row: Mapping[str, Any]) -> Mapping[str, Any]:
        config = self._config
        if not row["caption"].strip():
            raise RowError("caption_empty", "caption: is empty or no text, must be a sentence about the picture")
        if (row["keypoints_given"][:, 2] < 0).any():
            raise RowError("keypoints_absent", "keypoints: the data set has no line of this picture, must have one")
        picture = read_picture("person", row["person_bytes"], min_side_px=config.min_side_px)
        person, frame = fit(picture, config.size)
        if frame != (mapped := Frame.from_vector(row["frame"])):
            found, wanted = f"{mapped.source_height}x{mapped.source_width}", f"{picture.shape[0]}x{picture.shape[1]}"
            raise RowError("pose_map_invalid", f"pose_map: is {found} pixels, must be person's {wanted}")
        return {"person": person, "keypoints": fit_keypoints(row["keypoints_given"], frame)}
