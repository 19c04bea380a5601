"""Smooth outlines through a few points."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from atelier.closet.canvas import Points


def closed_curve(points: Sequence[Sequence[float]] | Points, steps: int = 6) -> Points:
    """A closed Catmull-Rom curve through `points`, `steps` pieces between two of them: [n * steps, 2]."""
    knots = np.asarray(points, np.float64)
    return _catmull_rom(np.roll(knots, 1, 0), knots, np.roll(knots, -1, 0), np.roll(knots, -2, 0), steps)


def open_curve(points: Sequence[Sequence[float]] | Points, steps: int = 6) -> Points:
    """A Catmull-Rom curve from the first point to the last: [(n - 1) * steps + 1, 2]."""
    knots = np.asarray(points, np.float64)
    before = np.concatenate([2 * knots[:1] - knots[1:2], knots[:-2]])
    after = np.concatenate([knots[2:], 2 * knots[-1:] - knots[-2:-1]])
    curve = _catmull_rom(before, knots[:-1], knots[1:], after, steps)
    return np.concatenate([curve, knots[-1:]])


def _catmull_rom(p0: Points, p1: Points, p2: Points, p3: Points, steps: int) -> Points:
    t = (np.arange(steps) / steps)[None, :, None]
    p0, p1, p2, p3 = (p[:, None, :] for p in (p0, p1, p2, p3))
    curve = 0.5 * (2 * p1 + (p2 - p0) * t + (2 * p0 - 5 * p1 + 4 * p2 - p3) * t * t + (3 * (p1 - p2) + p3 - p0) * t**3)
    return curve.reshape(-1, 2)


def mirrored(half: Sequence[Sequence[float]] | Points) -> Points:
    """A symmetric outline from its right half, listed from top to bottom: the left half follows, bottom to top."""
    right = np.asarray(half, np.float64)
    return np.concatenate([right, right[::-1] * (-1.0, 1.0)])


def moved(points: Points, right: float, down: float) -> Points:
    """`points` (one [2], or [n, 2]) shifted by so many pixels."""
    return points + np.array((right, down))


def circle(centre: Sequence[float] | Points, radius: float, squash: float = 1.0) -> Points:
    """A circle of 28 corners, or an ellipse whose height is `squash` times its width."""
    return np.asarray(centre, np.float64) + _CIRCLE * (radius, radius * squash)


_ANGLES = np.arange(28) * (2 * np.pi / 28)
_CIRCLE = np.round(np.stack([np.cos(_ANGLES), np.sin(_ANGLES)], 1), 9)
