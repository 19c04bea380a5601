"""Tiny runs of every kind: real networks, real closet pictures, a few pixels."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
import torch

from tests.training.tiny_models import PARSER, POSE, SIZE, VITON_HD
from training.data.closet_source import ClosetConfig
from training.data.config import DataConfig
from training.data.look import LookColumns
from training.data.try_on import TryOnColumns
from training.run import TrainRun
from training.steps.alias import AliasStepConfig
from training.steps.base import StepConfig
from training.steps.matching import MatchingStepConfig
from training.steps.parser import ParserStepConfig
from training.steps.pose import PoseStepConfig
from training.steps.segmentation import SegmentationStepConfig

TRY_ONS = DataConfig(closet=ClosetConfig(kind="try_on", num_samples=4, size=SIZE), columns=TryOnColumns())
LOOKS = DataConfig(closet=ClosetConfig(kind="looks", num_samples=4, size=SIZE), columns=LookColumns())


@pytest.fixture(params=["segmentation", "matching", "parser", "pose"])
def run(request: pytest.FixtureRequest) -> TrainRun:
    """Each run that needs no earlier one."""
    return TINY_RUNS[request.param]()


@pytest.fixture
def pose() -> TrainRun:
    """One run, for what holds for all alike."""
    return pose_run()


@pytest.fixture
def try_ons() -> DataConfig:
    """Tiny try-on samples."""
    return TRY_ONS


@pytest.fixture
def tiny_runs() -> Mapping[str, Callable[[], TrainRun]]:
    """Every tiny run by name."""
    return TINY_RUNS


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Bits are held at one thread count."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the tests' pictures are drawn once."""
    return tmp_path_factory.mktemp("data")


def segmentation_run() -> TrainRun:
    return _run("segmentation", TRY_ONS, SegmentationStepConfig(model=VITON_HD, dropout=0.1))


def matching_run() -> TrainRun:
    return _run("matching", TRY_ONS, MatchingStepConfig(model=VITON_HD))


def parser_run() -> TrainRun:
    return _run("parser", LOOKS, ParserStepConfig(model=PARSER))


def pose_run() -> TrainRun:
    return _run("pose", LOOKS, PoseStepConfig(model=POSE))


def alias_run() -> TrainRun:
    step = AliasStepConfig(model=VITON_HD, segmentation="segmentation", matching="matching", learning_rate=2e-3)
    return _run("alias", TRY_ONS, step)


def _run(name: str, data: DataConfig, step: StepConfig) -> TrainRun:
    return TrainRun(
        name=name,
        data=data,
        step=step,
        batch_size=2,
        num_steps=12,
        num_warmup_steps=2,
        log_every_steps=1,
        precision="float32",
    )


TINY_RUNS: Mapping[str, Callable[[], TrainRun]] = {
    "segmentation": segmentation_run,
    "matching": matching_run,
    "alias": alias_run,
    "parser": parser_run,
    "pose": pose_run,
}
