"""One part of a data set being prepared: some rows in, one shard and its record out."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from atelier import storage
from atelier.errors import NotFound
from training.data.shards.columns import Column
from training.data.shards.file import pack
from training.data.shards.index import Shard
from training.data.sources.source import LeftOut, Maker, Row


@dataclass(frozen=True, kw_only=True)
class Part:
    """Rows that become one shard.

    Args:
        number: from 0, in the rows' order.
        fingerprint: of the whole preparation, by which a part that an earlier try finished is known again.
    """

    number: int
    rows: Sequence[Row]
    output: str
    fingerprint: str

    @property
    def shard_name(self) -> str:
        return f"shard-{self.number:05d}.arrow"

    @property
    def record_address(self) -> str:
        """Where the part's record lies until the index is written."""
        return storage.join(self.output, f"parts/{self.number:05d}.json")


@dataclass(frozen=True, kw_only=True)
class PartRecord:
    """What became of a part's rows; `shard` is None where all of them were left out."""

    number: int
    fingerprint: str
    num_listed: int
    shard: Shard | None
    columns: tuple[Column, ...]
    left_out: tuple[LeftOut, ...]

    def to_json(self) -> bytes:
        """As the record's file holds it."""
        fields = dataclasses.asdict(self) | {"columns": [column.to_json() for column in self.columns]}
        return json.dumps(fields).encode()

    @classmethod
    def from_json(cls, data: bytes) -> PartRecord:
        """What `to_json` wrote."""
        fields: dict[str, Any] = json.loads(data)
        return cls(
            number=fields["number"],
            fingerprint=fields["fingerprint"],
            num_listed=fields["num_listed"],
            shard=None if fields["shard"] is None else Shard(**fields["shard"]),
            columns=tuple(Column.from_json(column) for column in fields["columns"]),
            left_out=tuple(LeftOut(**row) for row in fields["left_out"]),
        )


def make_part(maker: Maker, part: Part) -> PartRecord:
    """Makes a part's samples and stores its shard, then its record: a part without one is made again.

    Raises:
        StorageError: the output cannot be written, e.g. its disk is full.
        CatalogError: samples of one data set with unlike columns, or a row that cannot be read now and may be later.
    """
    samples, left_out = [], []
    for outcome in maker(part.rows):
        (left_out if isinstance(outcome, LeftOut) else samples).append(outcome)
    shard, columns = None, ()
    if samples:
        packed = pack(samples)
        storage.put(storage.join(part.output, part.shard_name), packed.data)
        columns = packed.columns
        shard = Shard(
            name=part.shard_name,
            num_rows=packed.num_rows,
            num_bytes=len(packed.data),
            sha256=hashlib.sha256(packed.data).hexdigest(),
            content_sha256=packed.content_sha256,
        )
    record = PartRecord(
        number=part.number,
        fingerprint=part.fingerprint,
        num_listed=len(part.rows),
        shard=shard,
        columns=columns,
        left_out=tuple(left_out),
    )
    storage.put(part.record_address, record.to_json())
    return record


def made_before(part: Part) -> PartRecord | None:
    """The record that an earlier try left of this very part, or None."""
    try:
        record = PartRecord.from_json(storage.get(part.record_address))
        entry = None if record.shard is None else storage.head(storage.join(part.output, record.shard.name))
    except (NotFound, ValueError, KeyError, TypeError):
        return None
    fits = entry is None or record.shard is None or entry.size == record.shard.num_bytes
    return record if fits and record.fingerprint == part.fingerprint else None
