"""Fetch: the bytes behind a row's addresses, with the digests of their contents."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch

from atelier import poses, storage
from atelier.errors import AccessDenied, NotFound, RowError, StorageError, TooLarge
from atelier.stages.base import Columns, RowStage, StageConfig

MAX_OBJECT_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True, kw_only=True)
class Fetch(StageConfig):
    """What to fetch.

    Args:
        required: inputs without which a row is rejected.
        optional: inputs that may be left out; their bytes are then `b""` and their digest `""`.
        max_bytes: a longer object is rejected unread.
        num_threads: rows fetched at once.
    """

    name = "fetch"

    required: tuple[str, ...]
    optional: tuple[str, ...] = ()
    max_bytes: int = field(default=MAX_OBJECT_BYTES, metadata={"identity": False})
    num_threads: int = field(default=8, metadata={"identity": False})

    def columns(self) -> Columns:
        return Columns(
            reads=tuple(f"{name}_address" for name in self.required),
            optional=tuple(f"{name}_address" for name in self.optional),
            writes=tuple(f"{name}_{part}" for name in (*self.required, *self.optional) for part in ("bytes", "sha256")),
        )

    def build(self, device: torch.device) -> FetchStage:
        """The stage; addresses are read with the process's own credentials."""
        return FetchStage(self)


class FetchStage(RowStage):
    """Reads `<input>_address`, writes `<input>_bytes` and `<input>_sha256` for each input; a named pose is a file too.

    Errors, each naming the input and its address: `input_missing` (a required one has no address), `object_missing`,
    `object_too_large` and `object_empty` are the row's fault, and the row comes back by itself when the object changes,
    since its version token is part of the plan's key. `access_denied` and `storage_unavailable` are not: the next plan
    tries again.
    """

    name = "fetch"

    def __init__(self, config: Fetch) -> None:
        self._config = config
        self._inputs = (*config.required, *config.optional)
        columns = config.columns()
        self.reads, self.optional, self.writes = columns.reads, columns.optional, columns.writes
        self.num_threads = config.num_threads

    def blank(self) -> dict[str, Any]:
        return {name: b"" if name.endswith("_bytes") else "" for name in self.writes}

    def run_row(self, row: Mapping[str, Any]) -> Mapping[str, Any]:
        columns: dict[str, Any] = {}
        for name in self._inputs:
            address = row.get(f"{name}_address", "")
            if not address and name in self._config.required:
                raise RowError("input_missing", f"{name}: no address given; this task needs {self._config.required}")
            content = self._get(name, address) if address else b""
            columns[f"{name}_bytes"] = content
            columns[f"{name}_sha256"] = hashlib.sha256(content).hexdigest() if address else ""
        return columns

    def _get(self, name: str, address: str) -> bytes:
        try:
            if poses.is_named(address):
                return poses.read(address, name)
            content = storage.get(address, max_bytes=self._config.max_bytes)
        except NotFound as error:
            raise RowError("object_missing", f"{name}: {error}") from error
        except TooLarge as error:
            raise RowError("object_too_large", f"{name}: {error}") from error
        except AccessDenied as error:
            raise RowError("access_denied", f"{name}: {error}", rejected=False) from error
        except StorageError as error:
            raise RowError("storage_unavailable", f"{name}: {error}", rejected=False) from error
        if not content:
            raise RowError("object_empty", f"{name}: {address}: has no bytes")
        return content
