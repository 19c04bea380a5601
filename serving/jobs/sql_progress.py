"""Progress in the database of the jobs."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import Table, bindparam, delete, select, update

from serving.database import Database
from serving.jobs.progress import Partial
from serving.jobs.tables import JOBS, PARTIALS, PROGRESS, TABLES
from serving.models.asked import Progress

_GET = select(PROGRESS.c.step, PROGRESS.c.num_steps, PROGRESS.c.samples, PROGRESS.c.queued_s, PROGRESS.c.step_s).where(
    PROGRESS.c.job_id == bindparam("job_id")
)
_PARTIALS = (
    select(PARTIALS.c.sample, PARTIALS.c.step, PARTIALS.c.picture)
    .where(PARTIALS.c.job_id == bindparam("job_id"))
    .order_by(PARTIALS.c.sample)
)


_HELD = select(JOBS.c.id).where(
    JOBS.c.id == bindparam("of_job"), JOBS.c.state == "running", JOBS.c.leased_by == bindparam("worker")
)
_BEGUN = update(JOBS).where(JOBS.c.id.in_(_HELD), JOBS.c.started_at_s.is_(None)).values(started_at_s=bindparam("now_s"))
_VOID = tuple(delete(table).where(table.c.job_id.in_(_HELD)) for table in (PROGRESS, PARTIALS))


class SqlProgress:
    """A `ProgressStore` in a database where `SqlJobs` keeps the jobs. A power cut may take the last steps along."""

    def __init__(self, database: Database | str | Path) -> None:
        self._database = Database.holding(TABLES, database)
        self._put, self._show = self._upsert(PROGRESS), self._upsert(PARTIALS)

    def put(self, job_id: str, worker: str, progress: Progress) -> None:
        held = {"of_job": job_id, "worker": worker}
        step = {
            "v_step": progress.step,
            "v_num_steps": progress.num_steps,
            "v_samples": json.dumps(progress.samples),
            "v_queued_s": progress.queued_s,
            "v_step_s": progress.step_s,
        }
        # One after the other: a job that ends between them is not held any more, and what it had has left with it.
        with self._database.one(is_kept=False) as connection:
            connection.execute(_BEGUN, {**held, "now_s": time.time()})
            connection.execute(self._put, {**held, **step})
            for sample, picture in progress.partials.items():
                shown = {"v_sample": sample, "v_step": progress.step, "v_picture": picture}
                connection.execute(self._show, {**held, **shown})

    def void(self, job_id: str, worker: str) -> None:
        with self._database.one(is_kept=False) as connection:
            for statement in _VOID:
                connection.execute(statement, {"of_job": job_id, "worker": worker})

    def get(self, job_id: str) -> Progress | None:
        with self._database.one(is_kept=False) as connection:
            found = connection.execute(_GET, {"job_id": job_id}).one_or_none()
        if found is None:
            return None
        step, num_steps, samples, queued_s, step_s = found
        samples = tuple(json.loads(samples))
        return Progress(step=step, num_steps=num_steps, samples=samples, queued_s=queued_s, step_s=step_s)

    def partials(self, job_id: str) -> Sequence[Partial]:
        with self._database.one(is_kept=False) as connection:
            found = connection.execute(_PARTIALS, {"job_id": job_id})
            return [Partial(sample=sample, step=step, picture=picture) for sample, step, picture in found]

    def _upsert(self, table: Table) -> Any:
        """Puts a row in the place of the one of its key, where the worker holds the job.

        Whoever ends the job waits until it is written, and then has it deleted.
        """
        names = [column.name for column in table.columns if column.name != "job_id"]
        values = [bindparam(f"v_{name}", type_=table.c[name].type) for name in names]
        held = _HELD.add_columns(*values).with_for_update(read=True)
        insert = self._database.insert(table).from_select(["job_id", *names], held)
        return insert.on_conflict_do_update(
            index_elements=table.primary_key.columns,
            set_={name: insert.excluded[name] for name in names if not table.c[name].primary_key},
        )
