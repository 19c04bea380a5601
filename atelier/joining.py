"""Joining a running Ray cluster: what a person is told where that fails. Nothing here needs Ray."""

from __future__ import annotations

import os
import re
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

from atelier.errors import ConfigError

_ANSWERS_WITHIN_S = 5.0
_HOST_AND_PORT = re.compile(r"\[?(?P<host>[^/\[\]]+?)\]?:(?P<port>\d{1,5})")
_TOKEN_REFUSED = re.compile(r"InvalidAuthToken|AuthenticationError|authentication token", re.IGNORECASE)


@contextmanager
def joining(address: str) -> Iterator[None]:
    """Held around `ray.init` for the cluster at an address, the value of `RAY_ADDRESS`.

    `HOST:PORT` is knocked at first; of other forms (`auto`, `ray://…`) Ray alone is the judge.

    Raises:
        ConfigError: the address is none; nobody answers there within 5 s, where Ray would try for a minute and more;
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
    try:
        socket.create_connection((match["host"], int(match["port"])), _ANSWERS_WITHIN_S).close()
    except (OSError, OverflowError) as error:
        raise ConfigError(
            f"RAY_ADDRESS {address!r}: no Ray cluster answers there ({error}); must be the HOST:PORT that "
            "`ray start --head` printed; without it a Ray of this computer's own is started"
        ) from error


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
        return " ".join(str(error).split())
    return None


def _chain(error: BaseException | None) -> Iterator[str]:
    while error is not None:
        yield f"{type(error).__name__}: {error}"
        error = error.__cause__ or error.__context__
