"""One measured training run, alone or as a worker of torchrun: `python -m benchmarks.train_trial SPEC RESULT`."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import torch
import torch.distributed as dist

from atelier.models.parsing.config import parser_closet
from benchmarks.bare_training import train_bare
from benchmarks.published import write_earlier
from benchmarks.turns import StepClock
from training.data.closet_source import ClosetConfig
from training.data.config import DataConfig
from training.data.look import LookColumns
from training.launch.request import TrainRequest
from training.launch.torchrun import backend_for, is_torchrun_worker
from training.launch.train import train
from training.run import TrainRun
from training.runs.perception import LABEL_SHARES
from training.steps.parser import ParserStepConfig
from training.supervisor import Supervisor
from training.wishes import Wish
from training.world import World

System = Literal["bare", "loop"]
NUM_SAMPLES = 96
NEVER = 10**9


@dataclass(frozen=True, kw_only=True)
class TrainTrial:
    """What to run.

    Args:
        system: the `bare` loop, or Atelier's.
        run: what is trained, `module:function`; the bare loop knows `benchmark_run` alone.
        precision, compile, channels_last, checkpoint_every_steps: of Atelier's loop; `bare` knows the first alone.
        seed: of weights and order, the same in both.
        stretch: steps a turn, where it takes turns with another by the pipes in its folder; 0 where it runs by itself.
    """

    system: System
    steps: int
    batch_size: int
    folder: str
    cache: str
    run: str = "benchmarks.train_trial:benchmark_run"
    precision: Literal["float32", "bfloat16"] = "bfloat16"
    compile: bool = False
    channels_last: bool = False
    checkpoint_every_steps: int = NEVER
    seed: int = 0
    stretch: int = 0

    @property
    def overrides(self) -> dict[str, Any]:
        """What this trial changes of `benchmark_run`."""
        names = ("batch_size", "seed", "precision", "compile", "channels_last", "checkpoint_every_steps")
        return {"num_steps": self.steps, **{name: getattr(self, name) for name in names}}

    def request(self) -> TrainRequest:
        """The run as a launcher is asked for it."""
        return TrainRequest(run=self.run, output=self.folder, cache=Path(self.cache), overrides=self.overrides)


def benchmark_run() -> TrainRun:
    """The small parser, on maps of one size from first to last, so that every step is the same work."""
    step = ParserStepConfig(model=parser_closet(), pixel_shares=LABEL_SHARES, coarse_until=1.0)
    data = DataConfig(closet=ClosetConfig(kind="looks", num_samples=NUM_SAMPLES), columns=LookColumns())
    return TrainRun(name="benchmark", data=data, step=step, batch_size=8, num_steps=40)


@dataclass(frozen=True, kw_only=True)
class TrainMeasurement:
    """How a trial went.

    Args:
        started_s: when each step began, by a clock that stands still during another's turn.
        peak_bytes: of the accelerator's memory; 0 on a CPU.
        checkpoint_bytes: what the last checkpoint takes in the store.
    """

    started_s: list[float]
    peak_bytes: int = 0
    checkpoint_bytes: int = 0

    def step_s(self, skip: int) -> float:
        """Seconds a step, without the first `skip`."""
        return (self.started_s[-1] - self.started_s[skip]) / (len(self.started_s) - 1 - skip)

    def stretches_s(self, stretch: int) -> list[float]:
        """Seconds of each whole stretch."""
        ends = self.started_s[::stretch]
        return [end - start for start, end in pairwise(ends)]


class _Watched(Supervisor):
    """Looks at the clock when the loop asks before each step whether it may go on."""

    def __init__(self, clock: StepClock) -> None:
        super().__init__()
        self._clock = clock

    def wish(self) -> Wish:
        self._clock.step()
        return super().wish()


def measure(trial: TrainTrial, world: World) -> TrainMeasurement:
    """Runs a trial in this world."""
    request = trial.request()
    takes_turns = trial.stretch > 0 and world.is_first
    clock = StepClock(Path(trial.folder) if takes_turns else None, max(1, trial.stretch))
    if trial.system == "bare":
        train_bare(request.resolved(), request.cache_folder, world, clock)
        return TrainMeasurement(started_s=clock.started_s, peak_bytes=_peak(world))
    if world.is_first:
        write_earlier(request.resolved(), request.runs_folder)
    train(request, world, _Watched(clock))
    checkpoints = sorted(Path(trial.folder).glob("benchmark/checkpoints/step-*"))
    size = sum(file.stat().st_size for file in checkpoints[-1].rglob("*") if file.is_file()) if checkpoints else 0
    return TrainMeasurement(started_s=clock.started_s, peak_bytes=_peak(world), checkpoint_bytes=size)


def _peak(world: World) -> int:
    return torch.cuda.max_memory_allocated(world.device) if world.device.type == "cuda" else 0


def main() -> None:
    """Reads the trial, runs it, writes what was measured; of several workers the first writes."""
    spec, result = map(Path, sys.argv[1:])
    trial = TrainTrial(**json.loads(spec.read_text()))
    if is_torchrun_worker():
        dist.init_process_group(backend_for(torch.device("cpu")))
        rank = dist.get_rank()
        world = World(rank=rank, num_workers=dist.get_world_size(), local_rank=rank, device=torch.device("cpu"))
    else:
        world = World.alone("cuda:0" if torch.cuda.is_available() else "cpu")
    measured = measure(trial, world)
    if world.is_first:
        result.write_text(json.dumps(asdict(measured)))
    if world.num_workers > 1:
        dist.destroy_process_group()


if __name__ == "__main__":
    main()
