"""A body's fields: files as they came, everything else as plain values; half a body is none."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Collection, Mapping, Sequence
from contextlib import aclosing
from typing import Any

from fastapi import Request
from starlette.datastructures import FormData, Headers
from starlette.formparsers import MultiPartException, MultiPartParser

from serving.api.problems import Problem

UPLOAD_S = 50.0
"""Longest time that a body may take to arrive; a caller who sends a byte a second holds a place no longer. A
request has more by default, or nobody would be told that the upload was slow."""
_MOST_FILES, _MOST_FIELDS, _MOST_TEXT_BYTES = 16, 32, 2**20
"""Of a multipart form: files, other fields, and the bytes of one of these."""
_MOST_HELD_BYTES = 4 * 2**20
"""Of a file that is kept in memory while it arrives: photographs are smaller."""
KINDS: Mapping[type, str] = {
    dict: "an object",
    list: "a list",
    str: "a text",
    int: "a number",
    float: "a number",
    bool: "true or false",
    type(None): "null",
}
"""Of JSON, as it is read."""


async def fields_of(request: Request, *, repeated: Collection[str] = ()) -> dict[str, Any]:
    """A body's fields: files as they came, everything else as plain values.

    Args:
        repeated: names that may be given more than once, each a list.

    Raises:
        Problem: a body that cannot be read, or does not come.
    """
    bound = asyncio.timeout(UPLOAD_S)
    try:
        async with bound:
            return await _fields(request, repeated)
    except TimeoutError:
        if not bound.expired():
            raise
        raise Problem("upload_timeout", f"the body did not arrive within {UPLOAD_S:g} s") from None


async def _fields(request: Request, repeated: Collection[str]) -> dict[str, Any]:
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type == "application/json":
        try:
            value = json.loads(await request.body(), object_pairs_hook=_once)
        except (ValueError, RecursionError) as error:
            raise Problem("request_malformed", f"the body is no JSON: {_why_no_json(error)}") from None
        if not isinstance(value, dict):
            raise Problem("request_malformed", f"the body is {KINDS[type(value)]}; must be a JSON object")
        lists = {name: one if isinstance(one, list) else [one] for name, one in value.items() if name in repeated}
        return value | lists
    if media_type == "multipart/form-data":
        try:
            async with aclosing(request.stream()) as stream:
                form = await _Multipart(request.headers, stream).parse()
        except MultiPartException as error:
            raise Problem("request_malformed", f"the multipart body {_why_no_form(error.message)}") from None
        fields: dict[str, Any] = {}
        for name, value in form.multi_items():
            if name in repeated:
                fields.setdefault(name, []).append(value)
                continue
            if name in fields:
                raise Problem("field_invalid", f"{name}: is given twice; must be given once")
            fields[name] = value
        return fields
    given = f"content-type is {media_type!r}" if media_type else "there is no content-type"
    detail = f"{given}; must be multipart/form-data or application/json"
    raise Problem("media_type_unsupported", detail, headers={"Accept-Post": "multipart/form-data, application/json"})


class _Multipart(MultiPartParser):
    """Starlette's, with more of a file in memory: what is larger it leaves, piece by piece, to a thread and a disk."""

    spool_max_size = _MOST_HELD_BYTES

    def __init__(self, headers: Headers, stream: AsyncGenerator[bytes]) -> None:
        super().__init__(
            headers, stream, max_files=_MOST_FILES, max_fields=_MOST_FIELDS, max_part_size=_MOST_TEXT_BYTES
        )
        self._is_whole = False

    def on_end(self) -> None:
        self._is_whole = True

    async def parse(self) -> FormData:
        form = await super().parse()
        if not self._is_whole:
            await form.close()
            raise MultiPartException("Cut off")  # Starlette leaves out the field that is not closed, and goes on
        return form


def _once(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object whose names are there once: of two, a reader would take either."""
    value = dict(pairs)
    if len(value) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in value if names.count(name) > 1)
        raise Problem("field_invalid", f"{twice[:40]}: is given twice; must be given once")
    return value


def _why_no_json(error: ValueError | RecursionError) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f"line {error.lineno}, column {error.colno}: {error.msg}"
    if isinstance(error, UnicodeDecodeError):
        return "it is not UTF-8"
    return "it is nested too deep" if isinstance(error, RecursionError) else "it holds a number that is too long"


def _why_no_form(said: str) -> str:
    """Starlette's reasons in our words; what it quotes of a body is left out."""
    if said.startswith("Part exceeded"):
        return f"has a text of more than {_MOST_TEXT_BYTES:,} bytes; what is longer must be sent as a file with a name"
    if said.startswith("Too many"):
        return f"has too many parts; must have at most {_MOST_FILES} files and {_MOST_FIELDS} other fields"
    if said == "Cut off":
        return "ends before its last boundary; let an HTTP client write it, and send all of it"
    if said.startswith("Missing boundary"):
        return "has no boundary; the content-type must be `multipart/form-data; boundary=…`, as HTTP clients write it"
    return "cannot be read: its parts are not as its boundary says; let an HTTP client write it"
