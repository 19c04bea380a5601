"""What the parser is trained by."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from atelier.models.tensors import LabelIds


def parsing_loss(
    logits: Float[Tensor, "batch classes half_height half_width"],
    parse: LabelIds,
    *,
    class_weights: Float[Tensor, " classes"] | None = None,
    dice_weight: float = 0.0,
) -> Float[Tensor, ""]:
    """Weighted cross entropy plus `dice_weight` times the dice loss, at the label map's resolution.

    Logits are upsampled bilinearly first, as the parser does in use; a map of their own size saves a third of a CPU
    step at the price of blunter edges.
    """
    upsampled = F.interpolate(logits, size=parse.shape[1:], mode="bilinear")
    loss = F.cross_entropy(upsampled, parse.long(), weight=class_weights)
    if dice_weight:
        loss = loss + dice_weight * dice_loss(upsampled, parse)
    return loss


def dice_loss(logits: Float[Tensor, "batch classes height width"], parse: LabelIds) -> Float[Tensor, ""]:
    """One minus the dice coefficient (Milletari et al. 2016), over the batch, mean of the classes that it shows."""
    num_classes = logits.shape[1]
    truth = F.one_hot(parse.long(), num_classes).permute(0, 3, 1, 2).to(logits.dtype)
    probability = logits.softmax(1)
    shared = (probability * truth).sum((0, 2, 3))
    area = truth.sum((0, 2, 3))
    dice = (2 * shared + 1) / (probability.sum((0, 2, 3)) + area + 1)
    return 1 - dice[area > 0].mean()


def class_weights(frequencies: Float[Tensor, " classes"], *, largest: float = 4.0) -> Float[Tensor, " classes"]:
    """Weights that lift small classes: the inverse square root of each one's share of pixels.

    Args:
        frequencies: pixels or shares by class; a class that never occurs gets weight 1.
        largest: no weight is above it. Weights are scaled so that the average pixel's is 1.
    """
    share = frequencies / frequencies.sum()
    seen = share > 0
    weights = torch.where(seen, share.clamp_min(1e-12).rsqrt(), torch.ones_like(share))
    weights = weights / (weights * share).sum()
    return torch.where(seen, weights.clamp_max(largest), torch.ones_like(share))
