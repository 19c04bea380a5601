"""Jobs: asked for now, looked at later, ended once, forgotten in time."""

from __future__ import annotations

import asyncio
import base64
import json
import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest

from serving.api.api import create_api
from serving.jobs.sqlite import SqliteJobs
from serving.keys import KeyRing
from serving.models.asked import Answer, Ask, ModelCard, Refusal
from serving.models.client import LocalModel, ModelDied, ModelUnavailable
from serving.models.family import ModelFamily
from serving.models.watching import Told
from serving.settings import JobSettings, ModelSettings, ServeSettings
from tests.serving.conftest import Open, until

pytestmark = pytest.mark.anyio


class Gate:
    """A model that makes nothing before it is let."""

    def __init__(self, model: LocalModel, *, first: list[Answer | Exception] | None = None) -> None:
        self._model, self.open, self.asked, self.left = model, asyncio.Event(), 0, 0
        self._first = first or []

    async def make(self, ask: Ask, told: Told | None = None) -> Answer:
        self.asked += 1
        if self._first:
            answer = self._first.pop(0)
            if isinstance(answer, Exception):
                raise answer
            return answer
        try:
            await self.open.wait()
        except asyncio.CancelledError:
            self.left += 1
            raise
        return await self._model.make(ask, told)

    async def card(self) -> ModelCard:
        return await self._model.card()


async def add(client: httpx.AsyncClient, pictures: Mapping[str, bytes], **headers: str) -> httpx.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return await client.post("/v1/jobs", files=dict(pictures), data={"task": "try_on", "seed": "7"}, headers=named)


async def ended(client: httpx.AsyncClient, job: Mapping[str, Any]) -> dict[str, Any]:
    async def look() -> Any:
        found = (await client.get(f"/v1/jobs/{job['id']}")).json()
        return found if found["state"] in ("succeeded", "failed", "cancelled") else None

    return await until(look)


async def test_a_job_gives_what_the_request_gives(
    served: Open, pictures: dict[str, bytes], settings: ServeSettings
) -> None:
    async with served() as client:
        added = await add(client, pictures)
        job = await ended(client, added.json())
        picture = await client.get(job["result"]["samples"][0]["url"])
        at_once = (await client.post("/v1/try-on", files=pictures, data={"seed": "7"})).json()
        beyond = await client.get(f"/v1/jobs/{job['id']}/pictures/1")

    assert added.status_code == 202 and added.headers["location"] == f"/v1/jobs/{job['id']}"
    assert job["state"] == "succeeded" and job["created_at_s"] <= job["started_at_s"] <= job["ended_at_s"]
    assert job["expires_at_s"] == pytest.approx(job["ended_at_s"] + 86400)
    assert picture.headers["content-type"] == "image/jpeg"
    assert picture.content == base64.b64decode(at_once["samples"][0]["picture"])
    assert (beyond.status_code, beyond.json()["code"]) == (404, "picture_unknown")
    left = [path for path in Path(settings.store).rglob("*") if path.is_file() and "inputs" in path.parts]
    assert left == [], "a shopper's picture stays no longer than it is needed"


async def test_an_idempotency_key_gives_the_same_job_and_no_other_request(
    served: Open, pictures: dict[str, bytes]
) -> None:
    async with served() as client:
        first = await add(client, pictures, idempotency_key="order-1")
        texts = {name: base64.b64encode(data).decode() for name, data in pictures.items()}
        again = await client.post(
            "/v1/jobs", json=texts | {"task": "try_on", "seed": 7}, headers={"Idempotency-Key": "order-1"}
        )
        both = await asyncio.gather(*(add(client, pictures, idempotency_key="order-2") for _ in range(4)))
        other = await client.post(
            "/v1/jobs", files=pictures, data={"task": "try_on", "seed": "8"}, headers={"Idempotency-Key": "order-1"}
        )
        wrong = await add(client, pictures, idempotency_key="a b")

    assert first.json()["id"] == again.json()["id"]
    assert len({answer.json()["id"] for answer in both}) == 1
    assert (other.status_code, other.json()["code"]) == (409, "idempotency_conflict")
    assert (wrong.status_code, wrong.json()["code"]) == (400, "field_invalid")


