"""People out of sentences and maps of regions by a recipe's own stages, beside the people they were taken from."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import torch

from atelier import recipes
from atelier.evaluation.pictures import compare
from atelier.recipe import Recipe
from atelier.recipes.tasks import TEXT_TO_PERSON
from training.steps.initial import memory_of
from training.watch.validation.base import Drawn, DrawnRow, Validation
from training.watch.validation.catalog import catalog_rows, made_rows
from training.watch.validation.colours import GROUND, region_colours
from training.watch.validation.rows import Size, failure, num_failed


@dataclass(frozen=True, kw_only=True)
class TextToPersonValidation(Validation):
    """Rows of a closet catalog through HumanDiffusion's recipe, as `pipelines` runs it.

    Words do not tell a shade or a print in full, so no picture can equal the true one; colours inside the person can be
    near it. Rows whose map is of the pose pack have no true picture.

    Args:
        size: working size (H, W), and that of the catalog's pictures.
        memory: what regions are retrieved from, named as the training step names it; "" goes by words alone.
        batch_size: rows the stage sees at once.
        mode: of sampling.
    """

    size: Size = recipes.CLOSET_SIZE
    memory: str = ""
    batch_size: int = 4
    mode: str = "balanced"

    @property
    def source(self) -> str:
        height, width = self.size
        return f"{self.num_rows} drawn {TEXT_TO_PERSON} rows, seed {self.seed}, {height}x{width}"

    def among(self, runs: Path) -> Self:
        return dataclasses.replace(self, memory=str(memory_of(self.memory, runs))) if self.memory else self

    def recipe(self, weights: Path) -> Recipe:
        """The recipe that these weights are used in; as it is set here, `human_diffusion_closet`."""
        return recipes.text_to_person(
            name="human_diffusion_closet",
            size=self.size,
            weights=str(weights),
            memory=self.memory or None,
            mode=self.mode,
            batch_size=self.batch_size,
        )

    def draw(self, weights: Path, device: torch.device) -> Drawn:
        rows = catalog_rows(TEXT_TO_PERSON, self.num_rows, self.seed, self.size)
        batch = made_rows(self.recipe(weights), rows, device)
        drawn, inside = [], []
        for index, row in enumerate(rows):
            picture, regions = batch["image"][index], batch["regions"][index]
            truth, note = np.full_like(picture, GROUND), "no true answer"
            if row.truth is not None:
                truth = row.truth.image
                scores = compare(picture, truth).scores(row.truth.parse_multimodal > 0)
                inside.append(scores)
                note = f"SSIM {scores.ssim:.3f}  CIEDE2000 {scores.ciede2000:.1f}"
            cells = (region_colours(regions), picture, truth)
            note = failure(batch, index) or note
            drawn.append(DrawnRow(item_id=row.item_id, cells=cells, note=note, picture=picture))
        metrics = {
            "person_ssim": float(np.mean([scores.ssim for scores in inside])),
            "person_psnr": float(np.mean([scores.psnr for scores in inside])),
            "person_ciede2000": float(np.mean([scores.ciede2000 for scores in inside])),
            "failed": num_failed(batch),
        }
        return Drawn(headings=("regions", "made of words", "true answer"), rows=tuple(drawn), metrics=metrics)
