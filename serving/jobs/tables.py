"""The tables of jobs and of their progress, as files of earlier versions have them."""

from __future__ import annotations

from sqlalchemy import DDL, Column, Double, Index, Integer, LargeBinary, MetaData, Table, Text, event, text

TABLES = MetaData()

JOBS = Table(
    "jobs",
    TABLES,
    Column("id", Text, primary_key=True),
    Column("owner", Text, nullable=False),
    Column("task", Text, nullable=False),
    Column("recipe", Text, nullable=False),
    Column("request", Text, nullable=False),
    Column("inputs", Text, nullable=False),
    Column("created_at_s", Double, nullable=False),
    Column("state", Text, nullable=False),
    Column("started_at_s", Double),
    Column("ended_at_s", Double),
    Column("attempts", Integer, nullable=False),
    Column("result", Text),
    Column("problem", Text),
    Column("leased_by", Text, nullable=False),
    Column("leased_until_s", Double, nullable=False, server_default=text("0")),
    Column("idempotency_key", Text, nullable=False),
    Column("sha256", Text, nullable=False),
    # Columns since then have defaults: `Database.make` adds them to what is there.
    Column("webhook", Text, nullable=False, server_default=text("''")),
    Column("webhook_attempts", Integer, nullable=False, server_default=text("0")),
    Column("webhook_due_at_s", Double),
    Column("webhook_result", Text, nullable=False, server_default=text("''")),
    Column("keep_s", Double, nullable=False, server_default=text("86400")),
)

_HAS_KEY, _IS_OPEN = text("idempotency_key != ''"), text("state in ('queued', 'running')")
_IS_DUE = text("webhook_due_at_s is not null")

Index(
    "jobs_by_idempotency_key",
    JOBS.c.owner,
    JOBS.c.idempotency_key,
    unique=True,
    sqlite_where=_HAS_KEY,
    postgresql_where=_HAS_KEY,
)
Index("jobs_by_state", JOBS.c.state, JOBS.c.created_at_s)
Index("jobs_open", JOBS.c.owner, sqlite_where=_IS_OPEN, postgresql_where=_IS_OPEN)
Index("jobs_by_webhook", JOBS.c.webhook_due_at_s, sqlite_where=_IS_DUE, postgresql_where=_IS_DUE)

PROGRESS = Table(
    "progress",
    TABLES,
    Column("job_id", Text, primary_key=True),
    Column("step", Integer, nullable=False),
    Column("num_steps", Integer, nullable=False),
    Column("samples", Text, nullable=False),
    Column("queued_s", Double, nullable=False),
    Column("step_s", Double, nullable=False),
    sqlite_with_rowid=False,
)

PARTIALS = Table(
    "partials",
    TABLES,
    Column("job_id", Text, primary_key=True),
    Column("sample", Integer, primary_key=True, autoincrement=False),
    Column("step", Integer, nullable=False),
    Column("picture", LargeBinary, nullable=False),
)

# Progress and partial pictures leave with their worker and with their job, in whatever statement these do.
_LEAVES = "delete from progress where job_id = old.id; delete from partials where job_id = old.id;"
_OF_SQLITE = (
    "create trigger if not exists progress_leaves_with_its_worker after update of state, leased_by on jobs "
    f"when new.state != 'running' or new.leased_by != old.leased_by begin {_LEAVES} end",
    f"create trigger if not exists progress_leaves_with_its_job after delete on jobs begin {_LEAVES} end",
)
_OF_POSTGRES = (
    "create or replace function progress_leaves() returns trigger language plpgsql "
    f"as $$ begin {_LEAVES} return null; end $$",
    "create or replace trigger progress_leaves_with_its_worker after update of state, leased_by on jobs for each row "
    "when (new.state != 'running' or new.leased_by != old.leased_by) execute function progress_leaves()",
    "create or replace trigger progress_leaves_with_its_job after delete on jobs for each row "
    "execute function progress_leaves()",
)
for _dialect, _statements in (("sqlite", _OF_SQLITE), ("postgresql", _OF_POSTGRES)):
    for _statement in _statements:
        event.listen(PARTIALS, "after_create", DDL(_statement).execute_if(dialect=_dialect))
