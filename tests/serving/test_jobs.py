"""Jobs: asked for now, looked at later, ended once, forgotten in time."""

from __future__ import annotations

import asyncio
import base64
import json
import threading
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image

from serving.jobs.files import JobFiles
from serving.keys import KeyRing
from serving.models.client import LocalModel
from serving.settings import JobSettings, ServeSettings
from tests.serving.conftest import Open, until
from tests.serving.gates import Gate, add, assert_documented, ended

pytestmark = pytest.mark.anyio


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
        await ended(client, first.json())
        late = await add(client, pictures, idempotency_key="order-1")
        await assert_documented(client, first, again, other, wrong, late)

    assert (late.status_code, late.json()["state"]) == (200, "succeeded")
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
        await assert_documented(client, at_once, short, long)

    assert at_once.status_code == 202 and short.status_code == 202 and short.json()["state"] == "queued"
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


async def test_a_picture_that_is_being_written_while_its_job_is_deleted_does_not_stay(
    served: Open, pictures: dict[str, bytes], settings: ServeSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, goes_on, written, put = threading.Event(), threading.Event(), threading.Event(), JobFiles.put_picture

    def slow(files: JobFiles, *arguments: Any) -> None:
        begun.set()
        goes_on.wait(10)
        put(files, *arguments)
        written.set()

    async def has_begun() -> bool:
        return begun.is_set()

    async def is_empty() -> bool:
        return written.is_set() and not [path for path in Path(settings.store).rglob("*") if path.is_file()]

    monkeypatch.setattr(JobFiles, "put_picture", slow)
    async with served() as client:
        job = (await add(client, pictures)).json()
        await until(has_begun)
        gone = await client.delete(f"/v1/jobs/{job['id']}")
        goes_on.set()
        await until(is_empty)

    assert gone.status_code == 204


async def test_the_store_has_nothing_of_what_a_phone_wrote_beside_the_picture(
    served: Open, pictures: dict[str, bytes], settings: ServeSettings
) -> None:
    gates: list[Gate] = []

    def gated(model: LocalModel) -> Gate:
        gates.append(Gate(model))
        return gates[0]

    place = "52.520008 N 13.404954 E"
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, place
    file = BytesIO()
    with Image.open(BytesIO(pictures["person"])) as person:
        person.convert("RGB").transpose(Image.Transpose.ROTATE_90).save(file, "JPEG", exif=exif, comment=place)
    sent = pictures | {"person": file.getvalue()}

    async with served(wrap=gated) as client:
        job = (await add(client, sent)).json()
        await until(gates[0].has_begun)
        lying = [path.read_bytes() for path in Path(settings.store).rglob("*") if path.is_file()]
        gates[0].open.set()
        done = await ended(client, job)
        made = (await client.get(done["result"]["samples"][0]["url"])).content
        at_once = (await client.post("/v1/try-on", files=sent, data={"seed": "7"})).json()

    assert place.encode() in sent["person"] and len(lying) == 2
    assert not [data for data in lying if place.encode() in data]
    assert made == base64.b64decode(at_once["samples"][0]["picture"])


async def test_a_job_that_cannot_be_made_says_why(served: Open, pictures: dict[str, bytes]) -> None:
    async with served() as client:
        job = await ended(client, (await add(client, pictures | {"person": pictures["garment"]})).json())
        unknown = await client.post("/v1/jobs", files=pictures, data={"task": "dance"})

    assert job["state"] == "failed" and job["problem"]["code"] == "no_person" and job["problem"]["stage"] == "parse"
    assert (unknown.status_code, unknown.json()["code"]) == (400, "field_invalid")


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
        other = await ended(client, (await add(client, pictures)).json())
    async with served(jobs=JobSettings(keep_s=2.0)) as client:
        job = await ended(client, (await add(client, pictures, idempotency_key="order-1")).json())

        async def over() -> bool:
            return (await client.get(f"/v1/jobs/{job['id']}")).status_code == 404

        await until(over)  # at once, whenever it is swept
        anew = await add(client, pictures, idempotency_key="order-1")
        assert anew.json()["id"] != job["id"], "its key is free again"
        job = await ended(client, anew.json())
        await until(over)
    async with served() as client:  # an ingress sweeps when it begins

        async def swept() -> bool:
            return len([*Path(settings.store, "jobs").iterdir()]) == 1

        await until(swept)
        promised_longer = await client.get(f"/v1/jobs/{other['id']}")
    assert promised_longer.json()["expires_at_s"] == pytest.approx(other["ended_at_s"] + JobSettings().keep_s)
    assert [path.name for path in Path(settings.store, "jobs").iterdir()] == [other["id"]], "no empty folder either"
    modes = [Path(place).stat().st_mode & 0o777 for place in (settings.store, settings.database)]
    assert modes == [0o700, 0o600], "prompts and pictures are the service's own"


async def test_too_many_jobs_are_refused(served: Open, pictures: dict[str, bytes]) -> None:
    gates: list[Gate] = []

    def gated(model: LocalModel) -> Gate:
        gates.append(Gate(model))
        return gates[0]

    async with served(wrap=gated, jobs=JobSettings(at_once=1, max_queued=1)) as client:
        await add(client, pictures)
        await until(gates[0].has_begun)
        queued = await add(client, pictures)
        refused = await add(client, pictures)

    assert queued.status_code == 202
    assert (refused.status_code, refused.json()["code"]) == (429, "overloaded")
    assert int(refused.headers["retry-after"]) >= 1
