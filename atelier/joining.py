"""Before Ray is asked: what a person is told where a running cluster cannot be joined, and the token of a new one.

Nothing here needs Ray.
"""

from __future__ import annotations

import os
import re
import secrets
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from atelier.errors import ConfigError

_ANSWERS_WITHIN_S = 5.0
_HOST_AND_PORT = re.compile(r"\[?(?P<host>[^/\[\]]+?)\]?:(?P<port>\d{1,5})")
_SETTINGS = b"\x04"
_NO_SETTINGS = b"\x00\x00\x00" + _SETTINGS + b"\x00" + b"\x00\x00\x00\x00"
"""A frame's head: no bytes follow, its type, no flags, of the whole connection."""
_NO = ("0", "false", "")
_TOKEN_REFUSED = re.compile(r"InvalidAuthToken|AuthenticationError|authentication token", re.IGNORECASE)


@contextmanager
def joining(address: str) -> Iterator[None]:
    """Held around `ray.init` for the cluster at an address, the value of `RAY_ADDRESS`.

    `HOST:PORT` is knocked at first; of other forms (`auto`, `ray://…`) Ray alone is the judge.

    Raises:
        ConfigError: the address is none; nobody, or no Ray, answers there within 5 s, where Ray would try for minutes;
            the cluster wants a token that it was not sent; it is of another version of Ray or Python.
    """
    with stderr_held_back():
        _knock(address)
        try:
            yield
        except Exception as error:
            reason = _reason(error)
            if reason is None:
                raise
            raise ConfigError(f"RAY_ADDRESS {address!r}: {reason}") from error


def keep_token_private() -> None:
    """To be called before a Ray is started here: the token by which it is asked is then its user's alone to read.

    Ray itself would write one for everybody on this computer to read, and whoever has it runs code as this user.
    """
    told = os.environ.get
    if told("RAY_AUTH_MODE", "token").lower() != "token" or told("RAY_AUTH_TOKEN") or told("RAY_AUTH_TOKEN_PATH"):
        return  # none is asked for, or it lies where its user has put it
    file = Path.home() / ".ray" / "auth_token"
    with suppress(OSError):  # where there is no home to write to, Ray says so itself
        file.parent.mkdir(0o700, parents=True, exist_ok=True)
        try:
            with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as made:
                made.write(secrets.token_hex(32))
        except FileExistsError:
            if file.stat().st_mode & 0o077:
                file.chmod(0o600)


@contextmanager
def stderr_held_back() -> Iterator[None]:
    """Keeps what is written to stderr, native code included, to itself, unless what is done within fails.

    A `ConfigError` says itself what a person needs to know.
    """
    stderr = os.dup(2)
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        except ConfigError:
            raise
        except BaseException:
            held.seek(0)
            os.write(stderr, held.read())
            raise
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)


def _knock(address: str) -> None:
    match = _HOST_AND_PORT.fullmatch(address)
    if match is None:
        return
    must = "must be the HOST:PORT that `ray start --head` printed; without it a Ray of this computer's own is started"
    if not 0 < (port := int(match["port"])) < 2**16:
        raise ConfigError(f"RAY_ADDRESS {address!r}: {port} is no port; {must}")
    try:
        with socket.create_connection((match["host"], port), _ANSWERS_WITHIN_S) as knock:
            if os.environ.get("RAY_USE_TLS", "0") in _NO and not _speaks_http2(knock):
                raise ConfigError(f"RAY_ADDRESS {address!r}: what answers there is no Ray cluster; {must}")
    except OSError as error:
        raise ConfigError(f"RAY_ADDRESS {address!r}: no Ray cluster answers there ({error}); {must}") from error


def _speaks_http2(knock: socket.socket) -> bool:
    """Whether who answers begins with HTTP/2's settings (RFC 9113, 3.4), as Ray's head does, which speaks gRPC.

    Ray asks anybody else in vain for minutes: an HTTP server, its own dashboard's.
    """
    knock.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + _NO_SETTINGS)
    answer = b""
    while len(answer) < len(_NO_SETTINGS) and (more := knock.recv(len(_NO_SETTINGS) - len(answer))):
        answer += more
    return answer[3:4] == _SETTINGS


def _reason(error: BaseException) -> str | None:
    told = "\n".join(_chain(error))
    if _TOKEN_REFUSED.search(told):
        if os.environ.get("RAY_AUTH_MODE") != "token":
            lack = "the cluster wants a token, and RAY_AUTH_MODE does not say that one be sent"
        elif "InvalidAuthToken" in told:
            lack = "the cluster refuses the token that it was sent"
        else:
            lack = "RAY_AUTH_MODE says that a token be sent, and there is none"
        return (
            f"{lack}; must be RAY_AUTH_MODE=token, and what `ray get-auth-token` prints on the cluster's head in "
            "~/.ray/auth_token here or in RAY_AUTH_TOKEN"
        )
    if "Version mismatch" in told or isinstance(error, ConnectionError | ValueError):
        return " ".join(str(error).split()) + ("; must be HOST:PORT" if isinstance(error, ValueError) else "")
    return None


def _chain(error: BaseException | None) -> Iterator[str]:
    while error is not None:
        yield f"{type(error).__name__}: {error}"
        error = error.__cause__ or error.__context__
