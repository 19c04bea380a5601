"""Sets that are named by a catalog: what a batch job has published, or a table of true answers."""

from __future__ import annotations

import csv
import io
import json
import posixpath
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import pyarrow as pa
import pyarrow.parquet as pq

from atelier import storage
from atelier.errors import CatalogError, NotFound

SUFFIXES = (".csv", ".parquet", ".tsv")
COLUMNS = ("picture", "truth")
"""Which column holds the addresses: the first of these that the table has. Items go by `item_id`."""
_CURRENT = "catalog/CURRENT"


@dataclass(frozen=True, kw_only=True)
class Named:
    """A row of a table.

    Args:
        name: of its picture.
        address: of its picture; "" where the row names none.
        task, recipe: "" where the table does not say.
    """

    name: str
    address: str
    task: str = ""
    recipe: str = ""


@dataclass(frozen=True, kw_only=True)
class Missing:
    """Why a row or a unit has no picture.

    Args:
        status: `rejected` is the row's own fault, `failed` is tried again by the next run, `unnamed` is a row of a
            table that names no picture.
        reason: in few words.
        task, recipe: "" where nothing says.
    """

    status: Literal["rejected", "failed", "unnamed"]
    reason: str
    task: str = ""
    recipe: str = ""


def is_table(address: str) -> bool:
    """Whether an address is a catalog rather than a folder."""
    return posixpath.splitext(address)[1].lower() in SUFFIXES


def is_output(address: str) -> bool:
    """Whether an address is the output of a batch job that has published."""
    return storage.exists(storage.join(storage.resolve(address), _CURRENT))


def read_published(output: str) -> list[Named] | None:
    """Each picture that a job's output has published; None where the folder is no such output.

    Raises:
        CatalogError: an output whose published catalog cannot be read.
    """
    pointer = storage.join(output, _CURRENT)
    try:
        current = json.loads(storage.get(pointer))
        # The table for spreadsheets has ids that look like formulas quoted.
        table = current["catalog"] if "catalog" in current else current["csv"]
        return read_table(storage.join(output, table), base=output)
    except NotFound:
        return None
    except (ValueError, KeyError, TypeError) as error:
        raise CatalogError(f"{pointer}: names no published catalog") from error


def read_table(address: str, *, base: str | None = None) -> list[Named]:
    """The rows of a table, in their order.

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
    return [
        Named(
            name=unit_name(row["item_id"], row.get("variant") or "0"),
            address=storage.join(folder, row[column]) if row[column] else "",
            task=row.get("task", ""),
            recipe=row.get("recipe", ""),
        )
        for row in rows
    ]


def unit_name(item_id: str, variant: int | str) -> str:
    """What the picture of a unit is called."""
    return item_id if str(variant) == "0" else f"{item_id}@{variant}"


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
