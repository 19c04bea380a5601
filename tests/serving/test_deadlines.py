"""Deadlines: counted from a request's arrival, carried to the model, and kept where nobody answers at all."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest

from serving.api.fields import UPLOAD_S
from serving.models.asked import Answer, Ask
from serving.models.client import LocalModel
from serving.models.watching import Told
from serving.settings import Limits
from tests.serving.conftest import Open
from tests.serving.gates import Gate

pytestmark = pytest.mark.anyio


class Heard(Gate):
    """A model that notes how long it is given."""

    def __init__(self, model: LocalModel) -> None:
        super().__init__(model)
        self.open.set()
        self.given_s: list[float] = []

    async def make(self, ask: Ask, told: Told | None = None) -> Answer:
        self.given_s.append(ask.timeout_s)
        return await super().make(ask, told)


def dawdling(pictures: dict[str, bytes], pause_s: float) -> tuple[AsyncIterator[bytes], dict[str, str]]:
    """A try-on whose body pauses before its last byte, and its headers."""
    request = httpx.Request("POST", "http://localhost/v1/try-on", files=pictures)
    body = request.read()

    async def chunks() -> AsyncIterator[bytes]:
        yield body[:-1]
        await asyncio.sleep(pause_s)
        yield body[-1:]

    return chunks(), {"content-type": request.headers["content-type"]}


async def test_a_model_that_never_answers_is_waited_for_no_longer_than_allowed(
    served: Open, pictures: dict[str, bytes]
) -> None:
    gates: list[Gate] = []

    def gated(model: LocalModel) -> Gate:
        gates.append(Gate(model))
        return gates[0]

    async with served(wrap=gated, limits=Limits(timeout_s=0.5)) as client:
        late = await client.post("/v1/try-on", files=pictures)
        images = [("image[]", picture) for picture in pictures.values()]
        edited = await client.post("/v1/images/edits", files=images, data={"prompt": "-"})

    assert (late.status_code, late.json()["code"]) == (504, "deadline_exceeded")
    assert "within 0.5 s of its arrival" in late.json()["detail"]
    assert (edited.status_code, edited.json()["error"]["code"]) == (504, "deadline_exceeded")
    assert gates[0].asked == gates[0].left == 2, "its places are free again"


async def test_what_the_upload_takes_is_not_left_for_the_model(served: Open, pictures: dict[str, bytes]) -> None:
    heard: list[Heard] = []

    def hearing(model: LocalModel) -> Heard:
        heard.append(Heard(model))
        return heard[0]

    body, headers = dawdling(pictures, 0.5)
    async with served(wrap=hearing, limits=Limits(timeout_s=50.0)) as client:
        slow = await client.post("/v1/try-on", content=body, headers=headers)
        short = await client.post("/v1/try-on", files=pictures, headers={"X-Atelier-Timeout": "30"})
        long = await client.post("/v1/try-on", files=pictures, headers={"X-Atelier-Timeout": "900"})
        wrong = [
            await client.post("/v1/try-on", files=pictures, headers={"X-Atelier-Timeout": word})
            for word in ("soon", "0", "-1", "nan", "inf", "1_0", "1e1")
        ]

    assert slow.status_code == short.status_code == long.status_code == 200
    assert 0 < heard[0].given_s[0] <= 49.5 and 0 < heard[0].given_s[1] <= 30 < heard[0].given_s[2] <= 50
    told = {(answer.status_code, answer.json()["code"], answer.json()["field"]) for answer in wrong}
    assert told == {(400, "field_invalid", "x-atelier-timeout")}


async def test_an_upload_that_does_not_come_is_told_so(
    served: Open, pictures: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    async with served() as client:
        body, headers = dawdling(pictures, 60)
        late = await client.post("/v1/try-on", content=body, headers=headers | {"X-Atelier-Timeout": "0.25"})
        monkeypatch.setattr("serving.api.fields.UPLOAD_S", 0.5)
        body, headers = dawdling(pictures, 60)
        halted = await client.post("/v1/try-on", content=body, headers=headers)

    assert Limits().timeout_s > UPLOAD_S, "else nobody would ever be told that the upload was slow"
    assert (halted.status_code, halted.json()["code"]) == (408, "upload_timeout")
    assert (late.status_code, late.json()["code"]) == (504, "deadline_exceeded")
    assert late.json()["detail"].startswith("was not done within 0.25 s of its arrival; upload")
