"""The ledger: how every unit ended, as immutable Parquet segments below `OUTPUT/ledger/`.

Any process appends segments; `compact` merges them into few and swaps `INDEX.json`, which names the merged segments and
those that they replace. What was replaced is deleted by a compaction an hour later, so that a reader of the old set can
finish; a crash anywhere leaves a readable ledger. Where a unit has several outcomes the latest counts.
"""

from __future__ import annotations

import hashlib
import io
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from atelier import storage
from atelier.errors import NotFound, PreconditionFailed
from atelier.rows import OUTCOME_SCHEMA, Outcome
from pipelines.damage import damaged, json_object
from pipelines.outcomes import to_table
from pipelines.segments import latest_rows

ROWS_A_SEGMENT = 100_000
"""Of a merged segment: bounds what a compaction holds in memory."""

READERS_GRACE_S = 3600.0
"""How long a replaced segment stays for those who are reading it."""

_MEND = "restore it, or delete it, since the segments beside it hold all that it is made from"


@dataclass(frozen=True, kw_only=True)
class _Index:
    segments: tuple[str, ...] = ()
    replaced: Mapping[str, float] = field(default_factory=dict)
    token: str = ""


@dataclass(frozen=True)
class Ledger:
    """The ledger below an output; only the output's address, so it crosses to any process.

    What reads it raises `LedgerError` where its index or a segment is damaged, with the address and what to do.
    """

    output: str

    @property
    def folder(self) -> str:
        """Where its segments and its index lie."""
        return f"{storage.resolve(self.output)}/ledger"

    def append(self, outcomes: Sequence[Outcome] | pa.Table) -> str:
        """Writes outcomes as one new segment, and gives its address; "" for no outcomes."""
        table: pa.Table = outcomes if isinstance(outcomes, pa.Table) else to_table(outcomes)
        return self._write(table) if table.num_rows else ""

    def segments(self) -> tuple[str, ...]:
        """The segments that count now, oldest first."""
        index = self._index()
        listed = {storage.name(entry.address) for entry in storage.list(f"{self.folder}/segments", recursive=False)}
        # Listed after the index was read: a segment that a compaction replaced meanwhile is in its merged one as well.
        fresh = {name for name in listed if name.endswith(".parquet")} - set(index.replaced)
        return tuple(f"{self.folder}/segments/{name}" for name in sorted(fresh | set(index.segments)))

    def latest(self, columns: Sequence[str] | None = None) -> Iterator[pa.RecordBatch]:
        """The latest outcome of every unit, in batches of the columns asked for.

        Two passes: who is latest (24 bytes an outcome in memory), then their rows.
        """
        return (batch for _, batch in self.latest_units(columns))

    def latest_units(self, columns: Sequence[str] | None = None) -> Iterator[tuple[np.ndarray, pa.RecordBatch]]:
        """As `latest`, each batch after its `unit_ids`, uint64."""
        return latest_rows(self.segments(), columns)

    def compact(self, *, grace_s: float = READERS_GRACE_S) -> None:
        """Merges the segments, so that there are few and none holds an outcome that no longer counts.

        Readers see the old set or the new one. A ledger without new segments is left as it is.

        Args:
            grace_s: segments that were replaced longer ago are deleted.
        """
        index = self._index()
        segments = self.segments()
        names = {storage.name(segment) for segment in segments}
        if names <= set(index.segments):
            return
        merged = tuple(
            storage.name(self._write(table))
            for table in _tables((batch for _, batch in latest_rows(segments)), ROWS_A_SEGMENT)
        )
        now_s = time.time()
        gone = {name for name, at_s in index.replaced.items() if at_s <= now_s - grace_s} - set(merged)
        replaced = dict.fromkeys(names, now_s) | dict(index.replaced)
        kept = {name: at_s for name, at_s in sorted(replaced.items()) if name not in gone and name not in merged}
        content = json.dumps({"segments": merged, "replaced": kept}, indent=1).encode()
        address = f"{self.folder}/INDEX.json"
        try:
            if index.token:
                storage.put(address, content, if_match=index.token, content_type="application/json")
            else:
                storage.put(address, content, if_absent=True, content_type="application/json")
        except PreconditionFailed:
            return  # another run compacted first; what this one wrote counts as further segments, doubles included
        for name in gone:
            storage.delete(f"{self.folder}/segments/{name}")

    def _index(self) -> _Index:
        address = f"{self.folder}/INDEX.json"
        try:
            content, token = storage.get_with_token(address)
        except NotFound:
            return _Index()
        held = json_object(address, content, _MEND)
        segments, replaced = held.get("segments"), held.get("replaced")
        if not isinstance(segments, list) or not all(isinstance(name, str) for name in segments):
            raise damaged(address, "has no list of names under 'segments'", _MEND)
        if not isinstance(replaced, dict) or not all(isinstance(at_s, int | float) for at_s in replaced.values()):
            raise damaged(address, "has no times by name under 'replaced'", _MEND)
        return _Index(segments=tuple(segments), replaced=replaced, token=token)

    def _write(self, table: pa.Table) -> str:
        buffer = io.BytesIO()
        pq.write_table(table.cast(OUTCOME_SCHEMA), buffer, compression="zstd")
        content = buffer.getvalue()
        # Named by its time, so that segments sort, and by its content, so that a repeated write is the same segment.
        newest_ms = int(max(table.column("finished_at_s").to_pylist()) * 1000)
        address = f"{self.folder}/segments/{newest_ms:014d}-{hashlib.sha256(content).hexdigest()[:16]}.parquet"
        storage.put(address, content, if_absent=True, content_type="application/vnd.apache.parquet")
        return address


def _tables(batches: Iterator[pa.RecordBatch], num_rows: int) -> Iterator[pa.Table]:
    """The batches as tables of about so many rows."""
    held: list[pa.RecordBatch] = []
    for batch in batches:
        held.append(batch)
        if sum(part.num_rows for part in held) >= num_rows:
            yield pa.Table.from_batches(held)
            held = []
    if held:
        yield pa.Table.from_batches(held)
