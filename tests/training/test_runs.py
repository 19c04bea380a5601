"""The named runs are whole, and say what is published where they claim it."""

from __future__ import annotations

import dataclasses
import math
import pickle
from pathlib import Path

import pytest

from atelier.errors import ConfigError
from tests.training.loop import tiny_runs
from training.checkpoints import CheckpointInfo, CheckpointStore, Retention, settings_of
from training.launch.request import TrainRequest
from training.layout import Layout
from training.runs import RUNS, named
from training.steps.alias import AliasStepConfig
from training.steps.initial import weights_of
from training.steps.parser import ParserStepConfig
from training.steps.segmentation import SegmentationStepConfig
from training.world import World


def test_every_run_goes_by_its_functions_name_and_crosses_to_a_worker() -> None:
    for name in RUNS:
        run = named(name)
        assert run.name == name and (RUNS[name].__doc__ or "").strip()
        assert pickle.loads(pickle.dumps(run)) == run  # noqa: S301  ours, as Ray sends it
    with pytest.raises(ConfigError, match="there is none of that name"):
        named("viton_hd_everything")


def test_published_runs_keep_to_what_is_published() -> None:
    segmentation, matching, alias = (named(f"viton_hd_{part}") for part in ("segmentation", "matching", "alias"))
    assert [run.num_steps for run in (segmentation, matching, alias)] == [200_000, 50_000, 200_000]
    assert [run.batch_size for run in (segmentation, matching, alias)] == [8, 8, 4]
    for run in (segmentation, matching, alias):
        assert run.data.layout is not None and run.data.layout.size == (1024, 768)
        assert run.average_decay == 0 and run.max_gradient_norm == math.inf
    assert isinstance(segmentation.step, SegmentationStepConfig) and isinstance(alias.step, AliasStepConfig)
    assert segmentation.step.critic is not None and segmentation.step.critic.in_channels == 34
    assert alias.step.critic is not None and alias.step.critic.in_channels == 10
    assert (alias.step.learning_rate, alias.step.critic_learning_rate) == (1e-4, 4e-4)
    assert alias.step.segmentation == segmentation.name and alias.step.matching == matching.name


def test_a_request_reaches_into_the_step() -> None:
    request = TrainRequest(run="viton_hd_alias", output="runs", overrides={"step.vgg": "vgg19.pth", "num_steps": 3})
    run = request.resolved()
    assert isinstance(run.step, AliasStepConfig) and (run.step.vgg, run.num_steps) == ("vgg19.pth", 3)
    with pytest.raises(ConfigError, match=r"its step: overrides \['vgg'\]"):
        TrainRequest(run="parser_closet", output="runs", overrides={"step.vgg": "vgg19.pth"}).resolved()


def test_the_demo_shows_from_nothing_what_a_few_minutes_teach() -> None:
    run = named("parser_demo")
    assert isinstance(run.step, ParserStepConfig) and run.step.initial is None and run.batch_size % 2 == 0
    assert run.num_steps % run.validate_every_steps == 0 and run.validation is not None


def test_settings_that_exclude_each_other_are_refused() -> None:
    run = named("parser_demo")
    with pytest.raises(ConfigError, match="channels_last: is True, must be False where sharding is 'sharded'"):
        dataclasses.replace(run, channels_last=True, sharding="sharded")
    keep = Retention(num_best=1, metric="parse_miou")
    assert dataclasses.replace(run, keep=keep).keep == keep
    with pytest.raises(ConfigError, match="num_best is 1, but no checkpoint is judged"):
        dataclasses.replace(run, keep=keep, validate_every_steps=0)


def test_what_a_run_is_and_how_it_is_computed() -> None:
    run = named("viton_hd_segmentation_closet")
    settings = settings_of(run)
    how = {"num_accumulated": 2, "sharding": "sharded", "activation_checkpointing": True, "compile": True}
    for name, value in {**how, "keep": Retention(num_last=1)}.items():
        assert settings_of(dataclasses.replace(run, **{name: value})) == settings, name
    assert settings_of(dataclasses.replace(run, channels_last=True)) == settings
    assert settings_of(dataclasses.replace(run, precision="float32")) != settings


@pytest.mark.parametrize("name", ["", ".", "..", "../evil", "a/b", "a\\b"])
def test_a_run_lies_in_one_folder_of_its_own(name: str) -> None:
    with pytest.raises(ConfigError, match="name: must be that of one folder"):
        dataclasses.replace(named("parser_demo"), name=name)


def test_an_earlier_run_is_called_as_it_is_typed(tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match="train viton_hd_matching, then `python -m training export viton_hd_matching --output"
    ):
        weights_of("viton_hd_matching", tmp_path / "runs")
    with pytest.raises(
        ConfigError, match=r"train the run mine, then `python -m training export NAME --output .*`, NAME as it"
    ):
        weights_of("mine", tmp_path / "runs")
    run = tiny_runs.pose()
    store = CheckpointStore(str(tmp_path / "runs" / "mine" / "checkpoints"))
    command = "python -m training run my_runs:mine --output runs"
    store.save(
        Layout(run.step.build(tmp_path), run, World.alone()).state,
        CheckpointInfo.start(run, data="d" * 64, num_workers=1, command=command).at(1),
    )
    store.wait()
    with pytest.raises(ConfigError, match="train my_runs:mine, then `python -m training export my_runs:mine --output"):
        weights_of("mine", tmp_path / "runs")
