"""Quotas: counted where every ingress sees them, in windows that slide, refused with the time when there is room."""

from __future__ import annotations

import json
import math
import re
import threading
from pathlib import Path

import httpx
import pytest

from atelier.errors import ConfigError
from serving.__main__ import main
from serving.jobs.job import Job, TooManyOpen
from serving.jobs.sql import SqlJobs
from serving.keys import KeyRing
from serving.quotas.quota import Quota
from serving.quotas.sql import SqlUses
from serving.settings import ServeSettings
from tests.serving.conftest import Open
from tests.serving.gates import Gate, add

pytestmark = pytest.mark.anyio
QUOTA = Quota.of_words(["requests=3/minute", "pictures=10/day"])


@pytest.fixture
def uses(database: str) -> SqlUses:
    return SqlUses(database)


async def test_a_quota_is_said_in_words() -> None:
    words = ["requests=60/minute", "pictures=1000/day", "jobs=8"]
    assert Quota.of_words(words).words == words and Quota.of_words([]) == Quota()
    for wrong in (["pictures=0/day"], ["pictures=5/year"], ["jobs=8/day"], ["jobs"], ["jobs=1", "jobs=2"]):
        with pytest.raises(ConfigError, match="quota"):
            Quota.of_words(wrong)
    with pytest.raises(ConfigError, match="another of its kind"):
        Quota.of_words(["requests=1/day", "requests=2/day"])


async def test_a_window_slides_and_says_when_there_is_room(uses: SqlUses) -> None:
    for now_s in (1000.0, 1000.5, 1030.2):
        assert uses.take("shop", QUOTA, "requests", 1, now_s=now_s).wait_s == 0
    full = uses.take("shop", QUOTA, "requests", 1, now_s=1040.0)

    assert full.full is not None and full.full.unit == "requests" and full.standings[0].used == 3
    # What was used within the second that began at 1000 is out of the window when that second is a minute old.
    assert full.wait_s == pytest.approx(21.0)
    assert uses.take("shop", QUOTA, "requests", 1, now_s=1060.9).wait_s == pytest.approx(0.1)
    assert uses.take("shop", QUOTA, "requests", 1, now_s=1061.0).wait_s == 0
    assert uses.take("shop", QUOTA, "requests", 2, now_s=1061.0).wait_s == pytest.approx(30.0)
    assert math.isinf(uses.take("shop", QUOTA, "requests", 4, now_s=2000.0).wait_s)


async def test_each_owner_and_unit_is_counted_by_itself_and_uses_are_given_back(uses: SqlUses) -> None:
    assert uses.take("shop", QUOTA, "pictures", 8, now_s=1000.0).wait_s == 0
    assert uses.take("shop", QUOTA, "pictures", 3, now_s=1000.0).full == QUOTA.rates[1]
    assert uses.take("other", QUOTA, "pictures", 10, now_s=1000.0).wait_s == 0
    uses.give_back("shop", QUOTA, "pictures", 2, taken_at_s=1000.0)
    requests, pictures = uses.standings("shop", QUOTA, now_s=1001.0)

    assert (requests.used, requests.left, requests.frees_in_s) == (0, 3, 0)
    assert (pictures.used, pictures.left) == (6, 4)
    assert uses.standings("shop", QUOTA, now_s=1000.0 + 86400 + 600)[1].used == 0


async def test_no_two_ingresses_give_the_same_use_twice(database: str) -> None:
    quota, given = Quota.of_words(["pictures=25/day", "pictures=1000/minute"]), []

    def ask() -> None:
        mine = SqlUses(database)
        given.extend(mine.take("shop", quota, "pictures", 1, now_s=1000.0).wait_s == 0 for _ in range(20))

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(given) == 80 and sum(given) == 25
    # What one rate refuses, the other has not counted either.
    assert [one.used for one in SqlUses(database).standings("shop", quota, now_s=1000.0)] == [25, 25]


async def test_jobs_at_once_are_counted_in_the_store(database: str) -> None:
    store = SqlJobs(database)

    def job(number: int, owner: str = "shop") -> Job:
        values = {"task": "try_on", "recipe": "r", "request": {}, "inputs": (), "created_at_s": float(number)}
        return Job(id=str(number), owner=owner, idempotency_key=str(number), **values)

    assert [store.add(job(number), most_open=2).id for number in (1, 2, 1)] == ["1", "2", "1"]
    with pytest.raises(TooManyOpen, match="2 jobs"):
        store.add(job(3), most_open=2)
    assert store.add(job(4, owner="other"), most_open=2).id == "4"
    assert store.cancel("1", now_s=5) and store.add(job(3), most_open=2).id == "3"


