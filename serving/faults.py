"""What is wrong with settings, for the person who wrote them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel, ValidationError

from serving.words import what_is_allowed

_KINDS = {
    "integer": "a whole number",
    "number": "a number",
    "string": "a text",
    "boolean": "true or false",
    "array": "a list",
    "object": "an object",
}
"""By JSON Schema's names of types."""


def faults(model: type[BaseModel], error: ValidationError) -> Iterator[str]:
    """A line for each fault: the field by its path, its value, and what is allowed.

    Args:
        model: that the settings were read as.
    """
    schema = model.model_json_schema()
    found = error.errors(include_url=False)
    wheres = [fault["loc"] for fault in found]
    said: set[tuple[int | str, ...]] = set()
    for fault in found:
        if any(len(where) > len(fault["loc"]) and where[: len(fault["loc"])] == fault["loc"] for where in wheres):
            continue  # it is what is left without those that were refused
        place, node = _field(schema, fault["loc"])
        if place in said:
            continue  # another of the kinds that the field may be of
        said.add(place)
        where = ".".join(str(part) for part in place)
        allowed = _one_of(node) or what_is_allowed(fault)
        if fault["type"] == "extra_forbidden":
            _, around = _field(schema, fault["loc"][:-1])
            yield f"{where}: there is no such field; there are {', '.join(around.get('properties', ()))}"
        elif fault["type"] == "json_invalid":
            yield f"is no JSON: {fault['msg'].partition(': ')[2] or fault['msg']}"
        elif fault["type"] == "missing":
            yield f"{where}: {allowed}"
        elif where and allowed.startswith(f"{place[-1]} is "):
            yield f"{where}: {allowed.removeprefix(f'{place[-1]} ')}"
        elif where:
            yield f"{where}: is {_shown(fault['input'])}{'; ' if allowed.startswith('must ') else ': '}{allowed}"
        elif fault["type"] in ("model_type", "model_attributes_type", "dict_type"):
            yield "must hold a JSON object"
        else:
            yield allowed


def _field(schema: Mapping[str, Any], where: tuple[int | str, ...]) -> tuple[tuple[int | str, ...], Mapping[str, Any]]:
    """The path of a field and its schema; behind it pydantic names the kinds that it may be of."""
    node = _resolved(schema, schema)
    for number, part in enumerate(where):
        if _kinds(node):
            return where[:number], node
        inner = node.get("items") if isinstance(part, int) else node.get("properties", {}).get(part)
        inner = inner or node.get("additionalProperties") or {}
        node = _resolved(inner if isinstance(inner, Mapping) else {}, schema)
    return where, node


def _resolved(node: Mapping[str, Any], schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """A node itself, where it is a reference, or may also be null."""
    while True:
        if "$ref" in node:
            node = schema["$defs"][node["$ref"].rpartition("/")[2]]
        elif len(kinds := _kinds(node)) == 1:
            node = kinds[0]
        else:
            return node


def _kinds(node: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [one for one in node.get("anyOf", ()) if one.get("type") != "null"]


def _one_of(node: Mapping[str, Any]) -> str:
    """What a field of several kinds must be; "" for one of a single kind."""
    words = [_kind(one) for one in _kinds(node)]
    return f"must be {', or '.join(words)}" if words else ""


def _kind(node: Mapping[str, Any]) -> str:
    if "const" in node:
        return json.dumps(node["const"])
    words = _KINDS.get(node.get("type", ""), "another value")
    least, most = node.get("minimum"), node.get("maximum")
    if least is not None and most is not None:
        return f"{words} from {least} to {most}"
    bounds = {"at least": least, "at most": most}
    return words + "".join(f" of {name} {bound}" for name, bound in bounds.items() if bound is not None)


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:60]}…"
