"""Jobs in a database that every ingress may have open at once."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    and_,
    bindparam,
    case,
    delete,
    exists,
    func,
    not_,
    or_,
    select,
    tuple_,
    update,
)

from serving.database import Database
from serving.jobs.job import Ending, Job, State, TooManyOpen
from serving.jobs.tables import JOBS, PROGRESS, TABLES

_NAMES = tuple(one.name for one in fields(Job))
_COLUMNS = [JOBS.c[name] for name in _NAMES]
_JSON = ("request", "inputs", "result", "problem")
_AT_ONCE = 500
"""Ids in one question: a database takes no more than some thousands of values."""

_is_open = JOBS.c.state.in_(("queued", "running"))
_is_the_job = JOBS.c.id == bindparam("job_id")
_is_under_key = and_(
    JOBS.c.owner == bindparam("of_owner"), JOBS.c.idempotency_key == bindparam("key"), JOBS.c.idempotency_key != ""
)
_is_queued = and_(JOBS.c.state == "queued", JOBS.c.recipe == bindparam("of_recipe"))
_has_begun = exists().where(PROGRESS.c.job_id == JOBS.c.id)
_waits = and_(_is_open, not_(_has_begun), JOBS.c.recipe == bindparam("of_recipe"))
_is_held = and_(_is_the_job, JOBS.c.state == "running", JOBS.c.leased_by == bindparam("worker"))
_is_claimable = and_(
    or_(JOBS.c.state == "queued", and_(JOBS.c.state == "running", JOBS.c.leased_until_s <= bindparam("now_s"))),
    JOBS.c.recipe.not_in(bindparam("without", expanding=True)),
)
_is_due = JOBS.c.webhook_due_at_s <= bindparam("now_s")
_then_due = case((JOBS.c.webhook != "", bindparam("now_s", type_=JOBS.c.ended_at_s.type)))


def _count(which: ColumnElement[bool]) -> Any:
    return select(func.count()).select_from(JOBS).where(which)


def _first(which: ColumnElement[bool], *order: Any) -> ColumnElement[Any]:
    """The id of the first that no other transaction has in hand."""
    found = select(JOBS.c.id).where(which).order_by(*order).limit(1).with_for_update(skip_locked=True)
    return found.correlate(None).scalar_subquery()


_GET = select(*_COLUMNS).where(_is_the_job)
_FIND = select(*_COLUMNS).where(_is_under_key)
_ADDED = select(*_COLUMNS).where(or_(_is_the_job, _is_under_key))
_NUM_BEFORE = _count(
    and_(_waits, tuple_(JOBS.c.created_at_s, JOBS.c.id) < tuple_(bindparam("at_s"), bindparam("job_id")))
)
_NUM_QUEUED = _count(_is_queued)
_NUM_OPEN = _count(and_(JOBS.c.owner == bindparam("of_owner"), _is_open))
_NEWEST = (
    select((JOBS.c.ended_at_s - JOBS.c.started_at_s).label("took_s"))
    .where(JOBS.c.state == "succeeded", JOBS.c.recipe == bindparam("of_recipe"))
    .order_by(JOBS.c.ended_at_s.desc())
    .limit(20)
    .subquery()
)
_SECONDS = select(func.avg(_NEWEST.c.took_s))
_CLAIM = (
    update(JOBS)
    .where(JOBS.c.id == _first(_is_claimable, JOBS.c.created_at_s, JOBS.c.id))
    .values(
        state="running",
        leased_by=bindparam("worker"),
        leased_until_s=bindparam("until_s"),
        attempts=JOBS.c.attempts + 1,
    )
    .returning(*_COLUMNS)
)
_RENEW = update(JOBS).where(_is_held).values(leased_until_s=bindparam("until_s"))
_PUT_BACK = update(JOBS).where(_is_held).values(state="queued", leased_by="", attempts=JOBS.c.attempts - 1)
_END = (
    update(JOBS)
    .where(_is_held)
    .values(
        state=bindparam("ending"),
        result=bindparam("told"),
        problem=bindparam("why"),
        started_at_s=func.coalesce(JOBS.c.started_at_s, bindparam("began_at_s", type_=JOBS.c.started_at_s.type)),
        ended_at_s=bindparam("now_s"),
        webhook_due_at_s=_then_due,
    )
)
_CANCEL = (
    update(JOBS)
    .where(_is_the_job, _is_open)
    .values(state="cancelled", ended_at_s=bindparam("now_s"), webhook_due_at_s=_then_due)
)
_CLAIM_WEBHOOK = (
    update(JOBS)
    .where(JOBS.c.id == _first(_is_due, JOBS.c.webhook_due_at_s))
    .values(webhook_due_at_s=bindparam("until_s"), webhook_attempts=JOBS.c.webhook_attempts + 1)
    .returning(*_COLUMNS)
)
_PUT_WEBHOOK = (
    update(JOBS)
    .where(_is_the_job, JOBS.c.webhook_attempts == bindparam("attempt"))
    .values(webhook_result=bindparam("came"), webhook_due_at_s=bindparam("due_at_s"))
)
_STATES = select(JOBS.c.id, JOBS.c.state).where(JOBS.c.id.in_(bindparam("job_ids", expanding=True)))
_EXPIRED = select(JOBS.c.id).where(JOBS.c.ended_at_s + JOBS.c.keep_s < bindparam("now_s"))
_DELETE = delete(JOBS).where(_is_the_job)


class SqlJobs:
    """A `JobStore`.

    Raises:
        ConfigError: no address of a database, or one that is another program's.
        StateUnavailable: it does not answer.
    """

    def __init__(self, database: Database | str | Path) -> None:
        self._database = Database.holding(TABLES, database)
        self._insert = self._database.insert(JOBS).on_conflict_do_nothing().returning(JOBS.c.id)

    def add(self, job: Job, *, most_open: int | None = None) -> Job:
        if most_open is None:
            with self._database.one() as connection:
                return self._kept(connection, job)
        # Under a lock no two can take the last place.
        with self._database.transaction(lock=f"jobs of {job.owner}") as connection:
            if (known := self._known(connection, job)) is not None:
                return known
            num_open = connection.execute(_NUM_OPEN, {"of_owner": job.owner}).scalar_one()
            if num_open >= most_open:
                raise TooManyOpen(num_open)
            return self._kept(connection, job)

    def get(self, job_id: str) -> Job | None:
        return self._one(_GET, {"job_id": job_id})

    def find(self, owner: str, idempotency_key: str) -> Job | None:
        return self._one(_FIND, {"of_owner": owner, "key": idempotency_key})

    def position(self, job: Job) -> int:
        if job.has_ended:
            return 0
        return self._number(_NUM_BEFORE, {"of_recipe": job.recipe, "at_s": job.created_at_s, "job_id": job.id})

    def num_queued(self, recipe: str) -> int:
        return self._number(_NUM_QUEUED, {"of_recipe": recipe})

    def num_open(self, owner: str) -> int:
        return self._number(_NUM_OPEN, {"of_owner": owner})

    def seconds_a_job(self, recipe: str) -> float | None:
        return self._number(_SECONDS, {"of_recipe": recipe})

    def claim(self, worker: str, *, now_s: float, lease_s: float, without: Collection[str] = ()) -> Job | None:
        values = {"worker": worker, "until_s": now_s + lease_s, "now_s": now_s, "without": sorted(without)}
        return self._one(_CLAIM, values)

    def renew(self, job_id: str, worker: str, *, now_s: float, lease_s: float) -> bool:
        return self._changed(_RENEW, {"job_id": job_id, "worker": worker, "until_s": now_s + lease_s})

    def put_back(self, job_id: str, worker: str) -> None:
        self._changed(_PUT_BACK, {"job_id": job_id, "worker": worker})

    def end(self, job_id: str, worker: str, ending: Ending, *, now_s: float) -> bool:
        values = {
            "ending": ending.state,
            "told": json.dumps(ending.result),
            "why": json.dumps(ending.problem),
            "began_at_s": ending.started_at_s,
            "now_s": now_s,
        }
        return self._changed(_END, {"job_id": job_id, "worker": worker, **values})

    def cancel(self, job_id: str, *, now_s: float) -> bool:
        return self._changed(_CANCEL, {"job_id": job_id, "now_s": now_s})

    def claim_webhook(self, *, now_s: float, lease_s: float) -> Job | None:
        return self._one(_CLAIM_WEBHOOK, {"now_s": now_s, "until_s": now_s + lease_s})

    def put_webhook(self, job_id: str, attempt: int, *, result: str, due_at_s: float | None) -> None:
        self._changed(_PUT_WEBHOOK, {"job_id": job_id, "attempt": attempt, "came": result, "due_at_s": due_at_s})

    def states(self, job_ids: Sequence[str]) -> Mapping[str, State]:
        found: dict[str, State] = {}
        with self._database.one() as connection:
            for first in range(0, len(job_ids), _AT_ONCE):
                some = connection.execute(_STATES, {"job_ids": list(job_ids[first : first + _AT_ONCE])})
                found.update((job_id, state) for job_id, state in some)
        return found

    def expired(self, *, now_s: float) -> Sequence[str]:
        with self._database.one() as connection:
            return list(connection.execute(_EXPIRED, {"now_s": now_s}).scalars())

    def delete(self, job_id: str) -> None:
        self._changed(_DELETE, {"job_id": job_id})

    def _kept(self, connection: Connection, job: Job) -> Job:
        """The job itself where it is new, else the one that is there."""
        row = {name: json.dumps(value) if name in _JSON else value for name, value in asdict(job).items()}
        while connection.execute(self._insert, row).one_or_none() is None:
            if (known := self._known(connection, job)) is not None:
                return known
        return job

    def _known(self, connection: Connection, job: Job) -> Job | None:
        values = {"job_id": job.id, "of_owner": job.owner, "key": job.idempotency_key}
        found = connection.execute(_ADDED, values).one_or_none()
        return None if found is None else _job(found)

    def _one(self, statement: Any, values: dict[str, Any]) -> Job | None:
        if "\0" in str(values.get("job_id")):
            return None  # Postgres has no such text, and so no such job
        with self._database.one() as connection:
            found = connection.execute(statement, values).one_or_none()
        return None if found is None else _job(found)

    def _number(self, statement: Any, values: dict[str, Any]) -> Any:
        with self._database.one() as connection:
            return connection.execute(statement, values).scalar_one()

    def _changed(self, statement: Any, values: dict[str, Any]) -> bool:
        """Whether there was a row to change."""
        with self._database.one() as connection:
            return connection.execute(statement, values).rowcount == 1


def _job(row: Row[Any]) -> Job:
    values: dict[str, Any] = dict(zip(_NAMES, row, strict=True))
    for name in _JSON:
        values[name] = json.loads(values[name]) if values[name] else None
    values["inputs"] = tuple(values["inputs"])
    return Job(**values)
