"""Who may ask: a key in `Authorization: Bearer` or `X-API-Key`, with the scope that the route needs."""

from __future__ import annotations

import ipaddress
import logging
from collections.abc import Awaitable, Callable

from fastapi import Request
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from atelier.errors import ConfigError
from serving import keys
from serving.api.problems import Problem
from serving.keys import Caller, KeyRing

_LOG = logging.getLogger(__name__)
_ANYBODY = Caller(owner="anonymous", scopes=keys.SCOPES)
_FORWARDED = ("forwarded", "x-forwarded-for", "x-real-ip")


class Access:
    """Checks callers.

    Args:
        ring: the keys; None lets everybody in, and stands behind `LoopbackOnly` alone.
    """

    def __init__(self, ring: KeyRing | None) -> None:
        self._ring = ring

    def to(self, scope: keys.Scope) -> Callable[[Request], Awaitable[Caller]]:
        """A dependency that gives the caller, or refuses before a byte of the body is read."""

        async def caller(request: Request) -> Caller:
            return self.caller(request, scope)

        return caller

    def caller(self, request: Request, scope: keys.Scope) -> Caller:
        """The caller of a request, as things stand now: a long answer looks again.

        Raises:
            Problem: `key_missing`, `key_unknown`, `scope_missing`; `internal_error` where the keys cannot be read.
        """
        if self._ring is None:
            return _ANYBODY
        challenge = {"WWW-Authenticate": 'Bearer realm="atelier"'}
        key = _key(request.headers)
        if not key:
            detail = "no key: send it as `Authorization: Bearer KEY` or `X-API-Key: KEY`"
            raise Problem("key_missing", detail, headers=challenge)
        try:
            caller = self._ring.caller(key)
        except ConfigError as error:
            _LOG.error("nobody is let in: %s", error)
            raise Problem("internal_error", "the service cannot read its keys; its log says why") from None
        if caller is None:
            raise Problem("key_unknown", "the key is unknown, wrong or expired", headers=challenge)
        require(caller, scope)
        return caller


def require(caller: Caller, scope: keys.Scope) -> None:
    """Refuses a caller whose key has not got a scope.

    Raises:
        Problem: `scope_missing`.
    """
    if scope not in caller.scopes:
        raise Problem("scope_missing", f"the key has the scopes {list(caller.scopes)}; this needs {scope!r}")


class LoopbackOnly:
    """What stands before a service without keys: it answers this machine's own callers, and no browser's detour.

    A peer that is not loopback, a request that came through a proxy, a `Host` that is not loopback's (a web page whose
    name was rebound to this machine), and a request that a page of another origin brought about, as of this machine's
    other ports, are refused.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and (reason := _foreign(scope)):
            await Problem("not_loopback", reason).response()(scope, receive, send)
            return
        await self._app(scope, receive, send)


def _foreign(scope: Scope) -> str:
    headers = Headers(scope=scope)
    # First: what runs the application may take the peer from these.
    if any(name in headers for name in _FORWARDED):
        return "a service without keys answers no proxy; start it with keys to stand behind one"
    peer = (scope.get("client") or ("", 0))[0]
    if not is_loopback(str(peer)):
        return "a service without keys answers its own machine alone; start it with keys to let others in"
    if not is_loopback(_host(headers.get("host", ""))):
        return "the Host header must name this machine: localhost, 127.0.0.1 or [::1]"
    is_of_another = headers.get("sec-fetch-site") in ("cross-site", "same-site")
    if is_of_another or not _is_own(headers.get("origin"), headers.get("host", "")):
        return "another site's page may not use a service without keys"
    return ""


def _is_own(origin: str | None, host: str) -> bool:
    """Whether a request comes from no page at all, or from this service's own; not each browser says where from."""
    return origin is None or origin.lower() in (f"http://{host.lower()}", f"https://{host.lower()}")


def _host(value: str) -> str:
    if value.startswith("["):
        return value[1:].partition("]")[0]
    return value.rpartition(":")[0] if ":" in value else value


def is_loopback(name: str) -> bool:
    """Whether a host's name or number is this machine's own."""
    if name.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def _key(headers: Headers) -> str:
    scheme, _, value = headers.get("authorization", "").partition(" ")
    return value.strip() if scheme.lower() == "bearer" else headers.get("x-api-key", "").strip()
