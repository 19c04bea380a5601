"""The store of jobs: one holder at a time, one end, whatever dies in between."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from typing import Any

import pytest

from serving.jobs.job import Ending, Job
from serving.jobs.sql import SqlJobs
from serving.jobs.sql_progress import SqlProgress
from serving.models.asked import Progress


@pytest.fixture
def store(database: str) -> SqlJobs:
    return SqlJobs(database)


def job(number: int, **values: Any) -> Job:
    plain: dict[str, Any] = {"owner": "me", "request": {"seeds": [2**63 - 1]}, "inputs": ("person",)}
    return Job(id=f"job-{number}", task="try_on", recipe="r", created_at_s=float(number), **plain | values)


def test_a_job_comes_back_as_it_was(store: SqlJobs) -> None:
    kept = store.add(job(1))

    assert kept == job(1) == store.get("job-1") and store.get("job-2") is None


def test_the_oldest_is_claimed_once(store: SqlJobs) -> None:
    for number in (2, 1, 3):
        store.add(job(number))
    assert [store.position(job(number)) for number in (1, 2, 3)] == [0, 1, 2]
    first = store.claim("a", now_s=10, lease_s=5)
    second = store.claim("b", now_s=10, lease_s=5)

    assert first is not None and (first.id, first.state, first.attempts) == ("job-1", "running", 1)
    assert second is not None and second.id == "job-2"
    assert store.num_queued("r") == 1 and store.num_queued("q") == 0


def test_a_recipe_that_has_its_places_leaves_room_for_others(store: SqlJobs) -> None:
    for number in (1, 2):
        store.add(job(number))
    store.add(replace(job(3), recipe="q"))
    assert store.position(replace(job(3), recipe="q")) == 0
    claimed = store.claim("a", now_s=10, lease_s=5, without={"r"})
    none = store.claim("a", now_s=10, lease_s=5, without={"r"})

    assert claimed is not None and claimed.id == "job-3" and none is None
    found = store.claim("a", now_s=10, lease_s=5, without={"q"})
    assert found is not None and found.id == "job-1"


def test_only_the_holder_ends_a_job_and_only_once(store: SqlJobs) -> None:
    store.add(job(1))
    store.claim("a", now_s=10, lease_s=5)
    done = Ending(state="succeeded", result={"samples": []})

    assert not store.end("job-1", "b", done, now_s=11)
    assert store.end("job-1", "a", done, now_s=11)
    assert not store.end("job-1", "a", Ending(state="failed", problem={}), now_s=12)
    ended = store.get("job-1")
    assert ended is not None and (ended.state, ended.ended_at_s, ended.result) == ("succeeded", 11, {"samples": []})


def test_a_holder_who_died_loses_the_job_and_one_who_renews_keeps_it(store: SqlJobs) -> None:
    store.add(job(1))
    store.claim("a", now_s=10, lease_s=5)
    assert store.claim("b", now_s=14, lease_s=5) is None
    assert store.renew("job-1", "a", now_s=14, lease_s=5)
    assert store.claim("b", now_s=18, lease_s=5) is None
    taken = store.claim("b", now_s=19, lease_s=5)

    assert taken is not None and (taken.attempts, taken.started_at_s) == (2, None), "nobody has begun with it"
    assert not store.renew("job-1", "a", now_s=20, lease_s=5)
    assert not store.end("job-1", "a", Ending(state="succeeded"), now_s=20), "it would end twice"
    store.put_back("job-1", "b")
    again = store.get("job-1")
    assert again is not None and (again.state, again.attempts) == ("queued", 1)


def test_a_job_has_started_when_its_model_began_with_it(store: SqlJobs, database: str) -> None:
    for number in (1, 2, 3):
        store.add(job(number))
        store.claim("a", now_s=10, lease_s=5)
    step = Progress(step=0, num_steps=9, samples=(0,), queued_s=0.5, step_s=0.0)
    before_s = time.time()
    SqlProgress(database).put("job-1", "a", step)
    SqlProgress(database).put("job-2", "b", step)  # who does not hold it
    begun = store.get("job-1")
    for number in (1, 2):
        assert store.end(f"job-{number}", "a", Ending(state="succeeded", started_at_s=11), now_s=12)
    assert store.end("job-3", "a", Ending(state="failed"), now_s=12)
    told, untold, never = (store.get(f"job-{number}") for number in (1, 2, 3))

    assert begun is not None and begun.started_at_s is not None and begun.started_at_s >= before_s
    assert told is not None and told.started_at_s == begun.started_at_s
    assert untold is not None and untold.started_at_s == 11
    assert never is not None and never.started_at_s is None


def test_a_cancelled_job_is_nobodys(store: SqlJobs) -> None:
    store.add(job(1))
    store.claim("a", now_s=10, lease_s=5)

    assert store.cancel("job-1", now_s=11) and not store.cancel("job-1", now_s=12)
    assert not store.renew("job-1", "a", now_s=11, lease_s=5)
    assert not store.end("job-1", "a", Ending(state="succeeded"), now_s=12)
    assert store.claim("b", now_s=100, lease_s=5) is None


def test_each_job_is_kept_as_long_as_it_was_promised(store: SqlJobs) -> None:
    store.add(replace(job(1), keep_s=100.0))
    store.add(replace(job(2), keep_s=10.0))
    for number in (1, 2):
        assert store.cancel(f"job-{number}", now_s=11)

    found = store.get("job-1")
    assert found is not None and found.expires_at_s == 111
    assert list(store.expired(now_s=21)) == [] and list(store.expired(now_s=21.5)) == ["job-2"]
    assert sorted(store.expired(now_s=112)) == ["job-1", "job-2"]


def test_an_idempotency_key_is_an_owners(store: SqlJobs) -> None:
    first = store.add(job(1, idempotency_key="k"))
    again = store.add(job(2, idempotency_key="k"))
    other = store.add(job(3, idempotency_key="k", owner="you"))
    bare = [store.add(job(number)) for number in (4, 5)]

    assert first.id == again.id == "job-1" and other.id == "job-3"
    assert [one.id for one in bare] == ["job-4", "job-5"]
    assert store.find("me", "") is None


def test_many_threads_claim_each_job_once(database: str) -> None:
    store = SqlJobs(database)
    for number in range(30):
        store.add(job(number))
    claimed: list[str] = []

    def work(name: str) -> None:
        mine = SqlJobs(database)
        while (found := mine.claim(name, now_s=10, lease_s=5)) is not None:
            claimed.append(found.id)
            assert mine.end(found.id, name, Ending(state="succeeded"), now_s=11)

    threads = [threading.Thread(target=work, args=(f"worker-{number}",)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(claimed) == sorted(f"job-{number}" for number in range(30))
