"""What every worker of every launcher does."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from rich.console import Console

from training.allocator import keep_freed_memory
from training.checkpoints import CheckpointInfo, CheckpointStore
from training.data.dataset import Dataset
from training.data.loader import Loader
from training.data.order import SampleOrder
from training.disk import telling_of_the_disk
from training.launch.request import TrainRequest
from training.layout import Layout
from training.loop import DONE, TrainLoop, Validate
from training.randomness import draw_weights_from, row_seeds
from training.run import TrainRun
from training.steps.base import TrainStep
from training.supervisor import Supervisor
from training.watch.flops import StepFlops, count_flops
from training.watch.log_folder import LogFolder
from training.watch.settings import watching
from training.watch.validation.base import validating
from training.world import World


@dataclass(frozen=True, kw_only=True)
class TrainOutcome:
    """How it ended.

    Args:
        reason: `done`, or who asked to stop.
        checkpoint: address of the last one, which is whole.
    """

    run: str
    num_steps_done: int
    reason: str
    checkpoint: str

    @property
    def is_done(self) -> bool:
        """Whether all steps were made."""
        return self.reason == DONE


def train(request: TrainRequest, world: World, supervisor: Supervisor, console: Console | None = None) -> TrainOutcome:
    """Trains in a world until the run is done or the supervisor asks to stop, from the newest checkpoint on.

    Args:
        console: where the first worker tells of its progress; None is this process's.

    Raises:
        ConfigError: settings, data or weights that do not fit, or another run's checkpoint.
        DivergedError: a loss ran away; the last checkpoint is from before it.
        StorageError: data that cannot be read, checkpoints that cannot be written, or a disk that is full.
    """
    with telling_of_the_disk():
        loop = open_loop(request, world, supervisor, console)
        reason = loop.fit()
        loop.close()
    latest = loop.store.latest()
    return TrainOutcome(
        run=loop.run.name,
        num_steps_done=loop.num_steps_done,
        reason=reason,
        checkpoint="" if latest is None else f"{loop.store.address}/step-{latest.num_steps_done:08d}",
    )


def open_loop(
    request: TrainRequest, world: World, supervisor: Supervisor | None = None, console: Console | None = None
) -> TrainLoop:
    """The loop of a request, all of its parts opened; to be called on every worker.

    Raises:
        ConfigError: settings, data or weights that do not fit.
    """
    run = request.resolved()
    world.rows(run.batch_size)
    if world.device.type == "cpu":
        keep_freed_memory()
    logs = LogFolder(request.address("log"), request.cache_folder)
    if world.is_first:
        logs.make()
    draw_weights_from(run.seed)
    request.fetch_earlier(run)
    step = run.step.build(request.runs_folder)
    dataset = run.data.open(request.data, request.cache_folder)
    loader = Loader(
        dataset=dataset,
        columns=run.data.loaded_columns,
        order=SampleOrder(run.seed, dataset.num_samples),
        batch_size=run.batch_size,
        world=world,
        num_workers=run.loader_workers,
    )
    flops = _counted_flops(run, step, dataset, world) if world.is_first else None
    return TrainLoop(
        run,
        world,
        Layout(step, run, world),
        loader=loader,
        store=CheckpointStore(request.address("checkpoints"), world, keep=run.keep),
        info=CheckpointInfo.start(run, data=dataset.digest, num_workers=world.num_workers, command=request.command),
        # Whoever names another value for a run that is there wants it to go on with that.
        changed=tuple(request.overrides) if request.resume else (),
        supervisor=supervisor,
        observers=watching(request.watch, logs, console) if world.is_first else None,
        validate=_validating(request, run, step, logs.path, world),
        log_folder=logs.path,
        flops=flops,
    )


_NUM_COUNTED_ROWS = 2
"""Enough for a step that treats every second row otherwise."""


def _counted_flops(run: TrainRun, step: TrainStep, dataset: Dataset, world: World) -> StepFlops:
    """What a step costs this worker; counted where it will run, or in the host's memory where no device holds it."""
    device = torch.device("cpu") if run.sharding == "sharded" else world.device
    step.to(device)
    order = SampleOrder(run.seed, dataset.num_samples)
    turns = [order.turn(index) for index in range(_NUM_COUNTED_ROWS)]
    rows = [run.data.columns(dataset[turn.sample], turn.dice()) for turn in turns]
    batch = {name: torch.from_numpy(np.stack([row[name] for row in rows])).to(device) for name in rows[0]}
    return count_flops(step, batch, row_seeds(run.seed, range(len(turns))), num_rows=len(world.rows(run.batch_size)))


def _validating(request: TrainRequest, run: TrainRun, step: TrainStep, folder: Path, world: World) -> Validate | None:
    if run.validation is None or not world.is_first:
        return None
    validation = run.validation.beside(request.data).among(request.runs_folder)
    return validating(validation, step, run=run.name, folder=folder, device=world.device)
