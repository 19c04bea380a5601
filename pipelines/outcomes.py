"""Outcomes as Arrow tables and back."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

from atelier.rows import OUTCOME_SCHEMA, Outcome

_MAPS = tuple(field.name for field in OUTCOME_SCHEMA if pa.types.is_map(field.type))


def to_table(outcomes: Sequence[Outcome]) -> pa.Table:
    """The outcomes as a table of `OUTCOME_SCHEMA`, in order."""
    columns = {name: [getattr(outcome, name) for outcome in outcomes] for name in OUTCOME_SCHEMA.names}
    for name in _MAPS:
        columns[name] = [list(value.items()) for value in columns[name]]
    return pa.table(columns, schema=OUTCOME_SCHEMA)


def from_table(table: pa.Table | pa.RecordBatch) -> list[Outcome]:
    """The outcomes that a table of `OUTCOME_SCHEMA` holds, in order."""
    outcomes = []
    for row in table.to_pylist():
        values = row | {name: dict(row[name]) for name in _MAPS if name in row}
        if "batch_shape" in row:
            values["batch_shape"] = tuple(row["batch_shape"])
        # Ledgers that were written before these columns came to be say nothing in them.
        if "notes" in row:
            values["notes"] = tuple(row["notes"] or ())
        if "prompt" in row:
            values["prompt"] = row["prompt"] or ""
        outcomes.append(Outcome(**values))
    return outcomes
