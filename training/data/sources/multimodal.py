"""A DeepFashion-MultiModal folder as a source: a picture, its parse, its joints and a sentence about it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from atelier import storage
from atelier.datasets import multimodal
from atelier.recipe import Recipe
from atelier.stages.fetch import Fetch
from training.data.sources.conditioning import Conditioning
from training.data.sources.reading import Reading
from training.data.sources.source import Maker, Row, Source

NUM_LABELS = 24
_INPUTS = ("person", "parse")


@dataclass(frozen=True, kw_only=True)
class MultimodalSource(Source):
    """Samples of `person`, `parse` (the release's 24 ids), `keypoints` [21, 3] as annotated, `caption` and
    `item_id`.

    Args:
        root: a path or `s3://` prefix that holds `images/`, `segm/` and `captions.json`.
        size: working size (H, W).
    """

    root: str
    size: tuple[int, int]

    def identity(self) -> Mapping[str, Any]:
        return {"kind": "multimodal", "root": self.root, "conditioning": self._stages.identity()}

    def rows(self) -> list[Row]:
        return [
            {
                "id": storage.name(sample.image).rsplit(".", 1)[0],
                "person_address": sample.image,
                "parse_address": sample.parse,
                "keypoints_given": sample.keypoints.tolist(),
                "caption": sample.caption,
            }
            for sample in multimodal.read(self.root)
        ]

    def build(self) -> Maker:
        return self._stages.build()

    @property
    def pixels(self) -> int:
        return 4 * math.prod(self.size)

    @cached_property
    def _stages(self) -> Conditioning:
        reading = Reading(
            size=self.size,
            pictures=("person",),
            maps={"parse": "person"},
            num_labels=NUM_LABELS,
            joints={"keypoints": "person"},
            num_joints=multimodal.NUM_JOINTS,
        )
        recipe = Recipe(
            name="multimodal_samples",
            task="text_to_person",
            size=self.size,
            inputs=_INPUTS,
            stages=(Fetch(required=_INPUTS), reading),
            batch_size=8,
        )
        return Conditioning(recipe=recipe, keep=(*_INPUTS, "keypoints", "caption", "item_id"))
