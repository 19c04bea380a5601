"""Stopping and crowds: what has begun ends, what is new is told to come again, and when."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import httpx
import pytest

from serving.api.api import close, create_api, give_up
from serving.api.door import AtTheDoor, Door
from serving.jobs.sql import SqlJobs
from serving.models.client import LocalModel
from serving.models.family import ModelFamily
from serving.pace import Pace
from serving.settings import JobSettings, Limits, ServeSettings
from tests.serving.conftest import Open, until
from tests.serving.gates import Gate, add, opened, sent_of

pytestmark = pytest.mark.anyio


async def test_what_has_begun_ends_and_nothing_new_begins(
    settings: ServeSettings, pictures: dict[str, bytes], family: ModelFamily
) -> None:
    told = settings.model_copy(update={"jobs": JobSettings(at_once=1)})
    gate = Gate(LocalModel(family))
    app = create_api(told, {"viton_hd_closet": gate}, SqlJobs(told.database))
    async with opened(app) as client:
        running = (await add(client, pictures)).json()

        await until(gate.has_begun)
        queued = (await add(client, pictures, idempotency_key="queued")).json()
        begun = [
            asyncio.create_task(client.post("/v1/try-on", files=pictures, data={"seed": "7"})),
            asyncio.create_task(client.get(f"/v1/jobs/{running['id']}/events")),
            asyncio.create_task(client.get(f"/v1/jobs/{queued['id']}/events")),
            asyncio.create_task(
                client.post("/v1/try-on", files=pictures, data={"seed": "7"}, headers={"Idempotency-Key": "queued"})
            ),
        ]

        async def all_inside() -> bool:
            return gate.asked == 2 and app.state.door.inside == 4

        await until(all_inside)
        in_hand = close(app)
        refused = [await add(client, pictures), await client.post("/v1/try-on", files=pictures)]
        images = [("image[]", picture) for picture in pictures.values()]
        in_their_words = await client.post("/v1/images/edits", files=images, data={"prompt": "-"})
        looked = await client.get(f"/v1/jobs/{running['id']}")
        gate.open.set()
        made, followed, left, kept = await asyncio.gather(*begun)

        async def nothing_in_hand() -> bool:
            return close(app) == 0

        await until(nothing_in_hand)
        last = (await client.get(f"/v1/jobs/{queued['id']}")).json()

    assert in_hand == 5, "four requests, and a job"
    assert [(answer.status_code, answer.json()["code"]) for answer in refused] == [(503, "stopping")] * 2
    assert all(int(answer.headers["retry-after"]) >= 1 for answer in refused) and looked.status_code == 200
    assert (in_their_words.status_code, in_their_words.json()["error"]["code"]) == (503, "stopping")
    assert made.status_code == 200 and '"state": "succeeded"' in followed.text
    assert "event: problem" in left.text and '"code":"stopping"' in left.text
    assert (kept.status_code, kept.json()["code"]) == (503, "stopping") and last["state"] == "queued"


async def test_who_waits_when_the_time_to_end_is_up_is_told_so(
    settings: ServeSettings, pictures: dict[str, bytes], family: ModelFamily
) -> None:
    gate = Gate(LocalModel(family))
    app = create_api(settings, {"viton_hd_closet": gate}, SqlJobs(settings.database))
    async with opened(app) as client:
        running = (await add(client, pictures)).json()
        await until(gate.has_begun)
        waiting = [
            asyncio.create_task(client.post("/v1/try-on", files=pictures)),
            asyncio.create_task(client.get(f"/v1/jobs/{running['id']}/events")),
            asyncio.create_task(client.post("/v1/try-on", files=pictures, headers={"Prefer": "wait=50"})),
        ]

        async def all_inside() -> bool:
            return gate.asked == 3 and app.state.door.inside == 3

        await until(all_inside)
        told = give_up(app)
        made, followed, preferred = await asyncio.gather(*waiting)

    assert told == 3 and app.state.door.inside == 0
    assert (made.status_code, made.json()["code"]) == (503, "stopping") and int(made.headers["retry-after"]) >= 1
    assert followed.status_code == 200 and '"code":"stopping"' in followed.text.split("event: problem")[1]
    assert preferred.status_code == 202, "a job that was taken in goes on with the next service"


async def test_who_is_cut_off_by_a_service_in_a_hurry_is_not_told_to_have_left(
    settings: ServeSettings, pictures: dict[str, bytes], family: ModelFamily
) -> None:
    gate = Gate(LocalModel(family))
    app = create_api(settings, {"viton_hd_closet": gate}, SqlJobs(settings.database))
    request = httpx.Request("POST", "http://localhost/v1/try-on", files=pictures)
    body, goes = [request.read()], asyncio.Event()

    async def receive() -> Any:
        if body:
            return {"type": "http.request", "body": body.pop(), "more_body": False}
        await goes.wait()
        return {"type": "http.disconnect"}

    asked = asyncio.create_task(sent_of(app, request, receive))
    await until(gate.has_begun)
    close(app)
    goes.set()
    start, content, *_ = await asked

    assert start["status"] == 503 and json.loads(content["body"])["code"] == "stopping"


async def test_a_crowd_at_the_door_is_told_when_to_come_again(served: Open, pictures: dict[str, bytes]) -> None:
    gates: list[Gate] = []

    def gated(model: LocalModel) -> Gate:
        gates.append(Gate(model))
        return gates[0]

    async with served(wrap=gated, limits=Limits(max_requests=1)) as client:
        inside = asyncio.create_task(client.post("/v1/try-on", files=pictures))

        async def asked() -> bool:
            return gates[0].asked == 1

        await until(asked)
        crowd = await client.post("/v1/try-on", files=pictures)
        gates[0].open.set()
        first, later = await inside, await client.post("/v1/try-on", files=pictures)

    assert (crowd.status_code, crowd.json()["code"]) == (429, "overloaded") and int(crowd.headers["retry-after"]) >= 1
    assert first.status_code == later.status_code == 200


async def test_room_is_told_by_those_inside_not_by_those_who_only_looked() -> None:
    now = [0.0]
    door = Door(most=2, clock=lambda: now[0])

    async def app(scope: Any, _receive: Any, _send: Any) -> None:
        if took := scope.get("took"):
            now[0] += took
        else:
            await asyncio.Event().wait()

    async def ask(method: str, path: str, took: float = 0.0) -> Any:
        scope = {"type": "http", "method": method, "path": path, "took": took}
        return await AtTheDoor(app, door=door)(scope, None, None)  # type: ignore[arg-type]

    for _ in range(3):
        await ask("POST", "/v1/try-on", 8.0)
        await ask("POST", "/v1/try-on", 0.01)  # refused
        await ask("POST", "/v1/try-on", 0.02)
        await ask("GET", "/v1/jobs/1", 0.01)
        await ask("GET", "/v1/jobs/1/events", 300.0)
    stream = asyncio.create_task(ask("GET", "/v1/jobs/1/events"))
    maker = asyncio.create_task(ask("POST", "/v1/try-on"))
    await asyncio.sleep(0)
    now[0] += 3.0
    full = door.refusal("POST", "/v1/try-on")
    now[0] += 400.0
    overdue = door.refusal("POST", "/v1/try-on")
    for task in (stream, maker):
        task.cancel()
    await asyncio.gather(stream, maker, return_exceptions=True)

    assert full is not None and full.retry_after_s == pytest.approx(5.0)
    assert overdue is not None and overdue.retry_after_s == 1.0
    assert door.refusal("POST", "/v1/try-on") is None


async def test_a_pace_is_the_median_of_what_has_ended() -> None:
    times = iter([0.0, 3.0, 0.0, 9.0, 0.0, 4.0, 0.0])
    pace = Pace(lambda: next(times))
    assert pace.expected_s == 1.0
    for _ in range(3):
        with pace.one():
            pass
    with pytest.raises(RuntimeError), pace.one():
        raise RuntimeError("refused at once: it says nothing of who waits")

    assert pace.expected_s == 4.0
