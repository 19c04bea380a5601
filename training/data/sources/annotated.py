"""Joints that a data set annotates, as the file that a catalog would name for them."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError

from atelier.errors import RowError
from atelier.skeletons import write_openpose
from atelier.stages.base import Columns, RowStage, StageConfig


@dataclass(frozen=True, kw_only=True)
class AnnotatedPose(StageConfig):
    """Writes a row's annotated joints as an OpenPose JSON on their picture's own canvas, which `decode` reads.

    Args:
        annotation_size: (height, width) of the frame that joints were annotated in; None: the picture's own.
    """

    name = "annotation"

    annotation_size: tuple[int, int] | None = None

    def columns(self) -> Columns:
        return Columns.of(AnnotatedPoseStage)

    def build(self, device: torch.device) -> AnnotatedPoseStage:
        """The stage; it works on the CPU."""
        return AnnotatedPoseStage(self)


class AnnotatedPoseStage(RowStage):
    """Reads `person_bytes` and `joints_given` float32 BODY_25 [25, 3]; writes `pose_bytes`.

    Error: `person_unreadable` where the picture's file does not say how large it is.
    """

    name = "annotation"
    reads = ("person_bytes", "joints_given")
    writes = ("pose_bytes",)

    def __init__(self, config: AnnotatedPose) -> None:
        self._annotation_size = config.annotation_size

    def blank(self) -> dict[str, Any]:
        return {"pose_bytes": b""}

    def run_row(self, row: Mapping[str, Any]) -> Mapping[str, Any]:
        height, width = _size_of(row["person_bytes"])
        joints = row["joints_given"]
        if self._annotation_size is not None:
            joints = joints * np.array([width / self._annotation_size[1], height / self._annotation_size[0], 1])
        canvas = {"canvas_height": height, "canvas_width": width}
        return {"pose_bytes": json.dumps(json.loads(write_openpose(joints)) | canvas).encode()}


def _size_of(data: bytes) -> tuple[int, int]:
    """(height, width) of a picture as it is shown."""
    try:
        with Image.open(io.BytesIO(data)) as picture:
            turned = picture.getexif().get(_ORIENTATION, 1) >= _FIRST_ACROSS
            return (picture.width, picture.height) if turned else (picture.height, picture.width)
    except (UnidentifiedImageError, OSError, ValueError) as error:
        raise RowError("person_unreadable", f"person: is no picture that can be read: {error}") from error


_ORIENTATION, _FIRST_ACROSS = 0x0112, 5
"""EXIF's tag, and the first of its values that turn a picture on its side."""
