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
from torch import nn

from atelier.closet.casting import HELD_OUT
from atelier.closet.catalog import write_catalog
from atelier.errors import ConfigError
from atelier.seeds import unit_seed
from atelier.stages.chain import new_batch
from atelier.weights import write_folder
from training.run import TrainRun
from training.steps.base import Batch, Moment, Player, StepLoss, TrainStep
from training.watch.flops import flops_of_step
from training.watch.peaks import peak_of
from training.watch.validation import rows
from training.watch.validation.base import Validation, validating
from training.watch.validation.grid import grid_picture
from training.watch.validation.looks import ParseValidation, PoseValidation
from training.watch.validation.parts import LayoutValidation, WarpValidation
from training.watch.validation.try_on import TryOnValidation

SIZE = (64, 64)
CPU = torch.device("cpu")
TinyRuns = Mapping[str, Callable[[], TrainRun]]

VALIDATIONS: Mapping[str, Validation] = {
    "segmentation": LayoutValidation(num_rows=2, size=SIZE, batch_size=2),
    "matching": WarpValidation(num_rows=2, size=SIZE, batch_size=2),
    "alias": TryOnValidation(num_rows=3, size=SIZE, parser=None, pose=None, batch_size=2),
    "parser": ParseValidation(num_rows=2, size=SIZE, batch_size=2),
    "pose": PoseValidation(num_rows=2, size=SIZE, batch_size=2),
}


def built(tiny_runs: TinyRuns, name: str, folder: Path) -> TrainStep:
    """A step with fresh weights; the painter's earlier networks are fresh as well."""
    if name == "alias":
        for earlier in ("segmentation", "matching"):
            step = tiny_runs[earlier]().step.build(folder)
            step.export(step.networks, folder / earlier / "weights", None)
    torch.manual_seed(0)
    return tiny_runs[name]().step.build(folder)


def batch_of(run: TrainRun, cache: Path) -> Mapping[str, torch.Tensor]:
    """Two rows of a run's data, as its step reads them."""
    dataset = run.data.open(None, cache)
    samples = [run.data.columns(dataset[index], np.random.default_rng(index)) for index in range(2)]
    return {name: torch.from_numpy(np.stack([sample[name] for sample in samples])) for name in samples[0]}


@pytest.mark.parametrize("name", list(VALIDATIONS))
def test_every_kind_of_network_gets_a_grid_and_finite_figures(name: str, tiny_runs: TinyRuns, tmp_path: Path) -> None:
    step = built(tiny_runs, name, tmp_path)
    draw = validating(VALIDATIONS[name], step, run=name, folder=tmp_path / "log", device=CPU)
    report = draw(12, step.networks)
    assert report.grid == tmp_path / "log" / "validation" / "step-00000012.png"
    assert np.isfinite(list(report.metrics.values())).all()
    assert 0 <= report.metrics["failed"] <= VALIDATIONS[name].num_rows
    with Image.open(report.grid) as grid:
        assert grid.width > 3 * SIZE[1] and grid.height > 2 * SIZE[0]


def test_validating_changes_nothing_in_training(tiny_runs: TinyRuns, cache: Path, tmp_path: Path) -> None:
    """Two runs from the same weights, one of which validates between its steps: equal losses, weights, states, bits."""
    run = tiny_runs["segmentation"]()
    batch = batch_of(run, cache)
    fresh = built(tiny_runs, "segmentation", tmp_path)
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


def test_pictures_are_those_that_the_recipe_makes_of_the_closets_catalog(tiny_runs: TinyRuns, tmp_path: Path) -> None:
    step = built(tiny_runs, "alias", tmp_path)
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


