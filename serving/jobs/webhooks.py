"""Telling callers that their jobs have ended: signed, and told again for as long as nobody answers.

As the Standard Webhooks specification says: `webhook-id` is the same for every attempt, `webhook-timestamp` is the
attempt's, and `webhook-signature` has an HMAC-SHA256 of `id.timestamp.body` for each secret that the owner has.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import logging
import time
import traceback
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from serving.jobs.job import Job, JobStore
from serving.metrics import RequestMetrics
from serving.settings import WebhookSettings

_LOG = logging.getLogger(__name__)
_LOOK_EVERY_S = 0.5
_AT_ONCE = 16
"""Calls under way: one who dawdles holds a place, and nobody else up."""
_SPARE_S = 30.0
"""Beyond its timeout, before a call counts as lost with its ingress."""
_GONE = 410
"""The status by which an address says that it wants no more."""

Post = Callable[[str, bytes, Mapping[str, str]], Awaitable[int]]


class NotReached(Exception):
    """An address that gave no status; the message is a word for why, and nothing of the address."""


class WebhookSender:
    """Calls the addresses of jobs that have ended; what is due when stands in the store, so any ingress goes on.

    Args:
        post: sends a body, and gives the status that was answered; raises `NotReached`.
        secrets: an owner's, as `whsec_` and base64.
        view: a job as its owner sees it, as plain values; its pictures are links.
    """

    def __init__(
        self,
        store: JobStore,
        settings: WebhookSettings,
        metrics: RequestMetrics,
        *,
        post: Post,
        secrets: Callable[[str], Sequence[str]],
        view: Callable[[Job], Mapping[str, Any]],
    ) -> None:
        self._store, self._settings, self._metrics = store, settings, metrics
        self._post, self._secrets, self._view = post, secrets, view

    async def run(self) -> None:
        """Works until it is cancelled; calls under way are then made again by another."""
        calling: set[asyncio.Task[None]] = set()
        try:
            while True:
                while len(calling) < _AT_ONCE and (job := await self._claim()):
                    task = asyncio.create_task(self._tell(job))
                    calling.add(task)
                    task.add_done_callback(calling.discard)
                await asyncio.sleep(_LOOK_EVERY_S)
        finally:
            for task in calling:
                task.cancel()
            await asyncio.gather(*calling, return_exceptions=True)

    async def _claim(self) -> Job | None:
        lease_s = self._settings.timeout_s + _SPARE_S
        try:
            return await asyncio.to_thread(self._store.claim_webhook, now_s=time.time(), lease_s=lease_s)
        except Exception as error:  # noqa: BLE001  a store that is away now comes back
            _LOG.error("the job store does not answer: %s", type(error).__name__)
            return None

    async def _tell(self, job: Job) -> None:
        try:
            result, is_last = await self._call(job)
            pauses = self._settings.pauses_s
            due_at_s = None
            if not is_last and job.webhook_attempts <= len(pauses):
                due_at_s = time.time() + pauses[job.webhook_attempts - 1]
            await asyncio.to_thread(
                self._store.put_webhook, job.id, job.webhook_attempts, result=result, due_at_s=due_at_s
            )
            self._metrics.webhook_called(result if result == "delivered" else "failed" if is_last else "not answered")
            if result != "delivered":
                after = "is given up" if due_at_s is None else "is told again"
                _LOG.warning("job %s: its webhook %s after attempt %d: %s", job.id, after, job.webhook_attempts, result)
        except Exception as error:  # noqa: BLE001  the lease runs out, and it is told again
            where = "".join(traceback.format_tb(error.__traceback__))
            _LOG.error("job %s: its webhook could not be called: %s at\n%s", job.id, type(error).__name__, where)

    async def _call(self, job: Job) -> tuple[str, bool]:
        """What came of a call in a word or two, and whether it was the last."""
        secrets = self._secrets(job.owner)
        if not secrets:
            return "no secret", True  # the owner's keys were taken away: who would trust it unsigned?
        body = body_of(job, self._view(job))
        headers = signed(f"job_{job.id}", int(time.time()), body, secrets)
        try:
            async with asyncio.timeout(self._settings.timeout_s):
                status = await self._post(job.webhook, body, {"Content-Type": "application/json", **headers})
        except TimeoutError:
            return "timeout", False
        except NotReached as error:
            return str(error), False
        if 200 <= status < 300:
            return "delivered", True
        return f"status {status}", status == _GONE


def body_of(job: Job, view: Mapping[str, Any]) -> bytes:
    """What is sent when a job has ended: the same bytes at each attempt."""
    ended = datetime.fromtimestamp(job.ended_at_s or 0.0, UTC).isoformat(timespec="milliseconds")
    told = {"type": f"job.{job.state}", "timestamp": ended.replace("+00:00", "Z"), "data": view}
    return json.dumps(told, separators=(",", ":")).encode()


def signed(identity: str, timestamp: int, body: bytes, secrets: Sequence[str]) -> dict[str, str]:
    """The headers that say who sent a body: a receiver who knows any of the secrets can check it."""
    content = b".".join((identity.encode(), str(timestamp).encode(), body))
    signatures = [
        base64.b64encode(
            hmac.new(base64.b64decode(secret.removeprefix("whsec_")), content, hashlib.sha256).digest()
        ).decode()
        for secret in secrets
    ]
    return {
        "webhook-id": identity,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": " ".join(f"v1,{one}" for one in signatures),
    }
