"""Warp: how the flat garment bends onto the person, as the offsets of a thin plate spline's control points."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from atelier.stages.base import Columns, Faults, TensorStage
from atelier.stages.viton_hd import VitonHDStageConfig


@dataclass(frozen=True, kw_only=True)
class Warp(VitonHDStageConfig):
    """VITON-HD's geometric matching module."""

    name = "warp"

    def columns(self) -> Columns:
        return Columns.of(WarpStage)

    def build(self, device: torch.device) -> WarpStage:
        """The stage, its model shared with the other stages of the same weights in this process."""
        return WarpStage(self, device)


class WarpStage(TensorStage):
    """Writes `theta`: float32 [50], 25 x-offsets then 25 y-offsets. The warped garment itself never travels."""

    name = "warp"
    reads = ("agnostic_person", "pose_image", "garment", "layout")
    writes = ("theta",)

    def __init__(self, config: Warp, device: torch.device) -> None:
        self.device = device
        self._model = config.load(device)

    def blank(self) -> dict[str, Any]:
        return {"theta": np.zeros(50, np.float32)}

    def run_tensors(self, columns: Mapping[str, Any], faults: Faults) -> Mapping[str, torch.Tensor]:
        theta = self._model.warp(
            columns["agnostic_person"], columns["pose_image"], columns["garment"], columns["layout"]
        )
        return {"theta": theta.float()}
