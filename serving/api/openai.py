"""`POST /v1/images/edits` and `/v1/images/generations`, for clients that speak OpenAI's way of asking for pictures.

A model's own inputs take the pictures in their order: of try-on the person, then the garment. What a model can't do is
refused, never passed over: only words that change nothing (`auto`, `user`) are.
"""

from __future__ import annotations

import base64
import json
import re
import time
from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import APIRouter, Depends, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from atelier.recipe import Recipe
from serving.api.deadlines import Deadline
from serving.api.documents import QUALITIES, images_body
from serving.api.fields import fields_of
from serving.api.forms import Form, FormReader
from serving.api.making import made_for
from serving.api.metering import Meter
from serving.api.problems import MEDIA_TYPE, Problem, of_unexpected
from serving.api.tasks import PROMPT, Task
from serving.keys import Caller
from serving.models.client import Model

PREFIX = "/v1/images/"
_MODELS = "/v1/models"
_FORMATS = ("png", "jpeg", "webp")
_IGNORED: Mapping[str, Sequence[str]] = {
    "quality": ("auto", "standard"),
    "background": ("auto", "opaque"),
    "moderation": ("auto",),
    "input_fidelity": ("low",),
    "stream": ("false",),
    "response_format": ("b64_json",),
}
"""OpenAI's fields that have one meaning here, and the words for it."""
_FREE = ("user",)
_SIZE = re.compile(r"(\d{1,5})x(\d{1,5})")


class ImageView(BaseModel):
    """One picture."""

    b64_json: str
    seed: str = Field(description="gives it again, as the field `seed`")
    sha256: str


class ImagesView(BaseModel):
    """What was made."""

    created: int = Field(description="Unix time")
    data: list[ImageView]
    output_format: str
    size: str = Field(description="width x height")
    model: str = Field(description="the recipe")

    model_config = {
        "json_schema_extra": {
            "examples": [
                {
                    "created": 1790000000,
                    "data": [{"b64_json": "iVBORw0KGgo…", "seed": "7", "sha256": "9f86d081…"}],
                    "output_format": "png",
                    "size": "192x256",
                    "model": "viton_hd_closet",
                }
            ]
        }
    }


class ErrorView(BaseModel):
    """What went wrong."""

    message: str
    type: str = Field(description="`invalid_request_error`, `rate_limit_error` or `server_error`")
    param: str | None = Field(
        description="the field, by this service's name: `person` is the first picture of a try-on"
    )
    code: str = Field(description="the code that the other routes give")


class ErrorBody(BaseModel):
    """An error as OpenAI's clients read it."""

    error: ErrorView


def routes(
    tasks: Mapping[str, Task], models: Mapping[str, Model], reader: FormReader, meter: Meter, *, timeout_s: float
) -> APIRouter:
    """The two routes, each where a model is served that can answer it."""
    router = APIRouter(tags=["OpenAI-style"])
    maker = Depends(meter.to("make"))
    editing = [recipe for task in tasks.values() for recipe in task.recipes if PROMPT not in recipe.inputs]
    generating = [recipe for task in tasks.values() for recipe in task.recipes if PROMPT in recipe.inputs]

    async def answer(request: Request, caller: Caller, offered: Sequence[Recipe]) -> JSONResponse:
        deadline = Deadline(request, most_s=timeout_s)
        repeated = ("image", "image[]", "images")
        async with deadline.bounds():
            fields = await fields_of(request, repeated=repeated)
            recipe = _recipe(fields.pop("model", None), offered)
            told = translated(fields, recipe)
            try:
                form = await reader.form(told, tasks[recipe.task])
            except Problem as problem:
                raise problem.renamed("num_samples", "n") from None
        made = await made_for(request, caller, form, models[recipe.name], meter, deadline)
        return _view(
            form, [(sample.picture, sample.seed, sample.sha256) for sample in made.samples], made.samples[0].shape
        )

    errors: dict[int | str, dict[str, Any]] = {
        status: {"model": ErrorBody} for status in (400, 401, 403, 404, 408, 413, 415, 422, 429, 500, 502, 503, 504)
    }
    if editing:

        @router.post(
            f"{PREFIX}edits",
            summary="Pictures out of pictures, asked for as OpenAI's clients do",
            response_model=ImagesView,
            responses=errors,
            openapi_extra=images_body(editing, has_pictures=True),
            operation_id="create_image_edit",
        )
        async def edit(request: Request, caller: Caller = maker) -> JSONResponse:
            """`image[]` are the model's inputs in their order; `prompt` is read by none of these models."""
            return await answer(request, caller, editing)

    if generating:

        @router.post(
            f"{PREFIX}generations",
            summary="People out of sentences, asked for as OpenAI's clients do",
            response_model=ImagesView,
            responses=errors,
            openapi_extra=images_body(generating, has_pictures=False),
            operation_id="create_image",
        )
        async def generate(request: Request, caller: Caller = maker) -> JSONResponse:
            """Beside OpenAI's fields it needs `pose_map`: a pose's name, or a picture's address, data URL or base64."""
            return await answer(request, caller, generating)

    return router


