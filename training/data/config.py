"""What a run learns from, as a value: which data, and how a step's columns come of its samples."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from atelier.errors import ConfigError
from training.data.batches import Batches
from training.data.closet_pool import ClosetPool
from training.data.closet_source import ClosetConfig
from training.data.dataset import Columns, Dataset
from training.data.order import SampleOrder

CLOSET = "closet"
"""The address of drawn data, which lies nowhere."""


@dataclass(frozen=True, kw_only=True)
class DataConfig:
    """A run's data.

    Args:
        columns: from a sample to what the step reads, augmented.
        closet: what is drawn where a run is given no other data.
    """

    columns: Columns
    closet: ClosetConfig

    def open(self, address: str | None, cache: Path) -> Dataset:
        """The samples at an address; None or `closet`: drawn ones.

        Args:
            cache: folder of this machine where drawn and fetched data is kept.

        Raises:
            ConfigError: there is no data set at the address that the run could learn from.
        """
        if address not in (None, CLOSET):
            raise ConfigError(f"data: {address!r}: must be {CLOSET!r}")
        return ClosetPool(self.closet, cache)

    def batches(self, cache: Path, *, seed: int, batch_size: int) -> Batches:
        """The batches of a run; pictures are kept under `cache`."""
        pool = self.open(None, cache)
        order = SampleOrder(seed, pool.num_samples)
        return Batches(pool=pool, columns=self.columns, order=order, batch_size=batch_size)
