"""Every unit of a partition to an outcome, whatever becomes of the workers.

Ray Data executes, but what it drops it drops by the block. So a partition goes in rounds: all units; again those that a
broken execution left; then each unit whose block was lost on its own, until it ends or has taken its worker along as
often as the job allows. What is left then ends `failed`, as `worker_died` or `timed_out`.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from atelier import storage
from atelier.rows import UNIT_SCHEMA, Outcome
from pipelines.execute import ExecutionBroken, RunStopped, execute
from pipelines.job import CatalogJob
from pipelines.last_words import LastWords
from pipelines.plan import Partition
from pipelines.pools import Work
from pipelines.spool import Spool
from pipelines.unit_ids import unit_ids

_LOG = logging.getLogger(__name__)

WORKER_DIED, TIMED_OUT = "worker_died", "timed_out"

_UNTRIED_ROUNDS = 3
_ALONE_AT_ONCE = 128
"""Units of one round alone: after each the job's failure budget is looked at, so that a broken machine ends the run."""


class Rounds:
    """One partition on its way.

    Args:
        works: the pools' work, given the folder for last words (`""`: none needed).
        folder: where the units of later rounds and last words are kept; below the run's plan.

    Memory: about 100 bytes a unit, to know who has ended.
    """

    def __init__(
        self, partition: Partition, job: CatalogJob, works: Callable[[str], Sequence[Work]], folder: str
    ) -> None:
        self._partition, self._job, self._works, self._folder = partition, job, works, folder
        self._ended: set[int] = set()
        self._num_spools = 0

    def outcomes(self) -> Iterator[list[Outcome]]:
        """Exactly one outcome for each unit.

        Raises:
            RunStopped: an error that no row is to blame for, or more rows than the failure budget took their worker
                along. Units without an outcome come back in the next plan.
        """
        yield from self._round(self._partition.files, alone=False)
        num_given_up = 0
        for units in self._lost():
            for outcomes in self._alone(units):
                num_given_up += sum(outcome.code in (WORKER_DIED, TIMED_OUT) for outcome in outcomes)
                yield outcomes
            if num_given_up > max(_ALONE_AT_ONCE, self._job.failure_budget * self._partition.num_units):
                raise RunStopped(
                    f"{num_given_up:,} units of recipe {self._partition.recipe.name} took their worker along when "
                    f"tried alone, more than the failure budget; the machine rather than the rows may be at fault"
                )
        for entry in storage.list(self._last_words):
            storage.delete(entry.address)

    def _alone(self, units: list[dict]) -> Iterator[list[Outcome]]:
        """Each unit by itself, until all have ended or been blamed."""
        for _ in range(self._job.max_worker_deaths + _UNTRIED_ROUNDS):
            files = self._spooled(units)
            yield from self._round(files, alone=True)
            units, blamed = [], []
            for unit in self._without_outcome(files):
                words = self._words_of(unit)
                if words is None or words.finished or words.tries[words.pool] < self._job.max_worker_deaths:
                    # Ray also drops what it was about to hand to a worker that another row has just killed.
                    units.append(unit)
                else:
                    blamed.append(self._given_up(unit, words))
            yield list(self._new(blamed))
            if not units:
                return
        raise RunStopped(
            f"{len(units)} units of recipe {self._partition.recipe.name} never got their turn, the first of them "
            f"{units[0]['item_id']}: workers end without a row to blame"
        )

    @property
    def _last_words(self) -> str:
        return f"{self._folder}/last_words"

    def _round(self, files: Sequence[str], *, alone: bool) -> Iterator[list[Outcome]]:
        works = self._works(self._last_words if alone else "")
        batch_size = self._partition.recipe.batch_size
        # Whole batches: the rest of a block would be padded, and its padding sampled for nothing.
        rows_per_block = 1 if alone else math.ceil(self._job.rows_per_block / batch_size) * batch_size
        while files:
            ended_before = len(self._ended)
            try:
                for outcomes in execute(
                    files, works, rows_per_block=rows_per_block, tries=self._job.max_worker_deaths, alone=alone
                ):
                    yield list(self._new(outcomes))
                return
            except ExecutionBroken as error:
                if len(self._ended) == ended_before:
                    raise RunStopped(f"Ray Data ended without a single outcome: {error}") from error
                _LOG.warning("the execution broke, its other units start again: %s", error)
                files = self._spooled(self._without_outcome(files))

    def _new(self, outcomes: Sequence[Outcome]) -> Iterator[Outcome]:
        # A block that is tried again may yield rows that its first try had yielded already.
        ids = unit_ids([o.item_id for o in outcomes], [o.variant for o in outcomes])
        for unit, outcome in zip(ids.tolist(), outcomes, strict=True):
            if unit not in self._ended:
                self._ended.add(unit)
                yield outcome

    def _lost(self) -> Iterator[list[dict]]:
        lost = list(self._without_outcome(self._partition.files))
        if lost:
            _LOG.warning("%d units were lost with their workers; each is tried alone", len(lost))
        for start in range(0, len(lost), _ALONE_AT_ONCE):
            yield lost[start : start + _ALONE_AT_ONCE]

    def _without_outcome(self, files: Sequence[str]) -> Iterator[dict]:
        for file in files:
            filesystem, path = storage.arrow_filesystem(file)
            table = pq.read_table(path, filesystem=filesystem)
            ids = unit_ids(table["item_id"].to_pylist(), table["variant"].to_pylist())
            missing = np.array([unit not in self._ended for unit in ids.tolist()], dtype=bool)
            yield from table.filter(pa.array(missing)).to_pylist()

    def _spooled(self, units: Iterator[dict] | Sequence[dict]) -> list[str]:
        self._num_spools += 1
        spool = Spool(f"{self._folder}/again-{self._num_spools}")
        for unit in units:
            spool.add(pa.Table.from_pylist([unit], schema=UNIT_SCHEMA))
        spool.close()
        return spool.files

    def _given_up(self, unit: dict, words: LastWords) -> Outcome:
        times = f"{words.tries[words.pool]} times, alone"
        if words.stack:
            code = TIMED_OUT
            detail = f"took longer than {self._job.deadline_s:g} s {times}; hung at\n{words.stack}"
        else:
            code, detail = WORKER_DIED, f"took its worker along {times}: killed, or crashed in native code"
        return self._works("")[0].facts.outcome(unit, status="failed", stage=words.pool, code=code, detail=detail)

    def _words_of(self, unit: dict) -> LastWords | None:
        name = int(unit_ids([unit["item_id"]], [unit["variant"]])[0])
        return LastWords.read(self._last_words, name)
