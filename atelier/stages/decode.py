"""Decode: from the bytes of a catalog's files to arrays of the working size."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from atelier.errors import RowError
from atelier.geometry.garment_mask import find_garment_mask
from atelier.images import Frame, decode_labels, decode_mask, decode_picture, fit, fit_keypoints, fit_labels
from atelier.skeletons import read_openpose
from atelier.stages.base import Columns, RowStage, StageConfig

NUM_CIHP_LABELS = 20


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
        columns["person"], frame = fit(self._picture("person", row["person_bytes"]), self._size)
        columns["frame"] = frame.vector()
        columns["garment"], garment_frame = fit(self._picture("garment", row["garment_bytes"]), self._size)
        columns["garment_mask"] = self._garment_mask(
            row.get("garment_mask_bytes", b""), columns["garment"], garment_frame
        )
        if data := row.get("parse_bytes", b""):
            columns["given_parse"], columns["has_parse"] = self._parse(data, frame), np.bool_(True)
        if data := row.get("keypoints_bytes", b""):
            columns["given_keypoints"], columns["has_keypoints"] = _keypoints(data, frame), np.bool_(True)
        return columns

    def _picture(self, name: str, data: bytes) -> np.ndarray:
        picture = _of(name, decode_picture, data)
        height, width = picture.shape[:2]
        if min(height, width) < self._min_side_px:
            detail = f"{name}: is {height}x{width} pixels, must be at least {self._min_side_px} on either side"
            raise RowError("picture_too_small", detail)
        return picture

    def _garment_mask(self, data: bytes, garment: np.ndarray, frame: Frame) -> np.ndarray:
        if not data:
            inside = (slice(frame.top, frame.top + frame.height), slice(frame.left, frame.left + frame.width))
            mask = np.zeros(self._size, np.uint8)
            mask[inside] = find_garment_mask(garment[inside])
            return mask
        mask = _of("garment_mask", decode_mask, data)
        _check_size("garment_mask", mask, frame, "garment")
        if not mask.any():
            raise RowError("garment_mask_invalid", "garment_mask: is empty, must mark the garment's pixels")
        return fit_labels(mask, self._size)

    def _parse(self, data: bytes, frame: Frame) -> np.ndarray:
        parse = _of("parse", decode_labels, data)
        _check_size("parse", parse, frame, "person")
        if parse.max() >= NUM_CIHP_LABELS:
            detail = f"parse: holds label {parse.max()}, must be CIHP's 0..{NUM_CIHP_LABELS - 1}"
            raise RowError("parse_invalid", detail)
        return fit_labels(parse, self._size)


def _keypoints(data: bytes, frame: Frame) -> np.ndarray:
    try:
        keypoints = read_openpose(data)
    except ValueError as error:
        raise RowError("keypoints_invalid", f"keypoints: {error}") from error
    if keypoints is None:
        raise RowError("no_person", "keypoints: people is empty, must hold the person of the picture")
    keypoints[(keypoints[:, :2] == 0).all(1), 2] = 0
    seen = keypoints[keypoints[:, 2] > 0, :2]
    if not len(seen):
        raise RowError("no_person", "keypoints: no joint of people[0] has a confidence above 0")
    side = np.array([frame.source_width, frame.source_height])
    picture = f"the person's picture of {frame.source_height}x{frame.source_width}"
    if (seen < -side).any() or (seen > 2 * side).any():
        x, y = seen[((seen < -side) | (seen > 2 * side)).any(1)][0]
        raise RowError("keypoints_invalid", f"keypoints: a joint lies at ({x:g}, {y:g}), far outside {picture}")
    if len(seen) > 1 and np.abs(seen).max() <= 1:
        raise RowError("keypoints_invalid", f"keypoints: all lie within one pixel; must be in pixels of {picture}")
    return fit_keypoints(keypoints, frame)


def _check_size(name: str, labels: np.ndarray, frame: Frame, of: str) -> None:
    height, width = labels.shape
    if (height, width) != (frame.source_height, frame.source_width):
        wanted = f"the {of} picture's {frame.source_height}x{frame.source_width}"
        raise RowError(f"{name}_invalid", f"{name}: is {height}x{width} pixels, must be {wanted}")


def _of(name: str, decode: Any, data: bytes) -> np.ndarray:
    """The decoded file of an input; what cannot be decoded names the input."""
    try:
        return decode(data)
    except RowError as error:
        raise RowError(error.code, f"{name}: {error.detail}", rejected=error.rejected) from error
