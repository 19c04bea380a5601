"""A catalog of worn clothes as described pictures: rows with a person and a sentence about what they wear.

The table is one that a batch job takes (CSV, TSV, JSON lines or Parquet) with the columns `person` and `prompt`; of the
others `item_id` and `parse`, CIHP's labels of the person, are read where they are there.
"""

from __future__ import annotations

import csv
import io
import json
import posixpath
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from atelier import storage
from atelier.errors import CatalogError

SUFFIXES = (".csv", ".tsv", ".jsonl", ".ndjson", ".parquet")
_COLUMNS = ("item_id", "person", "prompt", "parse")


@dataclass(frozen=True, kw_only=True)
class WornSample:
    """Addresses of a person's picture and of its CIHP parse, `""` where the row gives none, and the sentence."""

    item_id: str
    person: str
    parse: str
    prompt: str


def is_table(address: str) -> bool:
    """Whether an address is a catalog rather than a folder."""
    return posixpath.splitext(address)[1].lower() in SUFFIXES


def read(address: str) -> Iterator[WornSample]:
    """The rows that name both a person and a prompt, in their order; other rows are of other tasks.

    Raises:
        CatalogError: not such a table, or one without such a row.
        NotFound: there is none.
    """
    folder = address.rpartition("/")[0] if "/" in address else "."
    found = 0
    for number, row in enumerate(_rows(address), start=1):
        cells = {name: str(row.get(name) or "").strip() for name in _COLUMNS}
        if not (cells["person"] and cells["prompt"]):
            continue
        found += 1
        yield WornSample(
            item_id=cells["item_id"] or f"row {number}",
            person=storage.join(folder, cells["person"]),
            parse=cells["parse"] and storage.join(folder, cells["parse"]),
            prompt=cells["prompt"],
        )
    if not found:
        raise CatalogError(f"{address}: no row has both a person and a prompt")


def _rows(address: str) -> Iterator[Mapping[str, Any]]:
    content, suffix = storage.get(address), posixpath.splitext(address)[1].lower()
    try:
        if suffix == ".parquet":
            yield from pq.read_table(pa.BufferReader(content)).to_pylist()
        elif suffix in (".csv", ".tsv"):
            text = io.StringIO(content.decode("utf-8-sig"), newline="")
            yield from csv.DictReader(text, delimiter="\t" if suffix == ".tsv" else ",")
        else:
            yield from (json.loads(line) for line in content.decode("utf-8-sig").splitlines() if line.strip())
    except (pa.ArrowException, csv.Error, ValueError) as error:
        raise CatalogError(f"{address}: can't be read as a table: {error}") from error
