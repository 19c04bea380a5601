"""The trunk's own coordinates, in which tops, dresses and the skin below them are drawn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from atelier.closet.canvas import Patch, Points

CHEST, WAIST, HIP, CROTCH = 0.68, 1.55, 2.32, 2.72
"""Heights below the base of the neck, in head heights of the average body."""


@dataclass(frozen=True, kw_only=True)
class Torso:
    """A frame that leans, bows and tilts. A place is (`across`, `down`), both in head heights of the average body:
    `across` from the front's centre line to the viewer's right, `down` from the base of the neck.

    Args:
        neck: base of the neck in pixels.
        axis: unit vector from neck to hips.
        unit: pixels in a head height; `length` scales it along the axis, for tall and short bodies.
        widths: [M, 2], half width of this body at heights, in head heights.
        tilts: slope of the shoulders' and of the hips' line against the axis' normal.
        bow: sideways bulge of the spine, in head heights.
        turn: how far the front's centre line has moved sideways, as a share of the half width.
    """

    neck: Points
    axis: Points
    unit: float
    length: float
    widths: np.ndarray
    tilts: tuple[float, float]
    bow: float
    turn: float

    def width(self, down: np.ndarray | float) -> np.ndarray:
        """Half width of the bare body, in head heights."""
        return np.asarray(np.interp(down, self.widths[:, 0], self.widths[:, 1]))

    def _tilt(self, down: np.ndarray | float) -> np.ndarray | float:
        return self.tilts[0] + (self.tilts[1] - self.tilts[0]) * np.clip(down / CROTCH, 0, 1)

    def _bowed(self, down: np.ndarray | float) -> np.ndarray | float:
        share = np.clip(down / CROTCH, 0, 1)
        return self.bow * 4 * share * (1 - share)

    def place(self, points: Sequence[Sequence[float]] | Points) -> Points:
        """Silhouette points to pixels. `across` counts from the silhouette's middle here: an outline has no front."""
        points = np.asarray(points, np.float64)
        across, down = points[:, 0], points[:, 1]
        side = np.array([self.axis[1], -self.axis[0]])
        forward = down * self.length + across * self._tilt(down)
        sideways = across + self._bowed(down)
        return self.neck + self.unit * (forward[:, None] * self.axis + sideways[:, None] * side)

    def front(self, points: Sequence[Sequence[float]] | Points, widths: np.ndarray | None = None) -> Points:
        """Points on the front of the body to pixels: they move round with the turn."""
        points = np.asarray(points, np.float64).copy()
        half = self.width(np.maximum(points[:, 1], CHEST)) if widths is None else widths
        share = np.clip(points[:, 0] / half, -1, 1)
        near_neck = np.clip(0.25 + 1.6 * points[:, 1], 0.25, 1)  # a neck is slimmer than a chest, and moves less
        points[:, 0] += half * self.turn * (1 - share * share) * near_neck
        return self.place(points)

    def coordinates(self, patch: Patch) -> tuple[np.ndarray, np.ndarray]:
        """For each pixel, `across` from the silhouette's middle and `down`: float32 [h, w]."""
        x, y = patch.grid()
        px, py = (x - np.float32(self.neck[0])), (y - np.float32(self.neck[1]))
        ax, ay = np.float32(self.axis[0] / self.unit), np.float32(self.axis[1] / self.unit)
        forward = px * ax + py * ay
        sideways = px * ay - py * ax
        guess = forward / np.float32(self.length)
        across = sideways - np.asarray(self._bowed(guess), np.float32)
        down = (forward - across * np.asarray(self._tilt(guess), np.float32)) / np.float32(self.length)
        return across, down
