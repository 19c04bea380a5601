"""`/v1/jobs`: work that is asked for now and looked at later."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Callable, Mapping

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import StreamingResponse

from serving.api.access import Access
from serving.api.documents import body_of, problems
from serving.api.door import stopping
from serving.api.forms import FormReader
from serving.api.metering import Meter
from serving.api.problems import Problem
from serving.api.receiving import Receiver
from serving.api.tasks import Task
from serving.api.views import JobView
from serving.database import StateUnavailable
from serving.jobs.job import Job
from serving.jobs.progress import Partial
from serving.keys import Caller

_LOOK_EVERY_S = 0.2
_BEAT_EVERY_S = 15.0
"""A comment now and then, so that no proxy takes a quiet stream for a dead one."""


def routes(
    tasks: Mapping[str, Task], access: Access, reader: FormReader, receiver: Receiver, meter: Meter
) -> APIRouter:
    """Asking for a job, looking at it, following it, and forgetting it."""
    router = APIRouter(tags=["jobs"])
    owner, asker = Depends(access.to("jobs")), Depends(meter.to("jobs"))

    @router.post(
        "/v1/jobs",
        summary="Ask for pictures, and come back for them",
        status_code=202,
        response_model=JobView,
        responses={
            200: {"model": JobView, "description": "of an `Idempotency-Key` that was given before: its job has ended"},
            **problems(400, 401, 403, 404, 408, 409, 413, 415, 422, 429, 500, 502, 503),
        },
        openapi_extra=body_of(list(tasks.values()), is_job=True),
        operation_id="create_job",
    )
    async def create(request: Request, pictures: bool = False, caller: Caller = asker) -> Response:
        """With `Idempotency-Key`, the same request again gives the same job; with `webhook`, its end is told there.

        `pictures=true` has partial pictures made, a few small ones on the way, for who follows the job with the same.
        """
        form = await reader.read(request, tasks, is_job=True)
        return await receiver.receive(request, caller, form, with_partials=pictures)

    @router.get(
        "/v1/jobs/{job_id}",
        summary="How a job stands",
        response_model=JobView,
        responses=problems(401, 403, 404, 429, 502),
        operation_id="get_job",
    )
    async def get(job_id: str, caller: Caller = owner) -> Response:
        job = await receiver.of(caller, job_id)
        response = await receiver.response(job)
        response.status_code = 200
        return response

    @router.delete(
        "/v1/jobs/{job_id}",
        summary="Cancel a job, and delete what it was made from and what was made",
        status_code=204,
        responses=problems(401, 403, 404, 429, 502),
        operation_id="delete_job",
    )
    async def delete(job_id: str, caller: Caller = owner) -> Response:
        """A job that waits leaves the queue. One that runs stops at its next step, unless others are in the same batch:
        then that is finished, and this one's pictures are thrown away.
        """
        await receiver.forget(await receiver.of(caller, job_id))
        return Response(status_code=204)

    @router.get(
        "/v1/jobs/{job_id}/events",
        summary="A job's changes as they come, as server-sent events",
        response_class=StreamingResponse,
        responses={200: {"content": {"text/event-stream": {}}}, **problems(400, 401, 403, 404, 429, 502)},
        operation_id="follow_job",
    )
    async def events(
        request: Request, job_id: str, pictures: bool = False, caller: Caller = owner
    ) -> StreamingResponse:
        """Events are named `job`, and hold what `GET /v1/jobs/{id}` gives; the last is the job's end.

        With `pictures=true` events named `picture` show what is coming of a job that was asked for with the same:
        `sample`, `step`, and `picture` as a data URL. A job that is deleted meanwhile ends with an event `problem`, as
        does a stream whose key is not taken any more.
        """
        first = await receiver.of(caller, job_id)
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        told = _events(receiver, lambda: access.caller(request, "jobs"), first, with_partials=pictures)
        return StreamingResponse(told, media_type="text/event-stream", headers=headers)

    @router.get(
        "/v1/jobs/{job_id}/pictures/{number}",
        summary="A picture that a job made",
        response_class=Response,
        responses={200: {"content": {"image/*": {}}}, **problems(400, 401, 403, 404, 429, 502)},
        operation_id="get_picture",
    )
    async def picture(job_id: str, number: int, caller: Caller = owner) -> Response:
        content, media_type = await receiver.picture(await receiver.of(caller, job_id), number)
        return Response(content, media_type=media_type, headers={"Cache-Control": "private, no-store"})

    return router


async def _events(
    receiver: Receiver, caller: Callable[[], Caller], job: Job, *, with_partials: bool
) -> AsyncIterator[str]:
    said, quiet_s = "", 0.0
    shown: dict[int, int] = {}
    while True:
        try:
            found = await receiver.of(caller(), job.id)
            text = json.dumps((await receiver.view(found)).model_dump(exclude_none=True))
            partials = await receiver.partials(found) if with_partials else ()
            job = found
        except Problem as gone:
            yield f"event: problem\ndata: {gone.body().model_dump_json(exclude_none=True)}\n\n"
            return
        except StateUnavailable:
            text, partials = said, ()  # there is nothing to tell until it is back
        if text != said:
            yield f"event: job\ndata: {text}\n\n"
            said, quiet_s = text, 0.0
        elif quiet_s >= _BEAT_EVERY_S:
            yield ": still there\n\n"
            quiet_s = 0.0
        for partial in partials:
            if shown.get(partial.sample) != partial.step:
                shown[partial.sample] = partial.step
                yield f"event: picture\ndata: {json.dumps(_told(partial))}\n\n"
        if job.has_ended:
            return
        if receiver.is_left(job):
            gone = stopping("this service is stopping; the job waits for the next, follow it there")
            yield f"event: problem\ndata: {gone.body().model_dump_json(exclude_none=True)}\n\n"
            return
        await asyncio.sleep(_LOOK_EVERY_S)
        quiet_s += _LOOK_EVERY_S


def _told(partial: Partial) -> dict[str, object]:
    picture = f"data:image/jpeg;base64,{base64.b64encode(partial.picture).decode()}"
    return {"sample": partial.sample, "step": partial.step, "picture": picture}
