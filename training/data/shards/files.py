"""Where a shard lies on this machine: in place, or fetched once into the cache; whole, or an error says so."""

from __future__ import annotations

import hashlib
import shutil
from dataclasses import dataclass
from pathlib import Path

from atelier import storage
from atelier.errors import NotFound, StorageError
from training.data.locks import alone
from training.data.shards.index import Shard


@dataclass(frozen=True, kw_only=True)
class ShardFiles:
    """The files of a folder of shards.

    Args:
        folder: a path or `s3://` prefix.
        cache: local folder for fetched shards, and for notes of which local ones were found whole.
    """

    folder: str
    cache: Path

    def path(self, shard: Shard) -> Path:
        """The shard's file on local disk, its sha256 checked once a machine.

        Raises:
            StorageError: it is absent, torn, or does not fit into the cache.
        """
        address = storage.join(self.folder, shard.name)
        return self._fetched(address, shard) if storage.is_s3(address) else self._in_place(address, shard)

    def _in_place(self, address: str, shard: Shard) -> Path:
        path = Path(address)
        try:
            status = path.stat()
        except FileNotFoundError as error:
            raise NotFound(address, "the shard is absent, though the index tells of it") from error
        except OSError as error:
            raise StorageError(address, error.strerror or str(error)) from error
        if status.st_size != shard.num_bytes:
            raise _torn(address, f"it has {status.st_size} bytes, the index says {shard.num_bytes}")
        # Hashing all shards in every loading process would take minutes where there is much data.
        version = f"{path.resolve()}\0{status.st_size}\0{status.st_mtime_ns}\0{shard.sha256}"
        note = self.cache / "whole" / hashlib.sha256(version.encode()).hexdigest()
        if not note.exists():
            with path.open("rb") as file:
                found = hashlib.file_digest(file, "sha256").hexdigest()
            if found != shard.sha256:
                raise _torn(address, f"its sha256 is {found}, the index says {shard.sha256}")
            storage.put(str(note), b"")
        return path

    def _fetched(self, address: str, shard: Shard) -> Path:
        path = self.cache / "fetched" / f"{shard.sha256}.arrow"
        if _has_size(path, shard):
            return path
        with alone(path.with_suffix(".lock")):
            if _has_size(path, shard):
                return path
            if (free := shutil.disk_usage(path.parent).free) < shard.num_bytes:
                raise StorageError(str(path), f"the cache's disk has {free} bytes free, the shard {shard.num_bytes}")
            data = storage.get(address)
            found = hashlib.sha256(data).hexdigest()
            if found != shard.sha256:
                raise _torn(address, f"its sha256 is {found}, the index says {shard.sha256}")
            # Whole and under its name at once: a fetch that is killed leaves nothing that looks like a shard.
            storage.put(str(path), data)
        return path


def _has_size(path: Path, shard: Shard) -> bool:
    try:
        return path.stat().st_size == shard.num_bytes
    except FileNotFoundError:
        return False


def _torn(address: str, reason: str) -> StorageError:
    return StorageError(address, f"the shard is torn: {reason}; prepare the data again")
