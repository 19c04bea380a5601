"""One shard as bytes: an Arrow IPC file with one record batch a sample, so that a sample is read alone."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow as pa

from atelier.errors import CatalogError, StorageError
from training.data.dataset import Sample
from training.data.shards.columns import Column, check_alike

ID = "id"
_CODEC = pa.Codec("zstd", compression_level=1)
"""Drawn samples become a sixth as long; taking one apart takes half a millisecond at 256x192."""


@dataclass(frozen=True, kw_only=True)
class Packed:
    """Samples as a file: its bytes, what it holds, and the digest of the samples themselves."""

    data: bytes
    columns: tuple[Column, ...]
    num_rows: int
    content_sha256: str


def pack(samples: Sequence[tuple[str, Sample]]) -> Packed:
    """Samples with their ids as the bytes of a shard; at least one.

    Raises:
        CatalogError: a sample with other columns than the first.
    """
    columns = tuple(Column.of(name, value) for name, value in samples[0][1].items())
    if ID in (column.name for column in columns):
        raise CatalogError(f"sample {samples[0][0]}: column {ID!r}: is the shard's own name for who a sample is")
    schema = pa.schema([(ID, pa.string()), *((column.name, column.arrow_type) for column in columns)])
    contents = hashlib.sha256()
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, schema, options=pa.ipc.IpcWriteOptions(compression=_CODEC)) as writer:
        for sample_id, sample in samples:
            check_alike(columns, sample, sample_id)
            _add(contents, sample_id.encode())
            for column in columns:
                _add(contents, _bytes(sample[column.name]))
            arrays = [pa.array([sample_id]), *(column.to_arrow(sample[column.name]) for column in columns)]
            writer.write_batch(pa.RecordBatch.from_arrays(arrays, schema=schema))
    data = sink.getvalue().to_pybytes()
    return Packed(data=data, columns=columns, num_rows=len(samples), content_sha256=contents.hexdigest())


class ShardReader:
    """The samples of a shard on local disk, mapped into memory: what is not read takes none.

    Raises:
        StorageError: the file is no shard, or not the one that the index tells of.
    """

    def __init__(self, path: Path, columns: Sequence[Column], num_rows: int) -> None:
        self._path, self._columns = path, tuple(columns)
        try:
            self._map = pa.memory_map(str(path))
            # One sample is too little to be worth threads, and loading processes have a core each.
            self._file = pa.ipc.open_file(self._map, options=pa.ipc.IpcReadOptions(use_threads=False))
        except (pa.ArrowException, OSError) as error:
            raise StorageError(str(path), f"is no shard that can be read: {error}") from error
        wanted = pa.schema([(ID, pa.string()), *((column.name, column.arrow_type) for column in columns)])
        if self._file.num_record_batches != num_rows or not self._file.schema.equals(wanted):
            found = f"{self._file.num_record_batches} samples of {self._file.schema.names}"
            raise StorageError(str(path), f"holds {found}; the index says {num_rows} of {wanted.names}")

    def sample(self, row: int) -> Sample:
        """One sample, its arrays its own."""
        try:
            batch = self._file.get_record_batch(row)
        except (pa.ArrowException, OSError) as error:
            raise StorageError(str(self._path), f"sample {row} of the shard is torn: {error}") from error
        return {column.name: column.from_arrow(batch.column(column.name)) for column in self._columns}

    def id(self, row: int) -> str:
        """Who a sample is; nothing else of it is read."""
        return self._ids.get_record_batch(row).column(0)[0].as_py()

    @cached_property
    def _ids(self) -> pa.RecordBatchFileReader:
        return pa.ipc.open_file(self._map, options=pa.ipc.IpcReadOptions(use_threads=False, included_fields=[0]))


def _add(digest: hashlib._Hash, part: bytes) -> None:
    # The length before each part: no two lists of parts run together to the same bytes.
    digest.update(len(part).to_bytes(8, "big"))
    digest.update(part)


def _bytes(value: np.ndarray) -> bytes:
    return value.item().encode() if value.dtype.kind == "U" else np.ascontiguousarray(value).tobytes()
