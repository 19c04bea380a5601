"""Errors as callers see them: `application/problem+json` (RFC 9457) with a stable code.

Codes are a `RowError`'s where the recipe refuses an input, else one of `STATUSES`.
"""

from __future__ import annotations

import json
import logging
import math
import re
import traceback
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.routing import Match
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from atelier.errors import RowError, StorageError
from serving.database import StateUnavailable
from serving.models.asked import Refusal
from serving.words import what_is_allowed

MEDIA_TYPE = "application/problem+json"
_LOG = logging.getLogger(__name__)
_METHODS = ("DELETE", "GET", "PATCH", "POST", "PUT")
AWAY_RETRY_S = 5.0
"""Nothing says when a store that is away comes back; one that restarts takes so long."""

STATUSES: Mapping[str, int] = {
    "request_malformed": 400,
    "field_unknown": 400,
    "field_missing": 400,
    "field_invalid": 400,
    "key_missing": 401,
    "key_unknown": 401,
    "scope_missing": 403,
    "not_loopback": 403,
    "not_found": 404,
    "job_unknown": 404,
    "model_unknown": 404,
    "picture_unknown": 404,
    "method_not_allowed": 405,
    "upload_timeout": 408,
    "idempotency_conflict": 409,
    "job_ended": 409,
    "body_too_large": 413,
    "picture_too_large": 413,
    "object_too_large": 413,
    "media_type_unsupported": 415,
    "picture_format": 415,
    "output_invalid": 422,
    "address_refused": 422,
    "address_unreachable": 422,
    "overloaded": 429,
    "quota_exceeded": 429,
    "client_left": 499,
    "internal_error": 500,
    "storage_unavailable": 502,
    "job_store_unavailable": 502,
    "model_unavailable": 503,
    "starting": 503,
    "stopping": 503,
    "deadline_exceeded": 504,
}
"""Status by code; every other code is a `RowError`'s: 422 where the input is at fault, 502 where a store is."""


_FIELD = re.compile(r"([A-Za-z][A-Za-z_-]*(?:\[\])?(?:\.[a-z_]+)*)(?:, [a-z_, ]+)?: ")


class ProblemBody(BaseModel):
    """Why there is no picture."""

    type: str = Field(description="`urn:atelier:problem:` and the code")
    title: str = Field(description="the status in words")
    status: int
    code: str = Field(description="stable, snake_case: what programs should look at")
    detail: str = Field(description="a sentence for a person: field, value, what is allowed")
    field: str | None = Field(default=None, description="the field at fault, where one is; of several the first")
    stage: str | None = Field(default=None, description="the recipe's stage that refused the input")
    retry_after_s: float | None = Field(default=None, description="when another try makes sense")

    model_config = {
        "json_schema_extra": {
            "examples": [
                {
                    "type": "urn:atelier:problem:picture_truncated",
                    "title": "Unprocessable Entity",
                    "status": 422,
                    "code": "picture_truncated",
                    "detail": "person: the picture file (JPEG, 4000 bytes) ends early; must be whole",
                    "field": "person",
                }
            ]
        }
    }


