"""A DeepFashion pose-transfer folder as a source: the same person in two poses."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

from atelier import storage
from atelier.datasets import deepfashion
from atelier.recipe import Recipe
from atelier.skeletons import body25
from atelier.stages.fetch import Fetch
from training.data.sources.conditioning import Conditioning
from training.data.sources.reading import Reading
from training.data.sources.source import Maker, Row, Source

_PICTURES = ("source", "target")
_JOINTS = {"source_keypoints": "source", "target_keypoints": "target"}


@dataclass(frozen=True, kw_only=True)
class DeepFashionSource(Source):
    """Samples of `source` and `target`, with `source_keypoints` and `target_keypoints` BODY_25 [25, 3].

    Args:
        root: a path or `s3://` prefix that holds `train/` and the two lists.
        size: working size (H, W).
        annotation_size: (height, width) that the joints were annotated at, (256, 176) with the release's large
            pictures; None: each picture's own.
    """

    root: str
    size: tuple[int, int]
    split: Literal["train", "test"] = "train"
    annotation_size: tuple[int, int] | None = None

    def identity(self) -> Mapping[str, Any]:
        return {"kind": "deepfashion", "root": self.root, "split": self.split, "conditioning": self._stages.identity()}

    def rows(self) -> list[Row]:
        return [
            {
                "id": f"{_stem(sample.source)}>{_stem(sample.target)}",
                "source_address": sample.source,
                "target_address": sample.target,
                "source_keypoints_given": body25(sample.source_keypoints).tolist(),
                "target_keypoints_given": body25(sample.target_keypoints).tolist(),
            }
            for sample in deepfashion.read(self.root, self.split)
        ]

    def build(self) -> Maker:
        return self._stages.build()

    @property
    def pixels(self) -> int:
        return 6 * math.prod(self.size)

    @cached_property
    def _stages(self) -> Conditioning:
        reading = Reading(
            size=self.size, pictures=_PICTURES, joints=_JOINTS, num_joints=25, annotation_size=self.annotation_size
        )
        recipe = Recipe(
            name="deepfashion_samples",
            task="pose_transfer",
            size=self.size,
            inputs=_PICTURES,
            stages=(Fetch(required=_PICTURES), reading),
            batch_size=8,
        )
        return Conditioning(recipe=recipe, keep=(*_PICTURES, *_JOINTS))


def _stem(address: str) -> str:
    return storage.name(address).rsplit(".", 1)[0]
