"""Fixed and marginal cost: a line through (rows, seconds)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, kw_only=True)
class Line:
    """seconds = `fixed_s` + `marginal_s` * rows, by least squares."""

    fixed_s: float
    marginal_s: float


def fit(points: Sequence[tuple[int, float]]) -> Line:
    """The line through measurements of at least two different numbers of rows."""
    rows, seconds = np.array(points, float).T
    if len(np.unique(rows)) < 2:
        raise ValueError(f"a line through {points}: needs at least two different numbers of rows")
    marginal, fixed = np.polyfit(rows, seconds, 1)
    return Line(fixed_s=float(fixed), marginal_s=float(marginal))
