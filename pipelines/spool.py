"""Tables that are too long for memory, written as Parquet files while they grow."""

from __future__ import annotations

import io
from collections.abc import Iterator

import pyarrow as pa
import pyarrow.parquet as pq

from atelier import storage

ROWS_A_FILE = 50_000
"""Bounds what a spool holds, to about 30 MB of units."""


class Spool:
    """Takes rows in and writes `folder/00000.parquet`, … whole, each once it has `rows_a_file` rows.

    A spool that nothing was added to writes no file.
    """

    def __init__(self, folder: str, *, rows_a_file: int = ROWS_A_FILE) -> None:
        self._folder, self._rows_a_file = folder, rows_a_file
        self._held: list[pa.Table] = []
        self._num_held = 0
        self.num_rows = 0
        self.files: list[str] = []

    def add(self, table: pa.Table) -> None:
        """Takes rows in."""
        self._held.append(table)
        self._num_held += table.num_rows
        self.num_rows += table.num_rows
        if self._num_held >= self._rows_a_file:
            self.close()

    def close(self) -> None:
        """Writes what is held."""
        if self._num_held:
            buffer = io.BytesIO()
            pq.write_table(pa.concat_tables(self._held), buffer, compression="zstd")
            address = f"{self._folder}/{len(self.files):05d}.parquet"
            storage.put(address, buffer.getvalue(), content_type="application/vnd.apache.parquet")
            self.files.append(address)
        self._held, self._num_held = [], 0


def read_spool(folder: str) -> Iterator[pa.Table]:
    """The tables that a spool wrote to a folder, in order; none where it wrote none."""
    for address in sorted(entry.address for entry in storage.list(folder, recursive=False)):
        filesystem, path = storage.arrow_filesystem(address)
        with filesystem.open_input_file(path) as source:
            yield pq.read_table(source)
