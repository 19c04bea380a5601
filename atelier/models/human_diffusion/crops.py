"""What one region of a picture looks like: its crop, everything else taken out."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from atelier.models.human_diffusion.regions import NUM_REGIONS
from atelier.models.tensors import LabelIds, Picture

MIN_PIXELS = 12
"""A region with fewer pixels has no crop: nothing could be told from it."""

Crop = Float[Tensor, "crops 3 side side"]
"""RGB in [-1, 1], mid-gray outside the region."""
CropMask = Float[Tensor, "crops 1 side side"]
"""How much of a pixel is the region, [0, 1]."""


@dataclass(frozen=True, kw_only=True)
class Crops:
    """Crops of several regions of several pictures, in the order of rows and then of label ids."""

    pictures: Crop
    masks: CropMask
    rows: tuple[int, ...]
    """Which picture of the batch each is from."""
    regions: tuple[int, ...]
    """Label ids."""


def region_crops(picture: Picture, pose_map: LabelIds, side: int) -> Crops:
    """Every region's crop but the background's: its bounding box as a square of `side` pixels, stretched.

    Stretched, not padded: all of the square then tells of the region, however long a sleeve is.
    """
    pictures, masks, rows, regions = [], [], [], []
    for row in range(len(picture)):
        for region in range(1, NUM_REGIONS):
            inside = pose_map[row] == region
            if int(inside.sum()) < MIN_PIXELS:
                continue
            box = _box(inside)
            mask = inside[box][None, None].to(picture.dtype)
            covered = _resized(picture[row : row + 1, :, *box] * mask, side)
            share = _resized(mask, side)
            pictures.append(torch.where(share > 0, covered / share.clamp(min=1e-3), 0.0))
            masks.append(share)
            rows.append(row)
            regions.append(region)
    return Crops(
        pictures=torch.cat(pictures) if pictures else picture.new_zeros(0, 3, side, side),
        masks=torch.cat(masks) if masks else picture.new_zeros(0, 1, side, side),
        rows=tuple(rows),
        regions=tuple(regions),
    )


def _box(inside: Bool[Tensor, "height width"]) -> tuple[slice, slice]:
    ys, xs = inside.any(1).nonzero().squeeze(1), inside.any(0).nonzero().squeeze(1)
    return slice(int(ys[0]), int(ys[-1]) + 1), slice(int(xs[0]), int(xs[-1]) + 1)


def _resized(pixels: Tensor, side: int) -> Tensor:
    return F.interpolate(pixels, size=(side, side), mode="bilinear", antialias=True, align_corners=False)
