"""What a job is measured against: loops in one process, as an engineer would write them for one night's work.

They use the library and the same names, formats and store as the job, and have nothing else of it: no plan, no ledger,
no look at what is stored, no row that fails alone.
"""

from __future__ import annotations

import time
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch

from atelier.keys import picture_key, rendition_key
from atelier.recipe import Recipe
from atelier.stages.base import Batch, num_rows
from atelier.stages.chain import StageChain, column
from benchmarks.catalogs import batches
from pipelines.placement import FINISH, PREPARE
from pipelines.records import Facts, encoding
from pipelines.said import Said
from pipelines.sink import NOTHING, Sink

_DEPTH = 4
"""Batches that wait before and after the accelerator."""


@dataclass(frozen=True, kw_only=True)
class Threads:
    """How many batches are worked on at once: decoded, sampled, encoded and stored."""

    prepare: int = 1
    compute: int = 1
    finish: int = 1


def resident(recipe: Recipe, catalog: str) -> tuple[float, float]:
    """B0, the ceiling: all inputs decoded before, nothing encoded or stored. Gives when it started and ended."""
    how = encoding(recipe)
    loop = _Loop(recipe, Sink(output="", format=how.format, source_type=how.source_type, keep_masters=False))
    ready = [loop.prepare(batch) for batch in batches(catalog, recipe.batch_size)]
    started = time.monotonic()
    for batch in ready:
        loop.compute(batch)
    return started, time.monotonic()


def prefetching(recipe: Recipe, catalog: str, sink: Sink, threads: Threads, *, pause_s: float = 0.0) -> None:
    """B1: decoding threads, a bounded queue, the model, another queue, encoding threads, the store.

    Args:
        pause_s: waited before every batch, to see that the measurement notices.
    """
    loop = _Loop(recipe, sink)

    def compute(prepared: Future[Batch]) -> Batch:
        batch = prepared.result()
        time.sleep(pause_s)
        return loop.compute(batch)

    def finish(computed: Future[Batch]) -> None:
        loop.finish(computed.result())

    with (
        ThreadPoolExecutor(threads.prepare) as preparing,
        ThreadPoolExecutor(threads.compute) as computing,
        ThreadPoolExecutor(threads.finish) as finishing,
    ):
        under_way: deque[Future[None]] = deque()
        for batch in batches(catalog, recipe.batch_size):
            prepared = preparing.submit(loop.prepare, batch)
            under_way.append(finishing.submit(finish, computing.submit(compute, prepared)))
            if len(under_way) > 2 * _DEPTH + threads.compute:
                under_way.popleft().result()
        for finished in under_way:
            finished.result()


class _Loop:
    def __init__(self, recipe: Recipe, sink: Sink) -> None:
        self._facts, self._sink = Facts.of(recipe, "loop"), sink
        kinds = {"prepare": PREPARE, "finish": FINISH}
        groups = {kind: [stage for stage in recipe.stages if stage.name in names] for kind, names in kinds.items()}
        groups["compute"] = [stage for stage in recipe.stages if stage.name not in (*PREPARE, *FINISH)]
        built = {kind: [stage.build(torch.device("cpu")) for stage in stages] for kind, stages in groups.items()}
        self._chains = {kind: StageChain(stages, batch_size=recipe.batch_size) for kind, stages in built.items()}

    def prepare(self, batch: Batch) -> Batch:
        batch = self._chains["prepare"].run(batch)
        facts = self._facts
        pictures = [
            picture_key(
                fingerprint=facts.fingerprint,
                prompt=batch["prompt"][row],
                seed=int(batch["seed"][row]),
                input_sha256=facts.given(batch, row, "sha256"),
            )
            for row in range(num_rows(batch))
        ]
        renditions = [rendition_key(picture=picture, rendition=facts.rendition) for picture in pictures]
        return batch | {"picture_key": column(pictures), "rendition_key": column(renditions)}

    def compute(self, batch: Batch) -> Batch:
        return self._chains["compute"].run(batch, keep={"image", "frame", "picture_key", "rendition_key"})

    def finish(self, batch: Batch) -> None:
        batch = self._chains["finish"].run(batch) | {"stored": np.full(num_rows(batch), NOTHING, np.uint8)}
        names = ("picture_key", "rendition_key", "stored", "image", "picture")
        rows = [
            {name: batch[name][row] for name in names} | {"said": Said.of(batch, row)} for row in range(num_rows(batch))
        ]
        errors = self._sink.store(rows)
        if failed := [*filter(None, batch["error_detail"]), *filter(None, errors)]:
            raise RuntimeError(f"a loop has no place for rows that fail: {failed}")
