"""The bent garment as a picture: inside the stages it travels as the spline's offsets alone."""

from __future__ import annotations

import numpy as np
import torch

from atelier.models.geometry.tps import warp
from atelier.models.layers.pixels import mask_from_bytes, picture_from_bytes
from atelier.stages.base import Batch
from atelier.stages.viton_hd import VitonHDStageConfig
from training.watch.validation.colours import GROUND


@torch.no_grad()
def bent_masks(stage: VitonHDStageConfig, batch: Batch, device: torch.device) -> np.ndarray:
    """Where the bent garments lie, bool [B, H, W]."""
    return (_bent(stage, batch, device)[:, 3] > 0.5).cpu().numpy()


@torch.no_grad()
def bent_garments(stage: VitonHDStageConfig, batch: Batch, device: torch.device) -> np.ndarray:
    """The garments as the spline bends them, on the grid's ground: uint8 RGB [B, H, W, 3]."""
    bent = _bent(stage, batch, device)
    picture, mask = 255 * (bent[:, :3] + 1) / 2, bent[:, 3:].clamp(0, 1)
    ground = torch.tensor(GROUND, dtype=picture.dtype, device=device).view(1, 3, 1, 1)
    pixels = (picture * mask + ground * (1 - mask)).clamp(0, 255).round().to(torch.uint8)
    return pixels.permute(0, 2, 3, 1).cpu().numpy()


def _bent(stage: VitonHDStageConfig, batch: Batch, device: torch.device) -> torch.Tensor:
    """Picture in [-1, 1] and mask, float [B, 4, H, W]; `stage` says whose spline it is."""
    garment = picture_from_bytes(torch.from_numpy(batch["garment"]).to(device))
    mask = mask_from_bytes(torch.from_numpy(batch["garment_mask"]).to(device))
    grid = stage.load(device).matching.grid(torch.from_numpy(batch["theta"]).to(device), stage.size)
    return warp(torch.cat([garment, mask], 1), grid)
