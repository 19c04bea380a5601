"""Layout: where garment, arms, hair and all the rest will lie in the try-on picture."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from atelier.models.viton_hd import draw_segmentation_noise
from atelier.seeds import generators
from atelier.stages.base import Columns, Faults, TensorStage
from atelier.stages.viton_hd import VitonHDStageConfig


@dataclass(frozen=True, kw_only=True)
class Layout(VitonHDStageConfig):
    """VITON-HD's segmentation generator."""

    name = "layout"

    def columns(self) -> Columns:
        return Columns.of(LayoutStage)

    def build(self, device: torch.device) -> LayoutStage:
        """The stage, its model shared with the other stages of the same weights in this process."""
        return LayoutStage(self, device)


class LayoutStage(TensorStage):
    """Writes `layout`: uint8 ids 0 background, 1 paste, 2 upper, 3 hair, 4 left arm, 5 right arm, 6 noise."""

    name = "layout"
    reads = ("pose_image", "garment", "garment_mask", "agnostic_parse", "seed")
    writes = ("layout",)

    def __init__(self, config: Layout, device: torch.device) -> None:
        self.device, self._size = device, config.size
        self._model = config.load(device)

    def blank(self) -> dict[str, Any]:
        return {"layout": np.zeros(self._size, np.uint8)}

    def run_tensors(self, columns: Mapping[str, Any], faults: Faults) -> Mapping[str, torch.Tensor]:
        draws = generators(columns["seed"].tolist(), "segmentation_noise")
        noise = draw_segmentation_noise(draws, self._model.config.segmentation_size).to(self.device)
        layout = self._model.layout(
            columns["pose_image"], columns["garment"], columns["garment_mask"], columns["agnostic_parse"], noise
        )
        return {"layout": layout}
