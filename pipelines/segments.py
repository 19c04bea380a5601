"""Reads the ledger's segments: every unit's latest outcome, with what was said of its picture when that was made."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from atelier import storage
from atelier.errors import StorageError
from atelier.rows import OUTCOME_SCHEMA
from pipelines.damage import damaged
from pipelines.unit_ids import unit_ids

_ROWS_A_BATCH = 8192

_SAID = ("scores", "notes")
"""Columns that only the run that makes a picture can fill."""

_NEEDED = ("item_id", "variant", "status", "finished_at_s")
"""Columns without which a table tells nothing of a unit."""

_MEND = "restore it, or delete it and ledger/INDEX.json, and the next run looks again at the units that it told of"

Said = dict[int, tuple[Any, Any]]
"""Unit to the scores and notes of its picture."""


def latest_rows(
    segments: Sequence[str], columns: Sequence[str] | None = None
) -> Iterator[tuple[np.ndarray, pa.RecordBatch]]:
    """The latest outcome of every unit, in batches of some columns, each after its units, uint64.

    A run that finds a picture stored, since the same bytes were uploaded again or another JPEG quality is wanted, says
    nothing of it: its outcome has the scores and notes of the one before it of the same picture.

    Args:
        segments: addresses, oldest first.
        columns: of `OUTCOME_SCHEMA`; None for all.

    Raises:
        LedgerError: a segment that is damaged or gone.
    """
    is_asked = columns is None or not set(_SAID).isdisjoint(columns)
    found = _find(segments, with_kept=is_asked)
    said = _said(segments, found) if is_asked else {}
    start = 0
    for segment in segments:
        for batch in _batches(segment, columns):
            here = slice(start, start + batch.num_rows)
            start += batch.num_rows
            if found.is_latest[here].any():
                units = found.units[here][found.is_latest[here]]
                yield units, _with(said, units, batch.filter(pa.array(found.is_latest[here])))


@dataclass(frozen=True)
class _Found:
    """Of every row of the segments, in order: its unit, whether it is that one's latest, and was found, not made.

    The last is empty where nobody asked.
    """

    units: np.ndarray
    is_latest: np.ndarray
    is_kept: np.ndarray


def _find(segments: Sequence[str], *, with_kept: bool) -> _Found:
    """Of equals the last is the latest."""
    columns = ("item_id", "variant", "finished_at_s", *(("status", "made") if with_kept else ()))
    units: list[np.ndarray] = [np.zeros(0, np.uint64)]
    times: list[np.ndarray] = [np.zeros(0)]
    kept: list[np.ndarray] = [np.zeros(0, bool)]
    for segment in segments:
        for batch in _batches(segment, columns):
            units.append(unit_ids(batch.column("item_id").to_pylist(), batch.column("variant").to_pylist()))
            times.append(batch.column("finished_at_s").to_numpy())
            if with_kept:
                ended = zip(batch.column("status").to_pylist(), batch.column("made").to_pylist(), strict=True)
                kept.append(np.array([status == "ok" and not made for status, made in ended], bool))
    unit, finished = np.concatenate(units), np.concatenate(times)
    order = np.lexsort((np.arange(len(unit)), finished, unit))
    is_last = np.append(unit[order][1:] != unit[order][:-1], True) if len(order) else np.zeros(0, bool)
    latest = np.zeros(len(unit), bool)
    latest[order[is_last]] = True
    return _Found(unit, latest, np.concatenate(kept))


def _said(segments: Sequence[str], found: _Found) -> Said:
    """What was said of the pictures that the latest outcomes only found; a row in memory for each of them."""
    wanting = found.is_latest & found.is_kept
    if not wanting.any():
        return {}
    keys = {
        unit: row["picture_key"]
        for unit, row in _rows(segments, found.units, wanting, ("picture_key", *_SAID))
        if not (row["scores"] or row["notes"])
    }
    their = np.isin(found.units, np.fromiter(keys, np.uint64, len(keys)), kind="sort")  # numpy 2.0 overflows else
    return {
        unit: (row["scores"], row["notes"])
        for unit, row in _rows(segments, found.units, their, ("picture_key", *_SAID))
        if row["picture_key"] == keys[unit] and (row["scores"] or row["notes"])
    }


def _rows(
    segments: Sequence[str], units: np.ndarray, wanted: np.ndarray, columns: Sequence[str]
) -> Iterator[tuple[int, dict[str, Any]]]:
    start = 0
    for segment in segments:
        for batch in _batches(segment, columns):
            here = slice(start, start + batch.num_rows)
            start += batch.num_rows
            if wanted[here].any():
                rows = batch.filter(pa.array(wanted[here])).to_pylist()
                yield from zip(units[here][wanted[here]].tolist(), rows, strict=True)


def _with(said: Said, units: np.ndarray, batch: pa.RecordBatch) -> pa.RecordBatch:
    theirs = {at: said[unit] for at, unit in enumerate(units.tolist()) if unit in said}
    if not theirs:
        return batch
    for part, name in enumerate(_SAID):
        if (column := batch.schema.get_field_index(name)) >= 0:
            values = batch.column(name).to_pylist()
            for at, pair in theirs.items():
                values[at] = pair[part]
            batch = batch.set_column(
                column, batch.schema.field(column), pa.array(values, OUTCOME_SCHEMA.field(name).type)
            )
    return batch


def _batches(segment: str, columns: Sequence[str] | None) -> Iterator[pa.RecordBatch]:
    filesystem, path = storage.arrow_filesystem(segment)
    wanted = [OUTCOME_SCHEMA.field(name) for name in columns or OUTCOME_SCHEMA.names]
    try:
        with filesystem.open_input_file(path) as source, pq.ParquetFile(source) as file:
            names = file.schema_arrow.names
            if lacking := [name for name in _NEEDED if name not in names]:
                raise damaged(segment, f"is no segment of a ledger, it has no {', '.join(lacking)}", _MEND)
            there = [field.name for field in wanted if field.name in names]
            for batch in file.iter_batches(_ROWS_A_BATCH, columns=there, use_threads=False):
                yield batch if len(there) == len(wanted) else _completed(batch, wanted)
    except FileNotFoundError as error:
        raise damaged(segment, "is gone, though ledger/INDEX.json names it", _MEND) from error
    except OSError as error:  # a store that does not answer, or a page that does not unpack: the text tells them apart
        raise StorageError(segment, f"cannot be read ({error}); if it is damaged, {_MEND}") from error
    except pa.ArrowException as error:
        raise damaged(segment, f"is not a Parquet file ({error})", _MEND) from error


def _completed(batch: pa.RecordBatch, wanted: Sequence[pa.Field]) -> pa.RecordBatch:
    """A batch of a ledger that was written before some column came to be: nothing is said in it."""
    columns = [
        batch.column(field.name) if field.name in batch.schema.names else pa.nulls(batch.num_rows, field.type)
        for field in wanted
    ]
    return pa.RecordBatch.from_arrays(columns, schema=pa.schema(wanted))
