"""One SQLite file, which every ingress of a machine may have open at once."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from atelier.errors import AtelierError

_BUSY_S = 10.0
"""How long a transaction waits for another's."""


class StateUnavailable(AtelierError):
    """The database does not answer now, and has not changed; it may later."""


class Database:
    """Tables in a file. A connection a call: SQLite's own are bound to a thread, and opening one takes microseconds.

    Args:
        schema: statements that make what is not there yet.
        added: by table, columns that came later than the table, and their declarations: an older file gets them.

    Raises:
        StateUnavailable: the file cannot be used.
    """

    def __init__(self, path: str | Path, schema: str, *, added: Mapping[str, Mapping[str, str]] | None = None) -> None:
        self._path = Path(path)
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._connected("rwc") as connection:
            # Readers then don't wait for writers.
            connection.execute("pragma journal_mode = wal")
            connection.execute("begin immediate")  # two ingresses may start on an older file at once
            for table, columns in (added or {}).items():
                there = {row[1] for row in connection.execute(f"pragma table_info({table})")}
                for name, declaration in columns.items():
                    if there and name not in there:
                        connection.execute(f"alter table {table} add column {name} {declaration}")
            connection.commit()
            connection.executescript(schema)

    @contextmanager
    def open(self, *, is_kept: bool = True) -> Iterator[sqlite3.Connection]:
        """A connection for one transaction.

        Args:
            is_kept: what it writes must outlive a power cut; a process that dies loses nothing either way.

        Raises:
            StateUnavailable: the file cannot be read or written.
        """
        # A file that has gone is not made anew: an empty one would say that there are no jobs.
        with self._connected("rw") as connection:
            if not is_kept:
                connection.execute("pragma synchronous = normal")
            yield connection

    @contextmanager
    def _connected(self, mode: str) -> Iterator[sqlite3.Connection]:
        try:
            connection = sqlite3.connect(f"{self._path.absolute().as_uri()}?mode={mode}", timeout=_BUSY_S, uri=True)
            try:
                with connection:
                    yield connection
            finally:
                connection.close()
        except sqlite3.DatabaseError as error:
            if type(error) not in (sqlite3.DatabaseError, sqlite3.OperationalError):
                raise  # what was asked is wrong, not the file
            raise StateUnavailable(f"{self._path}: {error}") from error