async def test_pictures_at_once_are_made_once_under_an_idempotency_key(
    served: Open, pictures: dict[str, bytes], settings: ServeSettings
) -> None:
    gates: list[Gate] = []

    def gated(model: LocalModel) -> Gate:
        gates.append(Gate(model))
        gates[0].open.set()
        return gates[0]

    async def post(key: str, seed: int, person: str = "person", **headers: str) -> httpx.Response:
        data, files = {"seed": str(seed)}, pictures | {"person": pictures[person]}
        return await client.post("/v1/try-on", files=files, data=data, headers={"Idempotency-Key": key} | headers)

    async with served(wrap=gated) as client:
        bare = await client.post("/v1/try-on", files=pictures, data={"seed": "7"})
        first, again = await post("a", 7), await post("a", 7)
        picture = await post("a", 7, Accept="image/jpeg")
        job = await add(client, pictures, idempotency_key="a")
        other = await post("a", 8)
        refused = [await post("b", 7, "garment"), await post("b", 7, "garment")]
        gates[0].open.clear()
        late = await post("c", 7, **{"X-Atelier-Timeout": "0.5"})
        gates[0].open.set()
        in_time = await post("c", 7)
        gates[0].open.clear()
        going_on = await post("d", 7, Prefer="respond-async")
        await client.delete(going_on.headers["location"])
        cancelled = await post("d", 7)

    assert bare.status_code == first.status_code == again.status_code == in_time.status_code == 200
    assert first.json() == again.json() and set(first.json()) == set(bare.json())
    assert first.json()["samples"] == bare.json()["samples"] == in_time.json()["samples"]
    assert picture.content == base64.b64decode(first.json()["samples"][0]["picture"])
    assert job.status_code == 200 and job.json()["result"]["samples"][0]["seed"] == "7"
    assert (other.status_code, other.json()["code"]) == (409, "idempotency_conflict")
    assert [(answer.status_code, answer.json()["code"]) for answer in refused] == [(422, "no_person")] * 2
    assert refused[0].json() == refused[1].json() and refused[0].json()["stage"] == "parse"
    assert (late.status_code, late.json()["code"]) == (504, "deadline_exceeded")
    assert (cancelled.status_code, cancelled.json()["code"]) == (409, "job_ended")
    assert gates[0].asked <= 5, "the bare one, and one a key"


async def test_a_caller_waits_as_long_as_it_says(served: Open, pictures: dict[str, bytes]) -> None:
    gates: list[Gate] = []

    def gated(model: LocalModel) -> Gate:
        gates.append(Gate(model))
        return gates[0]

    async with served(wrap=gated) as client:
        at_once = await client.post("/v1/try-on", files=pictures, headers={"Prefer": "respond-async"})
        short = await client.post("/v1/try-on", files=pictures, headers={"Prefer": "wait=1"})
        gates[0].open.set()
        long = await client.post("/v1/try-on", files=pictures, headers={"Prefer": "handling=strict, wait=50"})

    assert at_once.status_code == 202 and short.status_code == 202 and short.json()["state"] == "running"
    assert long.status_code == 200 and long.json()["state"] == "succeeded"


async def test_events_tell_each_change_to_the_end(served: Open, pictures: dict[str, bytes]) -> None:
    async with served() as client:
        job = (await add(client, pictures)).json()
        stream = await client.get(f"/v1/jobs/{job['id']}/events")

    assert stream.headers["content-type"].startswith("text/event-stream")
    events = [event.split("\n") for event in stream.text.strip().split("\n\n")]
    assert all(event[0] == "event: job" for event in events)
    states = [json.loads(event[1].removeprefix("data: "))["state"] for event in events]
    assert states[-1] == "succeeded" and states == sorted(states, key=["queued", "running", "succeeded"].index)


async def test_a_deleted_job_ends_and_leaves_nothing(
    served: Open, pictures: dict[str, bytes], settings: ServeSettings
) -> None:
    gates: list[Gate] = []

    def gated(model: LocalModel) -> Gate:
        gates.append(Gate(model))
        return gates[0]

    async with served(wrap=gated) as client:
        job = (await add(client, pictures)).json()

        async def asked() -> bool:
            return gates[0].asked == 1

        async def left() -> bool:
            return gates[0].left == 1

        await until(asked)
        gone = await client.delete(f"/v1/jobs/{job['id']}")
        state = (await client.get(f"/v1/jobs/{job['id']}")).json()["state"]
        await until(left)  # its place in the model's queue is free
        again = await client.delete(f"/v1/jobs/{job['id']}")
        after = await client.get(f"/v1/jobs/{job['id']}")

    assert gone.status_code == again.status_code == 204 and state == "cancelled"
    assert (after.status_code, after.json()["code"]) == (404, "job_unknown")
    assert [path for path in Path(settings.store).rglob("*") if path.is_file()] == []


