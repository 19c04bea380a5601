"""Whole runs of seconds, by names that a launcher's workers can import: `tests.training.loop.tiny_runs:pose`."""

from __future__ import annotations

import dataclasses
import math
import os
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from atelier.models.viton_hd.networks_discriminators import SEGMENTATION_CRITIC_INPUTS, DiscriminatorConfig
from tests.training.tiny_models import POSE, SIZE, VITON_HD
from training.checkpoints import Retention
from training.checkpoints.manifest import INDEX_NAME, Index
from training.data.closet_source import ClosetConfig
from training.data.config import DataConfig
from training.data.dataset import Sample
from training.data.look import LookColumns
from training.data.try_on import TryOnColumns
from training.launch.request import TrainRequest
from training.run import TrainRun
from training.steps.base import Batch, Moment, StepLoss
from training.steps.pose import PoseStep, PoseStepConfig
from training.steps.segmentation import SegmentationStepConfig
from training.watch.settings import WatchSettings
from training.watch.step_log import read_steps
from training.watch.validation.looks import PoseValidation


def pose() -> TrainRun:
    """One player, running statistics, three epochs of six looks."""
    return TrainRun(
        name="pose",
        data=DataConfig(closet=ClosetConfig(kind="looks", num_samples=6, size=SIZE), columns=LookColumns()),
        step=PoseStepConfig(model=POSE),
        batch_size=4,
        num_steps=6,
        num_warmup_steps=2,
        log_every_steps=1,
        checkpoint_every_steps=2,
        precision="float32",
        keep=Retention(num_last=2),
    )


def compiled_pose() -> TrainRun:
    """Two steps of it, its smallest blocks by torch.compile: the whole network takes a compiler more than a minute."""
    step = CompiledHeads(model=POSE)
    return dataclasses.replace(pose(), name="compiled_pose", step=step, num_steps=2, compile=True)


def watched_pose() -> TrainRun:
    """The same, with one held-out look before and after."""
    validation = PoseValidation(size=SIZE, num_rows=1)
    return dataclasses.replace(pose(), name="watched_pose", validate_every_steps=6, validation=validation)


def duel(*, dropout: float = 0.3) -> TrainRun:
    """Two players, noise and dropout: the segmentation generator against its critic."""
    critic = DiscriminatorConfig(in_channels=SEGMENTATION_CRITIC_INPUTS, width=4, num_layers=2)
    return TrainRun(
        name="duel",
        data=DataConfig(closet=ClosetConfig(kind="try_on", num_samples=6, size=SIZE), columns=TryOnColumns()),
        step=SegmentationStepConfig(model=VITON_HD, critic=critic, dropout=dropout),
        batch_size=4,
        num_steps=6,
        num_warmup_steps=2,
        log_every_steps=1,
        checkpoint_every_steps=2,
        precision="float32",
        keep=Retention(num_last=2),
    )


def duel_without_chance() -> TrainRun:
    """Nothing in it depends on how a batch is cut."""
    return duel(dropout=0.0)


def diverging() -> TrainRun:
    """A first step that takes the weights where no second one gives a number."""
    run = pose()
    assert isinstance(run.step, PoseStepConfig)
    step = dataclasses.replace(run.step, learning_rate=math.inf)
    return dataclasses.replace(run, name="diverging", step=step)


def runaway() -> TrainRun:
    """Its loss grows a thousandfold after 14 of 80 steps, and would fall back after 72."""
    step = RunawayConfig(model=POSE, away=(14 / 80, 72 / 80))
    return dataclasses.replace(pose(), name="runaway", step=step, num_steps=80, checkpoint_every_steps=5)


def away_at_the_end() -> TrainRun:
    """Its loss grows a thousandfold after 14 steps, and it ends before anybody is sure."""
    run = runaway()
    return dataclasses.replace(
        run, name="away_at_the_end", step=dataclasses.replace(run.step, away=(14 / 30, 1.0)), num_steps=30
    )


