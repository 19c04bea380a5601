"""More than the device can do: refused with a time, launched together, and left alone when callers leave."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from atelier.errors import ConfigError, WeightsError
from serving.api.api import create_api
from serving.jobs.sql import SqlJobs
from serving.models.asked import Answer, Ask
from serving.models.client import LocalModel
from serving.models.family import ModelFamily, Unhealthy
from serving.models.watching import Told
from serving.settings import ModelSettings, ServeSettings
from tests.serving.conftest import Open, until
from tests.serving.gates import sent_of

pytestmark = pytest.mark.anyio


@pytest.fixture
def narrow(family_settings: ModelSettings) -> Iterator[ModelFamily]:
    """A model with two places in its queue."""
    family = ModelFamily(family_settings.model_copy(update={"max_waiting": 2}))
    yield family
    family.close()


def ask(pictures: dict[str, bytes], *seeds: int, **values: Any) -> Ask:
    return Ask(inputs=pictures, seeds=seeds, **values)


async def test_a_crowd_is_served_or_told_when_to_come_again(
    settings: ServeSettings, narrow: ModelFamily, pictures: dict[str, bytes]
) -> None:
    app = create_api(settings, {"viton_hd_closet": LocalModel(narrow)}, SqlJobs(settings.database))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost") as client:
        asks = [client.post("/v1/try-on", files=pictures, data={"seed": str(seed)}) for seed in range(12)]
        answers = await asyncio.gather(*asks)

    statuses = [answer.status_code for answer in answers]
    assert set(statuses) == {200, 429} and statuses.count(200) >= 2
    refused = next(answer for answer in answers if answer.status_code == 429)
    assert refused.json()["code"] == "overloaded" and int(refused.headers["retry-after"]) >= 1
    assert narrow.card().waiting == 0


async def test_too_short_a_deadline_is_told(family: ModelFamily, pictures: dict[str, bytes]) -> None:
    answer = await family.make(ask(pictures, 1, timeout_s=0.0))

    assert answer.refusal is not None
    assert answer.refusal.code in ("overloaded", "deadline_exceeded") and answer.samples == ()


async def test_a_caller_who_leaves_frees_the_place(
    served: Open, settings: ServeSettings, pictures: dict[str, bytes]
) -> None:
    asked, left = asyncio.Event(), asyncio.Event()

    class Slow:
        """A model that notices who leaves."""

        async def make(self, ask: Ask, _told: Told | None = None) -> Answer:
            asked.set()
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                left.set()
                raise
            raise AssertionError("it waits for ever")

    app = create_api(settings, {"viton_hd_closet": Slow()}, SqlJobs(settings.database))  # pyright: ignore[reportArgumentType]
    request = httpx.Request("POST", "http://localhost/v1/try-on", files=pictures)
    messages = [{"type": "http.request", "body": request.read(), "more_body": False}]

    async def receive() -> Any:
        if messages:
            return messages.pop(0)
        await asked.wait()
        return {"type": "http.disconnect"}

    sent = await sent_of(app, request, receive)

    assert left.is_set()
    assert sent[0]["status"] == 499


async def test_cancelled_pictures_are_not_made(family_settings: ModelSettings, pictures: dict[str, bytes]) -> None:
    family = ModelFamily(family_settings)
    first = asyncio.create_task(family.make(ask(pictures, 1)))
    others = [asyncio.create_task(family.make(ask(pictures, seed))) for seed in (2, 3, 4, 5)]

    async def queued() -> bool:
        return family.card().waiting >= 2

    await until(queued, pause_s=0.001, tries=20_000)
    for task in others:
        task.cancel()
    answers = await asyncio.gather(first, *others, return_exceptions=True)

    made = [answer for answer in answers if isinstance(answer, Answer)]
    assert len(made) < 5 and family.card().waiting == 0
    family.close()


async def test_other_weights_answer_after_a_swap_and_bad_ones_change_nothing(
    family_settings: ModelSettings, tiny: Callable[[int], str], pictures: dict[str, bytes]
) -> None:
    family = ModelFamily(family_settings)
    before = await family.make(ask(pictures, 1))
    with pytest.raises(ConfigError, match="takes"):
        await family.swap({"wieghts": tiny(1)})
    with pytest.raises(WeightsError, match="nowhere"):
        await family.swap({"weights": "nowhere"})
    assert (await family.make(ask(pictures, 1))).samples == before.samples
    assert "nowhere" in family.card().refused
    await family.swap({"weights": tiny(1)})
    assert family.card().refused == ""
    after = await family.make(ask(pictures, 1))
    await family.swap({"weights": tiny(0)})
    again = await family.make(ask(pictures, 1))

    assert after.fingerprint != before.fingerprint and after.samples[0].sha256 != before.samples[0].sha256
    assert again.samples == before.samples and again.fingerprint == before.fingerprint
    family.close()


async def test_a_replica_says_when_it_is_no_good(
    family_settings: ModelSettings, pictures: dict[str, bytes], caplog: pytest.LogCaptureFixture
) -> None:
    family = ModelFamily(family_settings.model_copy(update={"stuck_after_s": 1e-9}))
    family.check()
    running = asyncio.create_task(family.make(ask(pictures, 1)))

    async def stuck() -> bool:
        try:
            family.check()
        except Unhealthy as error:
            return "has been running" in str(error)
        return False

    assert await until(stuck, pause_s=0.001, tries=20_000)
    assert (await running).refusal is None
    family.close()  # from here on every batch fails, and no picture is to blame
    answer = await family.make(ask(pictures, 1))
    assert answer.refusal is not None and answer.refusal.code == "internal_error"
    assert "RuntimeError" in caplog.text
