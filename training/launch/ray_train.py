"""A run on a Ray cluster, by Ray Train's TorchTrainer: lost workers come back, and the cluster may grow and shrink."""

from __future__ import annotations

import logging
import math
import os
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TextIO, cast

import ray
import ray.train
import ray.train.torch
import torch
from ray.train.v2.api.exceptions import TrainingFailedError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy
from rich.console import Console

from atelier.errors import AtelierError
from atelier.joining import joining, keep_token_private
from training.launch.bell import Bell, Terminal
from training.launch.holding import holding
from training.launch.refusal import would_come_again
from training.launch.request import TrainRequest
from training.launch.torchrun import COLLECTIVE_TIMEOUT, backend_for
from training.launch.train import TrainOutcome, train
from training.supervisor import Supervisor, stopping_on_signals
from training.wishes import Wish
from training.world import World

_LOOK_EVERY_S = 2.0


@dataclass(frozen=True, kw_only=True)
class RayWorkers:
    """How many workers, on what.

    Args:
        num_workers: exactly so many, or (fewest, most): as many of them as the cluster has room for, again and again.
        use_gpu: an accelerator for each; None: where the cluster has any.
        resources: of each worker besides, as Ray names them.
        max_failures: lost workers that the run survives. Nodes that were taken away with notice don't count.
        resize_every_s: how often to look whether the cluster has room for more or other workers.
    """

    num_workers: int | tuple[int, int] = 1
    use_gpu: bool | None = None
    resources: Mapping[str, float] = field(default_factory=dict)
    max_failures: int = 10
    resize_every_s: float = 60.0

    @property
    def most(self) -> int:
        """As many as there ever are."""
        return self.num_workers if isinstance(self.num_workers, int) else self.num_workers[1]


class RaySupervisor(Supervisor):
    """Hears the driver's bell and the cluster's notices that a node is about to go.

    Args:
        rank: of this worker; the first looks for notices, as often as makes sense, so that all look at the same step.
    """

    def __init__(self, bell: Any, rank: int) -> None:
        super().__init__()
        self._rung = bell.rung.remote()
        self._rank, self._looked, self._notice = rank, time.monotonic(), ""

    def wish(self) -> Wish:
        if (now := time.monotonic()) - self._looked < _LOOK_EVERY_S:
            return super().wish()
        self._looked = now
        if not self.reason and ray.wait([self._rung], timeout=0)[0]:
            self.stop(ray.get(self._rung))
        if self.reason or self._rank > 0 or self._notice:
            return super().wish()
        return Wish.LOOK

    def look(self) -> Wish:
        # A call of all workers through an actor: far too slow for every step.
        info = ray.train.get_preemption_info()
        if info is None or self._notice:
            return Wish.GO_ON
        # Once: Ray stops the workers when the node goes, and starts them anew on what is left.
        self._notice = _notice(info)
        return Wish.KEEP

    @property
    def notice(self) -> str:
        return self._notice

    def kept(self, step: int, address: str) -> None:
        # At checkpoints only: a report takes up to two seconds where reports follow on each other. Without a
        # checkpoint of Ray's own, which it would move and delete: ours are whole or absent by themselves.
        ray.train.report({"step": step, "checkpoint": address})


def _notice(info: ray.train.PreemptionInfo) -> str:
    nodes = ", ".join(node_id[:8] for node_id in info.preempted_node_ids)
    ranks = ", ".join(map(str, info.preempted_ranks))
    goes = f"notice that node {nodes} goes"
    if info.deadline_ms is not None:
        goes += f" in {max(0.0, info.deadline_ms / 1000 - time.time()):.0f} s"
    return f"{goes}, with worker {ranks}"


class WorkersLost(AtelierError):
    """More workers failed than the run survives; the message ends with the last one's traceback."""


def train_on_ray(request: TrainRequest, workers: RayWorkers) -> TrainOutcome:
    """Trains on the cluster that Ray is connected to, or on one of this machine; SIGTERM and SIGINT end it kept.

    Worker loss, a node taken away with or without notice, or room for more workers: Ray starts the workers anew, and
    they go on from the newest whole checkpoint.

    Raises:
        AtelierError: as `train`; or checkpoints are there, and nobody asked to go on from them; or another process
            trains there; or a local Ray did not start in time, or the cluster at `RAY_ADDRESS` can't be joined.
        WorkersLost: more workers were lost than `max_failures`.
    """
    request.refuse_overwriting()
    # Before workers are started, which takes half a minute.
    World(rank=0, num_workers=workers.most, local_rank=0, device=torch.device("cpu")).rows(
        request.resolved().batch_size
    )
    supervisor = Supervisor()
    with holding(request.folder, supervisor.stop):
        if not ray.is_initialized():
            _connect(workers)
        return _train(request, workers, supervisor)


