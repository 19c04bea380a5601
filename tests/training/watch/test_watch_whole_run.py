"""A whole run as it is watched: nothing that watches it moves a bit of what it learns."""

from __future__ import annotations

import dataclasses
import json
from datetime import datetime
from pathlib import Path

import pytest
import torch

from atelier.errors import ConfigError
from tests.training.loop.tiny_runs import SIZE, losses_of, request_for, weights_of
from training.checkpoints import CheckpointStore
from training.launch.in_process import train_in_process
from training.launch.request import TrainRequest
from training.watch.settings import WatchSettings
from training.watch.step_log import FILE_NAME
from training.watch.validation.parts import LayoutValidation

pytestmark = pytest.mark.slow

HELD_OUT = LayoutValidation(num_rows=1, size=SIZE, batch_size=1)


def trained(output: Path, cache: Path, num_steps: int = 5, **overrides: object) -> TrainRequest:
    """The generator against its critic, with dropout and noise."""
    request = request_for("duel", output, cache, resume=True, num_steps=num_steps, **overrides)
    train_in_process(request, "cpu")
    return request


@pytest.fixture(scope="module")
def unwatched(tmp_path_factory: pytest.TempPathFactory) -> TrainRequest:
    torch.set_num_threads(1)
    return trained(tmp_path_factory.mktemp("unwatched"), tmp_path_factory.mktemp("data"))


def test_validating_moves_no_bit_of_weights_averages_and_optimizers(unwatched: TrainRequest, tmp_path: Path) -> None:
    validated = trained(tmp_path, unwatched.cache, validation=HELD_OUT, validate_every_steps=2)
    assert losses_of(validated) == losses_of(unwatched)
    mine, theirs = weights_of(validated), weights_of(unwatched)
    assert mine.keys() == theirs.keys()
    for name, tensor in mine.items():
        assert torch.equal(tensor, theirs[name]), name
    log = tmp_path / "duel" / "log"
    grids = sorted(path.name for path in (log / "validation").glob("*.png"))
    assert grids == [f"step-{step:08d}.png" for step in (0, 2, 4, 5)]
    lines = [json.loads(line) for line in (log / FILE_NAME).read_text().splitlines()]
    assert [line["step"] for line in lines if line["event"] == "validated"] == [0, 2, 4, 5]
    assert all(0 < line["share_of_peak"] < 1 for line in lines if line["event"] == "step")
    assert lines[0]["flops_per_step"] > 0 and lines[0]["num_parameters"]


def test_every_observer_at_once_moves_no_bit_either(unwatched: TrainRequest, tmp_path: Path) -> None:
    watch = WatchSettings(metrics_port=0, console_every_s=0)
    request = dataclasses.replace(unwatched, output=str(tmp_path), watch=watch)
    train_in_process(request, "cpu")
    assert losses_of(request) == losses_of(unwatched)
    mine, theirs = weights_of(request), weights_of(unwatched)
    assert all(torch.equal(tensor, theirs[name]) for name, tensor in mine.items())


def test_the_best_judged_checkpoints_stay(unwatched: TrainRequest, tmp_path: Path) -> None:
    """At the steps that were validated, which are none of those at which checkpoints are due."""
    settings = {"validation": HELD_OUT, "validate_every_steps": 1, "checkpoint_every_steps": 100}
    kept = {"keep.num_last": 1, "keep.num_best": 1, "keep.metric": "layout_miou"}
    request = trained(tmp_path, unwatched.cache, num_steps=4, **settings, **kept)
    lines = [json.loads(line) for line in (tmp_path / "duel" / "log" / FILE_NAME).read_text().splitlines()]
    judged = {line["step"]: line["metrics"]["layout_miou"] for line in lines if line["event"] == "validated"}
    best = max(range(1, 5), key=lambda step: (judged[step], step))
    infos = CheckpointStore(request.address("checkpoints")).kept
    assert {info.num_steps_done: info.metrics["layout_miou"] for info in infos} == {
        step: judged[step] for step in {best, 4}
    }
    with pytest.raises(ConfigError, match=r"keep: metric: is 'beauty', must be one of .*'layout_miou'"):
        trained(tmp_path / "unknown", unwatched.cache, **settings, **kept | {"keep.metric": "beauty"})


def test_the_pace_leaves_validations_and_checkpoints_out(unwatched: TrainRequest, tmp_path: Path) -> None:
    """Steps, pauses and time that passed, all by the log: counted twice, the pauses would make more than there was."""
    trained(
        tmp_path, unwatched.cache, validation=HELD_OUT, validate_every_steps=2, checkpoint_every_steps=100, num_steps=7
    )
    lines = [json.loads(line) for line in (tmp_path / "duel" / "log" / FILE_NAME).read_text().splitlines()]
    steps = [line for line in lines if line["event"] == "step"]
    judged = [line for line in lines if line["event"] == "validated"]
    begun, ended = (datetime.fromisoformat(line["time"]) for line in (judged[0], steps[-1]))
    pauses_s = sum(line["seconds"] for line in judged if 0 < line["step"] < 7)
    in_steps_s = sum(line["step_s"] for line in steps)
    assert in_steps_s + pauses_s <= (ended - begun).total_seconds() + 0.002  # times are cut to milliseconds
    assert steps[-1]["pauses_left_s"] >= judged[-2]["seconds"], "the last one is still to come"
