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


def draws(num_items: int, num_draws: int = NUM_DRAWS) -> np.ndarray:
    """How often each item counts in each draw of as many items with replacement, float [num_draws, num_items]."""
    rng = np.random.default_rng(_SEED)
    return rng.multinomial(num_items, np.full(num_items, 1 / num_items), size=num_draws).astype(np.float64)


def interval(statistic: Statistic, num_items: int, num_draws: int = NUM_DRAWS) -> Interval:
    """A figure over items, and the middle 95 % of what it is over items drawn anew."""
    drawn = [statistic(weights) for weights in draws(num_items, num_draws)]
    low, high = np.nanquantile(drawn, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return Interval(value=statistic(np.ones(num_items)), low=float(low), high=float(high))


def spread_interval(statistic: Statistic, num_items: int, num_draws: int = NUM_DRAWS) -> Interval:
    """A figure and 1.96 deviations of what it is over items drawn anew, to either side.

    For distances between sets: drawing items twice makes sets smaller and any distance larger, so that the middle of
    the draws lies beside the figure itself. How far they spread is told all the same.
    """
    drawn = [statistic(weights) for weights in draws(num_items, num_draws)]
    value, reach = statistic(np.ones(num_items)), 1.96 * float(np.std(drawn))
    return Interval(value=value, low=value - reach, high=value + reach)
