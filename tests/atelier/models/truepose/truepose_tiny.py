"""A TruePose of two levels for pictures of 32x16, at a latent stride of 2."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import CLIPVisionConfig, CLIPVisionModel

from atelier.models.truepose import truepose_closet

SIZE = (32, 16)
TINY = dataclasses.replace(
    truepose_closet(),
    working_size=SIZE,
    widths=(16, 16),
    attention=(True, True),
    num_groups=4,
    token_width=16,
    autoencoder_widths=(8, 8),
    autoencoder_groups=4,
    guider_widths=(8, 8),
    encoder_width=16,
    crop_size=16,
    last_timestep=0,
)
FACE, UPPER, ARM = 13, 5, 14


def filled(module: Any, seed: int = 0) -> Any:
    """Every weight drawn, the ones that start at zero too: what a trained network is like."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            spread = parameter[0].numel() ** -0.5 if parameter.ndim > 1 else 0.1
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * spread + (parameter.ndim == 1) * 0.5)
    return module


def write_clip(folder: Path, *, hidden_size: int = TINY.encoder_width) -> Path:
    """CLIP's picture tower, of one layer, in a folder as transformers writes it."""
    torch.manual_seed(0)
    settings = CLIPVisionConfig(
        hidden_size=hidden_size,
        intermediate_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        image_size=TINY.crop_size,
        patch_size=8,
        projection_dim=8,
    )
    CLIPVisionModel(settings).save_pretrained(folder)
    return folder


def parses(count: int) -> Tensor:
    """People with a face, a garment and arms, each a little lower than the one before."""
    parse = torch.zeros(count, *SIZE, dtype=torch.uint8)
    for row in range(count):
        parse[row, 2 + row : 7 + row, 5:10] = FACE
        parse[row, 8 + row : 24 + row, 3:12] = UPPER
        parse[row, 8 + row : 20 + row, 12:15] = ARM
    return parse
