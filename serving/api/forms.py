"""Reading a request: its inputs, as files, base64, data URLs or addresses, and its options."""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from fastapi import Request
from pydantic import ValidationError
from starlette.datastructures import UploadFile

from atelier import poses
from atelier.errors import NotFound, RowError
from atelier.images.opening import FORMATS, opened
from atelier.keys import digest
from atelier.recipe import Recipe
from serving.api.addresses import Addresses
from serving.api.fields import KINDS, fields_of
from serving.api.options import Options, Webhook
from serving.api.problems import Problem
from serving.api.tasks import PROMPT, InputField, Task
from serving.settings import Limits
from serving.words import what_is_allowed

_SHOWN = 40
"""Characters of a value that a message repeats."""
_WORDS = re.compile(r"[a-z]{3,}(?:[_ -][a-z]+)*")
"""Of a pose's name: base64 of a picture has capitals and digits."""

_LOOKED_AT_HERE = 1 << 16
"""Bytes of all inputs: their headers are read in less time than a thread takes to begin."""


@dataclass(frozen=True, kw_only=True)
class Form:
    """A request that was read: everything that decides its pictures.

    Args:
        inputs: bytes by input name, checked against the limits.
        said: the options, with the seed that was given in place of the one that is drawn where there is none.
        webhook: of a job, an address that is called when it has ended; "" for none.
    """

    task: Task
    recipe: Recipe
    inputs: Mapping[str, bytes]
    options: Options
    said: Mapping[str, Any]
    webhook: str = ""

    @cached_property
    def sha256(self) -> str:
        """Of its inputs and options; equal for equal requests, however they were sent; computed when asked for."""
        contents = {name: hashlib.sha256(data).hexdigest() for name, data in self.inputs.items()}
        told = [self.task.name, self.said, contents, *([self.webhook] if self.webhook else [])]
        return digest(told)


