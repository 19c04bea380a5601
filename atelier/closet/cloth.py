"""Cloth: a garment's pattern painted once, flat, in head heights of the average body, and cut from by every part."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from atelier.closet.canvas import Colour
from atelier.closet.garments import Garment
from atelier.closet.prints import stamp
from atelier.closet.swatches import swatch

HALF_WIDTH, ABOVE = 1.5, 0.4


@dataclass(frozen=True, kw_only=True)
class Cloth:
    """A painted sheet: `picture` uint8 [h, w, 3], or one colour; `unit` pixels in a head height."""

    picture: np.ndarray
    unit: float

    def sample(self, across: np.ndarray, down: np.ndarray) -> np.ndarray:
        """The colours at places in head heights (centre line 0, neck base 0): uint8 [h, w, 3], bilinear."""
        height, width = self.picture.shape[:2]
        if height == 1:
            return np.broadcast_to(self.picture, (*across.shape, 3))
        unit = np.float32(self.unit)
        x = np.clip((across + np.float32(HALF_WIDTH)) * unit - np.float32(0.5), 0, width - 1.001).astype(np.float32)
        y = np.clip((down + np.float32(ABOVE)) * unit - np.float32(0.5), 0, height - 1.001).astype(np.float32)
        column, row = x.astype(np.int32), y.astype(np.int32)
        right = ((x - column) * 64).astype(np.int32)[..., None]
        below = ((y - row) * 64).astype(np.int32)[..., None]
        flat = self.picture.reshape(-1, 3)
        start = row * width + column
        upper = flat[start].astype(np.int32) * (64 - right) + flat[start + 1].astype(np.int32) * right
        start = start + width
        lower = flat[start].astype(np.int32) * (64 - right) + flat[start + 1].astype(np.int32) * right
        return ((upper * (64 - below) + lower * below + 2048) >> 12).astype(np.uint8)


@lru_cache(maxsize=64)
def cloth_of(garment: Garment, unit: float, *, printed: bool) -> Cloth:
    """The cloth of a garment at a scale; `printed` is the panel that carries its print or logo."""
    if garment.pattern in ("solid", "print", "logo") and not (printed and garment.pattern != "solid"):
        return Cloth(picture=np.array([[garment.colour]], np.uint8), unit=unit)
    length = 6.2 if garment.leg else 3.4
    width, height = int(2 * HALF_WIDTH * unit) + 2, int((length + ABOVE) * unit) + 2
    u = ((np.arange(width, dtype=np.float32) + np.float32(0.5)) / np.float32(unit) - np.float32(HALF_WIDTH))[None, :]
    v = ((np.arange(height, dtype=np.float32) + np.float32(0.5)) / np.float32(unit) - np.float32(ABOVE))[:, None]
    if garment.pattern == "fabric":
        picture = swatch(garment.fabric, width, height, unit)
    elif garment.pattern in ("print", "logo"):
        picture = np.broadcast_to(np.array(garment.colour, np.uint8), (height, width, 3)).copy()
        stamp(picture, garment, unit, (HALF_WIDTH * unit, ABOVE * unit))
    else:
        share = _pattern(garment, u, v, np.float32(unit))
        picture = _blend(garment.colour, garment.second, np.broadcast_to(share, (height, width)))
    return Cloth(picture=picture, unit=unit)


def _pattern(garment: Garment, u: np.ndarray, v: np.ndarray, unit: np.float32) -> np.ndarray:
    """How much of the second colour lies at each place, 0..1."""
    period, duty = np.float32(garment.period), np.float32(garment.duty)
    if garment.pattern == "stripes":
        return _band(u if garment.vertical else v, period, duty, unit)
    if garment.pattern == "checks":
        wide = np.float32(0.5) * (_band(u, period, np.float32(0.5), unit) + _band(v, period, np.float32(0.5), unit))
        if garment.vertical:
            thin = np.maximum(_band(u, period, np.float32(0.09), unit), _band(v, period, np.float32(0.09), unit))
            return np.clip(wide * np.float32(0.45) + thin * np.float32(0.7), 0, 1)
        return wide
    if garment.pattern == "dots":
        spacing = np.float32(garment.period * 0.8)
        row = np.floor(v / spacing)
        x = u / spacing + np.float32(0.5) * (row % 2)
        dx, dy = x - np.floor(x) - np.float32(0.5), v / spacing - row - np.float32(0.5)
        distance = np.sqrt(dx * dx + dy * dy) * spacing
        return np.clip(
            (spacing * (np.float32(0.16) + np.float32(0.22) * duty) - distance) * unit + np.float32(0.5), 0, 1
        )
    top, bottom = (1.2, 5.2) if garment.category == "skirt" else (0.1, 4.0 if garment.leg else 2.5)
    share = np.clip((v + np.float32(0) * u - np.float32(top)) / np.float32(bottom - top), 0, 1)
    return share * share * (3 - 2 * share)


def _band(x: np.ndarray, period: np.float32, duty: np.float32, unit: np.float32) -> np.ndarray:
    """1 inside stripes of `duty` times `period`, with one pixel of soft edge."""
    phase = x / period
    distance = np.abs(phase - np.floor(phase) - np.float32(0.5)) * period
    return np.clip((duty * period / 2 - distance) * unit + np.float32(0.5), 0, 1)


def _blend(first: Colour, second: Colour, share: np.ndarray) -> np.ndarray:
    one, two = np.array(first, np.float32), np.array(second, np.float32)
    return (one + (two - one) * share[:, :, None] + np.float32(0.5)).astype(np.uint8)
