"""The same person in two poses with both parses, as TruePose is trained on them, and single pictures before that."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from atelier.errors import ConfigError
from atelier.geometry.pose_drawing import drawn_pose
from atelier.models.parsing.labels import mirrored_parse
from atelier.models.pose.joints import mirrored_keypoints
from atelier.models.truepose.config import PoseKind
from training.data.dataset import Columns, Sample

_PICTURES = ("source", "target")
_HALF = np.array([0.5, 0.5, 1], np.float32)
"""Of a joint's x and y; its confidence stays."""


@dataclass(frozen=True, kw_only=True)
class CroppedPictureColumns(Columns):
    """`picture` uint8 RGB: a square out of a person's picture; an autoencoder needs to see no more.

    Args:
        side: of the square, in pixels.
    """

    side: int = 64

    reads = ("person",)

    @property
    def changes(self) -> tuple[str, ...]:
        return self.reads

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        picture = sample["person"]
        height, width = picture.shape[:2]
        if self.side > min(height, width):
            raise ConfigError(f"side: is {self.side}, pictures are {height}x{width}")
        top, left = (int(rng.integers(extent - self.side + 1)) for extent in (height, width))
        square = picture[top : top + self.side, left : left + self.side]
        return {"picture": np.ascontiguousarray(square[:, ::-1] if rng.random() < 0.5 else square)}


@dataclass(frozen=True, kw_only=True)
class TruePoseColumns(Columns):
    """`source` and `target` uint8 RGB, `source_parse` and `target_parse` uint8 CIHP ids, and `pose` uint8 [H, W, C].

    Either picture may be the source; a mirrored person's left and right exchange names.

    Args:
        pose: how the target's pose is drawn, as the model reads it.
        mirror: show every other sample as a mirror would.
        halvings: of both sides, of all that is shown: what is to be learned first is learned on small pictures.
    """

    pose: PoseKind
    mirror: bool = True
    halvings: int = 0

    reads = ("source", "target", "source_parse", "target_parse", "source_keypoints", "target_keypoints")

    @property
    def changes(self) -> tuple[str, ...]:
        return self.reads

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        source, target = self._sides(rng)
        keypoints = sample[f"{target}_keypoints"]
        columns = {
            "source": sample[source],
            "target": sample[target],
            "source_parse": sample[f"{source}_parse"],
            "target_parse": sample[f"{target}_parse"],
        }
        height, width = columns["target"].shape[:2]
        if self.mirror and rng.random() < 0.5:
            columns = {
                name: _mirrored_ids(column) if name.endswith("parse") else column[:, ::-1]
                for name, column in columns.items()
            }
            keypoints = mirrored_keypoints(torch.from_numpy(keypoints[None]), width)[0].numpy()
        for _ in range(self.halvings):
            columns = {
                name: column[::2, ::2] if name.endswith("parse") else halved(column) for name, column in columns.items()
            }
            keypoints = keypoints * _HALF
        height, width = columns["target"].shape[:2]
        columns["pose"] = drawn_pose(self.pose, keypoints, (height, width))
        return {name: np.ascontiguousarray(column) for name, column in columns.items()}

    def _sides(self, rng: np.random.Generator) -> tuple[str, str]:
        return _PICTURES if rng.random() < 0.5 else (_PICTURES[1], _PICTURES[0])


@dataclass(frozen=True, kw_only=True)
class StillTruePoseColumns(TruePoseColumns):
    """The same of a pair as it is: in its own direction, unmirrored, so that what is computed of it can be kept."""

    mirror: bool = False

    def __post_init__(self) -> None:
        if self.mirror or self.halvings:
            raise ConfigError(
                f"mirror: is {self.mirror}, halvings: is {self.halvings}; still pairs are shown as they are"
            )

    @property
    def changes(self) -> tuple[str, ...]:
        return ()

    def _sides(self, rng: np.random.Generator) -> tuple[str, str]:
        return _PICTURES


def _mirrored_ids(parse: np.ndarray) -> np.ndarray:
    return mirrored_parse(torch.from_numpy(np.ascontiguousarray(parse))[None])[0].numpy()


def halved(picture: np.ndarray) -> np.ndarray:
    """The mean of each 2x2 pixels: uint8 [H / 2, W / 2, channels]."""
    height, width = picture.shape[0] // 2, picture.shape[1] // 2
    mean = picture[: 2 * height, : 2 * width].reshape(height, 2, width, 2, -1).mean((1, 3))
    return np.rint(mean).astype(np.uint8)