class FormReader:
    """Reads requests within limits.

    Args:
        addresses: reads what callers point at.
    """

    def __init__(self, limits: Limits, addresses: Addresses) -> None:
        self._limits, self._addresses = limits, addresses

    async def read(
        self, request: Request, tasks: Mapping[str, Task], task: Task | None = None, *, is_job: bool = False
    ) -> Form:
        """A request's form.

        Args:
            task: of the path; None where the form names it.
            is_job: it may have a webhook.

        Raises:
            Problem: saying which field, its value and what is allowed.
        """
        fields = await fields_of(request)
        return await self.form(fields, _task_of(fields, tasks) if task is None else task, is_job=is_job)

    async def form(self, fields: dict[str, Any], task: Task, *, is_job: bool = False) -> Form:
        """The form of fields that were read.

        Raises:
            Problem: saying which field, its value and what is allowed.
        """
        webhook = await self._webhook(fields.pop("webhook", None)) if is_job else ""
        given_seed = fields.get("seed")
        options = self._options(fields, task)
        recipe = task.recipe(options.model)
        if recipe is None:
            known = [one.name for one in task.recipes]
            raise Problem("model_unknown", f"model: there is no {options.model!r} for {task.name}; must be of {known}")
        inputs = await self._inputs(fields, task, recipe, options.prompt)
        said = options.model_dump(mode="json", exclude={"seed"}) | {"seed": str(given_seed), "model": recipe.name}
        return Form(task=task, recipe=recipe, inputs=inputs, options=options, said=said, webhook=webhook)

    async def _webhook(self, value: Any) -> str:
        """Of `{"url": …}`; multipart forms have it as text."""
        if value in (None, ""):
            return ""
        try:
            url = (
                Webhook.model_validate_json(value).url if isinstance(value, str) else Webhook.model_validate(value).url
            )
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            where = ".".join(("webhook", *(str(part) for part in first["loc"])))
            is_text = isinstance(value, str) and not value.lstrip().startswith("{")
            said = "is no JSON" if first["type"] == "json_invalid" else what_is_allowed(first)
            said = "is a plain text" if is_text else said
            raise Problem("field_invalid", f'{where}: {said}; webhook is an object, {{"url": "https://…"}}') from None
        await self._addresses.vet("webhook.url", url)
        return url

    def _options(self, fields: Mapping[str, Any], task: Task) -> Options:
        names = set(Options.model_fields) - (set() if task.has_prompt else {"prompt"})
        if strangers := sorted(set(fields) - names - set(task.fields)):
            known = [*task.fields, *sorted(names)]
            raise Problem("field_unknown", f"{', '.join(strangers)}: {task.name} has no such field; it has {known}")
        _check_mode(fields.get("mode"), fields.get("model"), task)
        try:
            options = Options(**{name: fields[name] for name in names if name in fields})
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            where = ".".join(str(part) for part in first["loc"])
            said = what_is_allowed(first)
            raise Problem(
                "field_invalid", f"{where}: {_shown(where, first['input'])}{said}" if where else said
            ) from None
        limits = self._limits
        if options.num_samples > limits.max_samples:
            detail = f"num_samples: is {options.num_samples}, must be at most {limits.max_samples}"
            raise Problem("field_invalid", detail)
        if len(options.prompt) > limits.max_prompt_chars:
            detail = f"prompt: has {len(options.prompt)} characters, must have at most {limits.max_prompt_chars}"
            raise Problem("field_invalid", detail)
        return options

    async def _inputs(self, fields: Mapping[str, Any], task: Task, recipe: Recipe, prompt: str) -> dict[str, bytes]:
        taken = (*recipe.inputs, *recipe.optional)
        given = {name: fields[name] for name in task.fields if fields.get(name) not in (None, "")}
        if strangers := sorted(set(given) - set(taken)):
            raise Problem("field_unknown", f"{', '.join(strangers)}: {recipe.name} takes {list(taken)}")
        if absent := [name for name in recipe.inputs if name not in given and name != PROMPT]:
            raise Problem(
                "field_missing", f"{', '.join(absent)}: must be given; {task.name} needs {' and '.join(recipe.inputs)}"
            )
        contents = await asyncio.gather(
            *(self._content(name, task.fields[name], value) for name, value in given.items())
        )
        inputs = dict(zip(given, contents, strict=True))
        if sum(map(len, inputs.values())) <= _LOOKED_AT_HERE:
            self._check(task, inputs)
        else:
            await asyncio.to_thread(self._check, task, inputs)
        if PROMPT in recipe.inputs and not prompt.strip():
            raise Problem("field_missing", f"prompt: must be given; {task.name} needs {' and '.join(recipe.inputs)}")
        return inputs

    async def _content(self, name: str, field: InputField, value: Any) -> bytes:
        """What a field stands for: a file, or a text with an address, a data URL, base64 or a pose's name in it."""
        if isinstance(value, UploadFile):
            if value.size is not None and value.size > self._limits.max_input_bytes:
                raise self._too_large(name, value.size)
            return await value.read()
        if isinstance(value, dict) and field.kind in ("document", "pose"):
            try:
                return json.dumps(value).encode()
            except RecursionError:
                raise Problem("field_invalid", f"{name}: is nested too deep; must be an OpenPose JSON") from None
        if not isinstance(value, str):
            kind = KINDS[type(value)]
            raise Problem("field_invalid", f"{name}: is {kind}; must be a file, base64, a data URL or an address")
        if field.has_names and (poses.is_named(value) or value in poses.names(name)):
            try:
                return poses.read(value, name)
            except NotFound as error:
                raise Problem("unknown_pose", f"{name}: {error}") from error
        if field.has_names and _WORDS.fullmatch(value):
            known = poses.listed(name)
            raise Problem("unknown_pose", f"{name}: there is no pose {value!r}; there are {known}, or give a picture")
        if field.kind in ("document", "pose") and value.lstrip()[:1] in ("{", "["):
            return value.encode()
        if "://" in value[:32]:
            return await self._addresses.get(name, value)
        if value.startswith("data:"):
            head, _, value = value.partition(",")
            if not head.endswith(";base64"):
                raise Problem("field_invalid", f"{name}: is a data URL without base64; must be data:TYPE;base64,…")
        try:
            data = base64.b64decode(value, validate=True)
        except (binascii.Error, ValueError) as error:
            # The value itself is not repeated: it may be half a picture.
            named = f", or a name: {poses.listed(name)}" if field.has_names else ""
            detail = f"{name}: is no base64 ({error}); must be base64, a data URL or an address{named}"
            raise Problem("field_invalid", detail) from None
        return data

    def _check(self, task: Task, inputs: Mapping[str, bytes]) -> None:
        for name, data in inputs.items():
            self._check_one(name, task.fields[name].kind, data)

    def _check_one(self, name: str, kind: str, data: bytes) -> None:
        if len(data) > self._limits.max_input_bytes:
            raise self._too_large(name, len(data))
        if kind == "document" or (kind == "pose" and data.lstrip()[:1] in (b"{", b"[")):
            return
        limits = self._limits
        try:
            with opened(
                data, what="picture", formats=FORMATS, max_pixels=limits.max_pixels, max_bytes=limits.max_input_bytes
            ):
                pass  # the header alone; the replica decodes
        except RowError as error:
            raise Problem.of_row(RowError(error.code, f"{name}: {error.detail}", rejected=error.rejected)) from error

    def _too_large(self, name: str, size: int) -> Problem:
        detail = f"{name}: holds {size:,} bytes; must be at most {self._limits.max_input_bytes:,}"
        return Problem("object_too_large", detail)


def _check_mode(mode: Any, model: Any, task: Task) -> None:
    """Refuses a mode that the request's model has not, whoever else may have it; a model that is none is not judged."""
    recipe = task.recipe(model) if model is None or isinstance(model, str) else None
    if mode is None or recipe is None or mode in recipe.modes:
        return
    is_given = f"mode: {_shown('mode', mode)}"
    if recipe.modes:
        raise Problem("field_invalid", f"{is_given}must be one of {list(recipe.modes)}")
    having = [one.name for one in task.recipes if one.modes]
    others = f"; {having} take one" if having else ""
    raise Problem("field_invalid", f"{is_given}{recipe.name} has none, leave it out{others}")


def _shown(name: str, value: Any) -> str:
    # A prompt is nobody's business but the caller's.
    if name == PROMPT:
        return ""
    return f"is {'a file' if isinstance(value, UploadFile) else _short(value)}; "


def _short(value: Any) -> str:
    text = json.dumps(value, default=str, ensure_ascii=False)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def _task_of(fields: dict[str, Any], tasks: Mapping[str, Task]) -> Task:
    name = fields.pop("task", None)
    if name in (None, ""):
        raise Problem("field_missing", f"task: must be given; one of {', '.join(sorted(tasks))}")
    if not isinstance(name, str) or name not in tasks:
        raise Problem("field_invalid", f"task: {_shown('task', name)}must be one of {', '.join(sorted(tasks))}")
    return tasks[name]
