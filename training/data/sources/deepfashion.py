"""A DeepFashion pose-transfer folder as a source: the same person in two poses, conditioned as inference does it."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

from atelier import recipes, storage
from atelier.datasets import deepfashion
from atelier.recipe import Recipe
from atelier.skeletons import body25
from atelier.stages.fetch import Fetch
from training.data.sources.annotated import AnnotatedPose
from training.data.sources.conditioning import Conditioning
from training.data.sources.pairs import PairConditioning
from training.data.sources.source import Maker, Row, Source

_NAMES = {"person": "", "target_keypoints": "_keypoints"}
_PARSE = {"parse": "_parse"}


@dataclass(frozen=True, kw_only=True)
class DeepFashionSource(Source):
    """Samples of `source` and `target`, with `source_keypoints` and `target_keypoints` BODY_25 [25, 3], and with
    `source_parse` and `target_parse` CIHP ids where a parser finds them.

    Each picture goes through the stages before `pose_map` or `synthesize` as the person and as the pose of a row: what
    the one or the other becomes as a source, or as a target, is what inference makes of it.

    Args:
        root: a path or `s3://` prefix that holds `train/` and the two lists.
        size: working size (H, W).
        annotation_size: (height, width) that the joints were annotated at, (256, 176) with the release's large
            pictures; None: each picture's own.
        parser: weights by which parses are found, which the layout has none of; None leaves them out, and takes
            pictures that nobody is in.
        pose: weights by which joints are found, as they will be in use; None takes the annotated ones.
    """

    root: str
    size: tuple[int, int]
    split: Literal["train", "test"] = "train"
    annotation_size: tuple[int, int] | None = None
    parser: str | None = None
    pose: str | None = None
    device: str = "cpu"

    def identity(self) -> Mapping[str, Any]:
        return {"kind": "deepfashion", "root": self.root, "split": self.split, "conditioning": self._stages.identity()}

    def rows(self) -> list[Row]:
        rows: list[Row] = []
        for sample in deepfashion.read(self.root, self.split):
            row: dict[str, Any] = {"id": f"{_stem(sample.source)}>{_stem(sample.target)}"}
            for side, address, joints in (
                ("source", sample.source, sample.source_keypoints),
                ("target", sample.target, sample.target_keypoints),
            ):
                row[f"{side}_person_address"] = address
                if self.pose is None:
                    row[f"{side}_joints_given"] = body25(joints).tolist()
                else:
                    row[f"{side}_pose_address"] = address
            rows.append(row)
        return rows

    def build(self) -> Maker:
        return self._stages.build()

    @property
    def pixels(self) -> int:
        return (6 if self.parser is None else 8) * math.prod(self.size)

    @cached_property
    def _stages(self) -> PairConditioning:
        recipe = self._recipe
        if self.pose is None:
            # No file holds a picture's joints here: they are written as the one that a catalog would name.
            annotation = AnnotatedPose(annotation_size=self.annotation_size)
            stages = (Fetch(required=("person",)), annotation, *recipe.after("fetch").stages)
            recipe = dataclasses.replace(recipe, stages=stages)
        names = _NAMES if self.parser is None else _NAMES | _PARSE
        return PairConditioning(picture=Conditioning(recipe=recipe, keep=tuple(names), device=self.device), names=names)

    @property
    def _recipe(self) -> Recipe:
        # TruePose's stages before `synthesize` are the same. Weights of what comes after are named by every recipe, and
        # not loaded for its first stages.
        whole = recipes.pose_transfer_by_pidm(
            name="deepfashion_samples",
            size=self.size,
            weights="pidm_closet",
            parser=self.parser,
            pose=self.pose,
            mode="fast",
            batch_size=8,
        )
        return whole.before("pose_map")


def _stem(address: str) -> str:
    return storage.name(address).rsplit(".", 1)[0]
