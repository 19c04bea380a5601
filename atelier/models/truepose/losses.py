"""What TruePose is trained for: the denoiser, and before it the small autoencoder.

The paper's losses are not public to us; all of this is our reading.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from atelier.models.layers.autoencoder import Latents
from atelier.models.tensors import LabelIds, Picture
from atelier.models.truepose.regions import RegionMasks, region_masks, region_shares

AttentionShares = Float[Tensor, "batch positions 3"]
"""Of each target position's attention: the share that goes to tokens of the whole source, the face, the garment."""

_LEAST_SHARE = 1e-4
_LEAST_REGION = 0.05
"""Positions that a region must have at a level to be asked for there."""


def reconstruction_loss(decoded: Picture, wanted: Picture) -> Float[Tensor, ""]:
    """Mean absolute error of pixels, of their means over 4x4, of edges, which hold prints, and of red and blue against
    green: brightness alone is otherwise all that is learned for a long time."""
    error = decoded - wanted
    edges = error.diff(dim=3).abs().mean() + error.diff(dim=2).abs().mean()
    colours = (error[:, ::2] - error[:, 1:2]).abs().mean()
    return error.abs().mean() + F.avg_pool2d(error, 4).abs().mean() + edges / 2 + 2 * colours


def divergence_loss(mean: Latents, log_variance: Latents) -> Float[Tensor, ""]:
    """Of the latents from a standard normal, a dimension, in nats."""
    return 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).mean()


def moments_loss(mean: Latents) -> Float[Tensor, ""]:
    """How far each channel of a batch's latents is from mean 0 and deviation 1: a scale of 1 then fits them."""
    of_channels = mean.transpose(0, 1).flatten(1)
    return of_channels.mean(1).square().mean() + of_channels.std(1).clamp(min=1e-4).log().square().mean()


def denoising_loss(
    predicted: Latents,
    wanted: Latents,
    parse: LabelIds,
    *,
    person_weight: float = 1.0,
    face_weight: float = 1.0,
) -> Float[Tensor, " batch"]:
    """Mean squared error of each row, positions on the person and on the face weighing more than the background's.

    The weights are divided by their mean: they are the same at any share of person in the picture.

    Args:
        parse: CIHP ids of the target, at the picture's size.
    """
    grid = (predicted.shape[2], predicted.shape[3])
    person = F.adaptive_avg_pool2d((parse > 0)[:, None].to(predicted.dtype), grid)
    face = F.adaptive_avg_pool2d(region_masks(parse)[:, :1].to(predicted.dtype), grid)
    weights = 1 + (person_weight - 1) * person + (face_weight - person_weight) * face
    weights = weights / weights.mean((1, 2, 3), keepdim=True)
    return ((predicted - wanted).square() * weights).mean((1, 2, 3))


def alignment_loss(
    shares: Sequence[Tensor],
    masks: RegionMasks,
    grids: Mapping[int, tuple[int, int]],
    present: Float[Tensor, "batch 3"],
) -> Float[Tensor, ""]:
    """How far target positions attend to other views than their own region's, in nats: CAA's part of the objective.

    Positions of the target's face are to attend to the source's face crop, those of its garment to the garment crop,
    all others to the whole source. Regions weigh alike, however few positions they have.

    Args:
        shares: `AttentionShares` of each cross-attention layer.
        masks: of the target's parse.
        grids: (height, width) of each level, by number of positions.
        present: 0 for a view that the source does not show: nothing can be asked of its tokens.
    """
    losses = []
    for layer in shares:
        wanted = region_shares(masks, grids[layer.shape[1]]) * present[:, None]
        error = -(wanted * layer.clamp(min=_LEAST_SHARE).log()).sum(1)
        of_region = error / wanted.sum(1).clamp(min=_LEAST_REGION)
        there = (wanted.sum(1) > _LEAST_REGION).to(error.dtype)
        losses.append((of_region * there).sum() / there.sum().clamp(min=1))
    return torch.stack(losses).mean()