async def test_a_job_that_cannot_be_made_says_why(served: Open, pictures: dict[str, bytes]) -> None:
    async with served() as client:
        job = await ended(client, (await add(client, pictures | {"person": pictures["garment"]})).json())
        unknown = await client.post("/v1/jobs", files=pictures, data={"task": "dance"})

    assert job["state"] == "failed" and job["problem"]["code"] == "no_person" and job["problem"]["stage"] == "parse"
    assert (unknown.status_code, unknown.json()["code"]) == (400, "field_invalid")


async def test_a_busy_or_absent_model_is_waited_for(served: Open, pictures: dict[str, bytes]) -> None:
    busy = Answer(recipe="", refusal=Refusal(fault="overloaded", code="overloaded", detail="full", retry_after_s=0.1))

    def gated(model: LocalModel) -> Gate:
        gate = Gate(model, first=[busy, ModelUnavailable("nobody"), busy])
        gate.open.set()
        return gate

    async with served(wrap=gated) as client:
        job = await ended(client, (await add(client, pictures)).json())
    assert job["state"] == "succeeded"


async def test_a_job_that_its_model_dies_of_is_given_up(served: Open, pictures: dict[str, bytes]) -> None:
    gates: list[Gate] = []

    def gated(model: LocalModel) -> Gate:
        gates.append(Gate(model, first=[ModelDied("gone"), ModelUnavailable("nobody"), ModelDied("gone again")] * 2))
        return gates[0]

    async with served(wrap=gated, jobs=JobSettings(max_attempts=2)) as client:
        job = await ended(client, (await add(client, pictures)).json())

    assert job["state"] == "failed" and job["problem"]["code"] == "attempts_exhausted"
    assert "went away 2 times" in job["problem"]["detail"] and gates[0].asked == 3


class Absent:
    """A model that has no replica."""

    asked = 0

    async def make(self, ask: Ask, told: Told | None = None) -> Answer:
        self.asked += 1
        raise ModelUnavailable("nobody")

    async def card(self) -> ModelCard:
        raise ModelUnavailable("nobody")


async def test_a_job_whose_model_never_comes_fails_and_says_what_it_waited_for(
    served: Open, pictures: dict[str, bytes]
) -> None:
    def absent(_model: LocalModel) -> Absent:
        return Absent()

    async with served(wrap=absent, jobs=JobSettings(ends_after_s=0.5, at_once=1)) as client:
        jobs = [(await add(client, pictures)).json() for _ in range(3)]
        found = [await ended(client, job) for job in jobs]

    assert [job["state"] for job in found] == ["failed"] * 3
    problem = found[0]["problem"]
    assert (problem["code"], problem["status"]) == ("deadline_exceeded", 504)
    assert "within 0.5 s of its acceptance; it waited for a replica of model viton_hd_closet" in problem["detail"]


async def test_jobs_of_an_absent_model_leave_the_others_their_places(
    settings: ServeSettings, pictures: dict[str, bytes], family: ModelFamily
) -> None:
    absent, jobs = Absent(), JobSettings(at_once=1, max_queued=2)
    models = (*settings.models, ModelSettings(recipe="pidm_closet"))
    told = settings.model_copy(update={"models": models, "jobs": jobs})
    by_recipe = {"viton_hd_closet": LocalModel(family), "pidm_closet": absent}
    app = create_api(told, by_recipe, SqliteJobs(told.database))
    transport = httpx.ASGITransport(app, client=("127.0.0.1", 4242))
    posed = {"files": {"person": pictures["person"]}, "data": {"task": "pose_transfer", "pose": "standing"}}
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://localhost") as client,
    ):

        async def asked() -> bool:
            return absent.asked > 0

        first = await client.post("/v1/jobs", **posed)
        await until(asked)
        others = [await client.post("/v1/jobs", **posed) for _ in range(3)]
        done = await ended(client, (await add(client, pictures)).json())
        waiting = (await client.get(f"/v1/jobs/{first.json()['id']}")).json()

    assert [answer.status_code for answer in others] == [202, 202, 429]
    assert done["state"] == "succeeded" and waiting["state"] == "running"


