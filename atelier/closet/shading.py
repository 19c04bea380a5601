"""Light on colours: small factors around 1 turned into warm-lit, cool-dark pixels."""

from __future__ import annotations

import numpy as np

from atelier.closet.canvas import Colour, Patch, Points

_CHANNELS = np.array([0.92, 1.0, 1.08], np.float32)


def lit(colour: Colour | np.ndarray, light: np.ndarray) -> np.ndarray:
    """`colour` (one, or uint8 [h, w, 3]) under `light` (float32 [h, w], 1 leaves it as it is): uint8 [h, w, 3]."""
    base = np.asarray(colour, np.float32)
    factor = 1 + (light - np.float32(1))[:, :, None] * _CHANNELS
    return np.clip(base * factor + np.float32(0.5), 0, 255).astype(np.uint8)


def scaled(colour: Colour, factor: float) -> Colour:
    """A darker (factor < 1) or lighter colour."""
    red, green, blue = (min(255, max(0, round(channel * factor))) for channel in colour)
    return red, green, blue


def mixed(first: Colour, second: Colour, share: float) -> Colour:
    """`first` with `share` (0..1) of `second` in it."""
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(first, second, strict=True))
    return red, green, blue


def luminance(colour: Colour) -> float:
    """0 (black) to 1 (white)."""
    return (0.299 * colour[0] + 0.587 * colour[1] + 0.114 * colour[2]) / 255


def glow(size: tuple[int, int], centre: Points, radii: tuple[float, float]) -> Patch:
    """A soft-edged ellipse, full in the middle and nothing at its rim."""
    height, width = size
    left, right = max(int(centre[0] - radii[0]), 0), min(int(centre[0] + radii[0]) + 1, width)
    top, bottom = max(int(centre[1] - radii[1]), 0), min(int(centre[1] + radii[1]) + 1, height)
    if right <= left or bottom <= top:
        return Patch(left=0, top=0, alpha=np.zeros((0, 0), np.uint8))
    patch = Patch(left=left, top=top, alpha=np.full((bottom - top, right - left), 255, np.uint8))
    x, y = patch.grid()
    far = ((x - np.float32(centre[0])) / np.float32(radii[0])) ** 2
    far = far + ((y - np.float32(centre[1])) / np.float32(radii[1])) ** 2
    rest = np.maximum(1 - far, 0)
    return patch.faded(rest * rest)
