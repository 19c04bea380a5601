"""Where a service's state is kept: a SQLite file, or a Postgres server that ingresses on several machines share."""

from __future__ import annotations

import os
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from atelier.errors import ConfigError

PASSWORD = "PGPASSWORD"
"""The environment's name for a password that does not stand in the address."""

_ALLOWED = "must be a FILE, sqlite:///FILE or postgresql://USER@HOST:5432/NAME"
_POSTGRES = ("postgresql", "postgresql+pg8000", "postgres")
_OPTIONS = ("sslmode", "sslrootcert")


@dataclass(frozen=True, kw_only=True)
class DatabaseUrl:
    """An address that was read.

    Args:
        file: of SQLite's; None where it is a server. server: with its password; None where it is a file.
    """

    file: Path | None = None
    server: URL | None = None

    @classmethod
    def of(cls, address: str | Path) -> DatabaseUrl:
        """What an address says: a path, or a URL.

        Raises:
            ConfigError: it is neither; the message has no password.
        """
        text = str(address)
        scheme, is_url, _ = text.partition("://")
        if not is_url:
            return cls(file=Path(text))
        if scheme not in ("sqlite", *_POSTGRES):
            raise ConfigError(f"database begins with {scheme + '://'!r}; {_ALLOWED}")
        try:
            url = make_url(text)
        except (ArgumentError, ValueError):
            raise ConfigError(f"database begins with {scheme + '://'!r} and is no address; {_ALLOWED}") from None
        if scheme == "sqlite":
            if not url.database or url.host or url.query:
                raise ConfigError(f"database is {text!r}, which names no file; {_ALLOWED}")
            return cls(file=Path(url.database))
        found = cls(server=url)
        if not (url.host and url.username and url.database):
            raise ConfigError(f"database is {found}; must name a user, a host and a database: {_ALLOWED}")
        found.arguments()
        return found

    def __str__(self) -> str:
        """Without a password, as messages show it."""
        if self.server is None:
            return str(self.file)
        return self._without_password("postgresql").render_as_string()

    __repr__ = __str__

    @property
    def bare(self) -> URL:
        """A server's address without password and options."""
        return self._without_password("postgresql+pg8000")

    @property
    def password(self) -> str | None:
        """The address's own, else the environment's."""
        assert self.server is not None
        told = self.server.password
        return os.environ.get(PASSWORD) if told is None else str(told)

    def arguments(self) -> dict[str, Any]:
        """What the driver of a server is told beside the address.

        Raises:
            ConfigError: an option that is not there, or a value that it does not take.
        """
        assert self.server is not None
        options = {name: str(value) for name, value in self.server.query.items()}
        if strange := sorted(set(options) - set(_OPTIONS)):
            raise ConfigError(f"database {self}: has no option {strange[0]!r}; there are {list(_OPTIONS)}")
        mode, roots = options.get("sslmode", "prefer"), options.get("sslrootcert")
        if mode not in _TLS:
            raise ConfigError(f"database {self}: sslmode is {mode!r}; must be one of {list(_TLS)}")
        try:
            return {"ssl_context": _TLS[mode](roots)}
        except OSError as error:
            raise ConfigError(f"database {self}: sslrootcert {roots!r}: cannot be read: {error.strerror}") from error

    def _without_password(self, name: str) -> URL:
        assert self.server is not None
        url = self.server
        return URL.create(name, username=url.username, host=url.host, port=url.port, database=url.database)


def resolved(address: str) -> str:
    """The same with a whole path, for a replica's folder is not where its caller stands; and without a password, for
    Ray Serve writes what a service is started with to its log.
    """
    found = DatabaseUrl.of(address)
    if found.file is not None:
        return str(found.file.resolve())
    url = found.server
    assert url is not None
    bare = URL.create(url.drivername, url.username, None, url.host, url.port, url.database, url.query)
    return bare.render_as_string()


def has_password(address: str) -> bool:
    """Whether a password stands in an address."""
    server = DatabaseUrl.of(address).server
    return server is not None and server.password is not None


def export_password(address: str) -> None:
    """Gives an address's password, where there is one, to the environment, which the processes of a Ray inherit that is
    started after it.
    """
    server = DatabaseUrl.of(address).server
    if server is not None and server.password is not None:
        os.environ[PASSWORD] = str(server.password)


def _unchecked(_roots: str | None) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


def _checked(roots: str | None) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=roots)


_TLS: Mapping[str, Callable[[str | None], Any]] = {
    "disable": lambda _roots: False,
    "prefer": lambda _roots: None,  # where the server has it
    "require": _unchecked,
    "verify-full": _checked,
}
"""Postgres's own words, and what pg8000 calls them."""
