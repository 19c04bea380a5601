"""One execution of Ray Data: units in, outcomes out. It may lose blocks; who counts on it counts for himself.

A block whose worker dies is tried again and then dropped, its neighbours go on (`max_errored_blocks`); whatever an
execution has dropped is simply not among the outcomes that it yields.
"""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterator, Sequence

from ray.data import ActorPoolStrategy, DataContext
from ray.data.exceptions import ExecutionTimeoutError
from ray.exceptions import RayError

from atelier.errors import AtelierError
from atelier.rows import Outcome
from pipelines.outcomes import from_table
from pipelines.placement import Pool
from pipelines.pools import FATAL, Work, worker_class
from pipelines.units import read_units

_STALL_S = 300.0
"""Beyond the pools' own deadline: how long nothing may move, for stalls outside the workers."""
_STARTING = threading.Lock()


class RunStopped(AtelierError):
    """An error that no row is to blame for; the message ends with the worker's traceback."""


class ExecutionBroken(AtelierError):
    """Ray Data gave up; the units without an outcome can be tried again."""


def execute(
    files: Sequence[str], works: Sequence[Work], *, rows_per_block: int, tries: int, alone: bool = False
) -> Iterator[list[Outcome]]:
    """Outcomes as they come, in no order.

    Args:
        files: addresses of Parquet files of `UNIT_SCHEMA`.
        works: one a pool, in order.
        rows_per_block: units that travel, are tried again and are dropped together.
        tries: how often a block may take its worker along before it is dropped.
        alone: hand a worker one row at a time, so that no other row dies with it.

    Raises:
        RunStopped: a worker met an error that no row is to blame for.
        ExecutionBroken: Ray Data ended early.
    """
    # The current context is the process's: executions that start at the same moment take turns.
    with _STARTING, DataContext.current(_context(works)), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dataset = read_units(files, rows_per_block=rows_per_block)
        for work in works:
            pool = work.pool
            dataset = dataset.map_batches(
                worker_class(pool),
                fn_constructor_args=[work],
                # Ray Data puts blocks together until they fill a batch; a chain pads a single row by itself.
                batch_size=1 if alone else work.facts.batch_size,
                # Zero-copy arrays are read-only maps of the object store: a stage that writes in place would crash.
                zero_copy_batch=False,
                compute=_workers(pool, alone=alone),
                num_cpus=None if pool.num_gpus else 1,
                num_gpus=pool.num_gpus or None,
                # Ray Data's default is to try for ever. With none, it drops what it hands to a worker that restarts.
                max_task_retries=max(1, tries - 1),
            )
        batches = dataset.iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=0)
    try:
        for table in batches:
            outcomes = from_table(table)
            for outcome in outcomes:
                if outcome.code == FATAL:
                    raise RunStopped(f"{outcome.stage}: {outcome.detail}")
            yield outcomes
    except (RayError, ExecutionTimeoutError) as error:
        raise ExecutionBroken(f"{type(error).__name__}: {error}") from error


def _workers(pool: Pool, *, alone: bool) -> ActorPoolStrategy:
    # On an accelerator two calls overlap in a worker, its stages never: a block is taken apart and its results handed
    # over while the next one computes (without, the accelerator stood idle for 50 ms between blocks).
    overlapping = bool(pool.num_gpus) and not alone
    return ActorPoolStrategy(
        size=pool.num_workers,
        max_tasks_in_flight_per_actor=1 if alone else 3 if overlapping else 2,
        max_concurrent_calls_per_actor=2 if overlapping else 1,
    )


def _context(works: Sequence[Work]) -> DataContext:
    """Settings of our executions alone; the process's own stay as they are."""
    context = DataContext.get_current().copy()
    context.max_errored_blocks = -1
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    # Rows travel in the blocks that were asked for: a block cut by size would end in batches that are not full.
    context.target_max_block_size = None
    context.execution_no_progress_timeout_s = max(work.deadline_s for work in works) + _STALL_S
    return context
