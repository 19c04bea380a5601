"""A dressed person as the parser and the keypoint network are trained on them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from training.data.dataset import Columns, Sample
from training.data.mirror import maybe_mirrored
from training.data.multimodal_look import as_look, is_multimodal

_ZOOM = (0.85, 1.15)
_SHIFT = 0.06
"""Of the picture's sides."""
_BRIGHTNESS, _CONTRAST, _TINT = 0.18, 0.25, 0.06


@dataclass(frozen=True, kw_only=True)
class LookColumns(Columns):
    """`person` uint8 RGB, `parse` uint8 CIHP ids and `keypoints` float32 [25, 3], zoomed, shifted and tinted a little.

    What a zoom brings in from beyond the border repeats the border, and is background in the map. Samples may have
    DeepFashion-MultiModal's labels and joints, as it is prepared.
    """

    reads = ("person", "parse", "keypoints")

    @property
    def changes(self) -> tuple[str, ...]:
        return self.reads

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        sample = maybe_mirrored(as_look(sample) if is_multimodal(sample) else sample, rng)
        zoom = rng.uniform(*_ZOOM)
        shift = rng.uniform(-_SHIFT, _SHIFT, 2)
        person, parse = _moved(sample["person"], sample["parse"], zoom, shift)
        return {
            "person": _tinted(person, rng),
            "parse": parse,
            "keypoints": _moved_keypoints(sample["keypoints"], parse.shape, zoom, shift),
        }


def _moved(person: np.ndarray, parse: np.ndarray, zoom: float, shift: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    height, width = parse.shape
    matrix = torch.tensor([[[1 / zoom, 0, -2 * shift[0] / zoom], [0, 1 / zoom, -2 * shift[1] / zoom]]])
    grid = F.affine_grid(matrix.float(), [1, 1, height, width], align_corners=False)
    picture = torch.from_numpy(np.ascontiguousarray(person)).permute(2, 0, 1)[None].float()
    labels = torch.from_numpy(np.ascontiguousarray(parse))[None, None].float()
    return (
        _sampled(picture, grid, "bilinear", "border").permute(0, 2, 3, 1)[0].round().to(torch.uint8).numpy(),
        _sampled(labels, grid, "nearest", "zeros")[0, 0].to(torch.uint8).numpy(),
    )


def _sampled(picture: Tensor, grid: Tensor, mode: str, padding: str) -> Tensor:
    return F.grid_sample(picture, grid, mode=mode, padding_mode=padding, align_corners=False)


def _moved_keypoints(keypoints: np.ndarray, size: tuple[int, ...], zoom: float, shift: np.ndarray) -> np.ndarray:
    """Joints move along; those that leave the picture are missing."""
    extent = np.array([size[1], size[0]], dtype=np.float32)
    places = ((keypoints[:, :2] / extent - 0.5) * zoom + 0.5 + shift) * extent
    inside = (keypoints[:, 2] > 0) & (places >= 0).all(1) & (places < extent).all(1)
    return np.where(inside[:, None], np.concatenate([places, keypoints[:, 2:]], 1), 0).astype(np.float32)


def _tinted(person: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    contrast = 1 + rng.uniform(-_CONTRAST, _CONTRAST)
    offset = 255 * (rng.uniform(-_BRIGHTNESS, _BRIGHTNESS) + rng.uniform(-_TINT, _TINT, 3)).astype(np.float32)
    return np.clip((person.astype(np.float32) - 128) * np.float32(contrast) + 128 + offset, 0, 255).astype(np.uint8)
