"""Quotas as callers meet them: a 429 that says when, `RateLimit` headers, and `GET /v1/usage`."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from fastapi import APIRouter, Depends, Request
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving import keys
from serving.api.access import Access
from serving.api.documents import problems
from serving.api.problems import Problem
from serving.api.views import RateView, UsageView
from serving.database import StateUnavailable
from serving.jobs.job import JobStore
from serving.keys import Caller
from serving.quotas.quota import Quota, Standing, Unit, UseStore


@dataclass(frozen=True, kw_only=True)
class Use:
    """What was counted, so that it can be taken back."""

    owner: str
    quota: Quota
    unit: Unit
    count: int
    at_s: float


class Meter:
    """Counts what callers ask for against their keys' quotas. Its calls wait for the store: threads make them."""

    def __init__(self, uses: UseStore, access: Access) -> None:
        self._uses, self._access = uses, access
        self._owed: list[Use] = []

    def to(self, scope: keys.Scope) -> Callable[..., Awaitable[Caller]]:
        """A dependency like `Access.to` that counts the request as well, before a byte of its body is read."""
        allowed = Depends(self._access.to(scope))

        async def caller(request: Request, caller: Caller = allowed) -> Caller:
            await self.taken(request, caller, "requests", 1)
            return caller

        return caller

    async def taken(self, request: Request, caller: Caller, unit: Unit, count: int) -> Use:
        """As `take`, which is left to a thread where there is a store to wait for."""
        if not caller.quota.rates:
            return self.take(request, caller, unit, count)
        return await asyncio.to_thread(self.take, request, caller, unit, count)

    def take(self, request: Request, caller: Caller, unit: Unit, count: int) -> Use:
        """Counts a use; the answer to `request` will tell how the quota stands.

        Raises:
            Problem: `quota_exceeded`.
        """
        quota, now_s = caller.quota, time.time()
        use = Use(owner=caller.owner, quota=quota, unit=unit, count=count, at_s=now_s)
        if not quota.rates:
            return use
        self._settle()
        taken = self._uses.take(caller.owner, quota, unit, count, now_s=now_s)
        request.state.rate_limits = _headers(taken.standings)
        if taken.full is None:
            return use
        rate = taken.full
        allowed = f"the quota is {rate.most} {'an' if rate.per == 'hour' else 'a'} {rate.per}"
        if math.isinf(taken.wait_s):
            raise Problem("quota_exceeded", f"{count} {unit} are asked for at once; {allowed}")
        left = next(one.left for one in taken.standings if one.rate == rate)
        detail = f"{unit}: {allowed}; {count} asked for, {left} left"
        raise Problem("quota_exceeded", detail, retry_after_s=max(1.0, taken.wait_s))

    def give_back(self, use: Use) -> None:
        """Takes a use back that came to nothing: where the store is away, as soon as it answers again."""
        if use.quota.rates:
            self._owed.append(use)
            with suppress(StateUnavailable):
                self._settle()

    def _settle(self) -> None:
        while self._owed:
            try:
                use = self._owed.pop()
            except IndexError:
                return  # another thread took the last one
            try:
                self._uses.give_back(use.owner, use.quota, use.unit, use.count, taken_at_s=use.at_s)
            except StateUnavailable:
                self._owed.append(use)
                raise

    def standings(self, caller: Caller) -> tuple[Standing, ...]:
        """How a caller's rates stand."""
        return self._uses.standings(caller.owner, caller.quota, now_s=time.time()) if caller.quota.rates else ()


class RateLimitHeaders:
    """Adds what `Meter` found to the answer, whatever the answer is."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        state = scope.setdefault("state", {})

        async def told(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(state.get("rate_limits", {}))
            await send(message)

        await self._app(scope, receive, told)


def routes(access: Access, meter: Meter, store: JobStore) -> APIRouter:
    """What a caller has used."""
    router = APIRouter(tags=["models"])
    looker = Depends(access.to("models"))

    @router.get(
        "/v1/usage",
        summary="What the key's owner may use, and has used",
        response_model=UsageView,
        responses=problems(401, 403, 429, 502),
        operation_id="get_usage",
    )
    async def usage(caller: Caller = looker) -> UsageView:
        standings = await asyncio.to_thread(meter.standings, caller)
        num_open = await asyncio.to_thread(store.num_open, caller.owner)
        rates = [RateView.of(standing) for standing in standings]
        return UsageView(owner=caller.owner, rates=rates, open_jobs=num_open, most_open_jobs=caller.quota.jobs)

    return router


def _headers(standings: Sequence[Standing]) -> dict[str, str]:
    """Of draft-ietf-httpapi-ratelimit-headers: structured fields, a member a rate, under the same name in both."""
    policy = ", ".join(f'"{one.rate.name}";q={one.rate.most};w={one.rate.window_s:.0f}' for one in standings)
    left = ", ".join(
        f'"{one.rate.name}";r={one.left};t={math.ceil(min(one.frees_in_s, one.rate.window_s))}' for one in standings
    )
    return {"RateLimit-Policy": policy, "RateLimit": left}
