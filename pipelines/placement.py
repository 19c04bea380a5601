"""Placement: a recipe's stages grouped into pools of workers, and whether a machine has room for them.

Resources live here and nowhere else: which stages share a process, how many workers a pool has, what each may take, how
many threads it computes with, and which columns leave it. A stage knows none of it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from atelier.errors import ConfigError
from atelier.recipe import Recipe
from atelier.rows import INPUTS
from atelier.stages.base import ROW_COLUMNS, STATE_COLUMNS, StageConfig
from pipelines.job import CatalogJob

PREPARE = ("fetch", "decode")
"""Stages before the accelerator: they wait for the store and decode."""
FINISH = ("encode",)
"""Stages after it."""
SHARING = (PREPARE, ("agnostic", "layout", "warp"), ("target", "pose_map"), ("synthesize", "inspect"), FINISH)
"""Stages too light for a pool each: `split` puts neighbours that stand in one of these groups into one pool."""

READING_CPUS = 2
"""What Ray Data's own read and repartition tasks need beside the pools; with none left the run never starts."""
MAX_PREPARE_WORKERS = 8

UNIT_COLUMNS = (*ROW_COLUMNS, "plan_key", *(f"{name}_address" for name in INPUTS))
"""What a unit brings along from the plan."""
SINK_COLUMNS = (
    "plan_key",
    *(f"{name}_{part}" for name in INPUTS for part in ("address", "sha256")),
    "picture_key",
    "rendition_key",
    "stored",
    "image",
    "notes",
)
"""What the last pool needs beside what its stages read."""


@dataclass(frozen=True, kw_only=True)
class Machine:
    """What there is to place on, of this computer or of a whole cluster: Ray's logical CPUs, and accelerators."""

    num_cpus: int
    num_gpus: int = 0


@dataclass(frozen=True, kw_only=True)
class Pool:
    """Workers that all run the same stages.

    Args:
        stages: in order.
        keep: columns that leave it, besides those that always do.
        num_workers: processes, each with its own built stages.
        num_gpus: share of an accelerator that each worker takes; 0 computes on the CPU.
        num_threads: torch's threads in each worker. Pixels repeat bit for bit only at an equal number.
    """

    stages: tuple[StageConfig, ...]
    keep: tuple[str, ...]
    num_workers: int
    num_gpus: float = 0.0
    num_threads: int = 1

    @property
    def name(self) -> str:
        """Its stages' names: what Ray's dashboard and the logs call it."""
        return pool_name(self.stages)

    @property
    def num_cpus(self) -> int:
        """Logical CPUs of all its workers; Ray Data takes one for a worker with an accelerator, too."""
        return self.num_workers

    @property
    def device(self) -> str:
        """Where its tensors live."""
        return "cuda" if self.num_gpus else "cpu"


@dataclass(frozen=True, kw_only=True)
class Placement:
    """The pools of one recipe, first to last."""

    recipe: Recipe
    pools: tuple[Pool, ...]

    @property
    def num_cpus(self) -> int:
        """Logical CPUs that a run needs, what Ray Data itself needs included."""
        return sum(pool.num_cpus for pool in self.pools) + READING_CPUS

    @property
    def num_gpus(self) -> float:
        """Accelerators that a run needs."""
        return sum(pool.num_workers * pool.num_gpus for pool in self.pools)

    def describe(self) -> str:
        """One line: each pool with its workers."""
        return ", ".join(_described(pool) for pool in self.pools)

    def check(self, machine: Machine) -> None:
        """Refuses, with what is missing, a placement that a machine has no room for: Ray would wait for ever.

        Raises:
            ConfigError: naming each pool's needs.
        """
        gpus = math.ceil(round(self.num_gpus, 6))
        short = [
            f"{need - have} {what} missing"
            for what, need, have in (("CPUs", self.num_cpus, machine.num_cpus), ("GPUs", gpus, machine.num_gpus))
            if need > have
        ]
        if short:
            raise ConfigError(
                f"recipe {self.recipe.name} does not fit: {' and '.join(short)}. It needs {self.num_cpus} CPUs and "
                f"{gpus} GPUs ({self.describe()}, {READING_CPUS} CPUs for reading); there are {machine.num_cpus} CPUs "
                f"and {machine.num_gpus} GPUs. Take the placement `fused`, fewer workers, "
                f"or no more accelerators than there are."
            )


