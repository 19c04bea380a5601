"""What a caller learns of a replica that ends while it is asked, however Ray says it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import grpc
import pytest
from grpc.aio import AioRpcError, Metadata
from ray.exceptions import ActorUnavailableError, RayError

from serving.deployments import ServedModel
from serving.models.asked import Ask, Progress
from serving.models.client import ModelDied, ModelUnavailable
from serving.settings import ModelSettings

pytestmark = pytest.mark.anyio

STOPPED = AioRpcError(grpc.StatusCode.CANCELLED, Metadata(), Metadata(), details="the server stops")
ASK = Ask(inputs={}, seeds=(7,))
LOST = ActorUnavailableError("Actor is unavailable.", None)


class Ended:
    """A call that ends by an error; one that is followed, after a word of its progress."""

    def __init__(self, error: BaseException | None) -> None:
        self._error, self.was_cancelled = error, False

    def remote(self, *_: Any) -> Ended:
        return self

    def cancel(self) -> None:
        self.was_cancelled = True

    def __await__(self) -> Any:
        if self._error is not None:
            raise self._error
        yield from asyncio.Event().wait().__await__()

    async def __aiter__(self) -> AsyncIterator[Progress]:
        yield Progress(step=1, num_steps=2, samples=(0,), queued_s=0, step_s=1)
        if self._error is not None:
            raise self._error


def asked(settings: ModelSettings, call: Ended) -> ServedModel:
    handle = SimpleNamespace(make=call, follow=call, options=lambda **_: handle)
    return ServedModel(settings, handle)  # pyright: ignore[reportArgumentType]  as much of a handle as is asked


@pytest.mark.parametrize(
    ("error", "kind", "why"),
    [
        (STOPPED, ModelDied, "its replica went away"),
        (LOST, ModelDied, "its replica went away"),
        (RayError("gone"), ModelUnavailable, "no replica answers now"),
    ],
)
@pytest.mark.parametrize("is_followed", [False, True])
async def test_a_replica_that_ends_in_a_call_is_told_as_such(
    family_settings: ModelSettings, error: Exception, kind: type[Exception], why: str, is_followed: bool
) -> None:
    told: list[Progress] = []
    with pytest.raises(kind, match=why) as raised:
        await asked(family_settings, Ended(error)).make(ASK, told.append if is_followed else None)

    assert type(raised.value) is kind and len(told) == is_followed


async def test_an_end_without_an_answer_is_a_lost_replica(family_settings: ModelSettings) -> None:
    with pytest.raises(ModelDied, match="without an answer"):
        await asked(family_settings, Ended(None)).make(ASK, lambda _: None)


async def test_who_does_not_wait_any_more_ends_the_call(family_settings: ModelSettings) -> None:
    call = Ended(None)
    waiting = asyncio.ensure_future(asked(family_settings, call).make(ASK))
    await asyncio.sleep(0)
    waiting.cancel()

    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert call.was_cancelled
