"""Structural similarity as a loss: blur costs more than it does in L1."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

_WINDOW = 7
_C1, _C2 = (0.01 * 2) ** 2, (0.03 * 2) ** 2  # pictures span 2, from -1 to 1


def structural_dissimilarity(image: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """One minus SSIM (Wang et al. 2004) over 7x7 boxes of two pictures [B, 3, H, W] in [-1, 1], weighted by pixel."""

    def mean(x: Tensor) -> Tensor:
        return F.avg_pool2d(x, _WINDOW, stride=1)

    mean_image, mean_target = mean(image), mean(target)
    variance_image = mean(image.square()) - mean_image.square()
    variance_target = mean(target.square()) - mean_target.square()
    covariance = mean(image * target) - mean_image * mean_target
    similarity = ((2 * mean_image * mean_target + _C1) * (2 * covariance + _C2)) / (
        (mean_image.square() + mean_target.square() + _C1) * (variance_image + variance_target + _C2)
    )
    return ((1 - similarity) * mean(weight)).mean()
