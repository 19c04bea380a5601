"""The types of a config's fields: whether a value out of a `config.json` has one, and how a person is told of it."""

from __future__ import annotations

from typing import Any, Literal, get_args, get_origin

_PLAIN = {int: "a whole number", float: "a number", bool: "true or false", str: "a text"}
_MANY = {int: "whole numbers", float: "numbers", bool: "true or false", str: "texts"}


def fits(value: object, kind: Any) -> bool:
    """Whether a value has a field's type; lists are given as tuples. A whole number is a number, `true` is none."""
    if get_origin(kind) is Literal:
        return value in get_args(kind)
    if get_origin(kind) is tuple:
        if not isinstance(value, tuple):
            return False
        of = get_args(kind)
        each = of[:1] * len(value) if of[-1] is Ellipsis else of
        return len(value) == len(each) and all(map(fits, value, each))
    if kind is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if kind is int:
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(value, kind)


def in_words(kind: Any) -> str:
    """A field's type, e.g. `a list of 2 whole numbers`."""
    if get_origin(kind) is Literal:
        return f"one of {list(get_args(kind))}"
    if get_origin(kind) is tuple:
        of = get_args(kind)
        number = "" if of[-1] is Ellipsis else f"{len(of)} "
        return f"a list of {number}{_MANY[of[0]]}"
    return _PLAIN[kind]
