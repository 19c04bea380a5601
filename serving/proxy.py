"""What stands in Ray Serve's proxy before its own code: headers by which any caller could change its timeouts."""

from __future__ import annotations

from starlette.middleware import Middleware
from starlette.types import ASGIApp, Receive, Scope, Send

_INSIDE = (b"x-request-timeout-seconds", b"x-request-disconnect-disabled")
"""Serve takes these from anyone: 0.1 ends a request early, 0 takes the timeout away, `?1` keeps a dead one going."""


class WithoutInsideHeaders:
    """Drops what only the inside may say."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            headers = [(name, value) for name, value in scope["headers"] if name.lower() not in _INSIDE]
            scope = {**scope, "headers": headers}
        await self._app(scope, receive, send)


def middlewares() -> list[Middleware]:
    """What Ray Serve's proxy asks for: the target of `RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH`."""
    return [Middleware(WithoutInsideHeaders)]
