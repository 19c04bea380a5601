"""Synthesize: the try-on picture itself, from the agnostic person, the layout and the bent garment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from atelier.seeds import generators
from atelier.stages.base import Columns, Faults, TensorStage
from atelier.stages.repaint import repaint
from atelier.stages.viton_hd import VitonHDStageConfig


@dataclass(frozen=True, kw_only=True)
class Synthesize(VitonHDStageConfig):
    """VITON-HD's ALIAS generator.

    Args:
        repaint: lay the person's own pixels back wherever the try-on had no reason to change them (ours, see
            `atelier.stages.repaint`); False gives the picture exactly as the paper's generator paints it.
    """

    name = "synthesize"

    repaint: bool = False

    def columns(self) -> Columns:
        reads = ("agnostic_person", "pose_image", "garment", "garment_mask", "layout", "theta", "seed")
        return Columns(reads=(*reads, "person", "parse") if self.repaint else reads, writes=("image",))

    def build(self, device: torch.device) -> SynthesizeStage:
        """The stage, its model shared with the other stages of the same weights in this process."""
        return SynthesizeStage(self, device)


class SynthesizeStage(TensorStage):
    """Writes `image`: uint8 RGB [H, W, 3]."""

    name = "synthesize"
    writes = ("image",)

    def __init__(self, config: Synthesize, device: torch.device) -> None:
        self.device, self._size, self._repaint = device, config.size, config.repaint
        self._model = config.load(device)
        self.reads = config.columns().reads

    def blank(self) -> dict[str, Any]:
        return {"image": np.zeros((*self._size, 3), np.uint8)}

    def run_tensors(self, columns: Mapping[str, Any], faults: Faults) -> Mapping[str, torch.Tensor]:
        image = self._model.synthesize(
            columns["agnostic_person"],
            columns["pose_image"],
            columns["garment"],
            columns["garment_mask"],
            columns["layout"],
            columns["theta"],
            generator=generators(columns["seed"].tolist(), "alias_noise"),
        )
        if self._repaint:
            image = repaint(image, columns["person"], columns["agnostic_person"], columns["parse"], columns["layout"])
        return {"image": image}
