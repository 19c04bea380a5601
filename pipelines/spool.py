"""Tables that are too long for memory, written as Parquet files while they grow."""

from __future__ import annotations

import io
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from atelier import storage

ROWS_A_FILE = 50_000
"""Bounds what a spool holds, to about 30 MB of units."""


class Spool:
    """Takes columns in and writes `folder/00000.parquet`, … whole, each once it has `rows_a_file` rows.

    A spool that nothing was added to writes no file.
    """

    def __init__(self, folder: str, schema: pa.Schema, *, rows_a_file: int = ROWS_A_FILE) -> None:
        self._folder, self._schema, self._rows_a_file = folder, schema, rows_a_file
        self._held: list[pa.Table] = []
        self._num_held = 0
        self.num_rows = 0
        self.files: list[str] = []

    def add(self, columns: dict[str, list[Any]] | pa.Table) -> None:
        """Takes rows in, by column."""
        table = columns if isinstance(columns, pa.Table) else pa.table(columns, schema=self._schema)
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
