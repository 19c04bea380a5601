"""A run: the plan, its partitions (at once where they fit), the ledger, the published catalog, the report."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator
from contextlib import suppress
from functools import partial

from rich.console import Console

from atelier import storage
from atelier.errors import AtelierError, StorageError
from atelier.rows import Outcome
from pipelines.exits import Exit
from pipelines.job import CatalogJob
from pipelines.ledger import Ledger
from pipelines.ledger_writer import LedgerWriter
from pipelines.logs import event
from pipelines.placement import Placement
from pipelines.plan import Partition, Plan
from pipelines.planner import plan_catalog
from pipelines.pools import Work
from pipelines.progress import RunProgress
from pipelines.publish import current, publish
from pipelines.records import Facts, software_versions
from pipelines.report import write_report
from pipelines.runs import RunRecord, State, discard_plans, new_run_id, plan_folder, write_record
from pipelines.signals import terminated_as_interrupted
from pipelines.sink import Sink
from pipelines.summary import summarize
from pipelines.together import merged, waves


def run(
    job: CatalogJob, catalog: str, output: str, *, limit: int | None = None, console: Console | None = None
) -> Exit:
    """Makes what a catalog asks for and the output does not hold yet; gives the exit status.

    Killed at any point, the same call goes on where the ledger ends.

    Args:
        catalog, output: addresses.
        limit: only the first so many items of the catalog.
        console: where it is told; None tells the log alone.

    Returns:
        `Exit.DONE` or `Exit.BUDGET_EXCEEDED`.

    Raises:
        AtelierError: the run stopped; what is done is in the ledger.
        KeyboardInterrupt: likewise; by Ctrl-C, or by SIGTERM once Ray is up.
    """
    return _Run(job, storage.resolve(catalog), storage.resolve(output), limit, console).go()


class _Run:
    def __init__(self, job: CatalogJob, catalog: str, output: str, limit: int | None, console: Console | None) -> None:
        self._job, self._catalog, self._output, self._limit = job, catalog, output, limit
        self._console = console or Console(quiet=True)
        self._ledger = Ledger(output)
        self._run_id = new_run_id()
        self._folder = plan_folder(output, self._run_id)
        self._started_s = time.time()
        self._placements: dict[str, str] = {}

    def go(self) -> Exit:
        current(self._output)  # read when all is made: better known now, if it is damaged
        plan = plan_catalog(
            self._job, self._catalog, self._output, folder=self._folder, run_id=self._run_id, limit=self._limit
        )
        self._tell("planned", plan.describe(), to_make=plan.counts.to_make, units=plan.counts.units)
        self._record(plan, "running")
        try:
            plan.record_rejections(self._ledger)
            if plan.is_empty:
                self._tell("nothing_to_make", "nothing to make: the ledger has an outcome for every unit")
            else:
                self._make(plan)
            self._ledger.compact()
            publish(self._output, self._run_id)
        except (AtelierError, KeyboardInterrupt):
            # Where even this can't be stored, the record still says `running`, as after a kill.
            with suppress(StorageError):
                self._record(plan, "stopped")
            raise
        self._record(plan, "finished")
        discard_plans(self._output, self._run_id)
        return self._conclude()

    def _make(self, plan: Plan) -> None:
        # Ray takes a second to import: not paid where nothing is to be made.
        from pipelines.cluster import connected
        from pipelines.metrics import RunMetrics

        to_make = {recipe: of["to_make"] for recipe, of in plan.counts.by_recipe.items()}
        progress = RunProgress(to_make, console=self._console)
        with (
            connected(self._job, plan.partitions, self._opened) as (placements, machine),
            terminated_as_interrupted(),
            progress,
            LedgerWriter(self._ledger) as writer,
        ):
            metrics = RunMetrics()
            for wave in waves(placements, machine):
                sources = [partial(self._outcomes, plan.partitions[index], placements[index]) for index in wave]
                for outcomes in merged(sources):
                    writer.add(outcomes)
                    progress.ended(outcomes)
                    metrics.ended(outcomes)
                writer.flush()

    def _outcomes(self, partition: Partition, placement: Placement) -> Iterator[list[Outcome]]:
        self._placements[partition.recipe.name] = placement.describe()
        self._tell("started", f"{partition.recipe.name}: {placement.describe()}")
        from pipelines.rounds import Rounds

        facts = Facts.of(partition.recipe, self._run_id)
        sink = Sink(
            output=self._output,
            format=facts.format,
            source_type=facts.source_type,
            keep_masters=self._job.keep_masters,
        )

        def works(last_words: str) -> list[Work]:
            return [
                Work(
                    pool=pool,
                    is_first=pool is placement.pools[0],
                    is_last=pool is placement.pools[-1],
                    facts=facts,
                    sink=sink,
                    deadline_s=self._job.deadline_s,
                    last_words=last_words,
                )
                for pool in placement.pools
            ]

        yield from Rounds(partition, self._job, works, f"{self._folder}/{partition.recipe.name}").outcomes()

    def _record(self, plan: Plan, state: State) -> None:
        record = RunRecord(
            run_id=self._run_id,
            state=state,
            catalog=self._catalog,
            job=self._job.name,
            started_at_s=self._started_s,
            finished_at_s=None if state == "running" else time.time(),
            limit=self._limit,
            counts=dataclasses.asdict(plan.counts),
            recipes=plan.facts(),
            facts={"placement": self._placements, "versions": software_versions()},
        )
        write_record(self._output, record)

    def _conclude(self) -> Exit:
        summary = summarize(self._output)
        within = summary.not_ok_share <= self._job.failure_budget
        verdict = "within" if within else "beyond"
        self._tell(
            "finished",
            f"{summary.units:,} units: {summary.ok:,} ok ({summary.made:,} made, {summary.kept:,} kept), "
            f"{summary.rejected:,} rejected, {summary.failed:,} failed; "
            f"{summary.not_ok_share:.1%} not ok, {verdict} the failure budget of {self._job.failure_budget:.1%}",
            **summary.as_json(),
        )
        address = write_report(self._output)
        self._tell("reported", f"report: {address}", report=address)
        return Exit.DONE if within else Exit.BUDGET_EXCEEDED

    def _opened(self, url: str) -> None:
        self._tell("dashboard", f"Ray's dashboard: {url} (it asks for what `ray get-auth-token` prints)", url=url)

    def _tell(self, name: str, message: str, **fields: object) -> None:
        self._console.print(message, highlight=False, markup=False, soft_wrap=True)
        event(name, message, **fields)
