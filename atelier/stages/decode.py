"""Decode for try-on: from the bytes of a catalog's files to arrays of the working size."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from atelier.errors import RowError
from atelier.geometry.garment_mask import find_garment_mask
from atelier.images import Frame, decode_mask, fit, fit_labels
from atelier.stages.base import Columns, RowStage, StageConfig
from atelier.stages.reading import check_size, naming, read_keypoints, read_parse, read_picture


@dataclass(frozen=True, kw_only=True)
class Decode(StageConfig):
    """How a try-on's inputs are read.

    Args:
        size: working size (H, W); pictures are scaled as a whole and padded to its aspect.
        min_side_px: a picture with a shorter side is rejected.
    """

    name = "decode"

    size: tuple[int, int]
    min_side_px: int = 16

    def columns(self) -> Columns:
        return Columns.of(DecodeStage)

    def build(self, device: torch.device) -> DecodeStage:
        """The stage; it works on the CPU."""
        return DecodeStage(self)


class DecodeStage(RowStage):
    """Reads `<input>_bytes`; `b""`, or no such column, is an input that was not given.

    Writes `person` and `garment` (uint8 RGB), `garment_mask` (uint8 {0, 1}, given or found on the plain background),
    `given_parse` (uint8 CIHP ids) and `given_keypoints` (float32 [25, 3]) with `has_parse` and `has_keypoints`, and
    `frame` (float32 [6], see `atelier.images.Frame`), by which `encode` undoes the padding.

    Errors, each naming the input: those of `atelier.images`, and `picture_too_small`, `garment_mask_invalid`,
    `garment_mask_needed`, `parse_invalid`, `keypoints_invalid`, `no_person` (a keypoint file that holds nobody).
    """

    name = "decode"
    reads = ("person_bytes", "garment_bytes")
    optional = ("garment_mask_bytes", "parse_bytes", "keypoints_bytes")
    writes = (
        *("person", "garment", "garment_mask", "frame"),
        *("given_parse", "has_parse", "given_keypoints", "has_keypoints"),
    )

    def __init__(self, config: Decode) -> None:
        self._size, self._min_side_px = config.size, config.min_side_px

    def blank(self) -> dict[str, Any]:
        picture, labels = np.zeros((*self._size, 3), np.uint8), np.zeros(self._size, np.uint8)
        return {
            "person": picture,
            "garment": picture,
            "garment_mask": labels,
            "frame": np.zeros(6, np.float32),
            "given_parse": labels,
            "has_parse": np.bool_(False),
            "given_keypoints": np.zeros((25, 3), np.float32),
            "has_keypoints": np.bool_(False),
        }

    def run_row(self, row: Mapping[str, Any]) -> Mapping[str, Any]:
        columns = self.blank()
        columns["person"], frame = fit(
            read_picture("person", row["person_bytes"], min_side_px=self._min_side_px), self._size
        )
        columns["frame"] = frame.vector()
        garment = read_picture("garment", row["garment_bytes"], min_side_px=self._min_side_px)
        columns["garment"], garment_frame = fit(garment, self._size)
        columns["garment_mask"] = self._garment_mask(
            row.get("garment_mask_bytes", b""), columns["garment"], garment_frame
        )
        if data := row.get("parse_bytes", b""):
            columns["given_parse"], columns["has_parse"] = read_parse(data, frame, self._size), np.bool_(True)
        if data := row.get("keypoints_bytes", b""):
            columns["given_keypoints"], columns["has_keypoints"] = read_keypoints(data, frame), np.bool_(True)
        return columns

    def _garment_mask(self, data: bytes, garment: np.ndarray, frame: Frame) -> np.ndarray:
        if not data:
            inside = (slice(frame.top, frame.top + frame.height), slice(frame.left, frame.left + frame.width))
            mask = np.zeros(self._size, np.uint8)
            mask[inside] = find_garment_mask(garment[inside])
            return mask
        mask = naming("garment_mask", decode_mask, data)
        check_size("garment_mask", mask, frame, "garment")
        if not mask.any():
            raise RowError("garment_mask_invalid", "garment_mask: is empty, must mark the garment's pixels")
        return fit_labels(mask, self._size)
