"""People that no weights were trained on: what they are to be made from, and their true pictures."""

from __future__ import annotations

import colorsys
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from atelier.closet import Look, draw_look
from atelier.closet.casting import HELD_OUT
from atelier.closet.outfits import Outfit, bottom_seed, outfit_for
from atelier.geometry.pose_image import pose_image

GARMENTS = (5, 6, 7, 9, 12)
"""CIHP ids of clothes: upper clothes, dress, coat, pants, skirt."""
_PALETTE = np.array(
    [
        (238, 239, 241),
        *(tuple(int(255 * c) for c in colorsys.hsv_to_rgb(0.618 * i % 1, 0.55, 0.85)) for i in range(23)),
    ],
    np.uint8,
)
"""Of DeepFashion-MultiModal's 24 labels, neighbours far apart."""


@dataclass(frozen=True, kw_only=True)
class HeldOutPerson(ABC):
    """One picture to make, and the true one.

    `truth` uint8 RGB [H, W, 3]; `true_parse` CIHP ids; `true_keypoints` BODY_25 [25, 3].
    """

    item_id: str
    truth: np.ndarray
    true_parse: np.ndarray
    true_keypoints: np.ndarray

    @property
    def person(self) -> np.ndarray:
        """Where the person is in the true picture, bool [H, W]."""
        return self.true_parse > 0

    @property
    def garment(self) -> np.ndarray:
        """Where clothes are in the true picture, bool [H, W]."""
        return np.isin(self.true_parse, GARMENTS)

    @abstractmethod
    def columns(self) -> Mapping[str, Any]:
        """What a recipe's stages between `decode` and `encode` are given."""

    @abstractmethod
    def shown(self) -> Mapping[str, np.ndarray]:
        """What to show beside the pictures, heading → uint8 RGB [H, W, 3]."""


@dataclass(frozen=True, kw_only=True)
class HeldOutTransfer(HeldOutPerson):
    """A person in one pose, who is to take another.

    `source` uint8 RGB [H, W, 3], `source_parse` CIHP ids, `source_keypoints` BODY_25 [25, 3].
    """

    source: np.ndarray
    source_parse: np.ndarray
    source_keypoints: np.ndarray

    def columns(self) -> Mapping[str, Any]:
        return {
            "person": self.source,
            "given_parse": self.source_parse,
            "has_parse": np.bool_(True),
            "given_keypoints": self.source_keypoints,
            "has_keypoints": np.bool_(True),
            "target_keypoints": self.true_keypoints,
        }

    def shown(self) -> Mapping[str, np.ndarray]:
        height, width = self.truth.shape[:2]
        return {"source": self.source, "pose": pose_image(self.true_keypoints, (height, width))}


@dataclass(frozen=True, kw_only=True)
class HeldOutDescription(HeldOutPerson):
    """A sentence about a person, and where each part of them is.

    `regions` DeepFashion-MultiModal's 24 ids uint8 [H, W].
    """

    caption: str
    regions: np.ndarray

    def columns(self) -> Mapping[str, Any]:
        return {"regions": self.regions, "prompt": self.caption}

    def shown(self) -> Mapping[str, np.ndarray]:
        return {"regions": _PALETTE[self.regions]}


def held_out_transfers(num_items: int, *, seed: int, size: tuple[int, int]) -> Iterator[HeldOutTransfer]:
    """People in all that the closet has, each in two poses, from held-out seeds alone; `size` is (H, W) in pixels."""
    for index in range(num_items):
        source, truth = _looks(seed, index, size, num_poses=2)
        yield HeldOutTransfer(
            item_id=f"transfer-{seed}-{index}",
            truth=truth.image,
            true_parse=truth.parse_cihp,
            true_keypoints=truth.keypoints,
            source=source.image,
            source_parse=source.parse_cihp,
            source_keypoints=source.keypoints,
        )


def held_out_descriptions(num_items: int, *, seed: int, size: tuple[int, int]) -> Iterator[HeldOutDescription]:
    """The true pictures of `held_out_transfers`, each told by its caption and its regions."""
    for index in range(num_items):
        [truth] = _looks(seed, index, size, num_poses=1)
        yield HeldOutDescription(
            item_id=f"description-{seed}-{index}",
            truth=truth.image,
            true_parse=truth.parse_cihp,
            true_keypoints=truth.keypoints,
            caption=truth.caption,
            regions=truth.parse_multimodal,
        )


def _looks(seed: int, index: int, size: tuple[int, int], *, num_poses: int) -> list[Look]:
    """One person in their outfit; the last pose is the same however many there are."""
    rng = np.random.default_rng([seed, index])

    def number() -> int:
        return HELD_OUT + int(rng.integers(HELD_OUT // 10))

    person, clothes, bottom = number(), number(), number()
    outfit = outfit_for(clothes)
    if outfit.bottom is not None:
        outfit = Outfit(top=outfit.top, outer=outfit.outer, bottom=bottom_seed(bottom))
    poses = [number() for _ in range(2)][::-1][-num_poses:]
    return [draw_look(person=person, outfit=outfit, pose=pose, size=size) for pose in poses]
