"""The database of a service's state: a SQLite file for the ingresses of one machine, or a Postgres for those of many.

Statements are SQLAlchemy's, the same for both. What must not happen twice is held by what each of them has: SQLite's
writers come one after another; in Postgres a row that one transaction changes is skipped by those that look for work,
and what is counted before it is written is counted under a lock.
"""

from __future__ import annotations

import hashlib
import logging
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import sqlalchemy
from sqlalchemy import Connection, Engine, MetaData, Table, event
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DBAPIError, InvalidatePoolError, InvalidRequestError
from sqlalchemy.exc import TimeoutError as NoneFree
from sqlalchemy.pool import NullPool
from sqlalchemy.schema import CreateColumn, CreateIndex

from atelier.errors import AtelierError, ConfigError
from serving.database_url import PASSWORD, DatabaseUrl

_BUSY_S = 10.0
"""How long a transaction waits for another's, a connection for the server, and a caller for a connection."""
_CONNECTIONS = 8
"""At most, of one ingress: a server has a hundred for all who use it."""
_OLDEST_S = 1800.0
"""Of a connection: what lies between may forget older ones without a word."""
_POOL = "atelier"
_NO_ENTRY = "(28"
"""How the code begins, as `_reason` tells it, of who may not come in."""
_AWAY = ("08", "25", "28", "3D", "40", "42P01", "53", "55", "57", "58", "XX")
"""How the codes begin of what Postgres says when it, not the question, is in trouble: it starts, it stops, it is full,
it has become a standby, it does not know the user or the tables any more, it gave a transaction up.
"""


class StateUnavailable(AtelierError):
    """The database does not answer now, and has not changed; it may later."""


class Database:
    """Connections to a database, each statement or transaction with one of its own; safe from any thread.

    A file is opened for each anew, which takes microseconds: one that has gone is noticed so, and not made anew, for an
    empty one would say that there are no jobs. A server's connections are kept, at most eight.

    Args:
        address: a path or a URL, see `DatabaseUrl`.

    Raises:
        ConfigError: no address, or its driver is not installed.
        StateUnavailable: the file cannot be used. A server is first asked by `make`.
    """

    def __init__(self, address: str | Path) -> None:
        self._url = DatabaseUrl.of(address)
        self._engine = self._of_file(self._url.file) if self._url.file is not None else self._of_server()

    @classmethod
    def holding(cls, tables: MetaData, database: Database | str | Path) -> Database:
        """A database, given or by its address, with these tables in it; raises as `make`."""
        found = database if isinstance(database, Database) else cls(database)
        found.make(tables)
        return found

    def make(self, tables: MetaData) -> None:
        """Makes the tables, columns and indexes that are not there yet; ingresses of other versions may be at work.

        Raises:
            ConfigError: a table of the same name that is not a service's.
            StateUnavailable: it does not answer.
        """
        with self.transaction(lock="tables") as connection:
            there = sqlalchemy.inspect(connection)
            for table in tables.sorted_tables:
                if there.has_table(table.name):
                    self._add_columns(connection, table, {column["name"] for column in there.get_columns(table.name)})
            tables.create_all(connection)
            for table in tables.sorted_tables:
                for index in table.indexes:
                    connection.execute(CreateIndex(index, if_not_exists=True))

    @contextmanager
    def one(self, *, is_kept: bool = True) -> Iterator[Connection]:
        """A connection whose every statement is a transaction by itself.

        Args:
            is_kept: what it writes must outlive a power cut; a process that dies loses nothing either way.

        Raises:
            StateUnavailable: the database cannot be read or written.
        """
        with self._connected() as connection:
            if not is_kept and self._is_file:
                connection.exec_driver_sql("pragma synchronous = normal")
            yield connection

    @contextmanager
    def transaction(self, *, lock: str, is_kept: bool = True) -> Iterator[Connection]:
        """A connection for one transaction, which begins when no other has the lock of that name.

        Raises:
            StateUnavailable: the database cannot be read or written.
        """
        with self.one(is_kept=is_kept) as connection:
            if self._is_file:
                connection.exec_driver_sql("begin immediate")
            else:
                connection.exec_driver_sql("begin")
                connection.execute(_LOCK, {"number": _number(lock), "commit": "on" if is_kept else "off"})
            yield connection  # what ends otherwise is rolled back with its connection
            connection.exec_driver_sql("commit")

    def insert(self, table: Table) -> Any:
        """An `insert` that can say what happens `on_conflict`."""
        return (sqlite if self._is_file else postgresql).insert(table)

    @property
    def _is_file(self) -> bool:
        return self._url.file is not None

    @contextmanager
    def _connected(self) -> Iterator[Connection]:
        try:
            with self._engine.connect() as connection:
                try:
                    yield connection
                except (DBAPIError, OSError) as error:
                    if not self._is_file and _reason(error):
                        connection.invalidate()
                    raise
        except NoneFree as error:
            raise StateUnavailable(f"{self._url}: no connection came free within {_BUSY_S:g} s") from error
        except (DBAPIError, InvalidRequestError, OSError) as error:
            if not (reason := _reason(error)):
                raise  # what was asked is wrong, not the database
            if not self._is_file and not self._url.password and _NO_ENTRY in reason:
                reason += f"; no password is given: set {PASSWORD}"
            raise StateUnavailable(f"{self._url}: {reason}") from error

    def _of_file(self, file: Path) -> Engine:
        def opened(mode: str) -> sqlite3.Connection:
            address = f"{file.absolute().as_uri()}?mode={mode}"
            return sqlite3.connect(address, timeout=_BUSY_S, uri=True, isolation_level=None)

        try:
            file.parent.mkdir(0o700, parents=True, exist_ok=True)
            with suppress(OSError):  # which SQLite tells in its own words
                file.touch(mode=0o600)  # prompts are in it; what SQLite puts beside it is as private
            made = opened("rwc")
            try:
                made.execute("pragma journal_mode = wal")  # readers then don't wait for writers
            finally:
                made.close()
        except (OSError, sqlite3.DatabaseError) as error:
            raise StateUnavailable(f"{file}: {error}") from error
        return sqlalchemy.create_engine(
            "sqlite://", creator=lambda: opened("rw"), poolclass=NullPool, hide_parameters=True
        )

    def _of_server(self) -> Engine:
        arguments = self._url.arguments()
        # Without one the driver fails in its own code, where the server would say what it wants.
        arguments |= {"password": self._url.password or "", "timeout": _BUSY_S, "application_name": "atelier"}
        try:
            engine = sqlalchemy.create_engine(
                self._url.bare,
                connect_args=arguments,
                hide_parameters=True,  # prompts are among them
                pool_size=_CONNECTIONS,
                max_overflow=0,
                pool_timeout=_BUSY_S,
                pool_recycle=_OLDEST_S,
                pool_use_lifo=True,
                pool_logging_name=_POOL,
            )
        except ModuleNotFoundError as error:
            raise ConfigError(
                f"database {self._url}: needs the driver pg8000: pip install 'atelier[postgres]'"
            ) from error
        # It has a traceback for each connection that a killed server leaves: who asks then is told, in one sentence.
        logging.getLogger(f"sqlalchemy.pool.impl.QueuePool.{_POOL}").setLevel(logging.CRITICAL)
        event.listen(engine, "connect", _greet)
        event.listen(engine, "checkout", _look)
        return engine

    def _add_columns(self, connection: Connection, table: Table, there: set[str]) -> None:
        for column in table.columns:
            if column.name in there:
                continue
            if not column.nullable and column.server_default is None:
                raise ConfigError(
                    f"database {self._url}: has a table {table.name} without {column.name}, another program's; "
                    "must be a database of the service's own"
                )
            said = CreateColumn(column).compile(dialect=connection.dialect)
            connection.exec_driver_sql(f"alter table {table.name} add column {said}")


