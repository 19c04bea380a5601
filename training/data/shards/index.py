"""The index of prepared data: which shards there are, what they hold, where they came from."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any

from atelier import storage
from atelier.errors import CatalogError, NotFound
from training.data.shards.columns import Column

INDEX_NAME = "index.json"
LEFT_OUT_NAME = "left_out.jsonl"
FORMAT = "atelier-shards-1"
_FIELDS = ("columns", "shards", "num_listed", "left_out", "source", "fingerprint", "versions")


@dataclass(frozen=True, kw_only=True)
class Shard:
    """One file.

    Args:
        sha256: of the file. content_sha256: of the samples and their ids in it, however they are packed.
    """

    name: str
    num_rows: int
    num_bytes: int
    sha256: str
    content_sha256: str


@dataclass(frozen=True, kw_only=True)
class ShardIndex:
    """A whole set of shards. Sample numbers run through the shards in their order.

    Args:
        num_listed: rows that the source listed; each is a sample or was left out.
        left_out: how many rows were left out, by reason; `left_out.jsonl` names each.
        source: what was prepared, in words and numbers.
        fingerprint: digest of source, settings and conditioning: the same one makes the same samples.
        versions: of the libraries that prepared it.
    """

    columns: tuple[Column, ...]
    shards: tuple[Shard, ...]
    num_listed: int
    left_out: Mapping[str, int] = field(default_factory=dict)
    source: Mapping[str, Any] = field(default_factory=dict)
    fingerprint: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)

    @property
    def num_samples(self) -> int:
        return sum(shard.num_rows for shard in self.shards)

    @property
    def num_bytes(self) -> int:
        return sum(shard.num_bytes for shard in self.shards)

    @cached_property
    def digest(self) -> str:
        """sha256 of the samples alone, in their shards: the same wherever and whenever they were made and packed."""
        contents = [shard.content_sha256 for shard in self.shards]
        identity = [[column.to_json() for column in self.columns], contents]
        return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()

    def write(self, folder: str) -> None:
        """Puts the index into its folder, from when on the shards are there."""
        fields = asdict(self) | {
            "format": FORMAT,
            "num_samples": self.num_samples,
            "digest": self.digest,
            "columns": [column.to_json() for column in self.columns],
        }
        storage.put(storage.join(folder, INDEX_NAME), json.dumps(fields, indent=1, sort_keys=True).encode())

    @classmethod
    def read(cls, folder: str) -> ShardIndex:
        """The index of a folder of shards.

        Raises:
            CatalogError: there is none, which is so until the last shard is written, or it is no index of ours.
        """
        address = storage.join(folder, INDEX_NAME)
        try:
            fields = json.loads(storage.get(address))
        except NotFound as error:
            raise CatalogError(f"{folder}: holds no prepared data: {address} is absent") from error
        except ValueError as error:
            raise CatalogError(f"{address}: is torn or not JSON: {error}") from error
        must = f"must be what `python -m training prepare` writes, an object of format {FORMAT!r}"
        if not isinstance(fields, dict):
            raise CatalogError(f"{address}: is no index of prepared data: holds a {type(fields).__name__}; {must}")
        if absent := sorted({"format", *_FIELDS} - set(fields)):
            raise CatalogError(f"{address}: is no index of prepared data: lacks {absent}; {must}")
        try:
            if (found := fields["format"]) != FORMAT:
                raise CatalogError(f"{address}: format: is {found!r}, must be {FORMAT!r}")
            index = cls(
                columns=tuple(Column.from_json(column) for column in fields["columns"]),
                shards=tuple(Shard(**shard) for shard in fields["shards"]),
                **{name: fields[name] for name in _FIELDS if name not in ("columns", "shards")},
            )
            digest = index.digest
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            reason = "its columns or shards are not described as they should be"
            raise CatalogError(f"{address}: is no index of prepared data: {reason}; {must}") from error
        if digest != fields.get("digest"):
            raise CatalogError(f"{address}: has been changed by hand: its digest no longer fits its shards")
        return index
