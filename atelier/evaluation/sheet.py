"""Pictures side by side: person, garment, ours, truth."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from atelier.evaluation.try_on import JudgedItem

_HEADINGS = ("person", "garment", "ours", "truth")
_HEADING_HEIGHT, _GAP = 18, 6
_INK, _PAPER = (60, 60, 60), (255, 255, 255)


def comparison_sheet(items: Sequence[JudgedItem], method: str, *, num_columns: int = 2) -> Image.Image:
    """One line of four pictures per item, `num_columns` items side by side, under their headings."""
    strips = [
        np.concatenate([one.item.person, one.item.garment, one.pictures[method], one.item.truth], axis=1)
        for one in items
    ]
    height, width = strips[0].shape[:2]
    rows = -(-len(strips) // num_columns)
    size = (num_columns * (width + _GAP) - _GAP, _HEADING_HEIGHT + rows * (height + _GAP) - _GAP)
    sheet = Image.new("RGB", size, _PAPER)
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(12)
    for column in range(num_columns):
        for place, heading in enumerate(_HEADINGS):
            x = column * (width + _GAP) + (place + 0.5) * width / len(_HEADINGS)
            draw.text((x, _HEADING_HEIGHT / 2), heading, fill=_INK, font=font, anchor="mm")
    for index, strip in enumerate(strips):
        row, column = divmod(index, num_columns)
        sheet.paste(Image.fromarray(strip), (column * (width + _GAP), _HEADING_HEIGHT + row * (height + _GAP)))
    return sheet
