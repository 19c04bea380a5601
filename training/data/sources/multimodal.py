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
from atelier.datasets.samples import TextSample
from atelier.errors import CatalogError
from atelier.stages.fetch import Fetch
from training.data.sources.conditioning import Conditioning
from training.data.sources.source import Maker, Row, Source
from training.data.sources.true_picture import TruePicture

_NAMES = {"person": "person", "regions": "parse", "keypoints": "keypoints", "caption": "caption", "item_id": "item_id"}
"""Column of the stages → the sample's."""
_NOT_LOOKED_AT = [[0.0, 0.0, 0.0]] * multimodal.NUM_JOINTS
_NOT_ANNOTATED = [[0.0, 0.0, -1.0]] * multimodal.NUM_JOINTS
"""As `TruePictureStage` reads them."""


@dataclass(frozen=True, kw_only=True)
class MultimodalSource(Source):
    """Samples of `person`, `parse` (the release's 24 ids), `caption`, `item_id`, and `keypoints` [21, 3] as annotated
    where they are wanted.

    Args:
        root: a path or `s3://` prefix that holds `images/`, `segm/` and `captions.json`.
        size: working size (H, W).
        with_keypoints: a picture without annotated joints is left out; else no sample has the column.
    """

    root: str
    size: tuple[int, int]
    with_keypoints: bool = True

    def identity(self) -> Mapping[str, Any]:
        return {"kind": "multimodal", "root": self.root, "conditioning": self._stages.identity()}

    def rows(self) -> list[Row]:
        samples = list(multimodal.read(self.root))
        if self.with_keypoints and all(sample.keypoints is None for sample in samples):
            address = storage.join(self.root, multimodal.KEYPOINTS)
            found = f"names none of the {len(samples)} pictures" if storage.exists(address) else "is absent"
            raise CatalogError(f"{address}: {found}; must have a line a picture: this run reads keypoints")
        return [
            {
                "id": storage.name(sample.image).rsplit(".", 1)[0],
                "person_address": sample.image,
                "pose_map_address": sample.parse,
                "keypoints_given": self._given(sample),
                "caption": sample.caption,
            }
            for sample in samples
        ]

    def passed_over(self) -> str:
        """The release has parses of its full bodies alone."""
        number = multimodal.num_without_parse(self.root)
        pictures = "1 captioned picture" if number == 1 else f"{number} captioned pictures"
        return f"{pictures} without a parse (segm/NAME_segm.png)" if number else ""

    def build(self) -> Maker:
        return self._stages.build()

    @property
    def pixels(self) -> int:
        return 4 * math.prod(self.size)

    def _given(self, sample: TextSample) -> list[list[float]]:
        if not self.with_keypoints:
            return _NOT_LOOKED_AT
        return _NOT_ANNOTATED if sample.keypoints is None else sample.keypoints.tolist()

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
        keep = tuple(name for name in _NAMES if self.with_keypoints or name != "keypoints")
        return Conditioning(recipe=dataclasses.replace(recipe, stages=stages), keep=keep, names=_NAMES)
