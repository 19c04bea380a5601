"""Bodies that end: what is longer than allowed is refused while it is read, not after."""

from __future__ import annotations

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.api.problems import Problem


class BodyLimit:
    """Refuses a body that is longer than `max_bytes`, by its `Content-Length` or by counting, when somebody reads it:
    who may not ask at all is told that.
    """

    def __init__(self, app: ASGIApp, *, max_bytes: int) -> None:
        self._app, self._max_bytes = app, max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        claimed = Headers(scope=scope).get("content-length", "0")
        if not claimed.isascii() or not claimed.isdigit():
            problem = Problem("request_malformed", f"content-length is {claimed[:20]!r}; must be a number")
            await problem.response()(scope, receive, send)
            return
        read = 0

        async def counted() -> Message:
            nonlocal read
            if int(claimed) > self._max_bytes:
                raise self._too_large(int(claimed))
            message = await receive()
            if message["type"] == "http.request":
                read += len(message.get("body", b""))
                if read > self._max_bytes:
                    raise self._too_large(read)
            return message

        await self._app(scope, counted, send)

    def _too_large(self, length: int) -> Problem:
        detail = f"the body has {length:,} bytes or more; must have at most {self._max_bytes:,}"
        return Problem("body_too_large", detail)
