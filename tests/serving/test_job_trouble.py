"""Jobs whose model, store or ingress goes away: each ends once, with its picture or with what it waited for."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from serving.api.api import create_api
from serving.jobs.sql import SqlJobs
from serving.jobs.sql_progress import SqlProgress
from serving.models.asked import Answer, Ask, ModelCard, Progress, Refusal
from serving.models.client import LocalModel, ModelDied, ModelUnavailable
from serving.models.family import ModelFamily
from serving.models.watching import Told
from serving.settings import JobSettings, ModelSettings, ServeSettings
from tests.serving.conftest import Open, until
from tests.serving.gates import Gate, add, ended, opened

pytestmark = pytest.mark.anyio


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


class Dying(Gate):
    """A model that dies in the midst of the first ask, when it is let, and makes no other before it is let again."""

    def __init__(self, model: LocalModel) -> None:
        super().__init__(model)
        self.dies = asyncio.Event()

    async def make(self, ask: Ask, told: Told | None = None) -> Answer:
        if self.asked == 0:
            self.asked += 1
            assert told is not None
            partials = {0: b"small"}
            told(Progress(step=3, num_steps=9, samples=(0,), queued_s=0.0, step_s=1.0, partials=partials))
            await self.dies.wait()
            raise ModelDied("gone")
        return await super().make(ask, told)


async def test_the_steps_of_a_model_that_died_are_told_no_longer(
    served: Open, pictures: dict[str, bytes], settings: ServeSettings
) -> None:
    dying: list[Dying] = []

    def wrapped(model: LocalModel) -> Dying:
        dying.append(Dying(model))
        return dying[0]

    async with served(wrap=wrapped) as client:
        job = (await add(client, pictures)).json()

        async def has_progress() -> bool:
            return "progress" in (await client.get(f"/v1/jobs/{job['id']}")).json()

        async def waits_again() -> bool:
            return (await client.get(f"/v1/jobs/{job['id']}")).json()["state"] == "queued"

        await until(has_progress)
        dying[0].dies.set()
        await until(waits_again)
        shown = SqlProgress(settings.database).partials(job["id"])
        dying[0].open.set()
        found = await ended(client, job)

    assert shown == [] and found["state"] == "succeeded"


async def test_a_timeout_of_the_models_own_is_not_the_jobs_deadline(
    served: Open, pictures: dict[str, bytes], caplog: pytest.LogCaptureFixture
) -> None:
    def gated(model: LocalModel) -> Gate:
        gate = Gate(model, first=[TimeoutError("a lookup of its own")])
        gate.open.set()
        return gate

    async with served(wrap=gated, jobs=JobSettings(lease_s=1.0)) as client:
        job = await ended(client, (await add(client, pictures)).json())

    assert job["state"] == "succeeded", "it is taken up again when its lease has run out"
    assert f"job {job['id']}: could not be ended: TimeoutError" in caplog.text


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
    app = create_api(told, by_recipe, SqlJobs(told.database))
    posed = {"files": {"person": pictures["person"]}, "data": {"task": "pose_transfer", "pose": "standing"}}
    async with opened(app) as client:

        async def asked() -> bool:
            return absent.asked > 0

        first = await client.post("/v1/jobs", **posed)
        await until(asked)
        others = [await client.post("/v1/jobs", **posed) for _ in range(3)]
        done = await ended(client, (await add(client, pictures)).json())
        waiting = (await client.get(f"/v1/jobs/{first.json()['id']}")).json()

    assert [answer.status_code for answer in others] == [202, 202, 429]
    assert done["state"] == "succeeded" and waiting["state"] == "queued"


async def test_a_job_outlives_a_store_that_is_away_for_a_while(
    settings: ServeSettings, pictures: dict[str, bytes], family: ModelFamily, caplog: pytest.LogCaptureFixture
) -> None:
    class Away(SqlJobs):
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
    async with opened(app) as client:
        job = (await add(client, pictures)).json()

        await until(gate.has_begun)
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
