"""A picture and its two label maps, painted together in painter's order.

Coverage comes from AGG's scan converter (8 bits, non-zero winding); blending is integer arithmetic on 8-bit values.
"""

from __future__ import annotations

from dataclasses import dataclass

import aggdraw
import numpy as np

from atelier.closet.labels import Label

Points = np.ndarray  # float [n, 2], x and y in pixels
Colour = tuple[int, int, int]

_WHITE = aggdraw.Brush(255)


@dataclass(frozen=True, kw_only=True)
class Patch:
    """Coverage of a shape: `alpha` uint8 [h, w] whose first pixel lies at (`left`, `top`) of the canvas."""

    left: int
    top: int
    alpha: np.ndarray

    @property
    def empty(self) -> bool:
        return self.alpha.size == 0

    @property
    def rows(self) -> slice:
        return slice(self.top, self.top + self.alpha.shape[0])

    @property
    def columns(self) -> slice:
        return slice(self.left, self.left + self.alpha.shape[1])

    def grid(self) -> tuple[np.ndarray, np.ndarray]:
        """Pixel centres, float32: x [1, w] and y [h, 1]."""
        height, width = self.alpha.shape
        x = np.arange(self.left, self.left + width, dtype=np.float32) + np.float32(0.5)
        y = np.arange(self.top, self.top + height, dtype=np.float32) + np.float32(0.5)
        return x[None, :], y[:, None]

    def faded(self, strength: np.ndarray | float) -> Patch:
        """The same shape with its coverage multiplied by `strength` in 0..1."""
        alpha = (self.alpha * np.asarray(strength, np.float32) + np.float32(0.5)).astype(np.uint8)
        return Patch(left=self.left, top=self.top, alpha=alpha)

    def within(self, other: Patch) -> Patch:
        """The part of this shape that `other` covers."""
        left, top = max(self.left, other.left), max(self.top, other.top)
        right = min(self.columns.stop, other.columns.stop)
        bottom = min(self.rows.stop, other.rows.stop)
        if right <= left or bottom <= top:
            return Patch(left=0, top=0, alpha=np.zeros((0, 0), np.uint8))
        mine = self.alpha[top - self.top : bottom - self.top, left - self.left : right - self.left]
        others = other.alpha[top - other.top : bottom - other.top, left - other.left : right - other.left]
        alpha = (mine.astype(np.uint16) * others + 127) // 255
        return Patch(left=left, top=top, alpha=alpha.astype(np.uint8))

    def without(self, *outlines: Points) -> Patch:
        """This shape with `outlines` cut out of it."""
        if self.empty:
            return self
        cut = _coverage(outlines, self.left, self.top, self.alpha.shape)
        alpha = (self.alpha.astype(np.uint16) * (255 - cut) + 127) // 255
        return Patch(left=self.left, top=self.top, alpha=alpha.astype(np.uint8))


def _coverage(outlines: tuple[Points, ...], left: int, top: int, shape: tuple[int, int]) -> np.ndarray:
    height, width = shape
    sheet = aggdraw.Draw("L", (width, height), 0)
    for outline in outlines:
        sheet.polygon((np.asarray(outline, np.float64) - (left, top)).ravel().tolist(), None, _WHITE)
    return np.frombuffer(sheet.tobytes(), np.uint8).reshape(height, width)


class Canvas:
    """An RGB picture with CIHP and DeepFashion-MultiModal label maps of the same size.

    Args:
        size: (H, W) in pixels.
    """

    def __init__(self, size: tuple[int, int]) -> None:
        height, width = size
        self.image = np.full((height, width, 3), 255, np.uint8)
        self.parse_cihp = np.zeros((height, width), np.uint8)
        self.parse_multimodal = np.zeros((height, width), np.uint8)

    @property
    def size(self) -> tuple[int, int]:
        height, width = self.parse_cihp.shape
        return height, width

    def shape(self, *outlines: Points) -> Patch:
        """The union of closed outlines, anti-aliased; what lies outside the picture is dropped."""
        height, width = self.size
        corners = np.concatenate([np.asarray(outline, np.float64) for outline in outlines])
        (x0, y0), (x1, y1) = np.floor(corners.min(0)), np.ceil(corners.max(0))
        left, top = max(int(x0) - 1, 0), max(int(y0) - 1, 0)
        right, bottom = min(int(x1) + 1, width), min(int(y1) + 1, height)
        if right <= left or bottom <= top:
            return Patch(left=0, top=0, alpha=np.zeros((0, 0), np.uint8))
        return Patch(left=left, top=top, alpha=_coverage(outlines, left, top, (bottom - top, right - left)))

    def line(self, points: Points, thickness: float) -> Patch:
        """A stroke along `points`, `thickness` pixels wide; one thinner than 0.7 pixels fades instead of vanishing."""
        drawn = max(thickness, 0.7)
        patch = self.shape(ribbon(points, drawn / 2))
        return patch if drawn == thickness else patch.faded(thickness / drawn)

    def paint(self, patch: Patch, colour: Colour | np.ndarray, label: Label | None) -> None:
        """Lays `colour` (one, or uint8 [h, w, 3]) over the picture; labels change where coverage is at least half.

        A shape without a `label` is a detail of what lies below and leaves the maps as they are.
        """
        if patch.empty:
            return
        below = self.image[patch.rows, patch.columns]
        alpha = patch.alpha.astype(np.uint16)[:, :, None]
        above = np.asarray(colour, np.uint16)
        total = below * (255 - alpha) + above * alpha + 128
        below[...] = (total + (total >> 8)) >> 8  # a division by 255, rounded, at a third of the time
        if label is not None:
            inside = patch.alpha >= 128
            self.parse_cihp[patch.rows, patch.columns][inside] = label.cihp
            self.parse_multimodal[patch.rows, patch.columns][inside] = label.multimodal

    def darken(self, patch: Patch, strength: float) -> None:
        """A shadow: multiplies the picture towards a warm dark by up to `strength` in 0..1."""
        if patch.empty:
            return
        below = self.image[patch.rows, patch.columns]
        weight = (patch.alpha.astype(np.uint32) * int(strength * 256))[:, :, None]
        keep = 65280 - (weight * np.array([220, 250, 256], np.uint32) >> 8)
        below[...] = (below * keep + 32640) // 65280


def ribbon(points: Points, half_width: float | np.ndarray) -> Points:
    """The outline of a band along a polyline; `half_width` in pixels, one or one for each point."""
    points = np.asarray(points, np.float64)
    step = np.empty_like(points)
    step[1:-1] = points[2:] - points[:-2]
    step[0], step[-1] = points[1] - points[0], points[-1] - points[-2]
    length = np.sqrt((step * step).sum(1))
    step /= np.where(length > 1e-9, length, 1.0)[:, None]
    normal = np.stack([-step[:, 1], step[:, 0]], 1)
    offset = normal * np.broadcast_to(np.asarray(half_width, np.float64), (len(points),))[:, None]
    return np.concatenate([points + offset, (points - offset)[::-1]])
