"""Faster ways to run the same weights, each with what it may cost in the picture."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from atelier.models.layers.spectral import fold_spectral_norm


@dataclass(frozen=True, kw_only=True)
class InferenceOptions:
    """How loaded weights are run. The PSNR of each against plain float32 is held by a test."""

    fold_spectral_norm: bool = True
    """Divides by sigma once, at load. Only rounding changes (at least 80 dB); the model can't be trained or saved."""
    channels_last: bool = False
    """Convolutions over interleaved channels: only rounding changes (at least 80 dB)."""
    bfloat16: bool = False
    """Convolutions of the segmentation and ALIAS generators in bfloat16, their weights stored so (at least 35 dB).
    Matching and warping stay in float32: a rounded theta moves the garment."""
    compile: bool = False
    """`torch.compile` on the three networks; each new batch shape is compiled once, on its first pass."""


def prepare(networks: tuple[nn.Module, ...], half: tuple[nn.Module, ...], options: InferenceOptions) -> None:
    """Applies the options in place to `networks`; `half` are those that bfloat16 is for."""
    for network in networks:
        if options.fold_spectral_norm:
            fold_spectral_norm(network)
        if options.channels_last:
            network.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
        network.eval().requires_grad_(False)
    if options.bfloat16:
        for network in half:
            for module in network.modules():
                if isinstance(module, nn.Conv2d):
                    module.to(torch.bfloat16)
    if options.compile:
        for network in networks:
            network.compile()
