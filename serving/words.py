"""What pydantic refuses, in words for the person who sent it."""

from __future__ import annotations

from typing import Any

from pydantic_core import ErrorDetails

_PLAIN = {
    "missing": "must be given",
    "extra_forbidden": "is not known here",
    "none_required": "must be null",
    "finite_number": "must be a finite number",
}
_KINDS = {
    "bool": "must be true or false",
    "int": "must be a whole number",
    "float": "must be a number",
    "decimal": "must be a number",
    "string": "must be a text",
    "dict": "must be an object",
    "mapping": "must be an object",
    "model": "must be an object",
    "model_attributes": "must be an object",
    "list": "must be a list",
    "tuple": "must be a list",
    "set": "must be a list",
    "frozen_set": "must be a list",
}
"""By how pydantic's names of errors begin: `int_parsing`, `int_type`, `int_from_float` …"""
_ENDS = ("_type", "_parsing", "_parsing_size", "_from_float")
_BOUNDS = {
    "greater_than_equal": ("ge", "at least"),
    "greater_than": ("gt", "more than"),
    "less_than_equal": ("le", "at most"),
    "less_than": ("lt", "less than"),
}
_LENGTHS = {
    "string_too_short": ("min_length", "at least", "character"),
    "string_too_long": ("max_length", "at most", "character"),
    "too_short": ("min_length", "at least", "entry"),
    "too_long": ("max_length", "at most", "entry"),
}
_MANY = {"character": "characters", "entry": "entries"}


def what_is_allowed(error: ErrorDetails) -> str:
    """What a refused value must be, e.g. "must be at least 1"; pydantic's own sentence for what is rare."""
    kind, context = error["type"], error.get("ctx", {})
    if kind in _PLAIN:
        return _PLAIN[kind]
    if kind in _BOUNDS:
        name, words = _BOUNDS[kind]
        return f"must be {words} {_number(context[name])}"
    if kind in _LENGTHS:
        name, words, what = _LENGTHS[kind]
        count = context[name]
        return f"must have {words} {count} {what if count == 1 else _MANY[what]}"
    if kind in ("literal_error", "enum"):
        values = str(context["expected"]).replace(" or ", ", ")
        return f"must be {'one of ' if ', ' in values else ''}{values}"
    if kind == "multiple_of":
        return f"must be a multiple of {_number(context['multiple_of'])}"
    if kind == "string_pattern_mismatch":
        return f"must fit the pattern {context['pattern']}"
    for end in _ENDS:
        if kind.endswith(end) and kind.removesuffix(end) in _KINDS:
            return _KINDS[kind.removesuffix(end)]
    return error["msg"].removeprefix("Value error, ").removeprefix("Assertion failed, ")


def _number(bound: Any) -> str:
    return str(int(bound)) if isinstance(bound, float) and bound.is_integer() else str(bound)
