"""Prepared data as a data set: any sample by number, from shards that lie here or are fetched once."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from atelier import storage
from atelier.errors import CatalogError
from training.data.dataset import Sample
from training.data.shards.file import ShardReader
from training.data.shards.files import ShardFiles
from training.data.shards.index import ShardIndex

_MOST_OPEN = 64
"""Mapped shards a process; a map takes address space and a file handle, and memory only while it is read."""


class ShardDataset:
    """The samples of a folder of shards. Only the index is read before a sample is asked for; for one thread.

    Args:
        folder: a path or `s3://` prefix.
        cache: local folder, shared by all processes of the machine.

    Raises:
        CatalogError: the folder holds no prepared data, or no sample.
    """

    def __init__(self, folder: str, cache: Path) -> None:
        self.folder = storage.resolve(folder)
        self.index = ShardIndex.read(self.folder)
        if not self.index.num_samples:
            raise CatalogError(f"{folder}: holds no sample; all {self.index.num_listed} listed rows were left out")
        self._files = ShardFiles(folder=self.folder, cache=cache)
        self._ends = np.cumsum([shard.num_rows for shard in self.index.shards])
        self._open: OrderedDict[int, ShardReader] = OrderedDict()

    @property
    def num_samples(self) -> int:
        return self.index.num_samples

    @property
    def column_names(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.index.columns)

    @property
    def digest(self) -> str:
        return self.index.digest

    def __getitem__(self, index: int) -> Sample:
        shard, row = self._place(index)
        return self._shard(shard).sample(row)

    def ids(self, indexes: Sequence[int]) -> list[str]:
        places = [self._place(index) for index in indexes]
        return [self._shard(shard).id(row) for shard, row in places]

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_open": OrderedDict()}  # maps stay with the process that made them

    def _place(self, index: int) -> tuple[int, int]:
        if not 0 <= index < self.num_samples:
            raise IndexError(f"sample {index}: {self.folder} has {self.num_samples}, counted from 0")
        shard = int(np.searchsorted(self._ends, index, side="right"))
        return shard, index - int(self._ends[shard] - self.index.shards[shard].num_rows)

    def _shard(self, number: int) -> ShardReader:
        if number in self._open:
            self._open.move_to_end(number)
            return self._open[number]
        shard = self.index.shards[number]
        self._open[number] = ShardReader(self._files.path(shard), self.index.columns, shard.num_rows)
        if len(self._open) > _MOST_OPEN:
            self._open.popitem(last=False)
        return self._open[number]
