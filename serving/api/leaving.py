"""Work that ends when its caller leaves."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from fastapi import Request

from serving.api.door import stopping
from serving.api.problems import Problem

Made = TypeVar("Made")


async def unless_left(request: Request, work: Coroutine[Any, Any, Made]) -> Made:
    """What work gives; a caller who leaves cancels it, and with it its places in every queue.

    The request's body must have been read: what arrives then is nothing but the end of the connection.

    Raises:
        Problem: `client_left`, which nobody reads; `stopping` where it is the service that goes: its time to end what
            has begun is up, or somebody in a hurry stopped it a second time, which Serve tells as a connection's end.
    """
    door = request.app.state.door
    working = asyncio.ensure_future(work)
    leaving = asyncio.ensure_future(_left(request))
    giving_up = asyncio.ensure_future(door.given_up.wait())
    try:
        await asyncio.wait((working, leaving, giving_up), return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            if door.is_closed:
                raise stopping("this service has stopped before it was done; ask again, here or elsewhere")
            raise Problem("client_left", "the connection ended before the request did")
        return working.result()
    finally:
        # Cancelled from outside too: Ray Serve cancels the handler itself when the caller leaves.
        tasks = (working, leaving, giving_up)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _left(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
