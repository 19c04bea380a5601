"""What HumanDiffusion is trained for: the denoiser, and before it the small encoders.

The paper's losses are not public. The denoiser's is the usual squared error; the encoders' stand in for what CLIP was
trained for, on regions.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from atelier.models.human_diffusion.crops import Crop, CropMask
from atelier.models.layers.autoencoder import Latents
from atelier.models.tensors import LabelIds


def denoising_loss(
    predicted: Latents, wanted: Latents, pose_map: LabelIds, *, person_weight: float = 1.0
) -> Float[Tensor, " batch"]:
    """Mean squared error of each row, positions on the person weighing `person_weight` times the background's.

    The weights are the same at any share of person in the picture: they are divided by their mean.
    """
    stride = pose_map.shape[1] // predicted.shape[2]
    person = F.avg_pool2d((pose_map > 0)[:, None].to(predicted.dtype), stride)
    weights = 1 + (person_weight - 1) * person
    weights = weights / weights.mean((1, 2, 3), keepdim=True)
    return ((predicted - wanted).square() * weights).mean((1, 2, 3))


def contrastive_loss(
    text_keys: Float[Tensor, "crops key_width"],
    image_keys: Float[Tensor, "crops key_width"],
    phrases: Int[Tensor, " crops"],
    regions: Int[Tensor, " crops"],
    *,
    temperature: float = 0.07,
) -> Float[Tensor, ""]:
    """How well a region's words find its crop among other crops of that region, and the crop its words.

    Crops of one phrase are each other's right answers: "navy shoes" is not to be told from "navy shoes". Crops of other
    regions are no candidates, or telling shoes from hair would be all that is learned.

    Args:
        phrases: equal ids for equal words.
        regions: label ids.
    """
    logits = text_keys @ image_keys.T / temperature
    logits = logits.masked_fill(regions[:, None] != regions[None, :], float("-inf"))
    right = (phrases[:, None] == phrases[None, :]) & (regions[:, None] == regions[None, :])
    log_right = torch.zeros_like(logits).masked_fill(~right, float("-inf"))

    def one_way(logits: Tensor) -> Tensor:
        return -(torch.logsumexp(logits + log_right, 1) - torch.logsumexp(logits, 1)).mean()

    return (one_way(logits) + one_way(logits.T)) / 2


def reconstruction_loss(
    decoded: Float[Tensor, "crops 3 small small"], crops: Crop, masks: CropMask
) -> Float[Tensor, ""]:
    """Mean absolute error of decoded crops inside their regions, at the decoder's size."""
    size = (decoded.shape[2], decoded.shape[3])
    wanted, inside = F.adaptive_avg_pool2d(crops * masks, size), F.adaptive_avg_pool2d(masks, size)
    wanted = wanted / inside.clamp(min=1e-3)
    return ((decoded - wanted).abs() * inside).sum() / (3 * inside.sum()).clamp(min=1.0)
