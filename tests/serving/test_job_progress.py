"""A job's steps and what is coming of its pictures, as its owner sees them, and how little it takes to stop it."""

from __future__ import annotations

import asyncio
import base64
import dataclasses
import json
import sqlite3
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from atelier import poses
from atelier.images import decode_picture
from serving.api.api import create_api
from serving.api.views import ProgressView
from serving.jobs.job import Ending, Job
from serving.jobs.sql import SqlJobs
from serving.jobs.sql_progress import SqlProgress
from serving.models.asked import Progress
from serving.models.client import LocalModel
from serving.models.family import ModelFamily
from serving.models.watching import MOST_PARTIALS
from serving.settings import ModelSettings, ServeSettings
from tests.serving.conftest import until
from tests.serving.gates import ended, opened
from tests.serving.held import INPUTS, STEPS, held

pytestmark = pytest.mark.anyio
FIELDS = {"task": "pose_transfer", "seed": "7", "pose": poses.names()[0]}


@pytest.fixture
def told(settings: ServeSettings, stepping_settings: ModelSettings) -> ServeSettings:
    # Held loops make the batcher expect long ones: patience enough for them.
    patient = settings.limits.model_copy(update={"timeout_s": 600.0})
    return settings.model_copy(update={"models": (stepping_settings,), "limits": patient})


@pytest.fixture
def app(told: ServeSettings, stepping: ModelFamily) -> Any:
    return create_api(told, {"pidm_closet": LocalModel(stepping)}, SqlJobs(told.database))


async def add(client: httpx.AsyncClient, query: str = "") -> str:
    added = await client.post(f"/v1/jobs{query}", files={"person": INPUTS["person"]}, data=FIELDS)
    assert added.status_code == 202, added.text
    return f"/v1/jobs/{added.json()['id']}"


async def seen(client: httpx.AsyncClient, path: str, step: int) -> dict[str, Any]:
    """The job once its progress says that it has made a step."""

    async def look() -> Any:
        job = (await client.get(path)).json()
        return job if job.get("progress", {}).get("step") == step else None

    return await until(look)


async def running(client: httpx.AsyncClient, path: str) -> dict[str, Any]:
    """The job once it is told that its model has begun with it."""

    async def look() -> Any:
        job = (await client.get(path)).json()
        return job if job["state"] == "running" else None

    return await until(look)


def events(text: str) -> Iterator[tuple[str, dict[str, Any]]]:
    for event in text.strip().split("\n\n"):
        name, data = event.split("\n")
        yield name.removeprefix("event: "), json.loads(data.removeprefix("data: "))


async def test_a_running_job_says_its_step_and_an_ended_one_its_seconds(app: Any, stepping: ModelFamily) -> None:
    async with opened(app, "http://localhost:8000") as client:
        with held(stepping, 1, 4) as denoiser:
            path = await add(client)
            await denoiser.reached(1)
            before = await running(client, path)
            denoiser.let(1)
            await denoiser.reached(4)
            job = await seen(client, path, 3)
        ended = list(events((await client.get(f"{path}/events")).text))[-1][1]

    assert before["state"] == "running" and "progress" not in before
    progress = job["progress"]
    assert (progress["num_steps"], progress["samples"]) == (STEPS, [0])
    assert progress["queued_s"] >= 0 and progress["left_s"] == pytest.approx(progress["step_s"] * 7, abs=0.01)
    assert ended["state"] == "succeeded" and "progress" not in ended
    assert ended["result"]["seconds"]["synthesize"] > 0


async def test_a_job_is_queued_until_its_model_begins_with_it(app: Any, stepping: ModelFamily) -> None:
    async with opened(app, "http://localhost:8000") as client:
        with held(stepping, 1) as denoiser:
            paths = [await add(client)]
            await denoiser.reached(1)
            await running(client, paths[0])
            for number in (1, 2):
                paths.append(await add(client))
                await waiting(stepping, number)
            told = [(await client.get(path)).json() for path in paths]
        jobs = [await ended(client, job) for job in told]

    assert [(job["state"], job["position"]) for job in told] == [("running", 0), ("queued", 0), ("queued", 1)]
    assert ["started_at_s" in job for job in told] == [True, False, False]
    assert {job["state"] for job in jobs} == {"succeeded"}


async def waiting(family: ModelFamily, number: int) -> None:
    """Returns when so many pictures are in the model's own queue."""

    async def look() -> bool:
        return family.card().waiting == number

    await until(look)


