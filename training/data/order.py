"""Which sample comes when: a function of (seed, global index) alone, so that any worker at any time can tell."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np


@dataclass(frozen=True)
class Turn:
    """A sample's turn: where it lies in the data, and the random numbers that belong to this showing of it."""

    sample: int
    epoch: int
    global_index: int
    seed: int

    def dice(self) -> np.random.Generator:
        """The generator of this turn's augmentation."""
        return np.random.default_rng([self.seed, self.epoch, self.global_index])


@dataclass
class SampleOrder:
    """Every sample once an epoch, shuffled anew for each.

    Args:
        seed: of the run.
        num_samples: in the data.
    """

    seed: int
    num_samples: int
    _shuffled: tuple[int, np.ndarray] = field(default=(-1, np.empty(0, np.int64)), repr=False)

    def turn(self, global_index: int) -> Turn:
        """The turn at a position counted from the run's first sample, over all workers."""
        epoch, place = divmod(global_index, self.num_samples)
        if self._shuffled[0] != epoch:
            self._shuffled = epoch, np.random.default_rng([self.seed, epoch]).permutation(self.num_samples)
        return Turn(sample=int(self._shuffled[1][place]), epoch=epoch, global_index=global_index, seed=self.seed)
