"""A DeepFashion-MultiModal folder as a source: a picture, its parse, its joints and a sentence about it.

The map is decoded by the stages before HumanDiffusion's `synthesize`.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from atelier import recipes, storage
from atelier.datasets import multimodal
from atelier.stages.fetch import Fetch
from training.data.sources.conditioning import Conditioning
from training.data.sources.source import Maker, Row, Source
from training.data.sources.true_picture import TruePicture

_NAMES = {"person": "person", "regions": "parse", "keypoints": "keypoints", "caption": "caption", "item_id": "item_id"}
"""Column of the stages → the sample's."""


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
                "pose_map_address": sample.parse,
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
        # Weights of `synthesize` are named by every recipe, and not loaded for the stages before it.
        recipe = recipes.text_to_person(
            name="multimodal_samples",
            size=self.size,
            weights="human_diffusion_closet",
            memory=None,
            mode="fast",
            batch_size=8,
        )
        # The recipe reads the map alone: its person is what is to be made, and shown to the training only.
        before = recipe.before("synthesize").after("fetch").stages
        truth = TruePicture(size=self.size, num_joints=multimodal.NUM_JOINTS)
        stages = (Fetch(required=("pose_map", "person")), *before, truth)
        return Conditioning(recipe=dataclasses.replace(recipe, stages=stages), keep=tuple(_NAMES), names=_NAMES)
