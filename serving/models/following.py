"""Following an ask from elsewhere: the newest of its progress now and then, its answer at the end."""

from __future__ import annotations

import asyncio
import dataclasses
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

from serving.models.asked import Answer, Progress

_TELL_EVERY_S = 0.2
"""Steps of small models take milliseconds: who looks on from elsewhere is not told each."""


class Newest:
    """A box for the newest progress: what nobody took in time is overtaken, and its partial pictures go along.

    To be used in one event loop. `began_at_s` is when the first was put in, in Unix seconds; None before.
    """

    def __init__(self) -> None:
        self._progress: Progress | None = None
        self._there = asyncio.Event()
        self._was_put = False
        self.began_at_s: float | None = None

    def put(self, progress: Progress) -> None:
        """Puts a newer one in."""
        if self._progress is not None:
            partials = {**self._progress.partials, **progress.partials}
            progress = dataclasses.replace(progress, partials=partials)
        self._progress = progress
        self._was_put = True
        self.began_at_s = self.began_at_s or time.time()
        self._there.set()

    def void(self) -> None:
        """Says that what was put in is true no longer: who made it went away."""
        if self._was_put:
            self._progress = None
            self._was_put = False
            self._there.set()

    async def take(self) -> Progress | None:
        """Waits until there is one, and takes it out; None where those before are void."""
        await self._there.wait()
        progress = self._progress
        self._progress = None
        self._there.clear()
        return progress


async def followed(
    make: Callable[[Callable[[Progress], None]], Coroutine[Any, Any, Answer]],
) -> AsyncIterator[Progress | Answer]:
    """What `make` tells while it works, and last what it gives; closing the iterator cancels it."""
    newest = Newest()
    making = asyncio.ensure_future(make(newest.put))
    taking = asyncio.ensure_future(newest.take())
    try:
        while True:
            await asyncio.wait((making, taking), return_when=asyncio.FIRST_COMPLETED)
            if making.done():
                yield making.result()
                return
            if (progress := taking.result()) is not None:
                yield progress
            taking = asyncio.ensure_future(newest.take())
            await asyncio.wait((making,), timeout=_TELL_EVERY_S)
    finally:
        for task in (making, taking):
            task.cancel()
        await asyncio.gather(making, taking, return_exceptions=True)
