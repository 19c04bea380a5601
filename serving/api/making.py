"""`POST /v1/<task>`: pictures at once, or a job where the caller would rather not wait."""

from __future__ import annotations

import asyncio
import base64
import re
from collections.abc import Mapping

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import JSONResponse

from atelier.images import MEDIA_TYPES, PictureFormat
from serving.api.access import require
from serving.api.deadlines import Deadline
from serving.api.documents import body_of, picture_headers, pictures_of, problems
from serving.api.fields import fields_of
from serving.api.forms import Form, FormReader
from serving.api.leaving import unless_left
from serving.api.metering import Meter
from serving.api.problems import Problem
from serving.api.receiving import Receiver
from serving.api.tasks import Task
from serving.api.views import JobView, MadeView
from serving.jobs.runner import result_of
from serving.keys import Caller
from serving.models.asked import Answer, Ask
from serving.models.client import Model, ModelUnavailable

_WAIT = re.compile(r"(?:^|[,;\s])wait=(\d+)(?:$|[,;\s])")
_WEIGHT = re.compile(r"q=([01](?:\.\d{0,3})?)")


def routes(
    tasks: Mapping[str, Task],
    models: Mapping[str, Model],
    reader: FormReader,
    receiver: Receiver,
    meter: Meter,
    *,
    timeout_s: float,
) -> APIRouter:
    """A route a task.

    Args:
        models: by recipe's name.
        timeout_s: longest time that a request without a job takes, from its arrival.
    """
    router = APIRouter(tags=["make"])
    for task in tasks.values():
        _add(router, task, tasks, models, reader, receiver, meter, timeout_s)
    return router


def _add(
    router: APIRouter,
    task: Task,
    tasks: Mapping[str, Task],
    models: Mapping[str, Model],
    reader: FormReader,
    receiver: Receiver,
    meter: Meter,
    timeout_s: float,
) -> None:
    maker = Depends(meter.to("make"))

    @router.post(
        task.path,
        summary=task.summary,
        response_model=MadeView | JobView,
        responses={
            200: {
                "description": "what was made; with `Prefer`, the job, which has ended within its time",
                "content": pictures_of(MEDIA_TYPES.values()),
                "headers": picture_headers(),
            },
            202: {"model": JobView, "description": "with `Prefer`: the job, which goes on"},
            **problems(400, 401, 403, 404, 408, 409, 413, 415, 422, 429, 500, 502, 503, 504),
        },
        openapi_extra=body_of([task], is_job=False),
        operation_id=task.name,
    )
    async def make(request: Request, caller: Caller = maker) -> Response:
        """Answers with JSON, or with the picture itself where `Accept` names a picture's type and one is asked for.

        With `Prefer` or `Idempotency-Key` it makes a job, and so needs the scope `jobs` as well.
        """
        deadline = Deadline(request, most_s=timeout_s)
        wait_s, has_key = _wait_s(request), "idempotency-key" in request.headers
        if wait_s is not None or has_key:
            require(caller, "jobs")
        async with deadline.bounds():
            fields = await fields_of(request)
            if (format := _format_accepted(request.headers.get("accept", ""))) is not None:
                fields.setdefault("output_format", format)
            form = await reader.form(fields, task, is_job=wait_s is not None)
        if wait_s is not None:
            return await receiver.receive(request, caller, form, wait_s=min(wait_s, deadline.left_s))
        wants_picture = _wants_picture(request.headers.get("accept", ""), form)
        if has_key:
            answer = await receiver.made(request, caller, form, deadline)
        else:
            answer = await made_for(request, caller, form, models[form.recipe.name], meter, deadline)
        return picture_response(answer, form) if wants_picture else json_response(answer, form)


async def made_for(
    request: Request, caller: Caller, form: Form, model: Model, meter: Meter, deadline: Deadline
) -> Answer:
    """The pictures that a form asks for, made while its caller waits, and counted where they were made.

    Raises:
        Problem: there are none.
    """
    use = await meter.taken(request, caller, "pictures", len(form.options.seeds))
    try:
        async with deadline.bounds():
            return await unless_left(request, _made(model, ask_of(form, deadline.left_s)))
    except Exception as error:
        # What a caller who left had asked for may be running still.
        if not isinstance(error, Problem) or error.code != "client_left":
            await asyncio.to_thread(meter.give_back, use)
        raise


