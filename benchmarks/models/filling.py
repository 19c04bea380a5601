"""Weights by a rule where published ones can't be had: they keep activations in bounds, and are no zeros."""

from __future__ import annotations

import zlib

import torch
from torch import nn


@torch.no_grad()
def fill(module: nn.Module) -> None:
    """Every parameter of two or more dimensions normal by its fan-in, norms near one, all by the parameter's name.

    Initial weights would not do: the last convolutions of diffusion networks begin as zeros, and their pictures would
    be the noise whatever is done to the rest.
    """
    for name, parameter in module.named_parameters():
        generator = torch.Generator().manual_seed(zlib.crc32(name.encode()))
        drawn = torch.randn(parameter.shape, generator=generator)
        if parameter.ndim >= 2:
            parameter.copy_(drawn / parameter[0].numel() ** 0.5)
        elif name.endswith("weight"):
            parameter.copy_(1 + 0.05 * drawn)
        else:
            parameter.copy_(0.05 * drawn)
