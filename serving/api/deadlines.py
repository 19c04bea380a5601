"""When a request without a job must have been answered: counted from its arrival, whatever its time goes into."""

from __future__ import annotations

import asyncio
import math
import re
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import Request
from starlette.types import Scope

from serving.api.problems import Problem

HEADER = "x-atelier-timeout"
"""Seconds that a caller waits at most; more than the service's own limit is taken as that."""
_SECONDS = re.compile(r"\d{1,9}(\.\d*)?|\.\d+")


def arrived(scope: Scope) -> float:
    """Notes in a request's scope that it has just arrived, and gives the moment, by the monotonic clock."""
    return scope.setdefault("state", {}).setdefault("arrived_s", time.monotonic())


class Deadline:
    """The moment by which a request must have been answered.

    Args:
        most_s: seconds from its arrival that it may take, its upload included; its caller may say less.

    Raises:
        Problem: `field_invalid`, of a header that says no seconds.
    """

    def __init__(self, request: Request, *, most_s: float) -> None:
        self._most_s = min(most_s, _asked_s(request, most_s))
        self._ends_s = arrived(request.scope) + self._most_s

    @property
    def left_s(self) -> float:
        """Seconds that are left of it, at least 0."""
        return max(0.0, self._ends_s - time.monotonic())

    @asynccontextmanager
    async def bounds(self) -> AsyncIterator[None]:
        """Ends what is done inside when the time is up.

        Raises:
            Problem: `deadline_exceeded`.
        """
        bound = asyncio.timeout(self.left_s)
        try:
            async with bound:
                yield
        except TimeoutError:
            if not bound.expired():
                raise
            detail = (
                f"was not done within {self._most_s:g} s of its arrival; upload, fetching and waiting are part of it"
            )
            raise Problem("deadline_exceeded", detail) from None


def _asked_s(request: Request, most_s: float) -> float:
    said = request.headers.get(HEADER)
    if said is None:
        return most_s
    seconds = float(said) if _SECONDS.fullmatch(said) else math.nan
    if not 0 < seconds < math.inf:
        raise Problem("field_invalid", f"{HEADER}: is {said[:20]!r}; must be seconds, more than 0")
    return seconds
