"""What every data set is to a run: samples by number, their ids, and an identity."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Protocol

import numpy as np

Sample = dict[str, np.ndarray]
"""One row by column name, without a batch axis; text is a `str_` array of no dimension.

A dressed person has `person` uint8 RGB [H, W, 3], `parse` CIHP ids uint8 [H, W] and `keypoints` float32 [25, 3] (x, y,
confidence in working pixels); a try-on also `garment` uint8 RGB [H, W, 3] and `garment_mask` uint8 {0, 1} [H, W].
"""


class Dataset(Protocol):
    """Samples by number in [0, num_samples), the same ones whoever asks, in whatever order.

    It is handed to loading processes, so it is picklable and small, and opens its files where it is read.
    """

    @property
    def num_samples(self) -> int: ...

    @property
    def column_names(self) -> tuple[str, ...]:
        """The columns that every sample has."""
        ...

    @property
    def digest(self) -> str:
        """sha256 of all samples and their ids, wherever they lie: what a checkpoint remembers of its data."""
        ...

    def ids(self, indexes: Sequence[int]) -> list[str]:
        """Who the samples are, for messages that name them."""
        ...

    def __getitem__(self, index: int) -> Sample: ...


class Columns(ABC):
    """How the columns that a step reads come of a sample and its turn's random numbers: a frozen dataclass a kind."""

    reads: tuple[str, ...]
    """The columns of a sample that it needs."""

    @property
    @abstractmethod
    def changes(self) -> tuple[str, ...]:
        """The columns of a sample that look otherwise every time: nothing computed from them can be kept."""

    @abstractmethod
    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        """The step's columns of one sample; the same for the same numbers."""
