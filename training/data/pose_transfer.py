"""The same person in two poses, as PIDM is trained on them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image

from atelier.geometry.pose_map import pose_map
from atelier.models.pose.joints import mirrored_keypoints
from training.data.dataset import Columns, Sample

_PICTURES = ("source", "target")
_BICUBIC = Image.Resampling.BICUBIC


@dataclass(frozen=True, kw_only=True)
class PoseTransferColumns(Columns):
    """`source` and `target` uint8 RGB, and `pose_map` uint8 [H, W, 20] of the target's pose.

    Either picture may be the source: each pair is learned in both directions, one a turn. The published code flips
    picture and pose map as they are; here a mirrored person's left and right exchange names, as in a mirrored picture.

    Args:
        mirror: show every other sample as a mirror would.
        halvings: of height and width, so that a coarse run learns from the same prepared data.
    """

    mirror: bool = True
    halvings: int = 0

    reads = ("source", "target", "source_keypoints", "target_keypoints")

    @property
    def changes(self) -> tuple[str, ...]:
        return self.reads

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        source, target = _PICTURES if rng.random() < 0.5 else _PICTURES[::-1]
        taken, wanted, keypoints = sample[source], sample[target], sample[f"{target}_keypoints"]
        for _ in range(self.halvings):
            taken, wanted, keypoints = _halved(taken), _halved(wanted), keypoints * np.array([0.5, 0.5, 1], np.float32)
        height, width = wanted.shape[:2]
        if self.mirror and rng.random() < 0.5:
            taken, wanted = taken[:, ::-1], wanted[:, ::-1]
            keypoints = mirrored_keypoints(torch.from_numpy(keypoints[None]), width)[0].numpy()
        taken, wanted, keypoints = self._enlarged(taken, wanted, keypoints, rng)
        return {"source": taken, "target": wanted, "pose_map": self._drawn(keypoints, (height, width))}

    def _enlarged(
        self, taken: np.ndarray, wanted: np.ndarray, keypoints: np.ndarray, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        return taken, wanted, keypoints

    def _drawn(self, keypoints: np.ndarray, size: tuple[int, int]) -> np.ndarray:
        return pose_map(keypoints, size)


@dataclass(frozen=True, kw_only=True)
class SqueezedPoseTransferColumns(PoseTransferColumns):
    """The same for a network that sees pictures squeezed to another size, as `PidmStep` squeezes them.

    Args:
        network_size: (H, W) of the pose map, whose limbs keep their width.
        zoom: the largest share by which both pictures and the pose are enlarged before they are cropped to their size
            again, as the released code does it: one share and one place a sample, drawn evenly.
    """

    network_size: tuple[int, int]
    zoom: float = 0.0

    def _enlarged(
        self, taken: np.ndarray, wanted: np.ndarray, keypoints: np.ndarray, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        if not self.zoom:
            return taken, wanted, keypoints
        size = np.array(wanted.shape[:2])
        large = np.floor(size * (1 + self.zoom * rng.random())).astype(int)
        top, left = (int(rng.integers(spare + 1)) for spare in large - size)
        pictures = [
            np.asarray(Image.fromarray(np.ascontiguousarray(picture)).resize((large[1], large[0]), _BICUBIC))
            for picture in (taken, wanted)
        ]
        taken, wanted = (picture[top : top + size[0], left : left + size[1]] for picture in pictures)
        moved = keypoints.copy()
        # Pixels are squares with their middles at whole numbers.
        moved[:, :2] = (keypoints[:, :2] + 0.5) * (large / size)[::-1] - 0.5 - np.array([left, top])
        moved[keypoints[:, 2] == 0] = 0
        return taken, wanted, moved.astype(np.float32)

    def _drawn(self, keypoints: np.ndarray, size: tuple[int, int]) -> np.ndarray:
        return pose_map(keypoints, size, drawn_size=self.network_size)


def _halved(picture: np.ndarray) -> np.ndarray:
    """The means of 2x2 pixels, uint8 RGB."""
    height, width = picture.shape[0] // 2, picture.shape[1] // 2
    blocks = picture[: 2 * height, : 2 * width].reshape(height, 2, width, 2, 3)
    return np.rint(blocks.mean((1, 3), dtype=np.float32)).astype(np.uint8)
