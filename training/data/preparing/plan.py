"""What there is to prepare, and when it is whole: every listed row is a sample or named among those left out."""

from __future__ import annotations

import dataclasses
import json
import logging
import platform
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import torch

from atelier import storage
from atelier.errors import CatalogError, ConfigError
from atelier.keys import digest
from training.data.preparing.part import Part, PartRecord, made_before
from training.data.shards.index import INDEX_NAME, LEFT_OUT_NAME, ShardIndex
from training.data.sources.source import Row, Source

SHARD_BYTES = 2**26
"""Of unpacked pictures: one shard is one task, one download and one unit of what a crash repeats."""
MAX_LEFT_OUT = 0.02
_LOG = logging.getLogger(__name__)
_NAMED = 5
"""Rows that an error names; the rest it counts."""


@dataclass(frozen=True, kw_only=True)
class Preparation:
    """A source on its way to shards.

    Args:
        identity: the source's, asked once: a closet draws to give it.
        output: a folder or `s3://` prefix of its own.
        max_left_out: share of the rows that may be left out, beside one that always may; more refuse the data set.
    """

    source: Source
    identity: Mapping[str, Any]
    output: str
    parts: tuple[Part, ...]
    fingerprint: str
    max_left_out: float = MAX_LEFT_OUT

    @property
    def num_listed(self) -> int:
        return sum(len(part.rows) for part in self.parts)

    def into(self, output: str) -> Preparation:
        """The same, into another folder."""
        output = storage.resolve(output)
        parts = tuple(dataclasses.replace(part, output=output) for part in self.parts)
        return dataclasses.replace(self, output=output, parts=parts)

    def finished(self) -> ShardIndex | None:
        """The index, where all of it is prepared already.

        Raises:
            ConfigError: the output holds another data set.
            CatalogError: more of its rows are left out than may be.
        """
        if not storage.exists(storage.join(self.output, INDEX_NAME)):
            return None
        index = ShardIndex.read(self.output)
        if index.fingerprint != self.fingerprint:
            raise ConfigError(
                f"output {self.output}: holds other prepared data ({index.source.get('kind')}, {index.num_samples} "
                "samples), or the same from other files, settings or weights; name another output or remove it"
            )
        if self._is_too_many(num_left_out := sum(index.left_out.values())):
            kinds = ", ".join(f"{code}: {number}" for code, number in index.left_out.items())
            raise CatalogError(f"{self._refusal(num_left_out)}; by code: {kinds}")
        return index

    def _is_too_many(self, num_left_out: int) -> bool:
        return num_left_out > max(1, int(self.max_left_out * self.num_listed))

    def _refusal(self, num_left_out: int) -> str:
        return (
            f"{self.output}: {num_left_out} of {self.num_listed} rows cannot be read; at most one or "
            f"{self.max_left_out:.0%} may be left out. {LEFT_OUT_NAME} there names them all"
        )

    def pending(self) -> tuple[list[Part], list[PartRecord]]:
        """The parts still to make, and the records of those that an earlier try has made."""
        there = {entry.address for entry in storage.list(storage.join(self.output, "parts") + "/")}
        names = {storage.name(address) for address in there}
        records = [made_before(part) if storage.name(part.record_address) in names else None for part in self.parts]
        todo = [part for part, record in zip(self.parts, records, strict=True) if record is None]
        return todo, [record for record in records if record is not None]

    def finish(self, records: Sequence[PartRecord]) -> ShardIndex:
        """Writes what was left out, and last the index.

        Raises:
            CatalogError: rows are unaccounted for, too many were left out, none is left, or parts have unlike columns.
        """
        records = sorted(records, key=lambda record: record.number)
        if [record.number for record in records] != [part.number for part in self.parts]:
            made = {record.number for record in records}
            missing = [part for part in self.parts if part.number not in made]
            raise CatalogError(
                f"{self.output}: {len(missing)} of {len(self.parts)} shards were not made; the first lacks the rows "
                f"{missing[0].rows[0]['id']} to {missing[0].rows[-1]['id']}; prepare again to go on from the others"
            )
        left_out = [row for record in records for row in record.left_out]
        lines = "".join(json.dumps(dataclasses.asdict(row)) + "\n" for row in left_out)
        storage.put(storage.join(self.output, LEFT_OUT_NAME), lines.encode())
        shards = tuple(record.shard for record in records if record.shard is not None)
        if sum(shard.num_rows for shard in shards) + len(left_out) != self.num_listed:
            raise CatalogError(
                f"{self.output}: {self.num_listed} rows were listed, {sum(shard.num_rows for shard in shards)} became "
                f"samples and {len(left_out)} were left out: rows are lost"
            )
        first = "; ".join(f"{row.id}: {row.stage}: {row.code}: {row.detail}" for row in left_out[:_NAMED])
        if self._is_too_many(len(left_out)) or not shards:
            raise CatalogError(f"{self._refusal(len(left_out))}; the first: {first}")
        kinds = {record.columns: record.number for record in reversed(records) if record.shard is not None}
        if len(kinds) > 1:
            raise CatalogError(f"{self.output}: shards {sorted(kinds.values())} begin samples of unlike columns")
        index = ShardIndex(
            columns=next(iter(kinds)),
            shards=shards,
            num_listed=self.num_listed,
            left_out=dict(Counter(row.code for row in left_out)),
            source=self.identity,
            fingerprint=self.fingerprint,
            versions=versions(),
        )
        index.write(self.output)
        if left_out:
            _LOG.warning("%s: %d of %d rows left out: %s", self.output, len(left_out), self.num_listed, first)
        for part in self.parts:
            storage.delete(part.record_address)
        return index


