"""Held-out rows are drawn by the inference stages, and training goes on as if they were not."""

from __future__ import annotations

import copy
import dataclasses
import random
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from atelier import recipes
from atelier.closet.casting import HELD_OUT, cast
from atelier.closet.catalog import write_catalog
from atelier.closet.layouts import write_dataset
from atelier.errors import ConfigError
from atelier.seeds import unit_seed
from atelier.stages.chain import new_batch
from training.runs.closet import viton_hd_alias_closet
from training.runs.human_diffusion import human_diffusion_closet
from training.runs.truepose import truepose_closet
from training.steps.base import Moment, TrainStep
from training.watch.validation import rows
from training.watch.validation.base import Validation, validating
from training.watch.validation.looks import ParseValidation, PoseValidation
from training.watch.validation.parts import LayoutValidation, WarpValidation
from training.watch.validation.pose_transfer import TruePoseValidation
from training.watch.validation.text_to_person import TextToPersonValidation
from training.watch.validation.try_on import TryOnValidation

SIZE = (64, 64)
CPU = torch.device("cpu")
Built = Callable[[str, Path], TrainStep]
TwoRows = Callable[[str], dict[str, torch.Tensor]]

VALIDATIONS: Mapping[str, Validation] = {
    "segmentation": LayoutValidation(num_rows=2, size=SIZE, batch_size=2),
    "matching": WarpValidation(num_rows=2, size=SIZE, batch_size=2),
    "alias": TryOnValidation(num_rows=3, size=SIZE, parser=None, pose=None, batch_size=2),
    "parser": ParseValidation(num_rows=2, size=SIZE, batch_size=2),
    "pose": PoseValidation(num_rows=2, size=SIZE, batch_size=2),
}


@pytest.mark.parametrize("name", list(VALIDATIONS))
def test_every_kind_of_network_gets_a_grid_and_finite_figures(name: str, built: Built, tmp_path: Path) -> None:
    step = built(name, tmp_path)
    draw = validating(VALIDATIONS[name], step, run=name, folder=tmp_path / "log", device=CPU)
    report = draw(12, step.networks)
    assert report.grid == tmp_path / "log" / "validation" / "step-00000012.png"
    assert np.isfinite(list(report.metrics.values())).all()
    assert 0 <= report.metrics["failed"] <= VALIDATIONS[name].num_rows
    with Image.open(report.grid) as grid:
        assert grid.width > 3 * SIZE[1] and grid.height > 2 * SIZE[0]


def test_validating_changes_nothing_in_training(built: Built, two_rows: TwoRows, tmp_path: Path) -> None:
    """Two runs from the same weights, one of which validates between its steps: equal losses, weights, states, bits."""
    batch = two_rows("segmentation")
    fresh = built("segmentation", tmp_path)
    fresh.networks.train()

    def trained(*, validates: bool) -> tuple[list[float], TrainStep, torch.Tensor, object, float]:
        step = copy.deepcopy(fresh)
        draw = validating(VALIDATIONS["segmentation"], step, run="s", folder=tmp_path / "log", device=CPU)
        optimizer = torch.optim.AdamW(step.networks.parameters(), lr=1e-3)
        torch.manual_seed(1)
        random.seed(1)
        np.random.seed(1)
        losses = []
        for number in range(3):
            # Not seeded anew for each step, as the loop does: a single number drawn by the validation would show.
            loss = step.loss("segmentation", batch, Moment(progress=number / 3, seeds=(number, number + 1))).total
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
            if validates:
                modes = [module.training for module in step.networks.modules()]
                gradients = [p.grad.clone() for p in step.networks.parameters() if p.grad is not None]
                draw(number, step.networks)
                assert modes == [module.training for module in step.networks.modules()]
                now = [p.grad for p in step.networks.parameters() if p.grad is not None]
                assert all(torch.equal(mine, theirs) for mine, theirs in zip(gradients, now, strict=True))
                assert torch.is_grad_enabled() and not torch.is_inference_mode_enabled()
        return losses, step, torch.get_rng_state(), random.getstate(), float(np.random.random())

    plain, validated = trained(validates=False), trained(validates=True)
    assert plain[0] == validated[0] and len(set(plain[0])) == 3
    assert torch.equal(plain[2], validated[2])
    assert plain[3:] == validated[3:]
    for key, value in plain[1].networks.state_dict().items():
        assert torch.equal(value, validated[1].networks.state_dict()[key]), key


