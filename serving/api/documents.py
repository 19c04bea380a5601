"""The OpenAPI document's part that the code of a route doesn't say: bodies by content type, with examples."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from atelier.recipe import Recipe
from serving.api.options import Options, Webhook
from serving.api.problems import MEDIA_TYPE, ProblemBody
from serving.api.tasks import Task
from serving.models.samples import PROMPTS, drawn_garment, drawn_person

QUALITIES: Mapping[str, str] = {"low": "fast", "medium": "balanced", "high": "quality"}
"""OpenAI's `quality` as modes, of models that have them."""
_EXAMPLES: Mapping[str, str] = {
    "pose": "standing",
    "pose_map": "standing",
    "prompt": PROMPTS[""],
}
"""What stands for an input in an example; a drawn picture as a data URL where nothing else does."""
_DRAWN_SIZE = (128, 96)
_SCHEMES: Mapping[str, Mapping[str, str]] = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "a key of `python -m serving keys add NAME`"},
    "header": {"type": "apiKey", "in": "header", "name": "X-API-Key", "description": "the same key"},
}
_HEADERS: Mapping[str, Mapping[str, Any]] = {
    "Prefer": {
        "description": (
            "a job in place of pictures. `wait=N`: once it has ended (200), else after N seconds (202); "
            "`respond-async`: at once"
        ),
        "schema": {"type": "string"},
        "example": "wait=10",
    },
    "Idempotency-Key": {
        "description": "1 to 200 printable ASCII characters: asked again with the same, the same job answers",
        "schema": {"type": "string", "maxLength": 200},
        "example": "order-4711-front",
    },
    "X-Atelier-Timeout": {
        "description": "seconds that the caller waits at most, where that is less than the service's own limit",
        "schema": {"type": "number", "exclusiveMinimum": 0},
        "example": 20,
    },
}
"""What a request may say in its head, by the header's name."""


def body_of(tasks: Sequence[Task], *, is_job: bool) -> dict[str, Any]:
    """The `openapi_extra` of a route that takes the fields of a task, or of any of several by its `task`."""
    first = tasks[0].recipes[0]
    required = list(first.inputs) if len(tasks) == 1 else []
    properties: dict[str, Any] = {}
    if is_job:
        properties["task"] = {"type": "string", "enum": [task.name for task in tasks]}
        required = ["task", *required]
        properties["webhook"] = Webhook.model_json_schema() | {"description": "told when the job has ended"}
    options = Options.model_json_schema()["properties"]
    if not any(task.has_prompt for task in tasks):
        options.pop("prompt")
    if not any(task.has_modes for task in tasks):
        options.pop("mode")
    kinds = {name: field.kind for task in tasks for name, field in task.fields.items()}
    fields = {name: field.says for task in tasks for name, field in task.fields.items()}
    files = {name: {"type": "string", "format": "binary", "description": says} for name, says in fields.items()}
    texts = {
        name: {
            "type": "string" if kinds[name] == "picture" else ["string", "object"],
            "description": f"{says} Base64, a data URL, https:// or s3:// address.",
        }
        for name, says in fields.items()
    }
    example = {"task": tasks[0].name} if is_job else {}
    example |= {name: _example(name) for name in first.inputs} | {"seed": 7, "num_samples": 2}

    as_files = example | {name: f"{name}.jpg" for name in first.inputs if name in files and name not in _EXAMPLES}

    def content(inputs: Mapping[str, Any]) -> dict[str, Any]:
        schema = {"type": "object", "properties": properties | dict(inputs) | options, "additionalProperties": False}
        return {"schema": schema | ({"required": required} if required else {})}

    return {
        "parameters": headers_of("Idempotency-Key") if is_job else headers_of(*_HEADERS),
        "requestBody": {
            "required": True,
            "content": {
                "multipart/form-data": content(files) | {"example": as_files},
                "application/json": content(texts) | {"example": example},
            },
        },
    }


def _example(name: str) -> str:
    if name in _EXAMPLES:
        return _EXAMPLES[name]
    drawn = (drawn_garment if name == "garment" else drawn_person)(0, _DRAWN_SIZE)
    return f"data:image/jpeg;base64,{base64.b64encode(drawn).decode()}"


def headers_of(*names: str) -> list[dict[str, Any]]:
    """The parameters of a route that reads these headers."""
    return [{"name": name, "in": "header", "required": False, **_HEADERS[name]} for name in names]


