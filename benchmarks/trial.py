"""One measured run in a process of its own: `python -m benchmarks.trial SPEC RESULT`, both JSON files."""

from __future__ import annotations

import hashlib
import json
import os
import sys
import time
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import torch

from atelier import recipes, storage
from atelier.recipe import Recipe
from benchmarks.loops import Threads, prefetching, resident
from benchmarks.stand_in import intervals, stand_in_recipe
from pipelines.job import CatalogJob
from pipelines.records import encoding
from pipelines.sink import Sink

if TYPE_CHECKING:
    from pipelines.placement import Machine

System = Literal["resident", "prefetching", "job"]


@dataclass(frozen=True, kw_only=True)
class Trial:
    """What to run.

    Args:
        system: B0 `resident`, B1 `prefetching`, or the `job`.
        recipe: `stand_in`, or a recipe of Atelier's by name.
        rows: of the catalog.
        seconds_per_row, size: of the stand-in.
        num_accelerators: of the job; the stand-in's is one that Ray is told of.
        is_single: the job has one worker in every pool, whatever there is room for.
        pause_s: before every batch of B1.
        threads: of B1.
    """

    system: System
    recipe: str
    rows: int
    catalog: str
    folder: str
    seconds_per_row: float = 0.0
    size: tuple[int, int] = (512, 384)
    batch_size: int = 4
    pause_s: float = 0.0
    threads: Threads = field(default_factory=Threads)
    num_accelerators: int = 0
    is_single: bool = False

    @property
    def output(self) -> str:
        """Where its pictures go."""
        return f"{self.folder}/output"

    @property
    def log(self) -> str:
        """Where the stand-in says when it was busy."""
        return f"{self.folder}/busy"

    def build(self) -> Recipe:
        """The recipe."""
        if self.recipe != "stand_in":
            return recipes.named(self.recipe)
        return stand_in_recipe(
            size=self.size, batch_size=self.batch_size, seconds_per_row=self.seconds_per_row, log=self.log
        )


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """How a trial went.

    Args:
        wall_s: from handing the catalog over to the last picture stored (the job: published and reported too). Torch's
            and Ray's imports and Ray's start are not in it, those of the job's own modules are.
        ray_init_s: how long Ray took to start, apart.
        head_s: until the stand-in starts. span_s: until it ends its last batch. tail_s: from there.
        busy_s: seconds of the span in which the stand-in was busy; 0 for another recipe, whose span is all there is.
        again_s: what the same job takes once more, when it has nothing to make; 0 for a loop.
        pictures: sha256 of every stored object, by its path below the output.
    """

    rows: int
    wall_s: float
    ray_init_s: float = 0.0
    head_s: float = 0.0
    span_s: float = 0.0
    tail_s: float = 0.0
    busy_s: float = 0.0
    again_s: float = 0.0
    pictures: dict[str, str] = field(default_factory=dict)


def measure(trial: Trial) -> Measurement:
    """Runs a trial in this process."""
    ray_init_s = again_s = 0.0
    recipe = trial.build()
    torch.set_num_threads(1)  # as placement does for each worker
    if trial.system == "resident":
        return _timed(trial, *resident(recipe, trial.catalog))
    if trial.system == "job":
        job = CatalogJob(name="benchmark", recipes=(recipe,), num_accelerators=trial.num_accelerators)
        if trial.is_single:
            job = _with_one_worker(job)
        ray_init_s = _start_ray(job)
        started = time.monotonic()
        _run(job, trial, made=trial.rows)
        ended = time.monotonic()
        _run(job, trial, made=0)
        again_s = time.monotonic() - ended
    else:
        output, how = storage.resolve(trial.output), encoding(recipe)
        sink = Sink(output=output, format=how.format, source_type=how.source_type, keep_masters=True)
        started = time.monotonic()
        prefetching(recipe, trial.catalog, sink, trial.threads, pause_s=trial.pause_s)
        ended = time.monotonic()
    return _timed(trial, started, ended, ray_init_s=ray_init_s, again_s=again_s)


def _start_ray(job: CatalogJob) -> float:
    """Starts Ray as a run would by itself, but with a stand-in's logical accelerator; gives the seconds it took."""
    import ray

    from pipelines.placement import place

    there = _machine(job)
    cpus = max(there.num_cpus, place(job.recipes[0], job, there).num_cpus)
    started = time.monotonic()
    ray.init(address="local", num_cpus=cpus, num_gpus=there.num_gpus, include_dashboard=False, log_to_driver=False)
    return time.monotonic() - started


def _with_one_worker(job: CatalogJob) -> CatalogJob:
    from pipelines.placement import place

    pools = place(job.recipes[0], job, _machine(job)).pools
    return replace(job, workers={pool.name: 1 for pool in pools})


def _machine(job: CatalogJob) -> Machine:
    from pipelines.placement import READING_CPUS, Machine

    return Machine(num_cpus=len(os.sched_getaffinity(0)) + READING_CPUS, num_gpus=job.num_accelerators)


def _run(job: CatalogJob, trial: Trial, *, made: int) -> None:
    from pipelines.exits import Exit
    from pipelines.run import run
    from pipelines.summary import summarize

    status = run(job, trial.catalog, trial.output)
    found = summarize(trial.output).as_json()
    if status != Exit.DONE or (found["ok"], found["made"]) != (trial.rows, made):
        raise RuntimeError(f"void: the job ended with status {status} and {found}, {made} pictures were to make")


def _timed(trial: Trial, started: float, ended: float, *, ray_init_s: float = 0.0, again_s: float = 0.0) -> Measurement:
    first, last = (busy[0][0], busy[-1][1]) if (busy := intervals(trial.log)) else (started, ended)
    return Measurement(
        rows=trial.rows,
        wall_s=ended - started,
        ray_init_s=ray_init_s,
        head_s=first - started,
        span_s=last - first,
        tail_s=ended - last,
        busy_s=sum(end - start for start, end in busy),
        again_s=again_s,
        pictures=_pictures(trial.output),
    )


def _pictures(output: str) -> dict[str, str]:
    root = Path(output)
    files = [path for name in ("pictures", "masters") for path in sorted((root / name).rglob("*")) if path.is_file()]
    return {str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def read_trial(values: dict[str, Any]) -> Trial:
    """A trial from JSON, which knows no tuples."""
    return Trial(**values | {"size": tuple(values["size"]), "threads": Threads(**values["threads"])})


def main() -> None:
    """Reads the trial, writes the measurement."""
    spec, result = (Path(argument) for argument in sys.argv[1:3])
    result.write_text(json.dumps(asdict(measure(read_trial(json.loads(spec.read_text()))))))


if __name__ == "__main__":
    main()