async def test_a_job_outlives_a_store_that_is_away_for_a_while(
    settings: ServeSettings, pictures: dict[str, bytes], family: ModelFamily, caplog: pytest.LogCaptureFixture
) -> None:
    class Away(SqliteJobs):
        """A job store that sometimes isn't there."""

        is_away, refused = False, 0

        def renew(self, *arguments: Any, **values: Any) -> bool:
            self._look()
            return super().renew(*arguments, **values)

        def end(self, *arguments: Any, **values: Any) -> bool:
            self._look()
            return super().end(*arguments, **values)

        def _look(self) -> None:
            if self.is_away:
                self.refused += 1
                raise sqlite3.OperationalError("unable to open database file")

    gate, jobs = Gate(LocalModel(family)), Away(settings.database)
    app = create_api(settings, {"viton_hd_closet": gate}, jobs)
    store, aside = Path(settings.store), Path(f"{settings.store}-aside")
    transport = httpx.ASGITransport(app, client=("127.0.0.1", 4242))
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://localhost") as client,
    ):
        job = (await add(client, pictures)).json()

        async def asked() -> bool:
            return gate.asked == 1

        await until(asked)
        store.rename(aside)
        store.write_bytes(b"")  # where a folder was: nothing can be written below it
        jobs.is_away = True
        gate.open.set()

        async def refused() -> bool:
            return jobs.refused > 0

        async def both_refused() -> bool:
            return jobs.refused > 0 and "the store of files refuses: StorageError" in caplog.text

        await until(both_refused)
        store.unlink()
        aside.rename(store)
        jobs.refused = 0
        await until(refused)
        jobs.is_away = False
        found = await ended(client, job)
        picture = await client.get(found["result"]["samples"][0]["url"])

    assert found["state"] == "succeeded" and picture.status_code == 200
    assert gate.asked == 1, "what was made is not made again"


async def test_a_job_outlives_its_ingress(served: Open, pictures: dict[str, bytes]) -> None:
    gates: list[Gate] = []

    def gated(model: LocalModel) -> Gate:
        gates.append(Gate(model))
        return gates[-1]

    async with served(wrap=gated) as client:
        job = (await add(client, pictures)).json()

        async def asked() -> bool:
            return gates[0].asked == 1

        await until(asked)
    async with served() as client:  # the same store and database, another ingress
        assert (await ended(client, job))["state"] == "succeeded"


async def test_nobody_sees_anothers_job(served: Open, pictures: dict[str, bytes], settings: ServeSettings) -> None:
    ring = KeyRing(settings.keys)
    mine, yours = ring.add("mine", ["jobs"]), ring.add("yours", ["jobs"])
    async with served(anonymous=False) as client:
        job = (await add(client, pictures, authorization=f"Bearer {mine}")).json()
        path = f"/v1/jobs/{job['id']}"
        headers = {"Authorization": f"Bearer {yours}"}
        answers = [
            await client.get(path, headers=headers),
            await client.delete(path, headers=headers),
            await client.get(f"{path}/events", headers=headers),
            await client.get(f"{path}/pictures/0", headers=headers),
        ]
        rotated = {"Authorization": f"Bearer {ring.rotate('mine', overlap_s=0)}"}
        own = await client.get(path, headers=rotated)

    assert [answer.status_code for answer in answers] == [404] * 4
    assert own.status_code == 200, "a rotated key has its owner's jobs"


async def test_ended_jobs_are_forgotten_in_time(
    served: Open, pictures: dict[str, bytes], settings: ServeSettings
) -> None:
    async with served() as client:
        job = await ended(client, (await add(client, pictures)).json())
    async with served(jobs=JobSettings(keep_s=0.001)) as client:  # an ingress sweeps when it begins

        async def gone() -> bool:
            return (await client.get(f"/v1/jobs/{job['id']}")).status_code == 404

        await until(gone)
    assert [path for path in Path(settings.store).rglob("*") if path.is_file()] == []


async def test_too_many_jobs_are_refused(served: Open, pictures: dict[str, bytes]) -> None:
    async with served(wrap=Gate, jobs=JobSettings(at_once=1, max_queued=1)) as client:
        running = (await add(client, pictures)).json()

        async def taken_up() -> bool:
            return (await client.get(f"/v1/jobs/{running['id']}")).json()["state"] == "running"

        await until(taken_up)
        queued = await add(client, pictures)
        refused = await add(client, pictures)

    assert queued.status_code == 202
    assert (refused.status_code, refused.json()["code"]) == (429, "overloaded")
    assert int(refused.headers["retry-after"]) >= 1
