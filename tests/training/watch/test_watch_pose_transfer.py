"""Validations of pose transfer draw rows of a catalog by the recipes, unguided and guided, and score them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from atelier import recipes
from atelier.closet.layouts import write_dataset
from atelier.models.pidm import pidm_closet
from atelier.models.truepose import TruePose
from tests.atelier.models.truepose.truepose_tiny import TINY, filled
from training.steps.pidm import PidmStepConfig
from training.watch.validation.base import Drawn, source_of
from training.watch.validation.catalog import catalog_rows
from training.watch.validation.pose_transfer import PidmValidation, TruePoseValidation

SIZE, CPU = (32, 32), torch.device("cpu")
MODEL = replace(
    pidm_closet(), patch=1, working_size=SIZE, width=8, multipliers=(1, 2), texture_strides=(2,), num_groups=4
)


def tiny_pidm(folder: Path) -> Path:
    torch.manual_seed(0)
    step = PidmStepConfig(model=MODEL).build(folder)
    with torch.no_grad():
        for parameter in step.networks.parameters():
            parameter.add_(0.02 * torch.randn_like(parameter))
    step.export(step.networks, folder, torch.float16)
    return folder


def test_pidms_validation_draws_a_catalogs_rows_by_the_jobs_recipe(tmp_path: Path) -> None:
    validation = PidmValidation(num_rows=3)
    tiny_pidm(tmp_path)
    assert validation.recipe(tmp_path) == recipes.pidm_closet(weights=str(tmp_path))
    _check(replace(validation, mode="fast").draw(tmp_path, CPU), 3, recipes.CLOSET_SIZE)


def test_trueposes_validation_draws_a_catalogs_rows_by_the_jobs_recipe(tmp_path: Path) -> None:
    filled(TruePose(replace(TINY, working_size=SIZE))).save_pretrained(tmp_path)
    assert TruePoseValidation().recipe(tmp_path) == recipes.truepose_closet(weights=str(tmp_path))
    validation = TruePoseValidation(num_rows=1, size=SIZE, parser=None, pose=None, mode="fast")
    _check(validation.draw(tmp_path, CPU), 1, SIZE)


def _check(drawn: Drawn, num_rows: int, size: tuple[int, int]) -> None:
    assert len(drawn.rows) == num_rows and drawn.headings[0] == "source" and drawn.headings[-1] == "true answer"
    rows = catalog_rows("pose_transfer", num_rows, 0, size)
    for row, true in zip(drawn.rows, rows, strict=True):
        _, _, unguided, guided, truth = row.cells
        assert true.truth is not None and np.array_equal(truth, true.truth.image)
        assert row.picture is not None and np.array_equal(guided, row.picture) and (unguided != guided).any()
    assert drawn.metrics["failed"] == 0 and drawn.metrics["person_psnr"] != drawn.metrics["unguided_person_psnr"]


def test_pairs_come_from_the_test_split_that_lies_beside_the_data(tmp_path: Path) -> None:
    root = write_dataset("deepfashion", str(tmp_path / "data"), items=2, seed=0, size=SIZE, split="test")
    drawn = PidmValidation(size=SIZE, published=True, parser=None, pose=None, mode="fast")
    assert drawn.beside(None) is drawn and drawn.beside(str(tmp_path)) is drawn
    beside = drawn.beside(f"deepfashion:{root}")
    assert beside.source == f"the first 8 pairs of {root}, test split"
    pictures = beside.draw(tiny_pidm(tmp_path / "weights"), CPU)
    assert len(pictures.rows) == 2 and np.isfinite(list(pictures.metrics.values())).all()
    assert source_of(pictures, beside) == f"the first 2 pairs of {root}, test split", "there are no more"
    assert pictures.rows[0].cells[0].shape[:2] == SIZE
