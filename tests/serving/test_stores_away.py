"""Stores that are away and come back: what was accepted goes on, what is asked meanwhile is told, nothing stays."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from infra.postgres import PostgresServer
from infra.store import BUCKET, StoreServer
from serving.api.api import create_api, stores
from serving.database import StateUnavailable
from serving.jobs.files import JobFiles
from serving.jobs.job import Ending, Job
from serving.jobs.sql import SqlJobs
from serving.jobs.sweeping import Sweeper
from serving.keys import KeyRing
from serving.models.client import LocalModel
from serving.models.family import ModelFamily
from serving.quotas.quota import Quota
from serving.settings import Limits, ServeSettings
from tests.serving.conftest import Open, until
from tests.serving.gates import Gate, add, ended

pytestmark = pytest.mark.anyio


def files_below(folder: str | Path) -> list[Path]:
    return [path for path in Path(folder).rglob("*") if path.is_file()]


@contextmanager
def away(path: str | Path) -> Iterator[None]:
    """A file lies where a folder was."""
    path, aside = Path(path), Path(f"{path}-aside")
    path.rename(aside)
    path.write_bytes(b"")
    try:
        yield
    finally:
        path.unlink()
        aside.rename(path)


def problem(answer: httpx.Response) -> tuple[int, str]:
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    return answer.status_code, answer.json()["code"]


@pytest.fixture
def key(settings: ServeSettings) -> dict[str, str]:
    """Of an owner whose pictures are counted."""
    quota = Quota.of_words(["pictures=10/day"])
    return {"Authorization": f"Bearer {KeyRing(settings.keys).add('shop', ['jobs', 'models'], quota=quota)}"}


async def used(client: httpx.AsyncClient) -> int:
    return (await client.get("/v1/usage")).json()["rates"][0]["used"]


async def test_a_job_is_refused_while_its_files_cannot_be_kept_and_costs_nothing(
    served: Open, pictures: dict[str, bytes], settings: ServeSettings, key: dict[str, str]
) -> None:
    Path(settings.store).mkdir()
    async with served(anonymous=False) as client:
        client.headers.update(key)
        with away(settings.store):
            refused = await add(client, pictures, idempotency_key="order-1")
        counted = await used(client)
        again = await ended(client, (await add(client, pictures, idempotency_key="order-1")).json())
        afterwards = await used(client)

    assert problem(refused) == (502, "storage_unavailable") and int(refused.headers["retry-after"]) >= 1
    assert counted == 0 and afterwards == 1 and again["state"] == "succeeded"


async def test_a_store_that_hangs_holds_nobody_and_keeps_nothing_of_what_was_given_up(
    served: Open,
    pictures: dict[str, bytes],
    settings: ServeSettings,
    key: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    goes_on, put = threading.Event(), JobFiles.put_inputs
    ended_puts: list[str] = []

    def hangs(files: JobFiles, job_id: str, inputs: Mapping[str, bytes]) -> None:
        goes_on.wait(60)
        put(files, job_id, inputs)
        ended_puts.append(job_id)

    monkeypatch.setattr(JobFiles, "put_inputs", hangs)
    async with served(anonymous=False, limits=Limits(timeout_s=0.5)) as client:
        client.headers.update(key)
        refused = await add(client, pictures, idempotency_key="order-1")
        goes_on.set()

        async def given_back() -> bool:
            return bool(ended_puts) and await used(client) == 0 and not files_below(settings.store)

        await until(given_back)
        again = await add(client, pictures, idempotency_key="order-1")

    assert problem(refused) == (502, "storage_unavailable") and "within 0.5 s" in refused.json()["detail"]
    assert again.status_code == 202 and again.json()["id"] not in ended_puts[:1]


async def test_the_job_store_may_be_away_in_the_midst_of_everything(
    settings: ServeSettings, pictures: dict[str, bytes], family: ModelFamily, key: dict[str, str], tmp_path: Path
) -> None:
    class Watched(SqlJobs):
        """A job store that counts who looks."""

        looks = 0

        def position(self, job: Job) -> int:
            self.looks += 1
            return super().position(job)

    told = settings.model_copy(update={"anonymous": False, "database": str(tmp_path / "state" / "jobs.sqlite")})
    gate, jobs = Gate(LocalModel(family)), Watched(told.database)
    app = create_api(told, {"viton_hd_closet": gate}, jobs)
    transport = httpx.ASGITransport(app)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://localhost", headers=key) as client,
    ):
        job = (await add(client, pictures)).json()
        path = f"/v1/jobs/{job['id']}"

        await until(gate.has_begun)
        following, looks = asyncio.create_task(client.get(f"{path}/events")), jobs.looks

        async def followed() -> bool:
            return jobs.looks > looks + 1

        await until(followed)
        with away(tmp_path / "state"):
            meanwhile = [
                await add(client, pictures),
                await client.get(path),
                await client.delete(path),
                await client.get("/v1/usage"),
            ]
            gate.open.set()
        found = await ended(client, job)
        picture = await client.get(found["result"]["samples"][0]["url"])
        stream, counted = await following, await used(client)

    assert [problem(answer) for answer in meanwhile] == [(502, "job_store_unavailable")] * 4
    assert found["state"] == "succeeded" and picture.status_code == 200 and gate.asked == 1
    assert '"state": "succeeded"' in stream.text and "event: problem" not in stream.text
    assert counted == 1 and len(SqlJobs(told.database).expired(now_s=3e9)) == 1


async def test_a_job_that_is_not_kept_leaves_no_picture_and_no_count(
    settings: ServeSettings, pictures: dict[str, bytes], family: ModelFamily, key: dict[str, str]
) -> None:
    class Full(SqlJobs):
        """A job store whose disk is full."""

        def add(self, *_arguments: Any, **_values: Any) -> Job:
            raise StateUnavailable("disk is full")

    told = settings.model_copy(update={"anonymous": False})
    app = create_api(told, {"viton_hd_closet": LocalModel(family)}, Full(told.database))
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app), base_url="http://localhost", headers=key
    ) as client:
        refused = await add(client, pictures)
        counted = await used(client)

    assert problem(refused) == (502, "job_store_unavailable")
    assert counted == 0 and files_below(settings.store) == []


async def test_files_that_no_job_knows_of_are_swept(tmp_path: Path) -> None:
    store, files = SqlJobs(tmp_path / "jobs.sqlite"), JobFiles(str(tmp_path / "store"))
    names = [letter * 32 for letter in "abc"]
    for name in names:
        files.put_inputs(name, {"person": b"picture"})
    strange = tmp_path / "store" / "jobs" / "notes" / "a.txt"
    strange.parent.mkdir()
    strange.write_text("not a job's")
    for name in names[1:]:
        values: dict[str, Any] = {"task": "try_on", "recipe": "r", "request": {}, "inputs": ("person",)}
        store.add(Job(id=name, owner="me", created_at_s=1.0, **values))
    claimed = store.claim("me", now_s=2.0, lease_s=1.0)
    assert claimed is not None and claimed.id == names[1]
    store.end(names[1], "me", Ending(state="succeeded"), now_s=2e9)
    files.put_picture(names[1], 0, b"made", "image/jpeg")

    Sweeper(store, files).sweep()  # what has no job may be getting one
    assert files.held() == {names[0]: True, names[1]: False, names[2]: True}
    Sweeper(store, files, stray_s=0).sweep()
    assert files.held() == {names[1]: False, names[2]: True}, "an ended job has its picture, a queued one its inputs"
    assert strange.is_file()


async def test_a_database_that_has_gone_is_not_made_anew(tmp_path: Path) -> None:
    path = tmp_path / "jobs.sqlite"
    store = SqlJobs(path)
    path.unlink()
    with pytest.raises(StateUnavailable, match=r"jobs\.sqlite"):
        store.get("a")
    assert not path.exists()


@pytest.mark.long
async def test_a_real_object_store_is_killed_and_comes_back(
    served: Open, pictures: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gates: list[Gate] = []

    def gated(model: LocalModel) -> Gate:
        gates.append(Gate(model))
        return gates[0]

    server = StoreServer(tmp_path / "s3")
    with server:
        for name, value in server.environment().items():
            monkeypatch.setenv(name, value)
        async with served(wrap=gated, store=f"s3://{BUCKET}/serve") as client:
            gates[0].open.set()
            first = await ended(client, (await add(client, pictures)).json())
            gates[0].open.clear()
            second = (await add(client, pictures)).json()

            async def asked() -> bool:
                return gates[0].asked == 2

            await until(asked)
            server.stop()
            gates[0].open.set()
            picture_url = first["result"]["samples"][0]["url"]
            refused, unread = await asyncio.gather(add(client, pictures, idempotency_key="k"), client.get(picture_url))
            with StoreServer(tmp_path / "s3", port=server.port):
                found = await ended(client, second)
                third = await ended(client, (await add(client, pictures, idempotency_key="k")).json())
                read = [await client.get(job["result"]["samples"][0]["url"]) for job in (first, found, third)]
                left = [name for name, has_inputs in JobFiles(f"s3://{BUCKET}/serve").held().items() if has_inputs]

    assert first["state"] == found["state"] == third["state"] == "succeeded" and gates[0].asked == 3
    assert problem(refused) == problem(unread) == (502, "storage_unavailable")
    assert [answer.status_code for answer in read] == [200] * 3 and len({answer.content for answer in read}) == 1
    assert left == [], "inputs are in the store no longer than they are needed"


@pytest.mark.slow
async def test_a_real_postgres_is_killed_and_comes_back(
    settings: ServeSettings,
    pictures: dict[str, bytes],
    family: ModelFamily,
    key: dict[str, str],
    postgres: PostgresServer,
    caplog: pytest.LogCaptureFixture,
) -> None:
    told = settings.model_copy(update={"anonymous": False, "database": postgres.new()})
    gate = Gate(LocalModel(family))
    app = create_api(told, {"viton_hd_closet": gate}, *stores(told.database))
    transport = httpx.ASGITransport(app)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://localhost", headers=key) as client,
    ):
        job = (await add(client, pictures, idempotency_key="order-1")).json()
        await until(gate.has_begun)
        postgres.stop()
        meanwhile = [
            await add(client, pictures, idempotency_key="order-2"),
            await client.get(f"/v1/jobs/{job['id']}"),
            await client.get("/v1/usage"),
        ]
        gate.open.set()

        async def refused() -> bool:
            return f"does not take the end of job {job['id']}" in caplog.text

        await until(refused)
        postgres.start()
        found = await ended(client, job)
        again = await ended(client, (await add(client, pictures, idempotency_key="order-2")).json())
        same = (await add(client, pictures, idempotency_key="order-1")).json()
        counted, document = await used(client), (await client.get("/openapi.json")).text

    assert [problem(answer) for answer in meanwhile] == [(502, "job_store_unavailable")] * 3
    assert found["state"] == again["state"] == "succeeded" and gate.asked == 2 and same["id"] == job["id"]
    assert counted == 2, "what was refused meanwhile is not counted"
    texts = [caplog.text, document, *(answer.text for answer in meanwhile)]
    assert [text for text in texts if postgres.password in text] == []