def translated(fields: Mapping[str, Any], recipe: Recipe) -> dict[str, Any]:
    """OpenAI's fields as those of the recipe's task.

    Raises:
        Problem: one that has no meaning here, or another value than the one that has.
    """
    given = {name: value for name, value in fields.items() if value is not None}  # clients say so what they leave out
    told: dict[str, Any] = {"model": recipe.name, "output_format": given.pop("output_format", "png")}
    if told["output_format"] not in _FORMATS:
        raise Problem("field_invalid", f"output_format: is {told['output_format']!r}; must be one of {list(_FORMATS)}")
    told["num_samples"] = given.pop("n", 1)
    compression = given.pop("output_compression", None)
    if compression is not None and told["output_format"] != "png":
        told["quality"] = compression
    elif compression is not None and str(compression) != "100":
        detail = f"output_compression: is {str(compression)[:40]!r}; of png it must be 100 or left out, png is lossless"
        raise Problem("field_invalid", detail)
    quality = given.get("quality")
    if recipe.modes and isinstance(quality, str) and quality in QUALITIES:
        if given.get("mode", QUALITIES[quality]) != QUALITIES[quality]:
            raise Problem("field_invalid", f"mode: is given beside quality {quality!r}; one of them must be left out")
        told["mode"] = QUALITIES[quality]
        del given["quality"]
    for name, words in _IGNORED.items():
        value = given.pop(name, None)
        if name == "quality" and recipe.modes:
            words = (*words, *QUALITIES)
        if value is not None and str(value).lower() not in words:
            allowed = ", ".join(map(repr, words))
            raise Problem("field_invalid", f"{name}: is {str(value)[:40]!r}; must be {allowed}, or left out")
    for name in _FREE:
        given.pop(name, None)
    _check_size(str(given.pop("size", None) or "auto"), recipe)
    takes = [name for name in recipe.inputs if name != PROMPT]
    pictures = [_picture(one) for name in ("image", "image[]", "images") for one in given.pop(name, ())]
    if len(pictures) > len(takes):
        raise Problem("field_invalid", f"image[]: {len(pictures)} are given; {recipe.name} takes {len(takes)}: {takes}")
    if PROMPT not in (*recipe.inputs, *recipe.optional):
        given.pop(PROMPT, None)  # OpenAI's clients cannot leave it out
    _check_left(given, recipe, takes[: len(pictures)])
    return given | told | dict(zip(takes, pictures, strict=False))


