"""Models that make nothing before they are let, and what tests ask of jobs that stand behind them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import httpx
import jsonschema
from fastapi import FastAPI

from serving.models.asked import Answer, Ask, ModelCard
from serving.models.client import LocalModel
from serving.models.watching import Told
from tests.serving.conftest import until


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

    async def has_begun(self) -> bool:
        """Whether it was asked once."""
        return self.asked == 1


async def add(client: httpx.AsyncClient, pictures: Mapping[str, bytes], **headers: str) -> httpx.Response:
    """A try-on's job."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return await client.post("/v1/jobs", files=dict(pictures), data={"task": "try_on", "seed": "7"}, headers=named)


async def ended(client: httpx.AsyncClient, job: Mapping[str, Any]) -> dict[str, Any]:
    """A job, once it has ended."""

    async def look() -> Any:
        found = (await client.get(f"/v1/jobs/{job['id']}")).json()
        return found if found["state"] in ("succeeded", "failed", "cancelled") else None

    return await until(look)


async def assert_documented(client: httpx.AsyncClient, *answers: httpx.Response) -> None:
    """That the service's document has each answer's status, with its headers' media type and a body of that shape."""
    document = (await client.get("/openapi.json")).json()
    for answer in answers:
        operation = document["paths"][answer.request.url.path][answer.request.method.lower()]
        told = operation["responses"].get(str(answer.status_code))
        assert told is not None, (
            f"{answer.request.url.path}: {answer.status_code} is not among {operation['responses']}"
        )
        schema = told["content"][answer.headers["content-type"]]["schema"]
        jsonschema.validate(answer.json(), {**schema, "components": document["components"]})


@asynccontextmanager
async def opened(app: FastAPI, address: str = "http://localhost") -> AsyncIterator[httpx.AsyncClient]:
    """A caller on loopback of an application that has begun."""
    transport = httpx.ASGITransport(app, client=("127.0.0.1", 4242))
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url=address) as client,
    ):
        yield client


async def sent_of(app: FastAPI, request: httpx.Request, received: Any) -> list[Any]:
    """What the application sends to a request whose messages a test hands in one by one."""
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    path = request.url.path
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": request.method,
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "scheme": "http",
        "headers": [(name.lower(), value) for name, value in request.headers.raw],
        "client": ("127.0.0.1", 1),
        "server": ("localhost", 80),
    }
    await app(scope, received, send)
    return sent
