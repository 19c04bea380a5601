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
        Problem: `client_left`, which nobody reads; `stopping` where it is the service that goes: somebody in a hurry
            stopped it a second time, and Serve tells that as a connection's end, too.
    """
    working = asyncio.ensure_future(work)
    leaving = asyncio.ensure_future(_left(request))
    try:
        await asyncio.wait((working, leaving), return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            if request.app.state.door.is_closed:
                raise stopping("this service has stopped before it was done; ask again, here or elsewhere")
            raise Problem("client_left", "the connection ended before the request did")
        return working.result()
    finally:
        # Cancelled from outside too: Ray Serve cancels the handler itself when the caller leaves.
        for task in (working, leaving):
            task.cancel()
        await asyncio.gather(working, leaving, return_exceptions=True)


async def _left(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