def images_body(recipes: Sequence[Recipe], *, has_pictures: bool) -> dict[str, Any]:
    """The `openapi_extra` of an OpenAI-style route."""
    first = recipes[0]
    height, width = first.size
    has_modes = any(recipe.modes for recipe in recipes)
    properties: dict[str, Any] = {
        "model": {"type": "string", "enum": [recipe.name for recipe in recipes], "description": "the first if absent"},
        "prompt": {"type": "string"},
        "n": {"type": "integer", "minimum": 1, "default": 1},
        "size": {"type": "string", "enum": sorted({"auto", *(f"{one.size[1]}x{one.size[0]}" for one in recipes)})},
        "output_format": {"type": "string", "enum": ["png", "jpeg", "webp"], "default": "png"},
        "output_compression": {"type": "integer", "minimum": 1, "maximum": 100, "description": "of jpeg and webp"},
        "quality": {"type": "string", "enum": ["auto", "standard", *(QUALITIES if has_modes else ())]},
        "response_format": {"type": "string", "enum": ["b64_json"]},
        "seed": {"type": "integer", "minimum": 0},
        "user": {"type": "string", "description": "not read"},
    }
    example: dict[str, Any] = {"model": first.name, "n": 1, "size": f"{width}x{height}"}
    if not has_pictures:
        properties["pose_map"] = {"type": "string", "description": "a pose's name, an address, a data URL or base64"}
        example |= {"prompt": _EXAMPLES["prompt"], "pose_map": _EXAMPLES["pose_map"]}
        schema = {"type": "object", "properties": properties, "required": ["prompt", "pose_map"]}
        return {
            "requestBody": {"required": True, "content": {"application/json": {"schema": schema, "example": example}}}
        }
    says = "; ".join(f"of {recipe.name}: {', '.join(recipe.inputs)}" for recipe in recipes)
    files = {"type": "array", "items": {"type": "string", "format": "binary"}, "description": f"in their order {says}"}
    texts = {"type": "array", "items": {"type": "object", "properties": {"image_url": {"type": "string"}}}}
    form = {"type": "object", "properties": properties | {"image[]": files}, "required": ["image[]"]}
    plain = {"type": "object", "properties": properties | {"images": texts}, "required": ["images"]}
    example["images"] = [{"image_url": _example(name)} for name in first.inputs]
    as_files = example | {"image[]": [f"{name}.jpg" for name in first.inputs if name != "prompt"]}
    del as_files["images"]
    content = {
        "multipart/form-data": {"schema": form, "example": as_files},
        "application/json": {"schema": plain, "example": example},
    }
    return {"requestBody": {"required": True, "content": content}}


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The error answers of a route."""
    says = {
        400: "the request cannot be read",
        401: "no key, or none that is known",
        403: "the key lacks the scope",
        404: "there is no such thing, or no such model",
        408: "the body did not arrive in time",
        409: "the same Idempotency-Key came with another request",
        413: "too long, or too many pixels",
        415: "another content type or picture format",
        422: "an input that cannot be used: the code and the detail say why",
        429: "too much is waiting, or the quota is used: `Retry-After` says when there should be room",
        500: "the service failed",
        502: "a store failed that the request needs",
        503: "no replica answers now",
        504: "it could not be made in time",
    }
    return {
        status: {
            "model": ProblemBody,
            "description": says[status],
            "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/ProblemBody"}}},
        }
        for status in statuses
    }


def pictures_of(media_types: Iterable[str]) -> dict[str, Any]:
    """Contents of an answer that is a picture itself."""
    return {one: {"schema": {"type": "string", "format": "binary"}} for one in media_types}


def picture_headers() -> dict[str, Any]:
    """What stands in the head of an answer, most of it where that is the picture itself."""
    says = {
        "X-Atelier-Seed": ("gives it again, as the field `seed`", "7"),
        "X-Atelier-Recipe": ("that made it", "viton_hd_closet"),
        "X-Atelier-Fingerprint": ("of the recipe and its weights", "3912796d7d97c0489f34d84ff9275193"),
    }
    timing = {
        "description": "milliseconds of each stage, and in all (W3C Server Timing)",
        "schema": {"type": "string"},
        "example": "decode;dur=7.7, synthesize;dur=228.3, total;dur=402.6",
    }
    return {"Server-Timing": timing} | {
        name: {
            "description": f"{what}; only where the answer is a picture",
            "schema": {"type": "string"},
            "example": one,
        }
        for name, (what, one) in says.items()
    }


def with_keys(document: dict[str, Any]) -> dict[str, Any]:
    """A document that says how a key is sent, on each route that may answer that there is none."""
    for methods in document["paths"].values():
        for route in methods.values():
            if "401" in route["responses"]:
                route["security"] = [{name: []} for name in _SCHEMES]
    document["components"]["securitySchemes"] = dict(_SCHEMES)
    return document


def drop_unused(document: dict[str, Any]) -> dict[str, Any]:
    """A document without what FastAPI announces and nobody gets: its own answer for every parameter, which `problems`
    gives as 400, and problems as plain JSON.
    """
    for methods in document["paths"].values():
        for route in methods.values():
            told = route["responses"].get("422", {}).get("content", {}).get("application/json", {}).get("schema", {})
            if told.get("$ref", "").endswith("/HTTPValidationError"):
                del route["responses"]["422"]
            for answer in route["responses"].values():
                if MEDIA_TYPE in answer.get("content", {}):
                    answer["content"].pop("application/json", None)
    for name in ("HTTPValidationError", "ValidationError"):
        document["components"]["schemas"].pop(name, None)
    return document
