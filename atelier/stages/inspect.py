"""Inspect: two numbers by which a person who looks through thousands of try-on pictures finds the doubtful ones.

Both are ours. Neither says that a picture is good; each says, when it is large, that something is worth a look.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from atelier.models.geometry.tps import warp
from atelier.models.layers.pixels import mask_from_bytes
from atelier.models.tensors import PictureBytes
from atelier.models.viton_hd.layout import UPPER
from atelier.stages.base import Columns, Faults, TensorStage
from atelier.stages.viton_hd import VitonHDStageConfig

NOTHING_WORN = {"score_colour_drift": 100.0, "score_misaligned": 1.0}
"""What a picture scores whose layout gives the garment no pixel: the worst."""


@dataclass(frozen=True, kw_only=True)
class Inspect(VitonHDStageConfig):
    """Scores of a try-on picture; of the model only the grid is used."""

    name = "inspect"

    def columns(self) -> Columns:
        return Columns.of(InspectStage)

    def build(self, device: torch.device) -> InspectStage:
        """The stage, its model shared with the other stages of the same weights in this process."""
        return InspectStage(self, device)


class InspectStage(TensorStage):
    """Writes two columns of float32.

    - `score_colour_drift`: CIEDE2000 between the mean colour (in linear light) of the garment as it lies flat and as it
      is worn. 1 is just visible side by side. Shading and a print that is partly hidden add a few units.
    - `score_misaligned`: share of the worn garment, 0..1, that the warped garment does not reach, so that the generator
      had to make it up (the misalignment mask of VITON-HD, Eq. 4).
    """

    name = "inspect"
    reads = ("garment", "garment_mask", "image", "layout", "theta")
    writes = ("score_colour_drift", "score_misaligned")

    def __init__(self, config: Inspect, device: torch.device) -> None:
        self.device, self._size = device, config.size
        self._model = config.load(device)

    def blank(self) -> dict[str, Any]:
        return {"score_colour_drift": np.float32(0), "score_misaligned": np.float32(0)}

    @torch.no_grad()
    def run_tensors(self, columns: Mapping[str, Any], faults: Faults) -> Mapping[str, Tensor]:
        worn = (columns["layout"] == UPPER).float()
        area = worn.sum((1, 2))
        grid = self._model.matching.grid(columns["theta"], self._size)
        reached = warp(mask_from_bytes(columns["garment_mask"]), grid)[:, 0]
        flat_colour = _mean_colour(columns["garment"], columns["garment_mask"].float())
        drift = _ciede2000(flat_colour, _mean_colour(columns["image"], worn))
        misaligned = (worn - reached).clamp_min(0).sum((1, 2)) / area.clamp_min(1)
        scores = {"score_colour_drift": drift.to(self.device), "score_misaligned": misaligned}
        return {name: torch.where(area > 0, score, NOTHING_WORN[name]) for name, score in scores.items()}


def _mean_colour(picture: PictureBytes, weight: Tensor) -> Tensor:
    """Mean linear RGB [B, 3] in 0..1 over a mask [B, H, W]; black where the mask is empty."""
    level = torch.arange(256, dtype=torch.float32, device=picture.device) / 255
    linear = torch.where(level <= 0.04045, level / 12.92, ((level + 0.055) / 1.055) ** 2.4)
    total = (linear[picture.long()] * weight[..., None]).sum((1, 2))
    return total / weight.sum((1, 2)).clamp_min(1)[:, None]


def _ciede2000(first: Tensor, second: Tensor) -> Tensor:
    """Colour differences [B] of linear RGB [B, 3], on the CPU."""
    from skimage.color import deltaE_ciede2000, xyz2lab  # a second of imports, paid in the worker that uses it

    first_lab, second_lab = (xyz2lab(colour.double().cpu().numpy() @ _XYZ_OF_RGB.T) for colour in (first, second))
    return torch.from_numpy(np.asarray(deltaE_ciede2000(first_lab, second_lab), dtype=np.float32))


_XYZ_OF_RGB = np.array([[0.412453, 0.357580, 0.180423], [0.212671, 0.715160, 0.072169], [0.019334, 0.119193, 0.950227]])
"""Linear sRGB to XYZ under D65."""
