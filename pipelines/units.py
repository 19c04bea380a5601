"""A plan's units as Ray Data takes them in: in small blocks, soon."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import ray.data
from ray.data import Dataset

from atelier import storage


def read_units(files: Sequence[str], *, rows_per_block: int) -> Dataset:
    """The units in Parquet files, `rows_per_block` to a block.

    `ray.data.read_parquet` would start up to 32 actors first, to read footers: seconds before the first unit.
    """
    named = ray.data.from_items([{"file": file} for file in files], override_num_blocks=len(files))
    # A file otherwise stays one block: one worker busy, and one block to lose.
    return named.map_batches(_read, batch_size=1).repartition(target_num_rows_per_block=rows_per_block)


def _read(batch: Any) -> Iterator[pa.Table]:
    for file in batch["file"]:
        filesystem, path = storage.arrow_filesystem(str(file))
        yield pq.read_table(path, filesystem=filesystem)
