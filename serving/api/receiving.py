"""Taking a job in: its inputs to the store, its state to the job store, and an answer that says where it is."""

from __future__ import annotations

import asyncio
import math
import re
import threading
import time
import uuid
from collections.abc import Sequence
from contextlib import suppress

from fastapi import Request, Response
from fastapi.responses import JSONResponse

from atelier.errors import StorageError
from serving.api.deadlines import Deadline
from serving.api.door import Door, stopping
from serving.api.forms import Form
from serving.api.leaving import unless_left
from serving.api.metering import Meter
from serving.api.problems import AWAY_RETRY_S, Problem
from serving.api.views import JobView
from serving.database import StateUnavailable
from serving.jobs.files import JobFiles
from serving.jobs.job import Job, JobStore, TooManyOpen
from serving.jobs.progress import Partial, ProgressStore
from serving.jobs.runner import JobRunner, answer_of
from serving.keys import Caller
from serving.metrics import RequestMetrics
from serving.models.asked import Answer
from serving.settings import JobSettings

_KEY = re.compile(r"[\x21-\x7e]{1,200}")
_LOOK_EVERY_S = 0.05
_FIRST_GUESS_S = 2.0
"""What a job is taken to last before one has ended."""


class Receiver:
    """Takes jobs in, and says how they stand.

    Args:
        timeout_s: how long the stores may take over a job that is taken in.
    """

    def __init__(
        self,
        store: JobStore,
        progress: ProgressStore,
        files: JobFiles,
        runner: JobRunner,
        settings: JobSettings,
        meter: Meter,
        door: Door,
        metrics: RequestMetrics,
        *,
        timeout_s: float,
    ) -> None:
        self._store, self._progress, self._files, self._runner = store, progress, files, runner
        self._settings, self._meter, self._door, self._metrics = settings, meter, door, metrics
        self._timeout_s = timeout_s

    async def receive(
        self, request: Request, caller: Caller, form: Form, *, wait_s: float = 0.0, with_partials: bool = False
    ) -> Response:
        """200 with the job where it ends within `wait_s`, else 202; both say in `Location` where it is.

        Args:
            with_partials: partial pictures are made for whoever follows it.

        Raises:
            Problem: `idempotency_conflict`, `field_invalid` (the key itself), `overloaded`, `quota_exceeded`.
        """
        job = await self._accepted(request, caller, form, with_partials=with_partials)
        if wait_s > 0:
            try:
                job = await unless_left(request, self._ended(job.id, wait_s)) or job
            except Problem as problem:
                if problem.code != "stopping":
                    raise  # the job was accepted, and is told of: it goes on with the next service
        return await self.response(job)

    async def made(self, request: Request, caller: Caller, form: Form, deadline: Deadline) -> Answer:
        """What a job made, once it has ended; asked again with the same `Idempotency-Key`, the same.

        A caller who leaves, or whose time is up, leaves the job going on.

        Raises:
            Problem: as `receive`, and what the job failed of; `deadline_exceeded`; `job_ended` where it was cancelled;
                `picture_unknown` where its pictures are gone; `stopping`.
        """
        job = await self._accepted(request, caller, form)
        async with deadline.bounds():
            ended = await unless_left(request, self._ended(job.id, math.inf))
        if ended is not None and self.is_left(ended):
            raise stopping(f"this service is stopping; job {job.id} goes on with the next, ask again with the same key")
        if ended is None or ended.state == "cancelled":
            raise Problem("job_ended", f"Idempotency-Key: job {job.id} was cancelled; another key makes another job")
        if ended.problem is not None:
            raise Problem.of_body(ended.problem)
        samples = (ended.result or {}).get("samples", [])
        pictures = [(await self.picture(ended, number))[0] for number in range(len(samples))]
        return answer_of(ended, pictures)

    async def _accepted(self, request: Request, caller: Caller, form: Form, *, with_partials: bool = False) -> Job:
        key = request.headers.get("idempotency-key", "")
        if "idempotency-key" in request.headers and not _KEY.fullmatch(key):
            shown = f"has {len(key)} characters" if len(key) > 200 else f"is {key!r}"
            raise Problem(
                "field_invalid", f"Idempotency-Key: {shown}; must be 1 to 200 printable ASCII ones, no spaces"
            )
        given_up = threading.Event()
        try:
            async with asyncio.timeout(self._timeout_s):
                job = await asyncio.to_thread(self._add, request, caller, form, key, with_partials, given_up)
        except TimeoutError:
            # The thread goes on until the store's own timeouts; then it finds that nobody waits, and keeps nothing.
            given_up.set()
            detail = f"the stores of jobs and pictures did not take the job within {self._timeout_s:g} s; try again"
            raise Problem("storage_unavailable", detail, retry_after_s=AWAY_RETRY_S) from None
        if job.sha256 != form.sha256:
            raise Problem("idempotency_conflict", f"Idempotency-Key: was used for another request, job {job.id}")
        self._runner.wake()
        return job

    def is_left(self, job: Job) -> bool:
        """Whether nothing will come of a job here, since the service stops: another takes it up."""
        if job.has_ended:
            return False
        return (self._door.is_closed and job.state == "queued") or self._door.given_up.is_set()

    async def response(self, job: Job) -> Response:
        """A job as its owner sees it."""
        headers = {"Location": f"/v1/jobs/{job.id}", "Cache-Control": "no-store"}
        if not job.has_ended:
            headers["Retry-After"] = "1"
        view = await self.view(job)
        return JSONResponse(
            view.model_dump(exclude_none=True), status_code=200 if job.has_ended else 202, headers=headers
        )

    async def view(self, job: Job) -> JobView:
        """How a job stands."""
        progress = await asyncio.to_thread(self._progress.get, job.id) if job.state == "running" else None
        waits = not job.has_ended and progress is None
        position = await asyncio.to_thread(self._store.position, job) if waits else 0
        return JobView.of(job, position=position, progress=progress)

    async def partials(self, job: Job) -> Sequence[Partial]:
        """What is coming of a running job's pictures, where it was asked to show it."""
        if job.state != "running" or not job.request.get("with_partials"):
            return ()
        return await asyncio.to_thread(self._progress.partials, job.id)

    async def of(self, caller: Caller, job_id: str) -> Job:
        """A caller's own job.

        Raises:
            Problem: `job_unknown`, for somebody else's as well.
        """
        job = await asyncio.to_thread(self._store.get, job_id)
        if job is None or job.owner != caller.owner or job.is_over(time.time()):
            raise Problem("job_unknown", f"there is no job {job_id[:64]!r}; it was deleted, or has expired")
        return job

    async def forget(self, job: Job) -> None:
        """Cancels a job that hasn't ended; then deletes its inputs, and of one that had ended everything."""
        cancelled = await asyncio.to_thread(self._store.cancel, job.id, now_s=time.time())
        if cancelled:
            self._metrics.job_ended("cancelled")
        self._runner.look_at(job.id)
        await asyncio.to_thread(self._files.forget, job.id)
        if not cancelled:
            await asyncio.to_thread(self._store.delete, job.id)

    async def picture(self, job: Job, number: int) -> tuple[bytes, str]:
        """A picture of a job, and its media type.

        Raises:
            Problem: `picture_unknown`.
        """
        samples = job.result["samples"] if job.result is not None else []
        picture = await asyncio.to_thread(self._files.picture, job.id, number) if 0 <= number < len(samples) else None
        if picture is None:
            raise Problem("picture_unknown", f"job {job.id} has no picture {number}; it has {len(samples)}")
        return picture, samples[number]["media_type"]

    def _add(
        self,
        request: Request,
        caller: Caller,
        form: Form,
        key: str,
        with_partials: bool,
        given_up: threading.Event,
    ) -> Job:
        if key:
            known = self._store.find(caller.owner, key)
            if known is not None and known.is_over(time.time()):  # as the next sweep would
                self._files.forget(known.id)
                self._store.delete(known.id)
                known = None
            self._metrics.looked_up("jobs", is_hit=known is not None)
            if known is not None:
                return known
        recipe = form.recipe.name
        waiting = self._store.num_queued(recipe)
        if waiting >= self._settings.max_queued:
            detail = f"{waiting} jobs wait for {recipe}, at most {self._settings.max_queued} may; try again later"
            too_many = waiting - self._settings.max_queued + 1
            wait_s = self._seconds_a_job(recipe) * too_many / self._settings.at_once
            raise Problem("overloaded", detail, retry_after_s=wait_s)
        if form.webhook and not caller.has_secret:
            detail = "webhook: there is no secret to sign it with; `python -m serving keys` gives one with each new key"
            raise Problem("field_invalid", detail)
        options = form.options
        use = self._meter.take(request, caller, "pictures", len(options.seeds))
        job = Job(
            id=uuid.uuid4().hex,
            owner=caller.owner,
            task=form.task.name,
            recipe=recipe,
            request={
                "seeds": list(options.seeds),
                "prompt": options.prompt,
                "format": options.output_format,
                "quality": options.quality,
                "mode": options.mode,
                "size": options.size,
                "with_partials": with_partials,
            },
            inputs=tuple(form.inputs),
            created_at_s=time.time(),
            idempotency_key=key,
            sha256=form.sha256,
            webhook=form.webhook,
            keep_s=self._settings.keep_s,
        )
        is_kept = False
        try:
            # The files first: a job that can be claimed must be whole.
            self._files.put_inputs(job.id, form.inputs)
            if given_up.is_set():
                return job
            kept = self._store.add(job, most_open=caller.quota.jobs)
            is_kept = kept.id == job.id  # else the same request came twice at once
            return kept
        except TooManyOpen as error:
            detail = f"{error.num_open} jobs are queued or running; the quota is {caller.quota.jobs} at once"
            raise Problem("quota_exceeded", detail, retry_after_s=self._seconds_a_job(recipe)) from None
        finally:
            if not is_kept:
                self._meter.give_back(use)
                with suppress(StorageError):  # of a store that is away: a sweep finds them
                    self._files.forget(job.id)

    def _seconds_a_job(self, recipe: str) -> float:
        return max(1.0, self._store.seconds_a_job(recipe) or _FIRST_GUESS_S)

    async def _ended(self, job_id: str, wait_s: float) -> Job | None:
        end_s = time.monotonic() + wait_s
        while True:
            job: Job | None = None
            with suppress(StateUnavailable):  # it was accepted, and goes on
                job = await asyncio.to_thread(self._store.get, job_id)
                if job is None or job.has_ended or self.is_left(job):
                    return job
            if time.monotonic() >= end_s:
                return job
            await asyncio.sleep(_LOOK_EVERY_S)