_LOCK = sqlalchemy.text(
    # The count that follows is to see what the last holder of the lock wrote: a statement of its own.
    "select pg_advisory_xact_lock(:number), set_config('synchronous_commit', :commit, true)"
)
_GREETING = """
select set_config('default_transaction_isolation', 'read committed', false),
       set_config('statement_timeout', '{milliseconds}', false),
       set_config('idle_in_transaction_session_timeout', '{milliseconds}', false)
"""


def _greet(connection: Any, _record: Any) -> None:
    """Makes every statement a transaction unless one is begun, and has the server give up those of who went away."""
    connection.autocommit = True
    _asked(connection, _GREETING.format(milliseconds=int(_BUSY_S * 900)))


def _look(connection: Any, _record: Any, _proxy: Any) -> None:
    """Has a kept connection replaced, and all that are as old, that a server has left since."""
    try:
        _asked(connection, ";")
    except Exception as error:
        raise InvalidatePoolError(type(error).__name__) from error


def _asked(connection: Any, statement: str) -> None:
    cursor = connection.cursor()
    try:
        cursor.execute(statement)
    finally:
        cursor.close()


def _reason(error: Exception) -> str:
    """What keeps the database from answering; "" where it is not the database."""
    cause = error.orig if isinstance(error, DBAPIError) else error
    if isinstance(cause, sqlite3.Error):
        return str(cause) if type(cause) in (sqlite3.DatabaseError, sqlite3.OperationalError) else ""
    if isinstance(cause, InvalidRequestError):
        return "a connection was lost, and the next as well" if "connection is closed" in str(cause) else ""
    if not isinstance(error, DBAPIError):
        return "the connection broke"
    assert cause is not None
    said = cause.args[0] if cause.args else ""
    if isinstance(said, dict):
        code = str(said.get("C", ""))
        return f"Postgres answered {said.get('M', '')} ({code})" if code.startswith(_AWAY) else ""
    if isinstance(cause.__cause__, OSError):
        return f"the server cannot be reached: {cause.__cause__.strerror or cause.__cause__}"
    return f"the connection broke: {said}"


def _number(name: str) -> int:
    """A lock's number by its name."""
    return int.from_bytes(hashlib.sha256(f"atelier {name}".encode()).digest()[:8], "big", signed=True)
