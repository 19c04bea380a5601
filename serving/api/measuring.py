"""Requests counted and timed by route, where nothing of a request is told but its status."""

from __future__ import annotations

import time

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.api.deadlines import arrived
from serving.metrics import RequestMetrics


class Measured:
    """Tells `metrics` of every request that was answered, or whose caller left."""

    def __init__(self, app: ASGIApp, *, metrics: RequestMetrics) -> None:
        self._app, self._metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started, status = arrived(scope), 499

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, watched)
        finally:
            # The route's template: a path may hold an id, and each id would be a series of its own.
            route = getattr(scope.get("route"), "path", "none")
            self._metrics.answered(route, status, time.monotonic() - started)