def ask_of(form: Form, timeout_s: float) -> Ask:
    """What a model is asked for."""
    options = form.options
    return Ask(
        inputs=form.inputs,
        seeds=options.seeds,
        prompt=options.prompt,
        format=options.output_format,
        quality=options.quality,
        mode=options.mode,
        size=options.size,
        timeout_s=timeout_s,
    )


def json_response(answer: Answer, form: Form) -> JSONResponse:
    """All pictures with what there is to say about them."""
    result = result_of(answer, ask_of(form, 0.0))
    for view, sample in zip(result["samples"], answer.samples, strict=True):
        view["picture"] = base64.b64encode(sample.picture).decode()
    # Not validated once more: it is ours, and a picture is long.
    return JSONResponse(result, headers={"Cache-Control": "no-store", "Server-Timing": _timing(answer)})


def picture_response(answer: Answer, form: Form) -> Response:
    """The one picture, its seed and weights in headers."""
    (sample,) = answer.samples
    headers = {
        "Cache-Control": "no-store",
        "Server-Timing": _timing(answer),
        "X-Atelier-Seed": str(sample.seed),
        "X-Atelier-Recipe": answer.recipe,
        "X-Atelier-Fingerprint": answer.fingerprint,
    }
    return Response(sample.picture, media_type=MEDIA_TYPES[form.options.output_format], headers=headers)


def _timing(answer: Answer) -> str:
    """W3C Server Timing: milliseconds of each stage, and in all from the ask to its answer."""
    return ", ".join(f"{name};dur={1000 * seconds:.1f}" for name, seconds in answer.seconds.items())


async def _made(model: Model, ask: Ask) -> Answer:
    try:
        answer = await model.make(ask)
    except ModelUnavailable as error:
        raise Problem("model_unavailable", str(error), retry_after_s=2.0) from error
    if answer.refusal is not None:
        raise Problem.of_refusal(answer.refusal)
    return answer


def _wait_s(request: Request) -> float | None:
    """Of `Prefer: wait=N` (RFC 7240), also `respond-async`, which waits for nothing."""
    prefer = request.headers.get("prefer", "")
    found = _WAIT.search(prefer)
    if found:
        return float(found[1])
    return 0.0 if "respond-async" in prefer else None


def _kinds_accepted(accept: str) -> list[str]:
    """The kinds of content that an `Accept` names, the most wanted first (RFC 9110, 12.5.1); those of no weight not."""
    weighed: list[tuple[float, str]] = []
    for part in accept.lower().split(","):
        kind, *parameters = (one.strip() for one in part.split(";"))
        weights = [_WEIGHT.fullmatch(one) for one in parameters]
        weight = next((float(found[1]) for found in weights if found), 1.0)
        if kind and weight > 0:
            weighed.append((weight, kind))
    return [kind for _, kind in sorted(weighed, key=lambda one: -one[0])]


def _format_accepted(accept: str) -> PictureFormat | None:
    """The format of the kind of picture that a caller wants most; None where any kind is."""
    formats: dict[str, PictureFormat | None] = {media_type: format for format, media_type in MEDIA_TYPES.items()}
    formats["image/*"] = None
    return next((formats[kind] for kind in _kinds_accepted(accept) if kind in formats), None)


def _wants_picture(accept: str, form: Form) -> bool:
    """Whether a kind of picture is wanted more than JSON.

    Raises:
        Problem: it is, but several are to be made, or one of a kind that is not wanted.
    """
    kinds = _kinds_accepted(accept)
    told = [kind for kind in kinds if kind.startswith("application/") or kind in {"image/*", *MEDIA_TYPES.values()}]
    if not told or told[0].startswith("application/"):
        return False
    if form.options.num_samples != 1:
        raise Problem(
            "field_invalid",
            f"num_samples: is {form.options.num_samples}; must be 1 where a picture is accepted, or accept JSON",
        )
    media_type = MEDIA_TYPES[form.options.output_format]
    if not {"image/*", media_type, "*/*"} & set(kinds):
        detail = f"output_format: gives {media_type}, but Accept names {sorted(kinds)}"
        raise Problem("field_invalid", detail)
    return True
