"""What stands in Ray Serve's proxy around its own code: headers by which any caller could change its timeouts are
dropped, and a proxy that knows of no application yet says so."""

from __future__ import annotations

import re

from starlette.middleware import Middleware
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_INSIDE = (b"x-request-timeout-seconds", b"x-request-disconnect-disabled")
"""Serve takes these from anyone: 0.1 ends a request early, 0 takes the timeout away, `?1` keeps a dead one going."""

_UNKNOWN = re.compile(rb"Path '.*' not found\. Ping http", re.DOTALL)
"""How Serve's own answer begins where no application is at a path."""
_RETRY_S = 2


class WithoutInsideHeaders:
    """Drops what only the inside may say."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            headers = [(name, value) for name, value in scope["headers"] if name.lower() not in _INSIDE]
            scope = {**scope, "headers": headers}
        await self._app(scope, receive, send)


class NotUpYet:
    """Answers 503 `starting` where Serve would say 404: it listens before it knows of any application.

    Whoever asked for a job then would take it for gone. With a service at `/` Serve says 404 at no other time.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        held: Message | None = None

        async def told(message: Message) -> None:
            nonlocal held
            if message["type"] == "http.response.start" and message["status"] == 404:
                held = message
                return
            if held is not None:
                start, held = held, None
                if _UNKNOWN.match(message.get("body", b"")):
                    await _starting()(scope, receive, send)
                    return
                await send(start)
            await send(message)

        await self._app(scope, receive, told)


def _starting() -> JSONResponse:
    # As `serving.api.problems` writes it, which would take a proxy a second to import.
    content = {
        "type": "urn:atelier:problem:starting",
        "title": "Service Unavailable",
        "status": 503,
        "code": "starting",
        "detail": "the service is not up yet; ask again",
        "retry_after_s": float(_RETRY_S),
    }
    headers = {"Retry-After": str(_RETRY_S)}
    return JSONResponse(content, status_code=503, headers=headers, media_type="application/problem+json")


def middlewares() -> list[Middleware]:
    """What Ray Serve's proxy asks for: the target of `RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH`."""
    return [Middleware(WithoutInsideHeaders), Middleware(NotUpYet)]