def plan(
    source: Source, output: str, *, rows_per_shard: int | None = None, max_left_out: float = MAX_LEFT_OUT
) -> Preparation:
    """Lists a source's rows and cuts them into parts. Nothing is decoded or written yet.

    Raises:
        CatalogError: the source has not the layout it should have, no row, or rows whose files are not there.
        ConfigError: settings that no plan can follow.
    """
    if not 0 <= max_left_out < 1:
        raise ConfigError(f"max_left_out: is {max_left_out}, must be a share from 0 to below 1")
    if rows_per_shard is not None and rows_per_shard < 1:
        raise ConfigError(f"rows_per_shard: is {rows_per_shard}, must be at least 1")
    rows, identity = source.rows(), dict(source.identity())
    if not rows:
        raise CatalogError(f"{identity}: lists no row")
    tokens = _tokens(rows)
    rows_per_shard = rows_per_shard or max(1, SHARD_BYTES // source.pixels)
    fingerprint = digest([identity, [dict(row) for row in rows], tokens, rows_per_shard])
    output = storage.resolve(output)
    parts = tuple(
        Part(number=number, rows=rows[start : start + rows_per_shard], output=output, fingerprint=fingerprint)
        for number, start in enumerate(range(0, len(rows), rows_per_shard))
    )
    return Preparation(
        source=source,
        identity=identity,
        output=output,
        parts=parts,
        fingerprint=fingerprint,
        max_left_out=max_left_out,
    )


def versions() -> dict[str, str]:
    """Of what decides how pictures are decoded, drawn and packed."""
    return {
        "python": platform.python_version(),
        "numpy": np.__version__,
        "torch": torch.__version__,
        "pyarrow": pa.__version__,
    }


def _tokens(rows: Sequence[Row]) -> list[str]:
    """The version tokens of all files that the rows name, in order; a file that is not there is refused here."""
    named = [(row["id"], name, str(value)) for row in rows for name, value in row.items() if name.endswith("_address")]
    found = storage.TokenIndex(expected=len(named)).tokens([address for _, _, address in named])
    missing = [where for where, token in zip(named, found, strict=True) if token is None]
    if missing:
        first = "; ".join(
            f"{row_id}: {name.removesuffix('_address')}: {address}" for row_id, name, address in missing[:_NAMED]
        )
        raise CatalogError(
            f"{len(missing)} of {len(named)} files that the data set lists are not there, or may not be read: {first}"
        )
    return [token for token in found if token is not None]
