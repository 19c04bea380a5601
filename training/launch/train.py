"""What every worker of every launcher does."""

from __future__ import annotations

from dataclasses import dataclass

from training.checkpoints import CheckpointInfo, CheckpointStore
from training.data.loader import Loader
from training.data.order import SampleOrder
from training.launch.request import TrainRequest
from training.layout import Layout
from training.loop import DONE, TrainLoop
from training.randomness import draw_weights_from
from training.supervisor import Supervisor
from training.watch.log_folder import LogFolder
from training.watch.settings import watching
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


def train(request: TrainRequest, world: World, supervisor: Supervisor) -> TrainOutcome:
    """Trains in a world until the run is done or the supervisor asks to stop, from the newest checkpoint on.

    Raises:
        ConfigError: settings, data or weights that do not fit, or another run's checkpoint.
        DivergedError: a loss ran away; the last checkpoint is from before it.
        StorageError: data that cannot be read, or checkpoints that cannot be written.
    """
    loop = open_loop(request, world, supervisor)
    reason = loop.fit()
    loop.close()
    latest = loop.store.latest()
    return TrainOutcome(
        run=loop.run.name,
        num_steps_done=loop.num_steps_done,
        reason=reason,
        checkpoint="" if latest is None else f"{loop.store.address}/step-{latest.num_steps_done:08d}",
    )


def open_loop(request: TrainRequest, world: World, supervisor: Supervisor | None = None) -> TrainLoop:
    """The loop of a request, all of its parts opened; to be called on every worker.

    Raises:
        ConfigError: settings, data or weights that do not fit.
    """
    run = request.resolved()
    world.rows(run.batch_size)
    draw_weights_from(run.seed)
    step = run.step.build(request.runs_folder)
    dataset = run.data.open(request.data, request.cache_folder)
    loader = Loader(
        dataset=dataset,
        columns=run.data.columns,
        order=SampleOrder(run.seed, dataset.num_samples),
        batch_size=run.batch_size,
        world=world,
        num_workers=run.loader_workers,
    )
    logs = LogFolder(request.address("log"), request.cache_folder)
    return TrainLoop(
        run,
        world,
        Layout(step, run, world),
        loader=loader,
        store=CheckpointStore(request.address("checkpoints"), world, keep=run.keep),
        info=CheckpointInfo.start(run, data=dataset.digest, num_workers=world.num_workers, command=request.command),
        supervisor=supervisor,
        observers=watching(request.watch, logs) if world.is_first else None,
        log_folder=logs.path,
    )
