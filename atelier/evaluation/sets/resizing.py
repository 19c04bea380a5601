"""The rules by which published evaluations resize: their scores differ by more than the methods do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from PIL import Image
from torch import Tensor

Rule = Literal["pillow_bilinear", "pillow_bicubic", "plain_bilinear"]
"""`pillow_*`: Pillow's filters on bytes, widened when they make smaller, as torchvision's on Pillow images.
`plain_bilinear`: between the four nearest pixels, whatever lies between, as OpenCV's INTER_LINEAR on floats.
"""
_FILTERS: dict[Rule, Image.Resampling] = {
    "pillow_bilinear": Image.Resampling.BILINEAR,
    "pillow_bicubic": Image.Resampling.BICUBIC,
}


@dataclass(frozen=True, kw_only=True)
class Resize:
    """To (height, width), aspect given up."""

    size: tuple[int, int]
    rule: Rule

    def keeps_aspect(self, size: tuple[int, int]) -> bool:
        """Whether a picture (height, width) stays undistorted, to a pixel on either side."""
        across = (size[1] * self.size[0] / size[0] - self.size[1], size[0] * self.size[1] / size[1] - self.size[0])
        return min(map(abs, across)) <= 1

    def bytes(self, picture: np.ndarray) -> np.ndarray:
        """A picture uint8 [h, w, 3] as uint8 [H, W, 3]; `plain_bilinear` is rounded."""
        if picture.shape[:2] == self.size:
            return picture
        if self.rule in _FILTERS:
            height, width = self.size
            return np.asarray(Image.fromarray(picture).resize((width, height), _FILTERS[self.rule]))
        return self.levels(picture[None])[0].permute(1, 2, 0).round().clamp(0, 255).byte().numpy()

    def levels(self, pictures: np.ndarray) -> Float[Tensor, "batch 3 height width"]:
        """Pictures uint8 [B, h, w, 3] as float levels 0..255, channels first; `plain_bilinear` is not rounded."""
        if self.rule in _FILTERS:
            return levels(np.stack([self.bytes(picture) for picture in pictures]))
        return F.interpolate(levels(pictures), size=self.size, mode="bilinear", align_corners=False)


def levels(pictures: np.ndarray) -> Float[Tensor, "batch 3 height width"]:
    """Pictures uint8 [B, H, W, 3] as float levels 0..255, channels first."""
    return torch.from_numpy(np.ascontiguousarray(pictures.transpose(0, 3, 1, 2))).float()


def resized_levels(pictures: np.ndarray, resize: Resize | None) -> Float[Tensor, "batch 3 height width"]:
    """`levels`, at another size where there is a rule."""
    return levels(pictures) if resize is None else resize.levels(pictures)
