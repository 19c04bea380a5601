"""The decoding stage of layouts whose task has no recipe of its own: pictures, maps and joints to one working size."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from atelier.errors import RowError
from atelier.images import Frame, decode_labels, decode_picture, fit, fit_keypoints, fit_labels
from atelier.stages.base import Columns, RowStage, StageConfig


@dataclass(frozen=True, kw_only=True)
class Reading(StageConfig):
    """What to read.

    Args:
        size: working size (H, W); pictures are scaled as a whole and padded to its aspect.
        pictures: inputs whose `<name>_bytes` are pictures.
        maps: label map → the picture it lies over, the same size.
        num_labels: ids of the maps lie below it.
        joints: keypoint column → the picture they lie on; given as `<name>_given` [..., 3].
        num_joints: rows of each.
        annotation_size: (height, width) of the frame that joints were annotated in; None: the picture's own.
    """

    name = "decode"

    size: tuple[int, int]
    pictures: tuple[str, ...]
    maps: Mapping[str, str] = field(default_factory=dict)
    num_labels: int = 256
    joints: Mapping[str, str] = field(default_factory=dict)
    num_joints: int = 25
    annotation_size: tuple[int, int] | None = None

    def columns(self) -> Columns:
        files = tuple(f"{name}_bytes" for name in (*self.pictures, *self.maps))
        return Columns(
            reads=(*files, *(f"{name}_given" for name in self.joints)),
            writes=(*self.pictures, *self.maps, *self.joints),
        )

    def build(self, device: torch.device) -> ReadingStage:
        """The stage; it works on the CPU."""
        return ReadingStage(self)


class ReadingStage(RowStage):
    """Writes pictures (uint8 RGB), maps (uint8 ids) and joints (float32, working pixels), all under their names.

    Errors, each naming the input: those of `atelier.images`, and `<map>_invalid` where a map has another size than its
    picture.
    """

    name = "decode"

    def __init__(self, config: Reading) -> None:
        self._config = config
        columns = config.columns()
        self.reads, self.writes = columns.reads, columns.writes

    def blank(self) -> dict[str, Any]:
        config = self._config
        pictures = {name: np.zeros((*config.size, 3), np.uint8) for name in config.pictures}
        maps = {name: np.zeros(config.size, np.uint8) for name in config.maps}
        return {**pictures, **maps, **{name: np.zeros((config.num_joints, 3), np.float32) for name in config.joints}}

    def run_row(self, row: Mapping[str, Any]) -> Mapping[str, Any]:
        config = self._config
        columns: dict[str, Any] = {}
        frames: dict[str, Frame] = {}
        for name in config.pictures:
            columns[name], frames[name] = fit(_of(name, decode_picture, row[f"{name}_bytes"]), config.size)
        for name, picture in config.maps.items():
            labels = _of(name, decode_labels, row[f"{name}_bytes"], num_labels=config.num_labels)
            _check_size(name, labels, picture, frames[picture])
            columns[name] = fit_labels(labels, config.size)
        for name, picture in config.joints.items():
            columns[name] = fit_keypoints(self._in_picture(row[f"{name}_given"], frames[picture]), frames[picture])
        return columns

    def _in_picture(self, joints: np.ndarray, frame: Frame) -> np.ndarray:
        if self._config.annotation_size is None:
            return joints
        height, width = self._config.annotation_size
        return joints * np.array([frame.source_width / width, frame.source_height / height, 1], np.float32)


def _check_size(name: str, labels: np.ndarray, picture: str, frame: Frame) -> None:
    if labels.shape != (frame.source_height, frame.source_width):
        found, wanted = f"{labels.shape[0]}x{labels.shape[1]}", f"{frame.source_height}x{frame.source_width}"
        raise RowError(f"{name}_invalid", f"{name}: is {found} pixels, must be {picture}'s {wanted}")


def _of(name: str, decode: Any, data: bytes, **settings: Any) -> np.ndarray:
    """The decoded file of an input; what cannot be decoded names the input."""
    try:
        return decode(data, **settings)
    except RowError as error:
        raise RowError(error.code, f"{name}: {error.detail}", rejected=error.rejected) from error
