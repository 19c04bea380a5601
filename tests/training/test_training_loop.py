"""Runs learn, stop, go on as if they had not stopped, and export what inference loads."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
import torch

from atelier.errors import ConfigError
from atelier.models.parsing.networks import ParsingNet
from atelier.models.pose.networks import PoseNet
from atelier.models.viton_hd import VitonHD
from training.loop import LOG_NAME, TrainLoop
from training.run import TrainRun
from training.runs import RUNS, named
from training.schedule import learning_rate_factor

NUM_LEARNING_STEPS = 24


def trained(run: TrainRun, folder: Path, cache: Path) -> TrainLoop:
    loop = TrainLoop(run, folder / run.name, cache)
    loop.fit()
    return loop


def totals(folder: Path, name: str) -> np.ndarray:
    """The logged loss of each step."""
    entries = [json.loads(line) for line in (folder / name / LOG_NAME).read_text().splitlines()]
    return np.array([sum(entry[name].values()) for entry in entries])


def test_loss_falls(run: TrainRun, tmp_path: Path, cache: Path) -> None:
    trained(dataclasses.replace(run, num_steps=NUM_LEARNING_STEPS), tmp_path, cache)
    losses = totals(tmp_path, run.name)
    assert losses[-6:].mean() < 0.95 * losses[:6].mean()


def test_resumed_equals_undisturbed_bit_for_bit(pose: TrainRun, tmp_path: Path, cache: Path) -> None:
    undisturbed = trained(pose, tmp_path / "undisturbed", cache)
    TrainLoop(pose, tmp_path / "stopped" / pose.name, cache).fit(num_steps=5)
    resumed = TrainLoop(pose, tmp_path / "stopped" / pose.name, cache)
    resumed.resume()
    assert resumed.num_steps_done == 5
    resumed.fit()
    assert np.array_equal(totals(tmp_path / "undisturbed", pose.name), totals(tmp_path / "stopped", pose.name))
    for mine, theirs in (
        (resumed.step.networks, undisturbed.step.networks),
        (resumed.average.networks, undisturbed.average.networks),
    ):
        for name, value in mine.state_dict().items():
            assert torch.equal(value, theirs.state_dict()[name]), name


def test_checkpoint_of_another_run_is_refused(pose: TrainRun, tmp_path: Path, cache: Path) -> None:
    loop = TrainLoop(pose, tmp_path / "shared", cache)
    loop.keep()
    with pytest.raises(ConfigError, match="a checkpoint of pose, not of other"):
        TrainLoop(dataclasses.replace(pose, name="other"), tmp_path / "shared", cache).resume()
    with pytest.raises(ConfigError, match="holds no checkpoint"):
        TrainLoop(pose, tmp_path / "empty", cache).resume()


def test_loss_that_is_no_number_stops_the_run(pose: TrainRun, tmp_path: Path, cache: Path) -> None:
    loop = TrainLoop(pose, tmp_path / "run", cache)
    with torch.no_grad():
        next(loop.step.networks.parameters()).fill_(float("nan"))
    with pytest.raises(ArithmeticError, match="step 0"):
        loop.fit()


def test_three_networks_export_to_one_folder_that_inference_loads(
    tiny_runs: Mapping[str, Callable[[], TrainRun]], tmp_path: Path, cache: Path
) -> None:
    for name in ("segmentation", "matching"):
        loop = trained(dataclasses.replace(tiny_runs[name](), num_steps=2), tmp_path, cache)
        loop.step.export(loop.average.networks, tmp_path / name / "weights", None)
    run = dataclasses.replace(tiny_runs["alias"](), num_steps=NUM_LEARNING_STEPS)
    loop = trained(run, tmp_path, cache)
    losses = totals(tmp_path, "alias")
    coarse = losses[: NUM_LEARNING_STEPS // 2]
    assert coarse[-4:].mean() < 0.95 * coarse[:4].mean()

    digest = loop.step.export(loop.average.networks, tmp_path / "model", torch.float16)
    assert len(digest) == 64
    model = VitonHD.from_pretrained(tmp_path / "model", options=None)
    exported = loop.average.networks.state_dict()
    for name, value in model.alias.state_dict().items():
        assert torch.equal(value, exported[f"alias.{name}"].half().float()), name


def test_alias_run_says_which_weights_it_lacks(
    tiny_runs: Mapping[str, Callable[[], TrainRun]], tmp_path: Path, cache: Path
) -> None:
    with pytest.raises(ConfigError, match="export segmentation there first"):
        TrainLoop(tiny_runs["alias"](), tmp_path / "alias", cache)


@pytest.mark.parametrize(("name", "network"), [("parser", ParsingNet), ("pose", PoseNet)])
def test_perception_networks_come_back_from_fp16(
    tiny_runs: Mapping[str, Callable[[], TrainRun]],
    name: str,
    network: type[ParsingNet] | type[PoseNet],
    tmp_path: Path,
    cache: Path,
) -> None:
    loop = TrainLoop(tiny_runs[name](), tmp_path / name, cache)
    loop.step.export(loop.average.networks, tmp_path / "weights", torch.float16)
    loaded = network.from_pretrained(tmp_path / "weights").state_dict()
    for key, value in loop.average.networks[name].state_dict().items():
        expected = value.half().float() if value.is_floating_point() else value
        assert torch.equal(loaded[key], expected), key


def test_every_named_run_is_whole() -> None:
    assert {named(name).name for name in RUNS} == set(RUNS)
    with pytest.raises(ConfigError, match="there is none of that name"):
        named("viton_hd_everything")


def test_learning_rate_warms_up_and_decays() -> None:
    factors = [learning_rate_factor(step, 100, num_warmup_steps=10) for step in range(100)]
    assert factors[0] == pytest.approx(0.1) and max(factors) == pytest.approx(1.0)
    assert factors.index(max(factors)) in (9, 10)
    assert factors[-1] == pytest.approx(0.02, abs=2e-3)
