"""Between the bytes that travel and the floats that networks take; expansion happens on the tensor's own device."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from atelier.models.tensors import LabelIds, Mask, MaskBytes, Picture, PictureBytes


def picture_from_bytes(picture: PictureBytes) -> Picture:
    """0..255 to [-1, 1], channels first."""
    return picture.permute(0, 3, 1, 2).to(torch.float32).div_(127.5).sub_(1.0)


def squeezed(picture: Picture, size: tuple[int, int]) -> Float[Tensor, "batch 3 new_height new_width"]:
    """Squeezed or stretched to (H, W), bicubically, as PIDM's released code prepares its pictures."""
    if tuple(picture.shape[2:]) == tuple(size):
        return picture
    return F.interpolate(picture, size, mode="bicubic", antialias=True).clamp(-1, 1)


def bytes_from_picture(picture: Picture) -> PictureBytes:
    """[-1, 1] to 0..255, rounded to the nearest, channels last."""
    scaled = picture.float().add(1.0).mul_(127.5).round_().clamp_(0, 255)
    return scaled.to(torch.uint8).permute(0, 2, 3, 1).contiguous()


def mask_from_bytes(mask: MaskBytes) -> Mask:
    """{0, 1} bytes to a float mask with a channel."""
    return mask.unsqueeze(1).to(torch.float32)


def one_hot(ids: LabelIds, num_classes: int) -> Float[Tensor, "batch classes height width"]:
    """One float channel per class."""
    return F.one_hot(ids.long(), num_classes).permute(0, 3, 1, 2).to(torch.float32)