class Problem(Exception):
    """An answer that is an error.

    Args:
        code: one of `STATUSES`, or a `RowError`'s.
        detail: a sentence: field, value, what is allowed. Never a key, a prompt or a picture's content.
        retry_after_s: also sent as `Retry-After`.
    """

    def __init__(
        self,
        code: str,
        detail: str,
        *,
        status: int | None = None,
        stage: str = "",
        retry_after_s: float = 0.0,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self.code, self.detail, self.stage, self.retry_after_s = code, detail, stage, retry_after_s
        self.status = status or STATUSES.get(code, 422)
        self.headers = dict(headers or {})
        super().__init__(f"{code}: {detail}")

    @classmethod
    def of_row(cls, error: RowError) -> Problem:
        """What the recipe's refusal of an input is to a caller."""
        status = STATUSES.get(error.code, 422 if error.rejected else 502)
        return cls(error.code, error.detail, status=status)

    @classmethod
    def of_refusal(cls, refusal: Refusal) -> Problem:
        """What a model's refusal is to a caller."""
        status = STATUSES.get(refusal.code, 422 if refusal.fault == "rejected" else 502)
        return cls(
            refusal.code,
            refusal.detail,
            status=status,
            stage=refusal.stage,
            retry_after_s=refusal.retry_after_s,
        )

    @classmethod
    def of_body(cls, body: Mapping[str, Any]) -> Problem:
        """What a failed job keeps, once more."""
        return cls(
            body["code"],
            body["detail"],
            status=body["status"],
            stage=body.get("stage") or "",
            retry_after_s=body.get("retry_after_s") or 0.0,
        )

    @property
    def field(self) -> str | None:
        """The field at fault, by the name that `detail` begins with."""
        found = _FIELD.match(self.detail) if self.status in (400, 404, 413, 415, 422) else None
        return found[1] if found else None

    def renamed(self, field: str, called: str) -> Problem:
        """The same, of a field that the caller knows by another name."""
        if self.detail.startswith(f"{field}: "):
            self.detail = called + self.detail.removeprefix(field)
        return self

    def body(self) -> ProblemBody:
        """As it is sent, and as a failed job keeps it."""
        return ProblemBody(
            type=f"urn:atelier:problem:{self.code}",
            title=_title(self.status),
            status=self.status,
            code=self.code,
            detail=self.detail,
            field=self.field,
            stage=self.stage or None,
            retry_after_s=round(self.retry_after_s, 1) or None,
        )

    def response(self) -> JSONResponse:
        """As it is sent."""
        headers = dict(self.headers)
        if self.retry_after_s:
            headers["Retry-After"] = str(math.ceil(self.retry_after_s))
        content = self.body().model_dump(exclude_none=True)
        return JSONResponse(content, status_code=self.status, headers=headers, media_type=MEDIA_TYPE)


def of_unexpected(error: Exception) -> Problem:
    """What an error that nobody expected is to a caller; the log gets its type and place, without its words."""
    where = "".join(traceback.format_tb(error.__traceback__))
    _LOG.error("a request ended in %s at\n%s", type(error).__name__, where)
    return Problem("internal_error", "the service failed; its log says why")


class Broken(Exception):
    """An answer that had begun cannot be finished."""


class Unexpected:
    """Answers errors that nobody expected, and lets none out: whoever runs the application would log its words."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        has_begun = False

        async def noted(message: Message) -> None:
            nonlocal has_begun
            has_begun = True
            await send(message)

        try:
            await self._app(scope, receive, noted)
        except Exception as error:  # noqa: BLE001  it is answered, and logged without its words
            problem = of_unexpected(error)
            if has_begun:
                raise Broken("an answer that had begun could not be finished") from None
            await problem.response()(scope, receive, send)


def install(app: FastAPI) -> None:
    """Makes every error that is known a problem: ours, FastAPI's own, and stores that are away."""

    async def problem(_request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, Problem)
        return error.response()

    async def invalid(_request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, RequestValidationError)
        first = error.errors()[0]
        place, *path = (str(part) for part in first["loc"])
        given = json.dumps(first["input"], default=str)[:40]
        told = what_is_allowed(first) if first["type"] == "missing" else f"is {given}; {what_is_allowed(first)}"
        return Problem("field_invalid", f"{'.'.join(path) or place}: {told}").response()

    async def http(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, HTTPException)
        code, detail = "request_malformed", str(error.detail)
        if error.status_code == 404:
            code, detail = (
                "not_found",
                f"there is nothing at {request.url.path[:100]!r}; /openapi.json has what there is",
            )
        elif error.status_code == 405:
            allowed = _methods_of(request)
            code, detail = "method_not_allowed", f"is {request.method}; must be {allowed} here"
            return Problem(code, detail, headers={"Allow": allowed}).response()
        return Problem(code, detail, status=error.status_code, headers=error.headers).response()

    async def files_away(_request: Request, error: Exception) -> JSONResponse:
        _LOG.warning("a request met a store of files that refuses: %s", type(error).__name__)
        detail = "the store of pictures does not answer now; try again"
        return Problem("storage_unavailable", detail, retry_after_s=AWAY_RETRY_S).response()

    async def jobs_away(_request: Request, _error: Exception) -> JSONResponse:
        _LOG.warning("a request met a job store that does not answer")
        detail = "the store of jobs does not answer now; try again"
        return Problem("job_store_unavailable", detail, retry_after_s=AWAY_RETRY_S).response()

    async def left(_request: Request, _error: Exception) -> JSONResponse:
        return Problem("client_left", "the connection ended before the request did").response()

    app.add_exception_handler(Problem, problem)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(HTTPException, http)
    app.add_exception_handler(StorageError, files_away)
    app.add_exception_handler(StateUnavailable, jobs_away)
    app.add_exception_handler(ClientDisconnect, left)


def _methods_of(request: Request) -> str:
    """What a path takes: Starlette tells of its first route alone."""
    taken = [
        method
        for method in _METHODS
        if any(one.matches({**request.scope, "method": method})[0] is Match.FULL for one in request.app.routes)
    ]
    return ", ".join(taken)


def _title(status: int) -> str:
    return "Client Closed Request" if status == 499 else HTTPStatus(status).phrase
