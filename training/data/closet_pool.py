"""Closet pictures kept on disk: drawn when first asked for, the same bytes whoever asks.

Drawing takes tens of milliseconds a picture, more than a small network's step; a run sees each picture several times.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from atelier.errors import ConfigError
from training.data.closet_source import ClosetConfig, draw_sample
from training.data.dataset import Sample


class ClosetPool:
    """The pictures of a `ClosetConfig`, by index.

    Several processes may share a folder: what two of them draw at once is the same.

    Args:
        folder: the pool's own folder lies in it; made if absent.

    Raises:
        ConfigError: the folder holds pictures that another version of the closet drew.
    """

    def __init__(self, config: ClosetConfig, folder: Path) -> None:
        self.config = config
        self._folder = folder / config.name
        self._folder.mkdir(parents=True, exist_ok=True)
        first = draw_sample(config, 0)
        self._columns = {name: self._column(name, value) for name, value in first.items()}
        contents = b"".join(value.tobytes() for value in first.values())
        self.digest = hashlib.sha256(repr(config).encode() + contents).hexdigest()
        self._drawn = self._column("drawn", np.zeros((), np.uint8))
        if self._drawn[0]:
            if any(not np.array_equal(self._columns[name][0], value) for name, value in first.items()):
                raise ConfigError(f"{self._folder}: another version of the closet drew it; remove it or name another")
        else:
            self._keep(0, first)

    @property
    def num_samples(self) -> int:
        return self.config.num_samples

    @property
    def column_names(self) -> tuple[str, ...]:
        return tuple(self._columns)

    def ids(self, indexes: Sequence[int]) -> list[str]:
        return [self.config.sample_id(index) for index in indexes]

    def __getitem__(self, index: int) -> Sample:
        if not self._drawn[index]:
            self._keep(index, draw_sample(self.config, index))
        return {name: column[index] for name, column in self._columns.items()}

    def _keep(self, index: int, sample: Sample) -> None:
        for name, value in sample.items():
            self._columns[name][index] = value
        self._drawn[index] = 1

    def _column(self, name: str, example: np.ndarray) -> np.ndarray:
        path = self._folder / f"{name}.npy"
        shape = (self.config.num_samples, *example.shape)
        if path.exists():
            return np.load(path, mmap_mode="r+")
        # Sparse where the file system can: what was never drawn takes no space. Renamed into place, so that a process
        # that comes at the same moment never truncates what this one has mapped.
        fresh = path.with_name(f"{path.name}.{os.getpid()}")
        np.lib.format.open_memmap(fresh, mode="w+", dtype=example.dtype, shape=shape).flush()
        fresh.replace(path)
        return np.load(path, mmap_mode="r+")
