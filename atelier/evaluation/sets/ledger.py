"""How the units ended that a batch job made no picture of, out of the Parquet segments of its ledger."""

from __future__ import annotations

import io
import json
from collections.abc import Collection, Mapping
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from atelier import storage
from atelier.errors import CatalogError, NotFound
from atelier.evaluation.sets.catalogs import Missing, unit_name

_COLUMNS = ("item_id", "variant", "task", "recipe", "status", "stage", "code", "finished_at_s")


def read_missing(output: str, pictures: Collection[str]) -> Mapping[str, Missing]:
    """Every unit that ended rejected or failed last and has none of the published pictures, by its name.

    Raises:
        CatalogError: a segment of the ledger that cannot be read.
    """
    latest: dict[str, dict[str, Any]] = {}
    published = set(pictures)
    for segment in _segments(storage.join(output, "ledger")):
        for row in _rows(segment):
            name = unit_name(row["item_id"], row["variant"])
            before = latest.get(name)
            if name not in published and (before is None or before["finished_at_s"] <= row["finished_at_s"]):
                latest[name] = row
    return {name: _missing(row) for name, row in sorted(latest.items()) if row["status"] != "ok"}


def _missing(row: Mapping[str, Any]) -> Missing:
    return Missing(
        status=row["status"],
        reason=f"{row['status']} in {row['stage']}: {row['code']}",
        task=row["task"] or "",
        recipe=row["recipe"] or "",
    )


def _segments(folder: str) -> list[str]:
    """Those that count, oldest first: the listed ones but for those that a merged one replaces."""
    try:
        replaced = set(json.loads(storage.get(storage.join(folder, "INDEX.json")))["replaced"])
    except NotFound:
        replaced = set()
    listed = [entry.address for entry in storage.list(storage.join(folder, "segments"), recursive=False)]
    return sorted(address for address in listed if storage.name(address) not in replaced)


def _rows(segment: str) -> list[dict[str, Any]]:
    try:
        return pq.read_table(io.BytesIO(storage.get(segment)), columns=list(_COLUMNS)).to_pylist()
    except pa.ArrowException as error:
        raise CatalogError(f"{segment}: cannot be read as a segment of a ledger: {error}") from error
