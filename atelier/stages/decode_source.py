"""Decode for pose transfer: the person, and the pose that they are to take."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from atelier.errors import RowError
from atelier.images import Frame, fit
from atelier.stages.base import Columns, RowStage, StageConfig
from atelier.stages.reading import read_parse, read_picture, read_pose


@dataclass(frozen=True, kw_only=True)
class DecodeSource(StageConfig):
    """How a pose transfer's inputs are read.

    Args:
        size: working size (H, W); pictures are scaled as a whole and padded to its aspect.
        min_side_px: a picture with a shorter side is rejected.
    """

    name = "decode"

    size: tuple[int, int]
    min_side_px: int = 16

    def columns(self) -> Columns:
        return Columns.of(DecodeSourceStage)

    def build(self, device: torch.device) -> DecodeSourceStage:
        """The stage; it works on the CPU."""
        return DecodeSourceStage(self)


class DecodeSourceStage(RowStage):
    """Reads `<input>_bytes`; `b""`, or no such column, is an input that was not given.

    Writes `person` (uint8 RGB), `given_parse` (uint8 CIHP ids) with `has_parse`, `frame` (float32 [6]), and of `pose`,
    an OpenPose JSON or a picture of somebody in that pose, either `given_pose` (float32 [25, 3]) with `has_pose`, or
    `pose_picture` (uint8 RGB). The pose lies whole where the person's picture does: padding stays free of it.

    Errors, each naming the input: those of `atelier.images`, and `picture_too_small`, `parse_invalid`, `pose_invalid`.
    """

    name = "decode"
    reads = ("person_bytes", "pose_bytes")
    optional = ("parse_bytes",)
    writes = ("person", "frame", "given_parse", "has_parse", "given_pose", "has_pose", "pose_picture")

    def __init__(self, config: DecodeSource) -> None:
        self._size, self._min_side_px = config.size, config.min_side_px

    def blank(self) -> dict[str, Any]:
        picture = np.zeros((*self._size, 3), np.uint8)
        return {
            "person": picture,
            "frame": np.zeros(6, np.float32),
            "given_parse": np.zeros(self._size, np.uint8),
            "has_parse": np.bool_(False),
            "given_pose": np.zeros((25, 3), np.float32),
            "has_pose": np.bool_(False),
            "pose_picture": picture,
        }

    def run_row(self, row: Mapping[str, Any]) -> Mapping[str, Any]:
        columns = self.blank()
        person = read_picture("person", row["person_bytes"], min_side_px=self._min_side_px)
        columns["person"], frame = fit(person, self._size)
        columns["frame"] = frame.vector()
        if data := row.get("parse_bytes", b""):
            columns["given_parse"], columns["has_parse"] = read_parse(data, frame, self._size), np.bool_(True)
        data = row["pose_bytes"]
        if data.lstrip()[:1] in (b"{", b"["):
            columns["given_pose"], columns["has_pose"] = read_pose(data, frame), np.bool_(True)
        else:
            columns["pose_picture"] = self._pose_picture(data, frame)
        return columns

    def _pose_picture(self, data: bytes, frame: Frame) -> np.ndarray:
        """The picture of the pose where `frame` lies, with its border's colour around it."""
        try:
            picture = read_picture("pose", data, min_side_px=self._min_side_px)
        except RowError as error:
            if error.code == "picture_format":
                detail = "pose: is neither an OpenPose JSON nor a picture; give either, or the name of a pose"
                raise RowError("pose_invalid", f"{detail} ({error.detail})") from error
            raise
        content, _ = fit(picture, (frame.height, frame.width))
        border = np.concatenate([content[0], content[-1], content[:, 0], content[:, -1]])
        whole = np.empty((*self._size, 3), np.uint8)
        whole[...] = np.median(border, axis=0).astype(np.uint8)
        whole[frame.top : frame.top + frame.height, frame.left : frame.left + frame.width] = content
        return whole