def test_pictures_are_those_that_the_recipe_makes_of_the_closets_catalog(built: Built, tmp_path: Path) -> None:
    step = built("alias", tmp_path)
    validation = TryOnValidation(num_rows=1, size=SIZE, parser=None, pose=None, batch_size=2)
    validating(validation, step, run="alias", folder=tmp_path / "log", device=CPU)(1, step.networks)

    step.export(step.networks, tmp_path / "model", torch.float16)
    write_catalog(str(tmp_path / "catalog"), items=1, seed=0, size=SIZE)
    item_id = "item-00000"
    files = {"person": "jpg", "garment": "jpg", "garment_mask": "png", "parse": "png", "keypoints": "json"}
    row = {
        f"{name}_address": [str(tmp_path / "catalog" / name / f"{item_id}.{ending}")] for name, ending in files.items()
    }
    seed = [np.int64(unit_seed(item_id, 0, job_seed=0))]
    identity = {"item_id": [item_id], "variant": [np.int32(0)], "task": ["try_on"], "seed": seed}
    batch = validation.recipe(tmp_path / "model").build().run(new_batch(identity | row))
    assert batch["error_code"].tolist() == [""]
    with Image.open(tmp_path / "log" / "validation" / "newest" / f"{item_id}.png") as picture:
        assert np.array_equal(np.asarray(picture), batch["image"][0])


def test_closet_runs_validate_by_the_very_recipes_of_the_job(tmp_path: Path) -> None:
    tried, told, posed = (run().validation for run in (viton_hd_alias_closet, human_diffusion_closet, truepose_closet))
    assert isinstance(tried, TryOnValidation) and tried.recipe(tmp_path) == recipes.viton_hd_closet(
        weights=str(tmp_path)
    )
    assert isinstance(told, TextToPersonValidation)
    assert told.recipe(tmp_path) == recipes.human_diffusion_closet(weights=str(tmp_path))
    assert isinstance(posed, TruePoseValidation)
    assert posed.recipe(tmp_path) == recipes.truepose_closet(weights=str(tmp_path))


def test_rows_are_the_same_every_time_and_nobodys_training_rows() -> None:
    assert rows.try_on_rows(2, 0, SIZE, True) is rows.try_on_rows(2, 0, SIZE, True)
    first, other = rows.held_out_looks(1, 0, SIZE)[0], rows.held_out_looks(1, 1, SIZE)[0]
    assert not np.array_equal(first.image, other.image)
    casting = cast(0, 0, held_out=True)
    assert min(casting.person, casting.pose, casting.garment) >= HELD_OUT
    with pytest.raises(ConfigError, match="num_rows: is 0"):
        dataclasses.replace(VALIDATIONS["pose"], num_rows=0)


def test_row_that_a_stage_gives_up_is_counted_and_said(built: Built, tmp_path: Path) -> None:
    step = built("parser", tmp_path)
    with torch.no_grad():
        for parameter in step.networks.parameters():
            parameter.zero_()  # every pixel becomes background
    report = validating(VALIDATIONS["parser"], step, run="p", folder=tmp_path, device=CPU)(1, step.networks)
    assert report.metrics["failed"] == 2
    drawn = VALIDATIONS["parser"].draw(exported(step, tmp_path / "weights"), CPU)
    assert [row.note for row in drawn.rows] == ["failed in parse: no_person"] * 2


def exported(step: TrainStep, folder: Path) -> Path:
    step.export(step.networks, folder, torch.float16)
    return folder


def test_rows_come_from_the_test_split_that_lies_beside_the_data(built: Built, tmp_path: Path) -> None:
    root = write_dataset("viton_hd", str(tmp_path / "data"), items=2, seed=0, size=SIZE, split="test")
    drawn = dataclasses.replace(VALIDATIONS["segmentation"], num_rows=3)
    assert drawn.beside(None) is drawn and drawn.beside(str(tmp_path)) is drawn
    beside = drawn.beside(f"viton_hd:{root}")
    assert str(root) in beside.source and "test split" in beside.source
    pictures = beside.draw(exported(built("segmentation", tmp_path), tmp_path / "weights"), CPU)
    assert len(pictures.rows) == 2, "there are no more"
    with Image.open(next((tmp_path / "data" / "test" / "image").iterdir())) as person:
        shape = (person.height, person.width)
    assert pictures.rows[0].cells[0].shape[:2] == shape == SIZE
    assert np.isfinite(list(pictures.metrics.values())).all()
