"""Decode for text-to-person: the map of regions that the person is laid out by."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from atelier.errors import RowError
from atelier.images import Frame, decode_labels, fit_labels
from atelier.stages.base import Columns, RowStage, StageConfig
from atelier.stages.reading import naming

NUM_REGIONS = 24
"""DeepFashion-MultiModal's labels: 0 background, 1 top, … 23 tie."""


@dataclass(frozen=True, kw_only=True)
class DecodeRegions(StageConfig):
    """How a map of regions is read.

    Args:
        size: working size (H, W); the map is scaled as a whole and padded with background to its aspect.
        min_side_px: a map with a shorter side is rejected.
    """

    name = "decode"

    size: tuple[int, int]
    min_side_px: int = 16

    def columns(self) -> Columns:
        return Columns.of(DecodeRegionsStage)

    def build(self, device: torch.device) -> DecodeRegionsStage:
        """The stage; it works on the CPU."""
        return DecodeRegionsStage(self)


class DecodeRegionsStage(RowStage):
    """Reads `pose_map_bytes`, a PNG of label ids, and writes `regions` (uint8 ids [H, W]) and `frame` (float32 [6]).

    Errors: those of `atelier.images`, and `pose_map_invalid` where the map is too small, holds another label than the
    24, or nothing but background.
    """

    name = "decode"
    reads = ("pose_map_bytes",)
    writes = ("regions", "frame")

    def __init__(self, config: DecodeRegions) -> None:
        self._size, self._min_side_px = config.size, config.min_side_px

    def blank(self) -> dict[str, Any]:
        return {"regions": np.zeros(self._size, np.uint8), "frame": np.zeros(6, np.float32)}

    def run_row(self, row: Mapping[str, Any]) -> Mapping[str, Any]:
        regions = naming("pose_map", decode_labels, row["pose_map_bytes"])
        height, width = regions.shape
        if min(height, width) < self._min_side_px:
            detail = f"is {height}x{width} pixels, must be at least {self._min_side_px} on either side"
            raise RowError("pose_map_invalid", f"pose_map: {detail}")
        if strangers := [int(label) for label in np.unique(regions) if label >= NUM_REGIONS]:
            shown = ", ".join(map(str, strangers[:5])) + (", …" if len(strangers) > 5 else "")
            detail = f"holds the label {shown}; every pixel must be one of the regions 0 to {NUM_REGIONS - 1}"
            raise RowError("pose_map_invalid", f"pose_map: {detail}")
        if not regions.any():
            raise RowError("pose_map_invalid", "pose_map: is all background (0); it must show where the person is")
        return {"regions": fit_labels(regions, self._size), "frame": Frame.of((height, width), self._size).vector()}