class OpenAIErrors:
    """Turns every problem below `/v1/images/` into the shape that OpenAI's clients read, whoever brought it about.

    `/v1/models` is everybody's: its problems have that shape as a member beside their own.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope.get("path", "")
        if scope["type"] != "http" or not path.startswith((PREFIX, _MODELS)):
            await self._app(scope, receive, send)
            return
        start: Message | None = None
        body, has_begun = bytearray(), False

        async def turned(message: Message) -> None:
            nonlocal start, has_begun
            if message["type"] == "http.response.start":
                kind = dict(message["headers"]).get(b"content-type", b"").decode()
                if kind.startswith(MEDIA_TYPE):
                    start = message
                    return
            if start is None:
                has_begun = True
                await send(message)
                return
            body.extend(message.get("body", b""))
            if not message.get("more_body", False):
                problem = json.loads(body)
                is_ours = path.startswith(_MODELS)
                content = json.dumps((problem if is_ours else {}) | _error(problem)).encode()
                kept = [one for one in start["headers"] if one[0] not in (b"content-type", b"content-length")]
                kind = MEDIA_TYPE if is_ours else "application/json"
                sized = [(b"content-type", kind.encode()), (b"content-length", str(len(content)).encode())]
                await send({**start, "headers": [*kept, *sized]})
                await send({"type": "http.response.body", "body": content})

        try:
            await self._app(scope, receive, turned)
        except Exception as error:
            if has_begun:
                raise
            # Starlette's own answer to these is given outside of this, where it would keep its shape.
            await of_unexpected(error).response()(scope, receive, turned)


def _recipe(name: Any, offered: Sequence[Recipe]) -> Recipe:
    if name in (None, ""):
        return offered[0]
    for recipe in offered:
        if name in (recipe.name, recipe.model):
            return recipe
    known = [recipe.name for recipe in offered]
    raise Problem("model_unknown", f"model: there is no {str(name)[:40]!r} for this route; must be of {known}")


def _check_left(given: Mapping[str, Any], recipe: Recipe, told: Sequence[str]) -> None:
    """Of what goes by the service's own names, as `seed` or `garment_mask`: refuses what has OpenAI's, or none."""
    own = ["seed", "mode", *recipe.inputs, *recipe.optional]
    if strange := sorted(set(given) - set(own)):
        words = ["n", "size", "output_format", "output_compression", *_IGNORED, *_FREE]
        known = ["image[]", *words, *(name for name in own if name not in told)]
        raise Problem("field_unknown", f"{', '.join(strange)}: {recipe.name} has no such field here; it has {known}")
    if twice := [name for name in told if name in given]:
        number = list(told).index(twice[0]) + 1
        detail = f"{twice[0]}: is given, and is picture {number} of image[] as well; one of them must be left out"
        raise Problem("field_invalid", detail)


def _check_size(size: str, recipe: Recipe) -> None:
    height, width = recipe.size
    if size == "auto":
        return
    found = _SIZE.fullmatch(size)
    if found is None or (int(found[1]), int(found[2])) != (width, height):
        raise Problem("field_invalid", f"size: is {size[:40]!r}; {recipe.name} makes 'auto' or '{width}x{height}'")


def _picture(value: Any) -> Any:
    """A file, or what stands for one in JSON: a text, or `{"image_url": text}`."""
    if isinstance(value, Mapping):
        if set(value) != {"image_url"}:
            raise Problem("field_invalid", f"images: has {sorted(value)[:4]}; must have image_url")
        return value["image_url"]
    return value


def _view(form: Form, pictures: Sequence[tuple[bytes, int, str]], shape: tuple[int, int]) -> JSONResponse:
    data = [
        {"b64_json": base64.b64encode(picture).decode(), "seed": str(seed), "sha256": sha256}
        for picture, seed, sha256 in pictures
    ]
    content = {
        "created": int(time.time()),
        "data": data,
        "output_format": form.options.output_format,
        "size": f"{shape[1]}x{shape[0]}",
        "model": form.recipe.name,
    }
    return JSONResponse(content, headers={"Cache-Control": "no-store"})


def _error(problem: Mapping[str, Any]) -> dict[str, Any]:
    status, detail = problem["status"], problem["detail"]
    kind = "rate_limit_error" if status == 429 else "server_error" if status >= 500 else "invalid_request_error"
    return {"error": {"message": detail, "type": kind, "param": problem.get("field"), "code": problem["code"]}}