def test_rows_are_the_same_every_time_and_nobodys_training_rows() -> None:
    assert rows.try_on_rows(2, 0, SIZE, True) is rows.try_on_rows(2, 0, SIZE, True)
    first, other = rows.held_out_looks(1, 0, SIZE)[0], rows.held_out_looks(1, 1, SIZE)[0]
    assert not np.array_equal(first.image, other.image)
    casting = rows.cast(0, 0, held_out=True)
    assert min(casting.person, casting.pose, casting.garment) >= HELD_OUT
    with pytest.raises(ConfigError, match="num_rows: is 0"):
        dataclasses.replace(VALIDATIONS["pose"], num_rows=0)


def test_row_that_a_stage_gives_up_is_counted_and_said(tiny_runs: TinyRuns, tmp_path: Path) -> None:
    step = built(tiny_runs, "parser", tmp_path)
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


@dataclasses.dataclass(frozen=True)
class _Row:
    item_id: str
    cells: tuple[np.ndarray, ...]
    note: str = "SSIM 0.700"


@pytest.mark.parametrize(
    ("shape", "expected"), [((256, 192), (256, 192)), ((32, 24), (128, 96)), ((640, 480), (320, 240))]
)
def test_cells_are_neither_lost_nor_larger_than_a_page_bears(shape: tuple[int, int], expected: tuple[int, int]) -> None:
    red = np.zeros((*shape, 3), np.uint8)
    red[..., 0] = 255
    page = np.asarray(grid_picture(["one"], [_Row("a", (red,))], {"ssim": 0.7}, title="run · step 1"))
    where = np.argwhere((page == (255, 0, 0)).all(2))
    assert tuple(where.max(0) - where.min(0) + 1) == expected


def test_grid_of_many_rows_grows_in_bands() -> None:
    cell = np.zeros((256, 192, 3), np.uint8)
    pages = [
        grid_picture(["a", "b"], [_Row(str(n), (cell, cell)) for n in range(count)], {}, title="t") for count in (4, 8)
    ]
    assert pages[0].height == pages[1].height and pages[1].width > 1.8 * pages[0].width


def test_flops_are_counted_and_the_step_is_as_it_was(tiny_runs: TinyRuns, cache: Path, tmp_path: Path) -> None:
    run = tiny_runs["pose"]()
    step = built(tiny_runs, "pose", tmp_path)
    before, state = copy.deepcopy(step.networks.state_dict()), torch.get_rng_state()
    batch = batch_of(run, cache)
    flops = flops_of_step(step, batch, Moment(progress=0.0, seeds=(1, 2)))
    assert torch.equal(state, torch.get_rng_state())
    assert all(torch.equal(value, before[key]) for key, value in step.networks.state_dict().items())
    assert all(parameter.grad is None for parameter in step.networks.parameters())
    half = {name: column[:1] for name, column in batch.items()}
    assert flops_of_step(step, half, Moment(progress=0.0, seeds=(1,))) == flops / 2


class _OneConvolution(TrainStep):
    def __init__(self) -> None:
        self.networks = nn.ModuleDict({"one": nn.Conv2d(3, 4, 3, padding=1)})
        self.players = (Player(name="one", networks=("one",), learning_rate=1.0),)

    def loss(self, player: str, batch: Batch, moment: Moment) -> StepLoss:
        return StepLoss(total=self.networks["one"](batch["x"]).sum(), terms={})

    def export(self, networks: nn.ModuleDict, folder: Path, dtype: torch.dtype | None) -> str:
        return write_folder(folder, {}, {"one": networks.state_dict()}, dtype=dtype)


def test_flops_of_a_convolution_are_those_of_the_formula() -> None:
    forward = 2 * (8 * 8) * 4 * 3 * 9
    counted = flops_of_step(_OneConvolution(), {"x": torch.ones(1, 3, 8, 8)}, Moment(progress=0, seeds=(0,)))
    assert counted == 2 * forward, "the pictures need no gradient"


def test_peak_of_a_cpu_is_measured_and_says_so() -> None:
    peak = peak_of(CPU, "float32")
    assert peak.flops_per_s > 1e6
    assert "measured: float32 product of 1024x1024 matrices, 1 threads" in peak.source
