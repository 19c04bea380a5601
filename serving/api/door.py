"""How much an ingress takes in: no more than it can have in hand, and nothing new once it is to stop."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable

from starlette.types import ASGIApp, Receive, Scope, Send

from serving.api.problems import Problem
from serving.pace import Pace

HEALTH = "/healthz"
"""Where whoever spreads requests looks whether to send any."""
_STOPPED_RETRY_S = 10.0
"""Another ingress answers at once; a service that starts anew takes so long."""


class Door:
    """Counts the requests inside.

    Args:
        most: requests that may be inside at once.
        clock: seconds that only go forward.
    """

    def __init__(self, *, most: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._most = most
        self.inside = 0
        self.is_closed = False
        self.given_up = asyncio.Event()
        self._paces = {kind: Pace(clock) for kind in ("asks", "follows", "looks")}

    def close(self) -> None:
        """Lets no new work in; what is inside goes on."""
        self.is_closed = True

    def give_up(self) -> None:
        """Lets what is inside end without what it waits for: it is told that the service stops."""
        self.close()
        self.given_up.set()

    def refusal(self, method: str, path: str) -> Problem | None:
        """Why a request is not let in. Looking at what there is goes on to the last, but nobody is to be sent here.

        An ingress that has as much in hand as it may is well: whether it is, is told whatever it has.
        """
        if self.is_closed and (method == "POST" or path == HEALTH):
            return stopping("this service is stopping; ask again, here or elsewhere")
        if self.inside >= self._most and path != HEALTH:
            detail = f"{self.inside} requests are in hand, at most {self._most} may be; try again later"
            return Problem("overloaded", detail, retry_after_s=self._room_in_s())
        return None

    def pace(self, method: str, path: str) -> Pace:
        """Of requests like one: whoever asks for a job or looks at it is gone at once, who waits for pictures not."""
        kind = "asks" if method == "POST" and path != "/v1/jobs" else "follows" if path.endswith("/events") else "looks"
        return self._paces[kind]

    def _room_in_s(self) -> float:
        """Seconds until one of those inside should leave; at least 1."""
        soonest = min(pace.next_s for pace in self._paces.values())
        return max(1.0, soonest) if soonest < math.inf else 1.0


class AtTheDoor:
    """Turns away what a `Door` does not let in."""

    def __init__(self, app: ASGIApp, *, door: Door) -> None:
        self._app, self._door = app, door

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if (refusal := self._door.refusal(scope["method"], scope["path"])) is not None:
            await refusal.response()(scope, receive, send)
            return
        self._door.inside += 1
        try:
            with self._door.pace(scope["method"], scope["path"]).one():
                await self._app(scope, receive, send)
        finally:
            self._door.inside -= 1


def stopping(detail: str) -> Problem:
    """What is told while a service stops."""
    return Problem("stopping", detail, retry_after_s=_STOPPED_RETRY_S)
