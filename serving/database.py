"""One SQLite file, which every ingress of a machine may have open at once."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

_BUSY_S = 10.0
"""How long a transaction waits for another's."""


class Database:
    """Tables in a file. A connection a call: SQLite's own are bound to a thread, and opening one takes microseconds.

    Args:
        schema: statements that make what is not there yet.
        added: by table, columns that came later than the table, and their declarations: an older file gets them.
    """

    def __init__(self, path: str | Path, schema: str, *, added: Mapping[str, Mapping[str, str]] | None = None) -> None:
        self._path = Path(path)
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self.open() as connection:
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
        """
        connection = sqlite3.connect(self._path, timeout=_BUSY_S)
        try:
            if not is_kept:
                connection.execute("pragma synchronous = normal")
            with connection:
                yield connection
        finally:
            connection.close()