def place(recipe: Recipe, job: CatalogJob, machine: Machine, *, num_units: int | None = None) -> Placement:
    """Pools for a recipe.

    Args:
        job: says `fused` or `split`, how many accelerators to use and, by pool, workers of its own choice.
        machine: sizes the CPU pools.
        num_units: no pool gets more workers than there are blocks of units.

    Raises:
        ConfigError: stages that read columns which none before them writes, or workers for a pool that isn't there.
    """
    groups = _fused(recipe.stages, job) if job.placement == "fused" else _split(recipe.stages)
    blocks = max(1, math.ceil(num_units / job.rows_per_block)) if num_units is not None else machine.num_cpus
    computing = [i for i, group in enumerate(groups) if _computes(group)]
    _check_columns(recipe)
    pools = []
    for i, group in enumerate(groups):
        workers, num_gpus = _workers(groups, i, computing, job, machine)
        workers = job.workers.get(pool_name(group), min(workers, blocks))
        later = [config.columns() for following in groups[i + 1 :] for config in following]
        read = [name for columns in later for name in (*columns.reads, *columns.optional)]
        keep = tuple(dict.fromkeys((*SINK_COLUMNS, *read)))
        pools.append(Pool(stages=group, keep=keep, num_workers=workers, num_gpus=num_gpus))
    if unknown := sorted(set(job.workers) - {pool.name for pool in pools}):
        raise ConfigError(f"job {job.name}: workers for {unknown}; the pools are {[pool.name for pool in pools]}")
    return Placement(recipe=recipe, pools=tuple(pools))


def pool_name(stages: Sequence[StageConfig]) -> str:
    """What a pool of these stages is called."""
    return "+".join(stage.name for stage in stages)


def _check_columns(recipe: Recipe) -> None:
    there = {*UNIT_COLUMNS, *STATE_COLUMNS}
    for config in recipe.stages:
        columns = config.columns()
        if absent := sorted(set(columns.reads) - there):
            raise ConfigError(
                f"recipe {recipe.name}: stage {config.name} reads {absent}, which no stage before it writes"
            )
        there.update(columns.writes)


def _fused(stages: Sequence[StageConfig], job: CatalogJob) -> list[tuple[StageConfig, ...]]:
    # Without an accelerator there is nothing to keep busy apart: one pool saves the way through the object store.
    if not job.num_accelerators:
        return [tuple(stages)]
    kinds = (PREPARE, None, FINISH)
    groups = [tuple(stage for stage in stages if _kind(stage) is kind) for kind in kinds]
    return [group for group in groups if group]


def _split(stages: Sequence[StageConfig]) -> list[tuple[StageConfig, ...]]:
    groups: list[list[StageConfig]] = []
    for stage in stages:
        before = groups[-1][-1] if groups else None
        if before is not None and _shares(before, stage):
            groups[-1].append(stage)
        else:
            groups.append([stage])
    return [tuple(group) for group in groups]


def _shares(before: StageConfig, stage: StageConfig) -> bool:
    return any(before.name in group and stage.name in group for group in SHARING)


def _kind(stage: StageConfig) -> tuple[str, ...] | None:
    return next((kind for kind in (PREPARE, FINISH) if stage.name in kind), None)


def _computes(group: Sequence[StageConfig]) -> bool:
    return any(_kind(stage) is None for stage in group)


def _workers(
    groups: Sequence[Sequence[StageConfig]], index: int, computing: Sequence[int], job: CatalogJob, machine: Machine
) -> tuple[int, float]:
    """Workers of one pool, and the accelerator share of each.

    The last computing pool holds the heaviest stage (synthesis): it gets what the others leave.
    """
    if index not in computing:
        spare = machine.num_cpus - READING_CPUS - job.num_accelerators
        return max(1, min(MAX_PREPARE_WORKERS, spare // 4)), 0.0
    heaviest, others = index == computing[-1], len(computing) - 1
    gpus = job.num_accelerators
    if not gpus:
        return (max(1, machine.num_cpus - READING_CPUS - len(groups) + 1) if heaviest else 1), 0.0
    if gpus > others:
        return (gpus - others if heaviest else 1), 1.0
    # Fewer accelerators than pools: the heaviest has all but one to itself, the others share that one evenly.
    if gpus == 1:
        return 1, _share(len(computing))
    return (gpus - 1, 1.0) if heaviest else (1, _share(others))


def _share(pools: int) -> float:
    # Rounded down to Ray's resolution, so that the shares never add up to more than the whole.
    return math.floor(10_000 / pools) / 10_000


def _described(pool: Pool) -> str:
    gpus = f" x {pool.num_gpus:g} GPU" if pool.num_gpus else ""
    return f"{pool.name}: {pool.num_workers} worker{'s' if pool.num_workers > 1 else ''}{gpus}"


__all__ = ["Machine", "Placement", "Pool", "place"]
