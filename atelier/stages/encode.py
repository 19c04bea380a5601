"""Encode: the finished picture as a file, without the padding that `decode` gave it, marked as what it is."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch

from atelier.images import Frame, PictureFormat, SourceType, encode_picture, unfit
from atelier.stages.base import Columns, RowStage, StageConfig


@dataclass(frozen=True, kw_only=True)
class Encode(StageConfig):
    """How a picture is delivered.

    Args:
        format: `jpeg`, `png`, `webp` or `avif`.
        quality: 1..100, the format's default where None; PNG has none.
        source_type: the IPTC DigitalSourceType that every file carries.
        size: `working` leaves the pixels as they were made; `original` scales them to the person picture's size.
    """

    name = "encode"
    makes_pixels = False

    format: PictureFormat = "jpeg"
    quality: int | None = None
    source_type: SourceType = "compositeWithTrainedAlgorithmicMedia"
    size: Literal["working", "original"] = "working"

    def columns(self) -> Columns:
        return Columns.of(EncodeStage)

    def build(self, device: torch.device) -> EncodeStage:
        """The stage; it works on the CPU. A format and quality that don't go together are refused here."""
        encode_picture(
            np.zeros((8, 8, 3), np.uint8), source_type=self.source_type, format=self.format, quality=self.quality
        )
        return EncodeStage(self)


class EncodeStage(RowStage):
    """Reads `image` and `frame`, writes `picture` (the file's bytes) and `picture_sha256`."""

    name = "encode"
    reads = ("image", "frame")
    writes = ("picture", "picture_sha256")

    def __init__(self, config: Encode) -> None:
        self._config = config

    def blank(self) -> dict[str, Any]:
        return {"picture": b"", "picture_sha256": ""}

    def run_row(self, row: Mapping[str, Any]) -> Mapping[str, Any]:
        picture = framed(row["image"], Frame.from_vector(row["frame"]), self._config.size)
        config = self._config
        data = encode_picture(picture, source_type=config.source_type, format=config.format, quality=config.quality)
        return {"picture": data, "picture_sha256": hashlib.sha256(data).hexdigest()}


def framed(image: np.ndarray, frame: Frame, size: Literal["working", "original"]) -> np.ndarray:
    """A working picture without its padding, at the working scale or the original's: uint8 RGB [h, w, 3]."""
    if size == "original":
        return unfit(image, frame)
    return image[frame.top : frame.top + frame.height, frame.left : frame.left + frame.width]
