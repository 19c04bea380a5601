"""Figures over items with intervals: the bootstrap (Efron 1979), by the same draws for every method."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

CONFIDENCE = 0.95
NUM_DRAWS = 1000
_SEED = 0

Statistic = Callable[[np.ndarray], float]
"""From how often each item counts, float [items], to a figure."""


@dataclass(frozen=True, kw_only=True)
class Interval:
    """A figure and between what its 95 % interval lies."""

    value: float
    low: float
    high: float

    @property
    def excludes_zero(self) -> bool:
        """Whether the whole interval is on one side of zero."""
        return self.low > 0 or self.high < 0


@dataclass(frozen=True, kw_only=True)
class Resampled:
    """A figure over all items, and what it is over items drawn anew, float [draws]."""

    value: float
    drawn: np.ndarray

    def minus(self, other: Resampled) -> Resampled:
        """The difference of two figures over the same items: the same draws made both."""
        return Resampled(value=self.value - other.value, drawn=self.drawn - other.drawn)

    def interval(self) -> Interval:
        """The middle 95 % of the draws."""
        low, high = np.nanquantile(self.drawn, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
        return Interval(value=self.value, low=float(low), high=float(high))

    def spread(self) -> Interval:
        """1.96 deviations of the draws to either side of the figure.

        For distances between sets: drawing items twice makes sets smaller and any distance larger, so that the middle
        of the draws lies beside the figure itself. How far they spread is told all the same.
        """
        reach = 1.96 * float(np.std(self.drawn))
        return Interval(value=self.value, low=self.value - reach, high=self.value + reach)


def resampled(statistic: Statistic, num_items: int, num_draws: int = NUM_DRAWS) -> Resampled:
    """A figure over items as they are, and over as many drawn anew, many times over."""
    drawn = np.array([statistic(weights) for weights in draws(num_items, num_draws)])
    return Resampled(value=statistic(np.ones(num_items)), drawn=drawn)


def draws(num_items: int, num_draws: int = NUM_DRAWS) -> np.ndarray:
    """How often each item counts in each draw of as many items with replacement, float [num_draws, num_items]."""
    rng = np.random.default_rng(_SEED)
    return rng.multinomial(num_items, np.full(num_items, 1 / num_items), size=num_draws).astype(np.float64)
