"""The garment's mask found on a plain background, or a clear word that it has to be given. Ours, no paper's."""

from __future__ import annotations

import numpy as np

from atelier.errors import RowError

_TOLERANCE = 16
"""Largest difference in any channel at which a pixel is background; JPEG noise on white stays below 8."""
_PLAIN = 0.8
"""Share of the border that must be of one colour; a garment may touch the rest."""
_SMALLEST, _LARGEST = 0.02, 0.95
"""Share of the picture that a garment may take."""
_STABLE = 1.12
"""A mask that grows by more than this when the tolerance is halved has leaked: white cloth, or white stripes, on white.
Of 120 drawn garments the leaky ones grew by 1.18 and more, the others by at most 1.09 (their soft shadow)."""
_SPECK = 0.1
"""Pieces smaller than this share of the largest one are dust and shadows."""


def find_garment_mask(garment: np.ndarray) -> np.ndarray:
    """The garment on a plain background: all that cannot be reached from the border over the background's colour.

    Prints in the background's colour stay inside, and so do closed holes.

    Args:
        garment: uint8 RGB [h, w, 3], without padding.

    Returns:
        uint8 {0, 1} [h, w].

    Raises:
        RowError: `garment_mask_needed` where the background isn't plain or the garment doesn't stand out from it.
    """
    border = np.concatenate([garment[0], garment[-1], garment[:, 0], garment[:, -1]])
    colour = np.median(border, axis=0)
    plain = float((_difference(border, colour) <= _TOLERANCE).mean())
    if plain < _PLAIN:
        raise _needed(f"only {plain:.0%} of its border has the background's colour, must be at least {_PLAIN:.0%}")
    difference = _difference(garment, colour)
    mask, strict = (_pieces(difference > tolerance) for tolerance in (_TOLERANCE, _TOLERANCE // 2))
    share = float(mask.mean())
    if not _SMALLEST <= share <= _LARGEST:
        raise _needed(f"{share:.1%} of it stands out from the background, must be {_SMALLEST:.0%} to {_LARGEST:.0%}")
    if strict.mean() > _STABLE * share:
        raise _needed("the garment has nearly the background's colour, so its outline is uncertain")
    return mask.astype(np.uint8)


def _difference(pixels: np.ndarray, colour: np.ndarray) -> np.ndarray:
    return np.abs(pixels.astype(np.int16) - colour.astype(np.int16)).max(-1)


def _pieces(stands_out: np.ndarray) -> np.ndarray:
    """Bool [h, w]: what the background, spreading from the border, leaves over, without specks."""
    around = _connected(np.pad(~stands_out, 1, constant_values=True))
    left = (around != around[0, 0])[1:-1, 1:-1]
    pieces = _connected(left)
    areas = np.bincount(pieces.ravel())
    areas[0] = 0
    return (areas >= max(1.0, _SPECK * areas.max()))[pieces]


def _connected(area: np.ndarray) -> np.ndarray:
    """A number for each connected piece of an area, 0 outside: int [h, w]."""
    from skimage.measure import label  # half a second, which a catalog with masks never needs

    return np.asarray(label(area, connectivity=1))


def _needed(reason: str) -> RowError:
    return RowError("garment_mask_needed", f"garment: no mask can be found: {reason}; give a garment_mask")
