"""Gaussian blur with zeros beyond the border."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from atelier.models.tensors import Features


def gaussian_blur(x: Features, kernel_size: int, sigma: float) -> Features:
    """`x` convolved with a sampled Gaussian of `kernel_size` taps (odd), `sigma` in pixels.

    The taps sum to one and the picture is continued by zeros, so values fall off towards the border: the published
    VITON-HD takes its layout from maps blurred so.
    """
    taps = torch.arange(kernel_size, dtype=torch.float32, device=x.device) - kernel_size // 2
    kernel = torch.exp(-taps.square() / (2 * sigma**2))
    kernel = kernel / kernel.sum()
    channels, reach = x.shape[1], kernel_size // 2
    row = kernel.view(1, 1, 1, -1).expand(channels, 1, 1, -1)
    x = F.conv2d(x, row, padding=(0, reach), groups=channels)
    return F.conv2d(x, row.transpose(2, 3), padding=(reach, 0), groups=channels)