def _train(request: TrainRequest, workers: RayWorkers, supervisor: Supervisor) -> TrainOutcome:
    use_gpu = ray.cluster_resources().get("GPU", 0) > 0 if workers.use_gpu is None else workers.use_gpu
    # On the driver's own machine: it must not be lost with a worker's.
    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    bell: Any = ray.remote(Bell).options(num_cpus=0, scheduling_strategy=here).remote()
    trainer = ray.train.torch.TorchTrainer(
        _work,
        train_loop_config={"request": request, "bell": bell, "width": Console().width},
        torch_config=ray.train.torch.TorchConfig(
            backend=backend_for(torch.device("cuda" if use_gpu else "cpu")),
            timeout_s=int(COLLECTIVE_TIMEOUT.total_seconds()),
        ),
        scaling_config=ray.train.ScalingConfig(
            num_workers=workers.num_workers,
            use_gpu=use_gpu,
            resources_per_worker=dict(workers.resources) or None,
            elastic_resize_monitor_interval_s=workers.resize_every_s,
        ),
        run_config=ray.train.RunConfig(
            # Ray's own notes. A new name each time: it would otherwise take up its own idea of where the run stood.
            name=f"start-{time.strftime('%Y%m%dT%H%M%S')}",
            storage_path=request.address("ray"),
            failure_config=ray.train.FailureConfig(max_failures=workers.max_failures),
        ),
    )
    return _fit(trainer, bell, supervisor)


def _connect(workers: RayWorkers) -> None:
    # What workers print comes through the bell; Ray would add a line a second about its own affairs.
    quiet = {"log_to_driver": False, "logging_level": logging.ERROR}
    if address := os.environ.get("RAY_ADDRESS"):
        with joining(address):
            ray.init(**quiet)
        return
    needed = math.ceil(workers.most * workers.resources.get("CPU", 1))
    num_cpus = max(needed, os.cpu_count() or 1)
    keep_token_private()
    try:
        ray.init(address="local", num_cpus=num_cpus, include_dashboard=False, **quiet)
    except Exception as error:
        if "timed out during startup" not in str(error):
            raise
        raise AtelierError(
            f"Ray did not start here within its own 30 s; {os.getloadavg()[0]:.1f} processes wait for "
            f"{os.cpu_count()} cores: try again when this machine is less busy, or name a cluster by RAY_ADDRESS"
        ) from error


def _fit(trainer: ray.train.torch.TorchTrainer, bell: Any, supervisor: Supervisor) -> TrainOutcome:
    """Fits in a thread: in the main thread Ray takes SIGINT to abort the workers, without a checkpoint."""
    ended: list[ray.train.Result | Exception] = []

    def fit() -> None:
        try:
            ended.append(trainer.fit())
        except Exception as error:  # noqa: BLE001  raised again below, in the thread that waits for it
            ended.append(error)

    rung = False
    thread = threading.Thread(target=fit, name="fit", daemon=True)
    with stopping_on_signals(supervisor):
        thread.start()
        while thread.is_alive():
            thread.join(0.5)
            sys.stdout.write(ray.get(bell.said.remote()))
            sys.stdout.flush()
            if supervisor.reason and not rung:
                ray.get(bell.ring.remote(supervisor.reason))
                rung = True
    [result] = ended
    if isinstance(result, Exception):
        refusal: Any = ray.get(bell.refusal.remote())
        if refusal is not None:
            raise refusal
        if isinstance(result, TrainingFailedError):
            raise WorkersLost(f"Ray Train gave up; the last whole checkpoint is there: {result}") from result
        raise result
    outcome = result.return_value
    if isinstance(outcome, AtelierError):
        raise outcome
    assert isinstance(outcome, TrainOutcome)
    return outcome


def _work(config: Mapping[str, Any]) -> TrainOutcome | AtelierError:
    """What each of Ray Train's workers runs. An error that would come again is given back when it does."""
    request, bell = config["request"], config["bell"]
    refusal: Any = ray.get(bell.refusal.remote())
    if refusal is not None:
        return refusal
    context = ray.train.get_context()
    world = World(
        rank=context.get_world_rank(),
        num_workers=context.get_world_size(),
        local_rank=context.get_local_rank(),
        device=ray.train.torch.get_device(),
    )
    try:
        console = Console(file=cast(TextIO, Terminal(bell)), width=config["width"])
        return train(request, world, RaySupervisor(bell, world.rank), console)
    except AtelierError as error:
        # Raised all the same: the others may wait for this worker, and end only with it.
        if would_come_again(error):
            ray.get(bell.refuse.remote(error))
        raise
