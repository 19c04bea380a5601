"""Fabric cut from photographs of garments; see LICENCE.md beside this file."""

from __future__ import annotations

from functools import lru_cache
from importlib.resources import files

import numpy as np
from PIL import Image

TILE_PX = 96
TILE_UNITS = 1.0
"""How much of the average body a swatch covers, in head heights."""


@lru_cache(maxsize=1)
def _tiles() -> tuple[Image.Image, ...]:
    with files("atelier.closet.swatches").joinpath("atlas.webp").open("rb") as stream:
        atlas = Image.open(stream).convert("RGB")
    columns, rows = atlas.width // TILE_PX, atlas.height // TILE_PX
    boxes = [
        (x * TILE_PX, y * TILE_PX, (x + 1) * TILE_PX, (y + 1) * TILE_PX) for y in range(rows) for x in range(columns)
    ]
    return tuple(atlas.crop(box) for box in boxes)


def swatch(number: int, width: int, height: int, unit: float) -> np.ndarray:
    """Fabric `number` (any integer) as a sheet uint8 [height, width, 3], tiled by mirroring; `unit` pixels per head."""
    tiles = _tiles()
    side = max(int(TILE_UNITS * unit + 0.5), 2)
    tile = np.asarray(
        tiles[number % len(tiles)].resize(
            (side, side), Image.Resampling.BOX if side < TILE_PX else Image.Resampling.BICUBIC
        )
    )
    block = np.concatenate([tile, tile[::-1]])
    block = np.concatenate([block, block[:, ::-1]], 1)
    block = np.roll(block, (side // 5, side * 2 // 5), (0, 1))  # the mirror must not lie on the centre front
    repeats = (-(-height // (2 * side)), -(-width // (2 * side)), 1)
    return np.tile(block, repeats)[:height, :width]