async def test_a_caller_is_told_how_the_quota_stands(
    served: Open, settings: ServeSettings, pictures: dict[str, bytes]
) -> None:
    ring = KeyRing(settings.keys)
    key = ring.add("shop", ["make", "jobs", "models"], quota=Quota.of_words(["requests=3/minute", "pictures=2/day"]))
    async with served(anonymous=False) as client, served(anonymous=False) as other:
        for one in (client, other):
            one.headers["Authorization"] = f"Bearer {key}"
        refused = await client.post("/v1/try-on", files=pictures | {"person": pictures["garment"]})
        made = await client.post("/v1/try-on", files=pictures, data={"num_samples": "2"})
        too_many = await other.post("/v1/try-on", files=pictures, data={"num_samples": "1"})
        other.headers["Authorization"] = f"Bearer {ring.rotate('shop', overlap_s=60)}"
        too_often = await other.post("/v1/jobs", content=b"", headers={"content-type": "application/json"})
        usage = (await client.get("/v1/usage")).json()

    assert (refused.status_code, made.status_code) == (422, 200), "a picture that was not made is not counted"
    assert made.headers["ratelimit-policy"] == '"requests-per-minute";q=3;w=60, "pictures-per-day";q=2;w=86400'
    assert re.fullmatch(r'"requests-per-minute";r=1;t=\d+, "pictures-per-day";r=0;t=\d+', made.headers["ratelimit"])
    assert (too_many.status_code, too_many.json()["code"]) == (429, "quota_exceeded")
    assert too_many.json()["detail"] == "pictures: the quota is 2 a day; 1 asked for, 0 left"
    assert 86000 < int(too_many.headers["retry-after"]) <= 87000
    assert (too_often.status_code, too_often.json()["code"]) == (429, "quota_exceeded"), (
        "a rotation starts no new count"
    )
    assert 1 <= int(too_often.headers["retry-after"]) <= 61 and "ratelimit" in too_often.headers
    assert [(rate["unit"], rate["used"], rate["left"]) for rate in usage["rates"]] == [
        ("requests", 3, 0),
        ("pictures", 2, 0),
    ]
    assert usage["owner"] == "shop" and usage["open_jobs"] == 0 and usage["most_open_jobs"] is None


async def test_a_job_is_counted_once_and_one_too_many_is_refused(
    served: Open, settings: ServeSettings, pictures: dict[str, bytes]
) -> None:
    quota = Quota.of_words(["pictures=100/day", "jobs=1"])
    key = KeyRing(settings.keys).add("shop", ["jobs", "models"], quota=quota)

    async def post(client: httpx.AsyncClient, name: str) -> httpx.Response:
        return await add(client, pictures, authorization=f"Bearer {key}", idempotency_key=name)

    async with served(anonymous=False, wrap=Gate) as client:
        answers = [await post(client, name) for name in ("a", "a", "b")]
        usage = (await client.get("/v1/usage", headers={"Authorization": f"Bearer {key}"})).json()

    assert [answer.status_code for answer in answers] == [202, 202, 429]
    assert answers[0].json()["id"] == answers[1].json()["id"]
    assert answers[2].json()["code"] == "quota_exceeded" and int(answers[2].headers["retry-after"]) >= 1
    assert (usage["rates"][0]["used"], usage["open_jobs"], usage["most_open_jobs"]) == (1, 1, 1)


async def test_the_command_gives_and_changes_quotas(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told = tmp_path / "serve.json"
    told.write_text(json.dumps({"keys": str(tmp_path / "keys.json")}))
    where = ["keys", "--settings", str(told)]
    assert main([*where, "add", "shop", "--quota", "requests=60/minute", "--quota", "jobs=2"]) == 0
    key = capsys.readouterr().out.strip()
    assert main([*where, "list"]) == 0 and "quota: requests=60/minute,jobs=2" in capsys.readouterr().out
    assert main([*where, "add", "shop"]) == 0, "another key is no way around the owner's quota"
    assert main([*where, "list"]) == 0 and capsys.readouterr().out.count("quota: requests=60/minute,jobs=2") == 2
    assert main([*where, "add", "shop", "--quota", "jobs=3"]) == 0
    assert main([*where, "list"]) == 0 and capsys.readouterr().out.count("quota: jobs=3") == 3
    assert main([*where, "quota", "shop", "--quota", "pictures=9/hour"]) == 0
    caller = KeyRing(tmp_path / "keys.json").caller(key)
    assert caller is not None and caller.quota.words == ["pictures=9/hour"]
    assert main([*where, "add", "shop", "--quota", "many"]) == 2 and "quota is 'many'" in capsys.readouterr().err
