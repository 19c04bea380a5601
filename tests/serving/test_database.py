"""One state for many: what several ingresses ask of a database at once, of each kind, and a server that goes away."""

from __future__ import annotations

import logging
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import pytest
from sqlalchemy import text

from atelier.errors import ConfigError
from infra.postgres import PostgresServer
from serving.database import Database, StateUnavailable
from serving.jobs.job import Ending, Job, TooManyOpen
from serving.jobs.sql import SqlJobs
from serving.jobs.sql_progress import SqlProgress
from serving.models.asked import Progress
from serving.quotas.quota import Quota
from serving.quotas.sql import SqlUses

Found = TypeVar("Found")
ROOT = Path(__file__).resolve().parents[2]
STEP = Progress(step=1, num_steps=9, samples=(0,), queued_s=0.5, step_s=0.25, partials={0: b"small"})

WORKER = """
import sys
from serving.jobs.job import Ending
from serving.jobs.sql import SqlJobs
jobs, name = SqlJobs(sys.argv[1]), sys.argv[2]
print("ready", flush=True)
sys.stdin.readline()
while (job := jobs.claim(name, now_s=10, lease_s=5)) is not None:
    assert jobs.end(job.id, name, Ending(state="succeeded"), now_s=11)
    print(job.id, flush=True)
"""

OF_THE_FIRST_FILES = """
create table jobs (
    id text primary key, owner text not null, task text not null, recipe text not null, request text not null,
    inputs text not null, created_at_s real not null, state text not null, started_at_s real, ended_at_s real,
    attempts integer not null, result text, problem text, leased_by text not null,
    leased_until_s real not null default 0, idempotency_key text not null, sha256 text not null
);
create unique index jobs_by_idempotency_key on jobs (owner, idempotency_key) where idempotency_key != '';
create index jobs_by_state on jobs (state, created_at_s);
create table progress (
    job_id text primary key, step integer not null, num_steps integer not null, samples text not null,
    queued_s real not null, step_s real not null
) without rowid;
create table partials (
    job_id text not null, sample integer not null, step integer not null, picture blob not null,
    primary key (job_id, sample)
);
create trigger progress_leaves_with_its_worker after update of state, leased_by on jobs
when new.state != 'running' or new.leased_by != old.leased_by begin
    delete from progress where job_id = new.id;
    delete from partials where job_id = new.id;
end;
create table uses (
    owner text not null, unit text not null, per text not null, slice integer not null, count integer not null,
    primary key (owner, unit, per, slice)
) without rowid;
insert into jobs values ('old', 'me', 't', 'r', '{"seeds": [1]}', '["person"]', 1.0, 'succeeded', 2.0, 4.0, 1,
    '{"samples": []}', 'null', '', 0, 'key', 'sha');
insert into uses values ('me', 'pictures', 'day', 1, 4);
"""


def job(name: str, **values: Any) -> Job:
    plain: dict[str, Any] = {"owner": "me", "task": "t", "recipe": "r", "request": {}, "inputs": ()}
    return Job(**plain | {"id": name, "created_at_s": 1.0} | values)


def at_once(*calls: Callable[[], Found]) -> list[Found | Exception]:
    """What each gives, or how it fails, as all begin at the same time."""
    gate, found = threading.Barrier(len(calls)), list[Found | Exception]()

    def run(call: Callable[[], Found]) -> None:
        gate.wait()
        try:
            found.append(call())
        except (TooManyOpen, StateUnavailable) as error:
            found.append(error)

    threads = [threading.Thread(target=run, args=(call,)) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


def test_processes_claim_each_job_once(database: str) -> None:
    store, names = SqlJobs(database), [f"job-{number}" for number in range(24)]
    for name in names:
        store.add(job(name))
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", WORKER, database, f"worker-{number}"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for number in range(3)
    ]
    for worker in workers:
        assert worker.stdout is not None and worker.stdout.readline() == "ready\n"
    said = [worker.communicate("go\n")[0].split() for worker in workers]

    assert [worker.returncode for worker in workers] == [0] * 3
    assert sorted(name for part in said for name in part) == sorted(names)
    assert {one.attempts for name in names if (one := store.get(name))} == {1}


def test_the_last_place_is_given_once_and_a_key_makes_one_job(database: str) -> None:
    stores = [SqlJobs(database) for _ in range(4)]
    adds = [
        lambda number=number: stores[number % 4].add(job(str(number), owner="shop"), most_open=3).id
        for number in range(8)
    ]
    found = at_once(*adds)
    assert len([one for one in found if isinstance(one, str)]) == stores[0].num_open("shop") == 3
    assert {one.num_open for one in found if isinstance(one, TooManyOpen)} == {3}

    same = [
        lambda number=number: stores[number % 4].add(job(f"k{number}", idempotency_key="k")).id for number in range(8)
    ]
    (kept,) = set(at_once(*same))
    again = stores[0].find("me", "k")
    assert again is not None and again.id == kept
    assert stores[1].add(job("new", idempotency_key="k"), most_open=1).id == kept, "it is there, and takes no place"


