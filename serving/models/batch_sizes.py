"""Which batch sizes are worth it on this device: measured when a model starts, not guessed."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch

_LOG = logging.getLogger(__name__)
_ROUNDS = 2
"""Of each size after one that warms it up; the quickest counts, since whatever else the machine does only adds."""
_WORTH = 1.05
"""A size must make so many times the pictures a second of the one before: else it only makes callers wait."""


@dataclass(frozen=True, kw_only=True)
class BatchSizes:
    """The sizes that batches are made at.

    Args:
        seconds: of a batch, by each size that was measured, rising; empty where the size was told.
        sizes: those used, rising: a batch is padded to the next of them.
    """

    seconds: Mapping[int, float]
    sizes: tuple[int, ...]

    @property
    def largest(self) -> int:
        """The most rows of a batch."""
        return self.sizes[-1]

    def size_for(self, rows: int) -> int:
        """What a batch of so many rows is padded to."""
        return next(size for size in self.sizes if size >= rows)


def told(size: int) -> BatchSizes:
    """One size for every batch."""
    return BatchSizes(seconds={}, sizes=(size,))


def measured(make: Callable[[int], None], *, most: int, clock: Callable[[], float] = time.perf_counter) -> BatchSizes:
    """The sizes 1, 2, 4 … that each make more pictures a second than the one before, up to the first that does not.

    Args:
        make: makes a batch of so many rows, and returns when it is made.
        most: no larger one is tried.
    """
    seconds: dict[int, float] = {}
    used: list[int] = []
    size = 1
    while size <= most:
        try:
            make(size)
            taken = []
            for _ in range(_ROUNDS):
                started = clock()
                make(size)
                taken.append(clock() - started)
        except (torch.OutOfMemoryError, MemoryError):
            if not used:
                raise
            _LOG.warning("batches of %d do not fit into memory", size)
            break
        seconds[size] = min(taken)
        if used and size / seconds[size] < _WORTH * used[-1] / seconds[used[-1]]:
            break
        used.append(size)
        size *= 2
    return BatchSizes(seconds=seconds, sizes=tuple(used))
