"""What is wrong with settings, for the person who wrote them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, get_args

from pydantic import BaseModel, ValidationError


def faults(model: type[BaseModel], error: ValidationError) -> Iterator[str]:
    """A line for each fault: the field by its path, its value, and what is allowed.

    Args:
        model: that the settings were read as.
    """
    for fault in error.errors(include_url=False):
        where = ".".join(str(part) for part in fault["loc"])
        if fault["type"] == "extra_forbidden":
            yield f"{where}: there is no such field; there are {', '.join(_fields(model, fault['loc'][:-1]))}"
        elif fault["type"] == "json_invalid":
            yield f"is no JSON: {fault['msg'].partition(': ')[2] or fault['msg']}"
        elif where:
            yield f"{where}: is {_shown(fault['input'])}: {fault['msg'].removeprefix('Value error, ')}"
        else:
            yield fault["msg"].removeprefix("Value error, ")


def _fields(model: type[BaseModel], place: tuple[int | str, ...]) -> list[str]:
    """Of the settings that lie at a place within others."""
    for part in place:
        if isinstance(part, str) and part in model.model_fields:
            model = next(_models(model.model_fields[part].annotation), model)
    return list(model.model_fields)


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in get_args(annotation):
        yield from _models(inner)


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:60]}…"