async def test_events_tell_steps_and_show_what_is_coming(app: Any, stepping: ModelFamily, told: ServeSettings) -> None:
    async with opened(app, "http://localhost:8000") as client:
        with held(stepping, 4, 8) as denoiser:
            path = await add(client, "?pictures=true")
            with_pictures = asyncio.create_task(client.get(f"{path}/events?pictures=true"))
            without = asyncio.create_task(client.get(f"{path}/events"))
            await denoiser.reached(4)
            await seen(client, path, 3)
            await asyncio.sleep(0.5)  # each stream looks several times
            denoiser.let(4)
            await denoiser.reached(8)
            await seen(client, path, 7)
            await asyncio.sleep(0.5)
        streams = [list(events(task.text)) for task in (await with_pictures, await without)]
        await client.delete(path)

    for stream in streams:
        steps = [job["progress"]["step"] for name, job in stream if name == "job" and "progress" in job]
        assert {3, 7} <= set(steps) and steps == sorted(steps)
        assert stream[-1][1]["state"] == "succeeded"
    shown = [event for name, event in streams[0] if name == "picture"]
    assert [name for name, _ in streams[1] if name == "picture"] == []
    assert {3, 7} <= {event["step"] for event in shown} and {event["sample"] for event in shown} == {0}
    assert len(shown) <= MOST_PARTIALS and len({event["picture"] for event in shown}) == len(shown)
    head, _, data = shown[0]["picture"].partition(",")
    assert head == "data:image/jpeg;base64" and decode_picture(base64.b64decode(data)).shape == (96, 72, 3)
    with sqlite3.connect(told.database) as connection:
        assert connection.execute("select count(*) from partials").fetchone() == (0,), "nothing of a shopper stays"


async def test_a_job_that_did_not_ask_for_them_has_no_partial_pictures(app: Any) -> None:
    async with opened(app, "http://localhost:8000") as client:
        path = await add(client)
        stream = list(events((await client.get(f"{path}/events?pictures=true")).text))
    assert {name for name, _ in stream} == {"job"}


async def test_a_deleted_job_stops_before_its_next_step(app: Any, stepping: ModelFamily) -> None:
    async with opened(app, "http://localhost:8000") as client:
        with held(stepping, 3) as denoiser:
            path = await add(client)
            await denoiser.reached(3)
            assert (await client.delete(path)).status_code == 204

            async def given_up() -> bool:
                return stepping._batcher.running == 0

            await until(given_up)  # whoever holds the job has noticed
            denoiser.let(3)
            after = await client.post(
                "/v1/pose-transfer", files={"person": INPUTS["person"]}, data={"pose": FIELDS["pose"]}
            )
            assert after.status_code == 200 and denoiser.calls == 3 + STEPS


async def test_a_caller_who_leaves_stops_the_loop_before_its_next_step(app: Any, stepping: ModelFamily) -> None:
    async with opened(app, "http://localhost:8000") as client:
        fields = {"pose": FIELDS["pose"]}
        with held(stepping, 3) as denoiser:
            request = client.post("/v1/pose-transfer", files={"person": INPUTS["person"]}, data=fields)
            leaving = asyncio.create_task(request)
            await denoiser.reached(3)
            leaving.cancel()
            await asyncio.wait((leaving,))
            denoiser.let(3)
            after = await client.post("/v1/pose-transfer", files={"person": INPUTS["person"]}, data=fields)
            assert after.status_code == 200 and denoiser.calls == 3 + STEPS


async def test_progress_is_its_holders_and_leaves_with_the_job(database: str) -> None:
    jobs, store = SqlJobs(database), SqlProgress(database)
    plain: dict[str, Any] = {"owner": "me", "request": {}, "inputs": (), "created_at_s": 1.0}
    for name in ("one", "two"):
        jobs.add(Job(id=name, task="t", recipe="r", **plain))
    for _ in range(2):
        jobs.claim("a", now_s=10, lease_s=5)
    progress = Progress(step=2, num_steps=9, samples=(0, 1), queued_s=1.5, step_s=0.25, partials={1: b"small"})

    store.put("one", "b", progress)
    assert store.get("one") is None and store.partials("one") == []
    store.put("one", "a", progress)
    assert store.get("one") == dataclasses.replace(progress, partials={})
    assert [(one.sample, one.step, one.picture) for one in store.partials("one")] == [(1, 2, b"small")]
    assert jobs.renew("one", "a", now_s=11, lease_s=5) and store.get("one") is not None
    taken = jobs.claim("b", now_s=100, lease_s=5)
    assert taken is not None and taken.id == "one"
    assert store.get("one") is None and store.partials("one") == [], "another begins anew"
    store.put("one", "b", progress)
    assert jobs.end("one", "b", Ending(state="succeeded"), now_s=101)
    assert store.get("one") is None and store.partials("one") == []
    store.put("two", "a", progress)
    jobs.delete("two")
    assert store.get("two") is None and store.partials("two") == []


async def test_no_pace_is_told_before_it_is_known() -> None:
    first = Progress(step=1, num_steps=4, samples=(0,), queued_s=0.5, step_s=0.0)
    told = [ProgressView.of(one) for one in (first, dataclasses.replace(first, step=3, step_s=2.0))]
    assert [(one.step_s, one.left_s) for one in told] == [(None, None), (2.0, 2.0)]