def test_progress_that_is_told_while_its_job_ends_leaves_with_it(database: str) -> None:
    jobs, others, progress = SqlJobs(database), SqlJobs(database), SqlProgress(database)
    for name in [f"job-{number}" for number in range(6)]:
        jobs.add(job(name))
        jobs.claim("a", now_s=1, lease_s=60)

        def end(name: str = name) -> Any:
            return others.end(name, "a", Ending(state="succeeded"), now_s=2)

        assert not [one for one in at_once(lambda name=name: progress.put(name, "a", STEP), end) if one is False]
        assert progress.get(name) is None and progress.partials(name) == []


def test_progress_is_void_when_the_one_who_holds_the_job_says_so(database: str) -> None:
    jobs, progress = SqlJobs(database), SqlProgress(database)
    jobs.add(job("a"))
    jobs.claim("holder", now_s=1, lease_s=60)
    progress.put("a", "holder", STEP)
    progress.void("a", "another")
    assert progress.get("a") is not None and progress.partials("a")
    progress.void("a", "holder")
    assert progress.get("a") is None and progress.partials("a") == []


def test_many_ids_and_strange_ones(database: str) -> None:
    store = SqlJobs(database)
    store.add(job("a"))
    assert store.states([str(number) for number in range(1200)] + ["a"]) == {"a": "queued"} and store.states([]) == {}
    assert store.get("a\0b") is None and store.get("a' or 1=1 --") is None


def test_another_programs_table_is_left_alone(database: str) -> None:
    asked = Database(database)
    with asked.one() as connection:
        connection.execute(text("create table jobs (id text primary key, salary integer)"))
    with pytest.raises(ConfigError, match="has a table jobs without owner, another program's"):
        SqlJobs(asked)
    with asked.one() as connection:
        assert list(connection.execute(text("select * from jobs")).keys()) == ["id", "salary"]


def test_a_file_of_the_first_version_is_taken_over(tmp_path: Path) -> None:
    path = tmp_path / "jobs.sqlite"
    with sqlite3.connect(path) as connection:
        connection.executescript(OF_THE_FIRST_FILES)
    connection.close()
    jobs, progress, uses = SqlJobs(path), SqlProgress(path), SqlUses(path)

    old = jobs.find("me", "key")
    assert old is not None and (old.id, old.state, old.inputs) == ("old", "succeeded", ("person",))
    assert old.result == {"samples": []} and old.problem is None and old.webhook == ""
    assert jobs.seconds_a_job("r") == 2.0 and jobs.expired(now_s=86_405.0) == ["old"]
    assert uses.standings("me", Quota.of_words(["pictures=5/day"]), now_s=1000.0)[0].used == 4
    jobs.add(job("new", webhook="https://shop.example/"))
    jobs.claim("a", now_s=1, lease_s=60)
    progress.put("new", "a", STEP)
    assert jobs.end("new", "a", Ending(state="failed"), now_s=2) and progress.partials("new") == []
    told = jobs.claim_webhook(now_s=2, lease_s=5)
    assert told is not None and told.id == "new"


@pytest.mark.slow
def test_a_server_that_is_killed_is_told_and_found_again(
    postgres: PostgresServer, caplog: pytest.LogCaptureFixture
) -> None:
    address, quota = postgres.new(), Quota.of_words(["pictures=5/day"])
    jobs, uses = SqlJobs(address), SqlUses(address)
    jobs.add(job("a"))
    with caplog.at_level(logging.DEBUG, logger="sqlalchemy"):
        assert at_once(*[lambda: jobs.num_queued("r")] * 6) == [1] * 6, "so many connections are kept"
        postgres.stop()
        away = [
            *at_once(*[lambda: jobs.num_queued("r")] * 3),
            *at_once(lambda: uses.take("a", quota, "pictures", 1, now_s=1)),
        ]
        postgres.start()
        assert [jobs.num_queued("r") for _ in range(8)] == [1] * 8, "not one meets a connection to the old one"
    assert uses.take("a", quota, "pictures", 5, now_s=1).wait_s == 0, "what was refused is not counted"

    assert len(away) == 4 and all(isinstance(one, StateUnavailable) for one in away)
    shown, told = address.partition("?")[0].replace(f":{postgres.password}", ""), str(away[-1])
    assert told == f"{shown}: the server cannot be reached: Connection refused"
    assert postgres.password not in caplog.text + "".join(repr(one) for one in away)
    assert "Traceback" not in caplog.text, "a dead connection is no news to whoever reads the log"


@pytest.mark.slow
def test_what_keeps_a_server_from_answering_is_said(postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch) -> None:
    address = postgres.new()
    for wrong, told in [
        (address.replace(postgres.password, "wrong"), r"password authentication failed for user .* \(28P01\)"),
        (address.replace("/postgres?", "/nowhere?"), r'database "nowhere" does not exist \(3D000\)'),
        (address.replace("sslmode=disable", "sslmode=require"), "Server refuses SSL"),
    ]:
        with pytest.raises(StateUnavailable, match=told) as refused:
            SqlJobs(wrong)
        assert postgres.password not in str(refused.value)
    monkeypatch.delenv("PGPASSWORD", raising=False)
    with pytest.raises(StateUnavailable, match=r"28P01\); no password is given: set PGPASSWORD"):
        SqlJobs(address.replace(f":{postgres.password}", ""))
    jobs = SqlJobs(address)
    with Database(address).one() as connection:
        connection.execute(text("drop table jobs"))
    with pytest.raises(StateUnavailable, match="does not exist"):
        jobs.num_open("me")
