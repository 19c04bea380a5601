"""Preparing on this machine alone, by its own cores: for data that is drawn, or small."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

from training.data.preparing.part import Part, PartRecord, make_part
from training.data.preparing.plan import Preparation
from training.data.preparing.process import PartProcess
from training.data.preparing.progress import told
from training.data.shards.index import ShardIndex
from training.data.sources.source import Source

_FEW_ROWS = 64
"""Up to as many are made in this process: a process more takes seconds to start."""


def prepare_here(preparation: Preparation, *, num_processes: int | None = None) -> ShardIndex:
    """Makes what is still to make, and gives the index.

    Args:
        num_processes: None: one a core; 1 makes all in this process.
    """
    if (index := preparation.finished()) is not None:
        return index
    todo, records = preparation.pending()
    wanted = num_processes or (num_cores() if sum(len(part.rows) for part in todo) > _FEW_ROWS else 1)
    make = _by_processes if (count := min(wanted, len(todo))) > 1 else _alone
    made = make(preparation.source, todo, count)
    before = sum(record.num_listed for record in records)
    return preparation.finish([*records, *told(preparation, made, num_rows_before=before)])


def num_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _alone(source: Source, parts: Sequence[Part], count: int) -> Iterator[PartRecord]:
    if parts:
        maker = source.build()
        yield from (make_part(maker, part) for part in parts)


def _by_processes(source: Source, parts: Sequence[Part], count: int) -> Iterator[PartRecord]:
    # Not forked: this process may hold a process group, a Ray connection or an accelerator.
    with ProcessPoolExecutor(
        count, mp_context=get_context("spawn"), initializer=PartProcess.start, initargs=(source,)
    ) as processes:
        yield from processes.map(PartProcess.make, parts)
