"""Sets that are named by a catalog: what a batch job has published, or a table of true answers."""

from __future__ import annotations

import csv
import io
import json
import posixpath
from collections.abc import Mapping, Sequence

import pyarrow as pa
import pyarrow.parquet as pq

from atelier import storage
from atelier.errors import CatalogError, NotFound

SUFFIXES = (".csv", ".parquet", ".tsv")
COLUMNS = ("picture", "truth")
"""Which column holds the addresses: the first of these that the table has. Items go by `item_id`."""
_CURRENT = "catalog/CURRENT"


def is_table(address: str) -> bool:
    """Whether an address is a catalog rather than a folder."""
    return posixpath.splitext(address)[1].lower() in SUFFIXES


def read_published(output: str) -> list[tuple[str, str]] | None:
    """Item and address of each picture that a job's output has published; None where the folder is no such output.

    Raises:
        CatalogError: an output whose published catalog cannot be read.
    """
    pointer = storage.join(output, _CURRENT)
    try:
        current = json.loads(storage.get(pointer))
        return read_table(storage.join(output, current["csv"]), base=output)
    except NotFound:
        return None
    except (ValueError, KeyError, TypeError) as error:
        raise CatalogError(f"{pointer}: names no published catalog") from error


def read_table(address: str, *, base: str | None = None) -> list[tuple[str, str]]:
    """Item and address of each picture that a table names; rows without an address are passed over.

    Args:
        address: a `.csv`, `.tsv` or `.parquet` with `item_id` and `picture` or `truth`; a `variant` beyond 0 makes the
            name `item_id@variant`.
        base: what its addresses are relative to; None is the table's folder.

    Raises:
        CatalogError: a table that cannot be read, or lacks these columns.
    """
    rows = _rows(address)
    found = rows[0].keys() if rows else ()
    column = next((name for name in COLUMNS if name in found), None)
    if column is None or "item_id" not in found:
        columns = ", ".join(found) or "of no row"
        raise CatalogError(f"{address}: has the columns {columns}; must have item_id and {' or '.join(COLUMNS)}")
    folder = storage.parent(address) if base is None else base
    return [(_name(row), storage.join(folder, row[column])) for row in rows if row[column]]


def _rows(address: str) -> Sequence[Mapping[str, str]]:
    data, suffix = storage.get(address), posixpath.splitext(address)[1].lower()
    try:
        if suffix == ".parquet":
            columns = pq.read_table(pa.BufferReader(data)).to_pydict()
            texts = ([("" if value is None else str(value)) for value in values] for values in columns.values())
            return [dict(zip(columns, row, strict=True)) for row in zip(*texts, strict=True)]
        text = io.StringIO(data.decode("utf-8-sig"), newline="")
        rows = csv.DictReader(text, delimiter="\t" if suffix == ".tsv" else ",", restval="")
        return [{key: value or "" for key, value in row.items() if key is not None} for row in rows]
    except (pa.ArrowInvalid, UnicodeDecodeError, csv.Error) as error:
        raise CatalogError(f"{address}: cannot be read as {suffix.removeprefix('.')}: {error}") from error


def _name(row: Mapping[str, str]) -> str:
    variant = row.get("variant") or "0"
    return row["item_id"] if variant == "0" else f"{row['item_id']}@{variant}"
