"""The tables a catalog may be: Parquet, CSV and JSON lines, read as raw rows in bounded memory.

A raw row is `(line, cells, reason)`: the line of the file it starts on (for Parquet the row's number from 1), its cells
by column, and what is wrong with the row as such (`""`: nothing), so that one broken row never hides the others.
"""

from __future__ import annotations

import csv
import io
import json
from collections import deque
from collections.abc import Iterator
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.parquet as pq

from atelier.errors import CatalogError
from atelier.storage import arrow_filesystem

RawRow = tuple[int, dict[str, Any], str]

MAX_LINE_CHARACTERS = 1_000_000
"""A longer line is a broken row: a quote that is never closed, or no lines at all."""

_ROWS_A_BATCH = 4096
_DELIMITERS = (",", ";", "\t", "|")


class Format(Protocol):
    """An opened table: `columns` are known before the first row, empty where each row names its own."""

    columns: tuple[str, ...]

    def rows(self) -> Iterator[RawRow]: ...


def open_format(address: str) -> Format:
    """The table at an address, by its name's ending; `.csv`, `.tsv`, `.jsonl` and `.ndjson` also with `.gz`."""
    name = address.lower().removesuffix(".gz")
    try:
        if name.endswith((".parquet", ".pq")):
            return ParquetTable(address)
        if name.endswith((".csv", ".tsv", ".txt")):
            return CsvTable(address)
        if name.endswith((".jsonl", ".ndjson")):
            return JsonLines(address)
    except (OSError, pa.ArrowException) as error:
        raise CatalogError(f"catalog {address}: can't be read: {error}") from error
    raise CatalogError(f"catalog {address}: its ending is unknown; must be .parquet, .csv, .tsv, .jsonl or .ndjson")


class ParquetTable:
    """A Parquet file; only flat columns are read."""

    def __init__(self, address: str) -> None:
        filesystem, path = arrow_filesystem(address)
        # Without a buffer size a whole row group's columns are held at once, however large the writer made it.
        self._file = pq.ParquetFile(filesystem.open_input_file(path), buffer_size=1 << 20, pre_buffer=False)
        schema = self._file.schema_arrow
        self.columns = tuple(field.name for field in schema if not pa.types.is_nested(field.type))

    def rows(self) -> Iterator[RawRow]:
        line = 0
        for batch in self._file.iter_batches(_ROWS_A_BATCH, columns=list(self.columns), use_threads=False):
            for values in batch.to_pylist():
                line += 1
                yield line, values, ""


class CsvTable:
    """A CSV file with a header, in UTF-8 or UTF-16; every cell stays text, so an id keeps its leading zeros.

    The separator (comma, semicolon, tab or bar) is the one that splits the header into the most columns.
    """

    def __init__(self, address: str) -> None:
        self._address = address
        header, _ = _first_line(address)
        self._delimiter = max(_DELIMITERS, key=header.count)
        cells = next(iter(csv.reader([header], delimiter=self._delimiter)), [])
        self.columns = tuple(cell.strip() for cell in cells)
        if twice := sorted({name for name in self.columns if name and self.columns.count(name) > 1}):
            raise CatalogError(f"catalog {address}: the header names {twice} more than once")

    def rows(self) -> Iterator[RawRow]:
        with _open_text(self._address) as text:
            source = _Resumable(text)
            header_seen = False
            while True:
                # A fresh reader a row: the old one keeps half a cell in mind after an error.
                reason = ""
                try:
                    cells = next(csv.reader(source, delimiter=self._delimiter, strict=True))
                except StopIteration:
                    return
                except csv.Error as error:
                    cells, reason = [], f"is no CSV: {error}; is a quote left open?"
                if not reason and not any(cell.strip() for cell in cells):
                    source.accept()
                    continue
                if not reason and len(cells) != len(self.columns):
                    reason = f"has {len(cells)} cells, but the header names {len(self.columns)} columns"
                # A quote that was left open has swallowed the rows after it: those are given back.
                line = source.accept(only_first=bool(reason) and header_seen)
                if not header_seen:
                    header_seen = True
                    continue
                yield line, dict(zip(self.columns, cells, strict=False)), reason


class _Resumable:
    """Lines of a text that can be given back once a row made of them turns out broken."""

    def __init__(self, text: io.TextIOWrapper) -> None:
        self._lines = _lines(text)
        self._ahead: deque[str] = deque()
        self._taken: list[str] = []
        self._line = 1

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = self._ahead.popleft() if self._ahead else next(self._lines)[0]
        self._taken.append(line)
        return line

    def accept(self, *, only_first: bool = False) -> int:
        """Ends a row, and gives the line that it started on; the lines after its first may go back."""
        start = self._line
        if only_first:
            self._ahead.extendleft(reversed(self._taken[1:]))
            del self._taken[1:]
        self._line += len(self._taken)
        self._taken.clear()
        return start


class JsonLines:
    """A file with one JSON object a line, in UTF-8."""

    columns: tuple[str, ...] = ()

    def __init__(self, address: str) -> None:
        self._address = address
        first, whole = _first_line(address)
        if first.lstrip().startswith("["):
            raise CatalogError(f"catalog {address}: is one JSON array; must be JSON lines, an object a line")
        if first and whole and not first.lstrip().startswith("{"):
            raise CatalogError(f"catalog {address}: starts with {first[:40]!r}; must be JSON lines, an object a line")

    def rows(self) -> Iterator[RawRow]:
        with _open_text(self._address) as text:
            for line, (content, whole) in enumerate(_lines(text), start=1):
                if not content.strip():
                    continue
                if not whole:
                    yield line, {}, f"is longer than {MAX_LINE_CHARACTERS:,} characters"
                    continue
                try:
                    values = json.loads(content)
                except (ValueError, RecursionError) as error:
                    yield line, {}, f"is no JSON: {error}"
                    continue
                if isinstance(values, dict):
                    yield line, values, ""
                else:
                    yield line, {}, f"is a JSON {type(values).__name__}; must be an object"


def _open_text(address: str) -> io.TextIOWrapper:
    # An undecodable byte becomes a surrogate, which the row's check finds: it costs one row, not the file.
    raw = _open_bytes(address)
    mark = raw.read(2)
    raw.close()
    encoding = "utf-16" if mark in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    return io.TextIOWrapper(_open_bytes(address), encoding=encoding, errors="surrogateescape", newline="")


def _open_bytes(address: str) -> io.BufferedReader:
    filesystem, path = arrow_filesystem(address)
    return io.BufferedReader(filesystem.open_input_stream(path), 1 << 20)  # pyright: ignore[reportArgumentType]


def _first_line(address: str) -> tuple[str, bool]:
    """The first line that is not blank, and whether it is whole; "" for an empty file."""
    with _open_text(address) as text:
        return next(((content, whole) for content, whole in _lines(text) if content.strip()), ("", True))


def _lines(text: io.TextIOWrapper) -> Iterator[tuple[str, bool]]:
    while content := text.readline(MAX_LINE_CHARACTERS):
        whole = content.endswith("\n") or len(content) < MAX_LINE_CHARACTERS
        rest = content
        while not rest.endswith("\n") and len(rest) == MAX_LINE_CHARACTERS:
            rest = text.readline(MAX_LINE_CHARACTERS)
        yield content, whole
