"""A contact sheet: many pictures on one page."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image


def contact_sheet(pictures: Sequence[np.ndarray], columns: int, *, gap_px: int = 4) -> Image.Image:
    """Pictures (uint8 RGB [H, W, 3], all of one size) in rows of `columns`, on white.

    Raises:
        ValueError: no pictures, no columns, or pictures of different shapes.
    """
    if not pictures or columns < 1:
        raise ValueError(f"a sheet of {len(pictures)} pictures in {columns} columns, must be at least one of each")
    shapes = {picture.shape for picture in pictures}
    if len(shapes) > 1:
        raise ValueError(f"pictures have shapes {sorted(shapes)}, must all be one [H, W, 3]")
    height, width, _ = pictures[0].shape
    rows = -(-len(pictures) // columns)
    page = np.full((rows * (height + gap_px) + gap_px, columns * (width + gap_px) + gap_px, 3), 255, np.uint8)
    for index, picture in enumerate(pictures):
        top = gap_px + (index // columns) * (height + gap_px)
        left = gap_px + (index % columns) * (width + gap_px)
        page[top : top + height, left : left + width] = picture
    return Image.fromarray(page)
