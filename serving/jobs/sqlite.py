"""Jobs in one SQLite file, which every ingress of a machine may have open at once."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from serving.database import Database
from serving.jobs.job import Ending, Job, State, TooManyOpen

_SCHEMA = """
create table if not exists jobs (
    id text primary key,
    owner text not null,
    task text not null,
    recipe text not null,
    request text not null,
    inputs text not null,
    created_at_s real not null,
    state text not null,
    started_at_s real,
    ended_at_s real,
    attempts integer not null,
    result text,
    problem text,
    leased_by text not null,
    leased_until_s real not null default 0,
    idempotency_key text not null,
    sha256 text not null,
    webhook text not null default '',
    webhook_attempts integer not null default 0,
    webhook_due_at_s real,
    webhook_result text not null default ''
);
create unique index if not exists jobs_by_idempotency_key on jobs (owner, idempotency_key) where idempotency_key != '';
create index if not exists jobs_by_state on jobs (state, created_at_s);
create index if not exists jobs_open on jobs (owner) where state in ('queued', 'running');
create index if not exists jobs_by_webhook on jobs (webhook_due_at_s) where webhook_due_at_s is not null;
"""
_ADDED = {
    "jobs": {
        "webhook": "text not null default ''",
        "webhook_attempts": "integer not null default 0",
        "webhook_due_at_s": "real",
        "webhook_result": "text not null default ''",
    }
}
"""What a file of an earlier version lacks."""

_COLUMNS = tuple(one.name for one in fields(Job))
_JSON = ("request", "inputs", "result", "problem")
_OPEN = "owner = :owner and state in ('queued', 'running')"
_WEBHOOK_DUE = "webhook_due_at_s = case when webhook != '' then :now_s end"
_CLAIMABLE = (
    "(state = 'queued' or (state = 'running' and leased_until_s <= :now_s)) "
    "and recipe not in (select value from json_each(:without))"
)


class SqliteJobs:
    """A `JobStore`."""

    def __init__(self, path: str | Path) -> None:
        self._open = Database(path, _SCHEMA, added=_ADDED).open

    def add(self, job: Job, *, most_open: int | None = None) -> Job:
        row = {name: json.dumps(value) if name in _JSON else value for name, value in asdict(job).items()}
        marks = ", ".join(f":{name}" for name in _COLUMNS)
        with self._open() as connection:
            connection.execute(
                # SQLite's writers come one after another: no two can take the last place.
                f"insert into jobs ({', '.join(_COLUMNS)}) select {marks} "
                f"where :most_open is null or (select count(*) from jobs where {_OPEN}) < :most_open "
                "on conflict do nothing",
                row | {"most_open": most_open},
            )
            where = "id = :id or (owner = :owner and idempotency_key = :idempotency_key and idempotency_key != '')"
            found = connection.execute(f"select {', '.join(_COLUMNS)} from jobs where {where}", row).fetchone()
        if found is None:
            raise TooManyOpen(self.num_open(job.owner))
        return _job(found)

    def get(self, job_id: str) -> Job | None:
        return self._one("id = :id", {"id": job_id})

    def find(self, owner: str, idempotency_key: str) -> Job | None:
        where = "owner = :owner and idempotency_key = :key and idempotency_key != ''"
        return self._one(where, {"owner": owner, "key": idempotency_key})

    def position(self, job: Job) -> int:
        if job.state != "queued":
            return 0
        where = "state = 'queued' and recipe = :recipe and (created_at_s, id) < (:created_at_s, :id)"
        return self._count(where, {"recipe": job.recipe, "created_at_s": job.created_at_s, "id": job.id})

    def num_queued(self, recipe: str) -> int:
        return self._count("state = 'queued' and recipe = :recipe", {"recipe": recipe})

    def num_open(self, owner: str) -> int:
        return self._count(_OPEN, {"owner": owner})

    def seconds_a_job(self, recipe: str) -> float | None:
        newest = "select ended_at_s - started_at_s as took_s from jobs where state = 'succeeded' and recipe = :recipe"
        with self._open() as connection:
            query = f"select avg(took_s) from ({newest} order by ended_at_s desc limit 20)"
            return connection.execute(query, {"recipe": recipe}).fetchone()[0]

    def claim(self, worker: str, *, now_s: float, lease_s: float, without: Collection[str] = ()) -> Job | None:
        with self._open() as connection:
            found = connection.execute(
                "update jobs set state = 'running', leased_by = :worker, leased_until_s = :until_s, "
                "attempts = attempts + 1, started_at_s = coalesce(started_at_s, :now_s) "
                f"where id = (select id from jobs where {_CLAIMABLE} order by created_at_s, id limit 1) "
                f"and {_CLAIMABLE} returning {', '.join(_COLUMNS)}",
                {
                    "worker": worker,
                    "until_s": now_s + lease_s,
                    "now_s": now_s,
                    "without": json.dumps(sorted(without)),
                },
            ).fetchone()
        return None if found is None else _job(found)

    def renew(self, job_id: str, worker: str, *, now_s: float, lease_s: float) -> bool:
        return self._held("leased_until_s = :until_s", job_id, worker, {"until_s": now_s + lease_s})

    def put_back(self, job_id: str, worker: str) -> None:
        self._held("state = 'queued', leased_by = '', attempts = attempts - 1", job_id, worker, {})

    def end(self, job_id: str, worker: str, ending: Ending, *, now_s: float) -> bool:
        values = {
            "state": ending.state,
            "result": json.dumps(ending.result),
            "problem": json.dumps(ending.problem),
            "now_s": now_s,
        }
        change = f"state = :state, result = :result, problem = :problem, ended_at_s = :now_s, {_WEBHOOK_DUE}"
        return self._held(change, job_id, worker, values)

    def cancel(self, job_id: str, *, now_s: float) -> bool:
        with self._open() as connection:
            done = connection.execute(
                f"update jobs set state = 'cancelled', ended_at_s = :now_s, {_WEBHOOK_DUE} "
                "where id = :id and state in ('queued', 'running')",
                {"id": job_id, "now_s": now_s},
            )
            return done.rowcount == 1

    def claim_webhook(self, *, now_s: float, lease_s: float) -> Job | None:
        due = "webhook_due_at_s <= :now_s"
        with self._open() as connection:
            found = connection.execute(
                "update jobs set webhook_due_at_s = :until_s, webhook_attempts = webhook_attempts + 1 "
                f"where id = (select id from jobs where {due} order by webhook_due_at_s limit 1) and {due} "
                f"returning {', '.join(_COLUMNS)}",
                {"now_s": now_s, "until_s": now_s + lease_s},
            ).fetchone()
        return None if found is None else _job(found)

    def put_webhook(self, job_id: str, attempt: int, *, result: str, due_at_s: float | None) -> None:
        with self._open() as connection:
            connection.execute(
                "update jobs set webhook_result = :result, webhook_due_at_s = :due_at_s "
                "where id = :id and webhook_attempts = :attempt",
                {"id": job_id, "attempt": attempt, "result": result, "due_at_s": due_at_s},
            )

    def states(self, job_ids: Sequence[str]) -> Mapping[str, State]:
        among = "id in (select value from json_each(:ids))"
        with self._open() as connection:
            found = connection.execute(f"select id, state from jobs where {among}", {"ids": json.dumps(list(job_ids))})
            return dict(found.fetchall())

    def ended_before(self, time_s: float) -> Sequence[str]:
        with self._open() as connection:
            found = connection.execute("select id from jobs where ended_at_s < :time_s", {"time_s": time_s})
            return [row[0] for row in found]

    def delete(self, job_id: str) -> None:
        with self._open() as connection:
            connection.execute("delete from jobs where id = :id", {"id": job_id})

    def _held(self, change: str, job_id: str, worker: str, values: dict[str, Any]) -> bool:
        """Changes a job that is running and held by a worker; False where it isn't."""
        where = "id = :id and state = 'running' and leased_by = :worker"
        with self._open() as connection:
            done = connection.execute(
                f"update jobs set {change} where {where}", values | {"id": job_id, "worker": worker}
            )
            return done.rowcount == 1

    def _one(self, where: str, values: dict[str, Any]) -> Job | None:
        with self._open() as connection:
            found = connection.execute(f"select {', '.join(_COLUMNS)} from jobs where {where}", values).fetchone()
        return None if found is None else _job(found)

    def _count(self, where: str, values: dict[str, Any]) -> int:
        with self._open() as connection:
            return int(connection.execute(f"select count(*) from jobs where {where}", values).fetchone()[0])


def _job(row: tuple[Any, ...]) -> Job:
    values: dict[str, Any] = dict(zip(_COLUMNS, row, strict=True))
    for name in _JSON:
        values[name] = json.loads(values[name]) if values[name] else None
    values["inputs"] = tuple(values["inputs"])
    return Job(**values)
