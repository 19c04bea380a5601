"""Nothing of a picture, a prompt or a key is in a log, however a request ends."""

from __future__ import annotations

import base64
import logging
import traceback
from typing import Any

import pytest

from serving.api.problems import Broken, Unexpected
from serving.keys import KeyRing
from serving.models.asked import Answer, Ask, ModelCard
from serving.models.client import LocalModel
from serving.models.watching import Told
from serving.settings import ServeSettings
from tests.serving.conftest import Open

pytestmark = pytest.mark.anyio
SECRET = "a red dress for Ms Miller"


class Talkative:
    """A model whose error quotes what it was asked."""

    def __init__(self, model: LocalModel) -> None:
        self._model = model

    async def make(self, ask: Ask, told: Told | None = None) -> Answer:
        raise RuntimeError(f"cannot make {SECRET} of {ask.inputs['person'][:40]!r}")

    async def card(self) -> ModelCard:
        return await self._model.card()


async def test_no_log_quotes_a_request(
    served: Open, settings: ServeSettings, pictures: dict[str, bytes], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    logging.getLogger("httpx").setLevel(logging.WARNING)
    key = KeyRing(settings.keys).add("shop", ["make", "jobs"])
    headers = {"Authorization": f"Bearer {key}"}
    async with served(anonymous=False) as client:
        answers = [
            await client.post("/v1/try-on", files=pictures, headers=headers),
            await client.post("/v1/try-on", files=pictures | {"person": pictures["garment"]}, headers=headers),
            await client.post("/v1/try-on", files=pictures, data={"prompt": SECRET}, headers=headers),
            await client.post("/v1/try-on", files=pictures, headers={"X-API-Key": key[:-1]}),
            await client.post("/v1/jobs", files=pictures, data={"task": "try_on"}, headers=headers),
        ]
    async with served(anonymous=False, wrap=Talkative) as client:
        # Whoever runs the application, as Serve's replica, logs whole what is raised to it.
        client._transport.raise_app_exceptions = True  # pyright: ignore[reportAttributeAccessIssue]
        answers.append(await client.post("/v1/try-on", files=pictures, headers=headers))

    assert [answer.status_code for answer in answers] == [200, 422, 400, 401, 202, 500]
    assert answers[-1].json()["code"] == "internal_error" and SECRET not in answers[-1].text
    text = caplog.text
    assert "a request ended in RuntimeError" in text, "what failed must be in the log, and where"
    person = pictures["person"]
    secrets = [SECRET, key, key.rpartition("_")[2], repr(person[:20])[2:-1], base64.b64encode(person[:30]).decode()]
    assert [secret for secret in secrets if secret in text] == []


async def test_an_answer_that_breaks_off_says_nothing_of_why(caplog: pytest.LogCaptureFixture) -> None:
    async def talkative(_scope: Any, _receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        raise RuntimeError(SECRET)

    async def receive() -> Any:
        return {"type": "http.request"}

    async def send(_message: Any) -> None:
        pass

    with pytest.raises(Broken) as broken:
        await Unexpected(talkative)({"type": "http"}, receive, send)

    told = "".join(traceback.format_exception(broken.value))
    assert SECRET not in told + caplog.text and "a request ended in RuntimeError" in caplog.text