def outlier() -> TrainRun:
    """Its loss is a thousand times itself in two of 20 steps, the 15th and the 16th."""
    step = RunawayConfig(model=POSE, away=(14 / 20, 16 / 20))
    return dataclasses.replace(pose(), name="outlier", step=step, num_steps=20, checkpoint_every_steps=5)


def long_pose() -> TrainRun:
    """Long enough to be killed in the middle; steps lie in the log as they are made."""
    return dataclasses.replace(pose(), name="long_pose", num_steps=60, checkpoint_every_steps=5)


def slow_layout() -> TrainRun:
    """Steps of a third of a second while the file that `TINY_SLOW` names exists; the same for any number of workers."""
    run = duel_without_chance()
    assert isinstance(run.step, SegmentationStepConfig)
    return dataclasses.replace(
        run,
        name="slow_layout",
        data=dataclasses.replace(run.data, columns=SlowColumns(flag=os.environ.get("TINY_SLOW", ""))),
        step=dataclasses.replace(run.step, critic=None),
        batch_size=2,
        num_steps=300,
        checkpoint_every_steps=20,
    )


def soaked_layout() -> TrainRun:
    """The same for four workers, without an end in sight."""
    run = slow_layout()
    return dataclasses.replace(run, name="soaked_layout", batch_size=4, num_steps=1_000_000)


@dataclass(frozen=True, kw_only=True)
class RunawayConfig(PoseStepConfig):
    """A loss that is a thousand times itself in a part of the run: shares of it, from and until."""

    away: tuple[float, float]

    def build(self, runs: Path) -> PoseStep:
        return Runaway(self, runs)


class Runaway(PoseStep):
    """The step of `RunawayConfig`."""

    def __init__(self, config: RunawayConfig, runs: Path) -> None:
        super().__init__(config, runs)
        self._from, self._until = config.away

    def loss(self, player: str, batch: Batch, moment: Moment) -> StepLoss:
        loss = super().loss(player, batch, moment)
        is_away = self._from <= moment.progress < self._until
        return dataclasses.replace(loss, total=1000 * loss.total) if is_away else loss


@dataclass(frozen=True, kw_only=True)
class CompiledHeads(PoseStepConfig):
    """A step whose blocks are the layers behind the picture's."""

    def build(self, runs: Path) -> PoseStep:
        step = super().build(runs)
        step.blocks = (nn.Linear,)  # type: ignore[misc]
        return step


@dataclass(frozen=True, kw_only=True)
class SlowColumns(TryOnColumns):
    """Rows that take their time while a file exists; a process beside the run decides when it has."""

    flag: str = field(default="", metadata={"identity": False})

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        if self.flag and Path(self.flag).exists():
            time.sleep(0.3)
        return super().__call__(sample, rng)


def request_for(name: str, output: Path, cache: Path, *, resume: bool = False, **overrides: Any) -> TrainRequest:
    """One of these runs, asked for by the name that any process can import."""
    return TrainRequest(
        run=f"{__name__}:{name}",
        output=str(output),
        cache=cache,
        overrides=overrides,
        resume=resume,
        watch=WatchSettings(quiet=True),
    )


def losses_of(request: TrainRequest) -> list[Any]:
    """The losses of every step by player and term, as logged."""
    return [entry["losses"] for entry in read_steps(Path(request.address("log")))]


def weights_of(request: TrainRequest) -> dict[str, Tensor]:
    """Every tensor of the newest checkpoint: networks, averages and optimizers."""
    [*_, folder] = sorted(Path(request.address("checkpoints")).iterdir())
    index = Index.from_bytes((folder / INDEX_NAME).read_bytes())
    tensors = {}
    for name, stored in index.tensors.items():
        whole = torch.empty(stored.shape, dtype=getattr(torch, stored.dtype))
        for piece in stored.pieces:
            box = tuple(slice(at, at + size) for at, size in zip(piece.offsets, piece.sizes, strict=True))
            whole[box] = load_file(folder / piece.file)[piece.key]
        tensors[name] = whole
    return tensors
