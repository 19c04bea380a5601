"""Work that ends when its caller leaves."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from fastapi import Request

from serving.api.problems import Problem

Made = TypeVar("Made")


async def unless_left(request: Request, work: Coroutine[Any, Any, Made]) -> Made:
    """What work gives; a caller who leaves cancels it, and with it its places in every queue.

    The request's body must have been read: what arrives then is nothing but the end of the connection.

    Raises:
        Problem: `client_left`, which nobody reads.
    """
    working = asyncio.ensure_future(work)
    leaving = asyncio.ensure_future(_left(request))
    try:
        await asyncio.wait((working, leaving), return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
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
