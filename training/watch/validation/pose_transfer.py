"""People in another pose by a recipe's own stages, beside their true pictures in it."""

from __future__ import annotations

import dataclasses
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import torch

from atelier import recipes
from atelier.evaluation.pictures import compare
from atelier.recipe import Recipe
from atelier.recipes.tasks import POSE_TRANSFER
from atelier.stages.base import Batch, StageConfig
from atelier.stages.pidm import SynthesizePidm
from atelier.stages.truepose import SynthesizeTruePose
from training.data.held_out import held_out_root
from training.watch.validation.base import Drawn, DrawnRow, Validation
from training.watch.validation.catalog import catalog_rows, made_rows
from training.watch.validation.colours import GROUND, with_skeleton
from training.watch.validation.held_out_pairs import TransferRow, held_out_pairs
from training.watch.validation.rows import Size, failure, num_failed


@dataclass(frozen=True, kw_only=True)
class TransferValidation(Validation):
    """Rows of a closet catalog through a pose-transfer recipe, as `pipelines` runs it: equal weights, threads and batch
    shape make equal pictures there. Each is made once more unguided, to be looked at.

    Args:
        size: (H, W) of the catalog's pictures, and of the true ones.
        mode: of sampling; the recipe's own is what a job uses.
        parser, pose: weights for rows without a parse, or with a picture of a pose.
        test_set: a DeepFashion folder, from whose test split the rows come; None draws them.
        annotation_size: of that folder's joints, see `DeepFashionSource`.
    """

    size: Size = recipes.CLOSET_SIZE
    mode: str = "balanced"
    parser: str | None = "parser_closet"
    pose: str | None = "pose_closet"
    test_set: str | None = None
    annotation_size: Size | None = None

    @abstractmethod
    def recipe(self, weights: Path) -> Recipe:
        """The recipe that these weights are used in."""

    @abstractmethod
    def unguided(self, stage: StageConfig) -> StageConfig:
        """The recipe's `synthesize` without guidance."""

    @property
    def source(self) -> str:
        if self.test_set is None:
            height, width = self.size
            return f"{self.num_rows} drawn {POSE_TRANSFER} rows, seed {self.seed}, {height}x{width}"
        return f"the first {self.num_rows} pairs of {self.test_set}, test split"

    def beside(self, data: str | None) -> Self:
        """With the test split that lies beside a run's training data, where there is one."""
        if self.test_set is not None or (root := held_out_root(data, "deepfashion")) is None:
            return self
        return dataclasses.replace(self, test_set=root)

    def draw(self, weights: Path, device: torch.device) -> Drawn:
        recipe, rows = self.recipe(weights), self._rows()
        guided = made_rows(recipe, [row.row for row in rows], device)
        stages = tuple(self.unguided(stage) if stage.name == "synthesize" else stage for stage in recipe.stages)
        unguided = made_rows(dataclasses.replace(recipe, stages=stages), [row.row for row in rows], device)
        return _beside_truth(rows, unguided, guided)

    def _rows(self) -> Sequence[TransferRow]:
        if self.test_set is not None:
            return held_out_pairs(self.test_set, self.num_rows, self.size, self.annotation_size)
        rows = catalog_rows(POSE_TRANSFER, self.num_rows, self.seed, self.size)
        return [
            TransferRow(row=row, truth=row.truth.image, person=row.truth.parse_cihp > 0)
            for row in rows
            if row.truth is not None
        ]


@dataclass(frozen=True, kw_only=True)
class PidmValidation(TransferValidation):
    """PIDM's recipe, the small one or the published.

    Args:
        published: the recipe `pidm` in place of `pidm_closet`.
    """

    published: bool = False

    def recipe(self, weights: Path) -> Recipe:
        if self.published:
            return recipes.pidm(weights=str(weights), parser=self.parser, pose=self.pose, mode=self.mode)
        assert self.parser is not None and self.pose is not None
        return recipes.pidm_closet(weights=str(weights), parser=self.parser, pose=self.pose, mode=self.mode)

    def unguided(self, stage: StageConfig) -> StageConfig:
        assert isinstance(stage, SynthesizePidm)
        return dataclasses.replace(stage, guidance="none")


@dataclass(frozen=True, kw_only=True)
class TruePoseValidation(TransferValidation):
    """TruePose's recipe: the small one at 128x96, or alike at the size that a coarse run's weights see."""

    def recipe(self, weights: Path) -> Recipe:
        return recipes.pose_transfer_by_truepose(
            name="truepose_closet",
            size=self.size,
            weights=str(weights),
            parser=self.parser,
            pose=self.pose,
            mode=self.mode,
            batch_size=4,
        )

    def unguided(self, stage: StageConfig) -> StageConfig:
        assert isinstance(stage, SynthesizeTruePose)
        return dataclasses.replace(stage, source_scale=1.0)


def _beside_truth(rows: Sequence[TransferRow], unguided: Batch, guided: Batch) -> Drawn:
    """Rows and scores of what was made unguided and guided."""
    drawn, inside = [], []
    for index, row in enumerate(rows):
        alone, picture = unguided["image"][index], guided["image"][index]
        scores = compare(picture, row.truth).scores(row.person)
        inside.append((scores, compare(alone, row.truth).scores(row.person)))
        note = failure(guided, index) or f"SSIM {scores.ssim:.3f}  CIEDE2000 {scores.ciede2000:.1f}"
        blank = np.full_like(picture, GROUND)
        pose = with_skeleton(blank, guided["target_keypoints"][index])
        cells = (guided["person"][index], pose, alone, picture, row.truth)
        drawn.append(DrawnRow(item_id=row.row.item_id, cells=cells, note=note, picture=picture))
    metrics = {
        f"{who}_{name}": float(np.mean([getattr(scores[place], name) for scores in inside]))
        for place, who in enumerate(("person", "unguided_person"))
        for name in ("ssim", "psnr", "ciede2000")
    }
    headings = ("source", "pose", "unguided", "guided", "true answer")
    return Drawn(headings=headings, rows=tuple(drawn), metrics=metrics | {"failed": num_failed(guided)})
