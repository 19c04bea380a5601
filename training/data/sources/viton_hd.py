"""A VITON-HD folder as a source: paired try-on samples, conditioned as inference conditions them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

from atelier import recipes
from atelier.datasets import viton_hd
from training.data.sources.conditioning import Conditioning
from training.data.sources.source import Maker, Row, Source

_KEEP = ("person", "parse", "keypoints", "garment", "garment_mask")


@dataclass(frozen=True, kw_only=True)
class VitonHDSource(Source):
    """People with the garments they wear.

    Args:
        root: a path or `s3://` prefix that holds `train/` and `train_pairs.txt`.
        size: working size (H, W).
        parser, pose: weights by which parse and keypoints are found, as they will be in use, in place of those that the
            data set brings; None takes the data set's.
    """

    root: str
    size: tuple[int, int]
    split: Literal["train", "test"] = "train"
    parser: str | None = None
    pose: str | None = None
    device: str = "cpu"

    def identity(self) -> Mapping[str, Any]:
        return {"kind": "viton_hd", "root": self.root, "split": self.split, "conditioning": self._stages.identity()}

    def rows(self) -> list[Row]:
        given = {"parse": self.parser is None, "keypoints": self.pose is None}
        named = ["person", "garment", "garment_mask", *(name for name, brought in given.items() if brought)]
        return [
            {"id": sample.person_id, **{f"{name}_address": getattr(sample, name) for name in named}}
            for sample in viton_hd.read(self.root, self.split, paired=True)
        ]

    def build(self) -> Maker:
        return self._stages.build()

    @property
    def pixels(self) -> int:
        return 8 * math.prod(self.size)

    @cached_property
    def _stages(self) -> Conditioning:
        # Weights of what comes after `agnostic` are named by every recipe, and not loaded for its first stages. Drawing
        # the agnostic person is left to the loader: it depends on the turn.
        recipe = recipes.try_on(
            name="viton_hd_samples",
            size=self.size,
            weights="viton_hd_closet",
            parser=self.parser,
            pose=self.pose,
            repaint=False,
            batch_size=4,
        )
        return Conditioning(recipe=recipe.before("agnostic"), keep=_KEEP, device=self.device)
