"""Preparing by Ray Data: every part of a data set is one task, on whatever machines the cluster has.

Ray Data is the executor, not the truth: a part counts when its record lies in the output. Parts whose worker died are
made again, those of an earlier try are kept, and the index is written when all are there.
"""

from __future__ import annotations

import logging
import os
import pickle
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import ray
import ray.data
import torch
from ray.data import ActorPoolStrategy, DataContext
from ray.data.exceptions import ExecutionTimeoutError
from ray.exceptions import RayError

from atelier.errors import AtelierError
from atelier.joining import joining, keep_token_private
from training.data.preparing.here import num_cores
from training.data.preparing.part import Part, PartRecord, make_part
from training.data.preparing.plan import Preparation
from training.data.preparing.progress import told
from training.data.shards.index import ShardIndex
from training.data.sources.source import Source

_ROUNDS = 3
"""A part that takes its worker along three times over ends the preparation, which names its rows."""
_FEWEST_LOCAL_CPUS = 4
"""Logical CPUs of a local Ray; with two, Ray Data's own tasks and the workers wait for each other for ever."""
_READING_CPUS = 2


def prepare(preparation: Preparation, *, num_workers: int | None = None, num_gpus: float = 0) -> ShardIndex:
    """Makes what is still to make, and gives the index. Joins the Ray that runs, or starts one here and ends it.

    Args:
        num_workers: None: one for each CPU that Ray's own tasks leave, or for each accelerator where they take one.
        num_gpus: accelerator share of a worker, where the source's stages run on one.

    Raises:
        CatalogError: see `Preparation.finish`.
        ConfigError: the cluster at `RAY_ADDRESS` can't be joined.
        AtelierError: the first error of a part, e.g. of an output that cannot be written.
    """
    if (index := preparation.finished()) is not None:
        return index
    todo, records = preparation.pending()
    made = {record.number: record for record in records}
    with _connected():
        for _ in range(_ROUNDS):
            if not todo:
                break
            before = sum(record.num_listed for record in made.values())
            records = _round(preparation.source, todo, num_workers=num_workers, num_gpus=num_gpus)
            for record in told(preparation, records, num_rows_before=before):
                made[record.number] = record
            todo = [part for part in todo if part.number not in made]
    return preparation.finish(list(made.values()))


class _PartMaker:
    """One worker: the source's stages, built once, and a part at a time."""

    def __init__(self, source: Source) -> None:
        torch.set_num_threads(1)
        self._maker = source.build()

    def __call__(self, batch: dict[str, Any]) -> dict[str, list[bytes]]:
        outcomes = []
        for packed in batch["part"]:
            part: Part = pickle.loads(packed)  # noqa: S301  ours, out of this very job
            try:
                outcomes.append(pickle.dumps(make_part(self._maker, part)))
            except AtelierError as error:
                # Raised here it would be one more block that Ray Data drops.
                outcomes.append(pickle.dumps(error))
        return {"outcome": outcomes}


def _round(source: Source, parts: Sequence[Part], *, num_workers: int | None, num_gpus: float) -> Iterator[PartRecord]:
    workers = min(num_workers or _num_workers(num_gpus), len(parts))
    with DataContext.current(_context()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        items = [{"part": pickle.dumps(part)} for part in parts]
        # A block a part: what a worker that dies takes along is one part, and no worker waits for another's second.
        dataset = ray.data.from_items(items, override_num_blocks=len(items)).map_batches(
            _PartMaker,
            fn_constructor_args=[source],
            batch_size=1,
            compute=ActorPoolStrategy(size=workers),
            num_cpus=None if num_gpus else 1,
            num_gpus=num_gpus or None,
            max_task_retries=1,
        )
        blocks = dataset.iter_batches(batch_size=None, prefetch_batches=0)
    try:
        for block in blocks:
            for packed in block["outcome"].tolist():
                outcome: PartRecord | AtelierError = pickle.loads(packed)  # noqa: S301  ours, out of this very job
                if isinstance(outcome, AtelierError):
                    raise outcome
                yield outcome
    except (RayError, ExecutionTimeoutError) as error:
        logging.getLogger(__name__).warning("Ray Data gave up on a round of parts: %s", error)


def _num_workers(num_gpus: float) -> int:
    resources = ray.cluster_resources()
    if num_gpus:
        return max(1, int(resources.get("GPU", 0) / num_gpus))
    return max(1, int(resources.get("CPU", 0)) - _READING_CPUS)


def _context() -> DataContext:
    """Settings of our executions alone; the process's own stay as they are."""
    context = DataContext.get_current().copy()
    context.max_errored_blocks = -1
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    context.target_max_block_size = None
    return context


@contextmanager
def _connected() -> Iterator[None]:
    if ray.is_initialized():
        yield
        return
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    # Ray's C++ side writes to the driver's stderr what every actor pool of Ray Data brings about and nobody can mend.
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    for handler in logging.getLogger("ray.data").handlers:
        if isinstance(handler, logging.StreamHandler) and type(handler).__module__.startswith("ray."):
            handler.setLevel(logging.CRITICAL)
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    if address := os.environ.get("RAY_ADDRESS"):
        with joining(address):
            ray.init(**quiet)
    else:
        cpus = max(_FEWEST_LOCAL_CPUS, num_cores() + _READING_CPUS)
        keep_token_private()
        ray.init(address="local", num_cpus=cpus, include_dashboard=False, **quiet)
    try:
        yield
    finally:
        ray.shutdown()
