"""Face and garment: the regions of a parse that the paper tells of, and which tokens of a layer are theirs."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

from atelier.models.tensors import LabelIds

REGIONS = ("face", "garment")
FACE = (1, 2, 4, 13)
"""CIHP ids: hat, hair, sunglasses, face."""
GARMENT = (3, 5, 6, 7, 8, 9, 11, 12, 18, 19)
"""CIHP ids: glove, upper clothes, dress, coat, socks, pants, scarf, skirt, left and right shoe."""

RegionMasks = Bool[Tensor, "batch 2 height width"]
"""Which pixels are of the face, and which of the garment."""


def region_masks(parse: LabelIds) -> RegionMasks:
    """Of CIHP ids."""
    return torch.stack([_of(parse, FACE), _of(parse, GARMENT)], 1)


def region_shares(masks: RegionMasks, grid: tuple[int, int]) -> Float[Tensor, "batch positions 3"]:
    """Of each position of a grid: the share that is neither, that is face, and that is garment; adds to 1."""
    shares = F.adaptive_avg_pool2d(masks.float(), grid).flatten(2).transpose(1, 2)
    return torch.cat([1 - shares.sum(2, keepdim=True), shares], 2)


def touched(mask: Bool[Tensor, "batch height width"], grid: tuple[int, int]) -> Bool[Tensor, "batch positions"]:
    """Positions of a grid that have any pixel of the region: a small face is still there at coarse levels."""
    return F.adaptive_max_pool2d(mask[:, None].float(), grid).flatten(1) > 0


def select(
    inside: Bool[Tensor, "batch positions"], share: float
) -> tuple[Int[Tensor, "batch selected"], Bool[Tensor, "batch selected"]]:
    """(positions, which of them count) of a region: as many for every row, so that no row depends on its neighbours.

    Args:
        share: of all positions, how many are selected at most; a region that has more gives every n-th of its own.
    """
    num_positions = inside.shape[1]
    most = max(1, math.ceil(share * num_positions))
    count = inside.sum(1, keepdim=True)
    own_first = inside.to(torch.uint8).argsort(dim=1, descending=True, stable=True)
    ranks = torch.arange(most, device=inside.device)[None].expand(len(inside), -1)
    spread = torch.where(count > most, ranks * count // most, ranks)
    return own_first.gather(1, spread), ranks < count


def _of(parse: LabelIds, labels: tuple[int, ...]) -> Bool[Tensor, "batch height width"]:
    return torch.isin(parse, torch.tensor(labels, dtype=parse.dtype, device=parse.device))
