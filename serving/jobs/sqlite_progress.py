"""Progress in the SQLite file of the jobs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from serving.database import Database
from serving.jobs.progress import Partial
from serving.models.asked import Progress

_SCHEMA = """
create table if not exists progress (
    job_id text primary key,
    step integer not null,
    num_steps integer not null,
    samples text not null,
    queued_s real not null,
    step_s real not null
) without rowid;
create table if not exists partials (
    job_id text not null,
    sample integer not null,
    step integer not null,
    picture blob not null,
    primary key (job_id, sample)
);
create trigger if not exists progress_leaves_with_its_worker after update of state, leased_by on jobs
when new.state != 'running' or new.leased_by != old.leased_by begin
    delete from progress where job_id = new.id;
    delete from partials where job_id = new.id;
end;
create trigger if not exists progress_leaves_with_its_job after delete on jobs begin
    delete from progress where job_id = old.id;
    delete from partials where job_id = old.id;
end;
"""

_HELD = "exists (select 1 from jobs where id = :job_id and state = 'running' and leased_by = :worker)"


class SqliteProgress:
    """A `ProgressStore` in a file where `SqliteJobs` keeps the jobs. A power cut may take the last steps along."""

    def __init__(self, path: str | Path) -> None:
        self._database = Database(path, _SCHEMA)

    def put(self, job_id: str, worker: str, progress: Progress) -> None:
        values = {
            "job_id": job_id,
            "worker": worker,
            "step": progress.step,
            "num_steps": progress.num_steps,
            "samples": json.dumps(progress.samples),
            "queued_s": progress.queued_s,
            "step_s": progress.step_s,
        }
        pictures = [
            {"job_id": job_id, "worker": worker, "sample": sample, "step": progress.step, "picture": picture}
            for sample, picture in progress.partials.items()
        ]
        with self._database.open(is_kept=False) as connection:
            connection.execute(
                "insert or replace into progress "
                f"select :job_id, :step, :num_steps, :samples, :queued_s, :step_s where {_HELD}",
                values,
            )
            connection.executemany(
                f"insert or replace into partials select :job_id, :sample, :step, :picture where {_HELD}", pictures
            )

    def get(self, job_id: str) -> Progress | None:
        with self._database.open(is_kept=False) as connection:
            found = connection.execute(
                "select step, num_steps, samples, queued_s, step_s from progress where job_id = ?", (job_id,)
            ).fetchone()
        if found is None:
            return None
        step, num_steps, samples, queued_s, step_s = found
        samples = tuple(json.loads(samples))
        return Progress(step=step, num_steps=num_steps, samples=samples, queued_s=queued_s, step_s=step_s)

    def partials(self, job_id: str) -> Sequence[Partial]:
        with self._database.open(is_kept=False) as connection:
            found = connection.execute(
                "select sample, step, picture from partials where job_id = ? order by sample", (job_id,)
            )
            return [Partial(sample=sample, step=step, picture=picture) for sample, step, picture in found]
