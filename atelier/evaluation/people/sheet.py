"""Made people side by side: what they were made from, each method's picture, the true one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

_HEADING_HEIGHT, _GAP, _BAND_GAP = 20, 3, 14
_INK, _PAPER = (60, 60, 60), (255, 255, 255)
_SMALLEST_CELL = 192
"""Pixels of a cell's height: smaller pictures are shown enlarged, their pixels as they are."""


def people_sheet(columns: Mapping[str, Sequence[np.ndarray]], *, num_bands: int = 2) -> Image.Image:
    """One line an item and one cell a column, in `num_bands` bands side by side.

    Args:
        columns: heading → a picture an item, uint8 RGB [H, W, 3], all of one size.
    """
    strips = [np.stack(cells) for cells in zip(*columns.values(), strict=True)]
    height, width = strips[0].shape[1:3]
    times = -(-_SMALLEST_CELL // height)
    height, width = height * times, width * times
    band_width = len(columns) * (width + _GAP) - _GAP
    rows = -(-len(strips) // num_bands)
    size = (num_bands * (band_width + _BAND_GAP) - _BAND_GAP, _HEADING_HEIGHT + rows * (height + _GAP) - _GAP)
    sheet = Image.new("RGB", size, _PAPER)
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(12)
    for index, strip in enumerate(strips):
        row, band = index % rows, index // rows
        for place, (heading, picture) in enumerate(zip(columns, strip, strict=True)):
            x = band * (band_width + _BAND_GAP) + place * (width + _GAP)
            if row == 0:
                draw.text((x + width / 2, _HEADING_HEIGHT / 2), heading, fill=_INK, font=font, anchor="mm")
            cell = Image.fromarray(picture).resize((width, height), Image.Resampling.NEAREST)
            sheet.paste(cell, (x, _HEADING_HEIGHT + row * (height + _GAP)))
    return sheet
