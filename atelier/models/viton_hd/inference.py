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
    """Divides by sigma once, at load: at least 80 dB. Such a model can be neither trained nor saved."""
    channels_last: bool = False
    """Convolutions over interleaved channels: at least 60 dB."""
    bfloat16: bool = False
    """The ALIAS generator's convolutions, 94 % of the work at 1024x768, in bfloat16, their weights stored so: at least
    35 dB. Layout and warp stay in float32: a flipped region or a rounded theta is no matter of decibels."""
    compile: bool = False
    """`torch.compile` on the three networks: at least 60 dB. Each new batch shape is compiled on its first pass."""


def prepare(networks: tuple[nn.Module, ...], painter: nn.Module, options: InferenceOptions) -> None:
    """Applies the options in place to `networks`; `painter` is the one that bfloat16 is for."""
    for network in networks:
        if options.fold_spectral_norm:
            fold_spectral_norm(network)
        if options.channels_last:
            network.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
        network.eval().requires_grad_(False)
    if options.bfloat16:
        for module in painter.modules():
            if isinstance(module, nn.Conv2d):
                module.to(torch.bfloat16)
    if options.compile:
        for network in networks:
            network.compile()
