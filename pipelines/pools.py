"""What runs in a pool's workers: a chain of ready stages, and around it the look-up of what is stored, and the sink."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import torch

from atelier.errors import AtelierError, RowError
from atelier.keys import picture_key, rendition_key
from atelier.rows import Outcome
from atelier.stages.base import ROW_COLUMNS, Batch, Stage, alive, num_rows
from atelier.stages.chain import StageChain, column, fail_row, new_batch
from pipelines.last_words import LastWords
from pipelines.outcomes import to_table
from pipelines.placement import FINISH, PREPARE, Pool
from pipelines.records import Facts, outcomes_of
from pipelines.said import Said
from pipelines.sink import MASTER, NOTHING, PICTURE, Sink
from pipelines.unit_ids import unit_ids
from pipelines.watchdog import Watchdog

FATAL = "fatal"
"""The code of rows whose worker met an error that no row is to blame for: the driver ends the run with its detail."""

_Step = Callable[[Batch], Batch]


@dataclass(frozen=True, kw_only=True)
class Work:
    """All that a worker is made from; small and picklable.

    Args:
        pool: its stages and threads. is_first, is_last: where it stands in the placement.
        last_words: folder where a worker says which row it is about to try, so that the driver knows where a row ended
            that took its worker along; "" in rounds where no row is suspected.
    """

    pool: Pool
    is_first: bool
    is_last: bool
    facts: Facts
    sink: Sink
    deadline_s: float
    last_words: str = ""


class Worker:
    """One process of a pool. Called with a batch of at most the recipe's batch size."""

    def __init__(self, work: Work) -> None:
        self._work = work
        torch.set_num_threads(work.pool.num_threads)
        self._unbuilt = ""
        try:
            self._steps = self._build()
        except AtelierError as error:
            if not (work.is_first and work.is_last):
                raise
            # Weights that do not fit, say. Raised here, Ray would build again and again, and bury it in its own words.
            self._steps, self._unbuilt = [], f"{type(error).__name__}: {error}"
        self._rows: list[int] = []
        self._recalled: dict[int, Said] = {}
        self._watchdog = Watchdog(work.deadline_s, self._say_where)

    def __call__(self, batch: Batch) -> Batch | pa.Table:
        """The columns that later pools need; the outcomes, where this is the last pool."""
        if self._work.is_first:
            columns: dict[str, Any] = batch | {"stored": np.full(num_rows(batch), NOTHING, np.uint8)}
            batch = new_batch(columns)
        if self._unbuilt:
            return to_table([self._stopped(batch, row) for row in range(num_rows(batch))])
        self._recalled.clear()
        self._rows = unit_ids(batch["item_id"], batch["variant"]).tolist()
        with self._watchdog.over():
            try:
                self._say()
                done = self._run(batch)
                self._say(finished=True)
            except (Exception, SystemExit):  # noqa: BLE001  Ray Data would drop the block and go on; SystemExit hangs it
                done = self._run(_given_up(batch, self._work.pool.name, traceback.format_exc()))
        return to_table(outcomes_of(done, self._work.facts)) if self._work.is_last else done

    def _stopped(self, batch: Batch, row: int) -> Outcome:
        unit = {name: batch[name][row] for name in (*ROW_COLUMNS, "plan_key")}
        return self._work.facts.outcome(unit, status="failed", stage="build", code=FATAL, detail=self._unbuilt)

    def _run(self, batch: Batch) -> Batch:
        for step in self._steps:
            batch = step(batch)
        return batch

    def _build(self) -> list[_Step]:
        """The pool's stages as chains, cut where something other than a stage has its turn."""
        pool = self._work.pool
        device = torch.device(pool.device)
        steps: list[_Step] = []
        pending: list[Stage] = []
        ready = [config.build(device) for config in pool.stages]

        def flush(following: Sequence[Stage]) -> None:
            if pending:
                later = {name for stage in following for name in (*stage.reads, *stage.optional)}
                chain = StageChain(tuple(pending), batch_size=self._work.facts.batch_size)
                steps.append(lambda batch: chain.run(batch, keep={*pool.keep, *later, "picture"}))
                pending.clear()

        prepares = True
        for i, stage in enumerate(ready):
            if prepares and stage.name not in PREPARE:
                flush(ready[i:])
                steps.append(_settle)
                prepares = False
            if stage.name in FINISH:
                flush(ready[i:])
                steps.append(self._recall)
            pending.append(stage)
            if stage.name == "fetch":
                flush(ready[i + 1 :])
                steps.append(self._look_up)
        flush(())
        if self._work.is_last:
            steps.append(self._store)
        return steps

    def _look_up(self, batch: Batch) -> Batch:
        """Names the pictures by the contents of their inputs; what is stored under the name isn't made again."""
        facts, rows = self._work.facts, _numbers(alive(batch))
        pictures, renditions = [""] * num_rows(batch), [""] * num_rows(batch)
        for row in rows:
            pictures[row] = picture_key(
                fingerprint=facts.fingerprint,
                prompt=batch["prompt"][row],
                seed=int(batch["seed"][row]),
                input_sha256=facts.given(batch, row, "sha256"),
            )
            renditions[row] = rendition_key(picture=pictures[row], rendition=facts.rendition)
        stored = batch["stored"].copy()
        stored[rows] = self._work.sink.stored([pictures[row] for row in rows], [renditions[row] for row in rows])
        return batch | {
            "picture_key": column(pictures),
            "rendition_key": column(renditions),
            "stored": stored,
            "kept": batch["kept"] | (stored == PICTURE),
        }

    def _recall(self, batch: Batch) -> Batch:
        """Gives rows with a stored lossless picture back to the encoding stage."""
        rows = _numbers((batch["stored"] == MASTER) & (batch["error_code"] == "") & batch["kept"])
        if not rows:
            return batch
        batch = batch | {"image": batch["image"].copy(), "kept": batch["kept"].copy()}
        for row in rows:
            batch["kept"][row] = False
            try:
                batch["image"][row], self._recalled[row] = self._work.sink.master(batch["picture_key"][row])
            except RowError as error:
                fail_row(batch, row, "recall", error)
        return batch

    def _store(self, batch: Batch) -> Batch:
        started = time.perf_counter()
        rows = _numbers(alive(batch))
        said = self._said(batch)
        batch = batch | {"said": said}
        names = ("picture_key", "rendition_key", "stored", "image", "picture", "said")
        errors = self._work.sink.store([{name: batch[name][row] for name in names} for row in rows])
        for row, error in zip(rows, errors, strict=True):
            if error is not None:
                fail_row(batch, row, "store", error)
        seconds = (time.perf_counter() - started) / num_rows(batch)
        return batch | {"seconds_store": np.full(num_rows(batch), seconds, np.float32)}

    def _said(self, batch: Batch) -> np.ndarray:
        """What is known of each row's picture, objects: of a stored one, what it says itself."""
        said = np.empty(num_rows(batch), dtype=object)
        said[:] = [Said.of(batch, row) if made else Said() for row, made in enumerate(batch["stored"] == NOTHING)]
        found = _numbers((batch["stored"] == PICTURE) & (batch["error_code"] == ""))
        told = self._work.sink.said([batch["picture_key"][row] for row in found])
        for row, what in (*self._recalled.items(), *zip(found, told, strict=True)):
            said[row] = what
        return said

    def _say_where(self, stack: str) -> None:
        self._say(stack=stack)

    def _say(self, *, finished: bool = False, stack: str = "") -> None:
        """Leaves last words for the rows at hand, in rounds that listen to them."""
        folder, pool = self._work.last_words, self._work.pool.name
        for row in self._rows if folder else ():
            before = LastWords.read(folder, row)
            tries = dict(before.tries) if before is not None else {}
            if not finished and not stack:
                tries[pool] = tries.get(pool, 0) + 1
            LastWords(pool=pool, tries=tries, finished=finished, stack=stack).write(folder, row)


def worker_class(pool: Pool) -> type[Worker]:
    """The class of a pool's workers, under the name that Ray's dashboard shows."""
    return type(pool.name, (Worker,), {})


def _settle(batch: Batch) -> Batch:
    """Rows whose lossless picture is stored are decoded, for their frame, and sampled no more."""
    return batch | {"kept": batch["kept"] | (alive(batch) & (batch["stored"] == MASTER))}


def _given_up(batch: Batch, pool: str, reason: str) -> Batch:
    """The batch with every row ended, so that the stages only write their blanks."""
    rows = num_rows(batch)
    fine = batch["error_code"] == ""
    return batch | {
        "error_code": np.where(fine, FATAL, batch["error_code"]),
        "error_stage": np.where(fine, pool, batch["error_stage"]),
        "error_detail": np.where(fine, reason, batch["error_detail"]),
        "kept": np.zeros(rows, dtype=bool),
    }


def _numbers(rows: np.ndarray) -> list[int]:
    """The rows that a mask picks."""
    return np.flatnonzero(rows).tolist()
