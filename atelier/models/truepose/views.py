"""What the image encoder sees of a source: the whole picture, and its crops of face and garment."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from atelier.models.tensors import Picture
from atelier.models.truepose.regions import RegionMasks

Views = Float[Tensor, "batch views 3 side side"]
"""Whole source, face crop, garment crop; RGB in [-1, 1], mid-gray where a crop shows another region."""
Present = Float[Tensor, "batch views"]
"""1 where there is something to see; a source without a face has 0 for that view."""

_LEAST_SHARE = 1e-3


def views(source: Picture, masks: RegionMasks, side: int, *, crops: bool = True) -> tuple[Views, Present]:
    """The views of each source, each stretched to a square of `side` pixels.

    Stretched, not padded: all of the square then tells of the region, however long a dress is.

    Args:
        crops: False gives the whole sources alone.
    """
    whole = F.interpolate(source, size=(side, side), mode="bilinear", antialias=True, align_corners=False)
    if not crops:
        return whole[:, None], source.new_ones(len(source), 1)
    seen = [whole, *(_crop(source, masks[:, region], side) for region in range(masks.shape[1]))]
    present = torch.cat([source.new_ones(len(source), 1), masks.flatten(2).any(2).to(source.dtype)], 1)
    return torch.stack(seen, 1), present


def _crop(source: Picture, inside: Bool[Tensor, "batch height width"], side: int) -> Float[Tensor, "batch 3 side side"]:
    mask = inside[:, None].to(source.dtype)
    ys, xs = (_sampled(inside.any(axis), side) for axis in (2, 1))
    grid = torch.stack([xs[:, None].expand(-1, side, -1), ys[:, :, None].expand(-1, -1, side)], 3).to(source.dtype)
    sampled = F.grid_sample(torch.cat([source * mask, mask], 1), grid, padding_mode="border", align_corners=False)
    covered, share = sampled[:, :3], sampled[:, 3:]
    return torch.where(share > 0, covered / share.clamp(min=_LEAST_SHARE), 0.0)


def _sampled(inside: Bool[Tensor, "batch extent"], side: int) -> Float[Tensor, "batch side"]:
    """Where along an axis a crop is sampled, in [-1, 1]; all of the axis for an empty region."""
    extent = inside.shape[1]
    marked = inside.to(torch.uint8)
    first, last = marked.argmax(1), extent - 1 - marked.flip(1).argmax(1)
    centres = (torch.arange(side, device=inside.device) + 0.5) / side
    return 2 * (first[:, None] + centres * (last + 1 - first)[:, None]) / extent - 1
