"""Rows side by side under headings: what a person looks at to see how far a run is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np
from PIL import Image, ImageDraw, ImageFont

_INK, _FAINT, _PAPER, _LINE = (32, 34, 38), (118, 122, 130), (255, 255, 255), (226, 228, 232)
_MARGIN, _GAP, _BAND_GAP = 24, 6, 22
_TITLE_PX, _TEXT_PX, _NOTE_PX = 22, 13, 12
_LARGEST_CELL = 320
"""Pixels of a cell's longer side: a grid of pictures at 1024x768 stays one that a browser shows."""
_SMALLEST_CELL = 128
_TALLEST_BAND = 4
_ABBREVIATIONS = {"ssim": "SSIM", "psnr": "PSNR", "ciede2000": "CIEDE2000", "iou": "IoU", "miou": "mIoU", "pck": "PCK"}


class Row(Protocol):
    """What a row shows."""

    @property
    def item_id(self) -> str: ...

    @property
    def cells(self) -> Sequence[np.ndarray]: ...

    @property
    def note(self) -> str: ...


def grid_picture(
    headings: Sequence[str], rows: Sequence[Row], metrics: Mapping[str, float], *, title: str
) -> Image.Image:
    """A titled page: figures below the title, then rows of cells in as many bands side by side as make a landscape.

    Args:
        headings: one a cell.
        metrics: the figures over all rows.
    """
    shape = rows[0].cells[0].shape
    height, width = _cell_size((shape[0], shape[1]))
    num_bands = -(-len(rows) // _TALLEST_BAND)
    per_band = -(-len(rows) // num_bands)
    band_width = len(headings) * (width + _GAP) - _GAP
    row_height = height + _NOTE_PX + 14
    title_font, font, note_font = (ImageFont.load_default(size) for size in (_TITLE_PX, _TEXT_PX, _NOTE_PX))

    page_width = num_bands * (band_width + _BAND_GAP) - _BAND_GAP + 2 * _MARGIN
    page_width = max(page_width, round(title_font.getlength(title)) + 2 * _MARGIN)
    figures = _wrapped([f"{_words(name)} {value:.4g}" for name, value in metrics.items()], font, page_width)
    top = _MARGIN + _TITLE_PX + 12 + len(figures) * (_TEXT_PX + 7) + 14
    first_row = top + _TEXT_PX + 10
    page = Image.new("RGB", (page_width, first_row + per_band * row_height + _MARGIN // 2), _PAPER)
    ink = ImageDraw.Draw(page)
    ink.text((_MARGIN, _MARGIN), title, fill=_INK, font=title_font)
    for number, line in enumerate(figures):
        ink.text((_MARGIN, _MARGIN + _TITLE_PX + 12 + number * (_TEXT_PX + 7)), line, fill=_FAINT, font=font)
    ink.line([(_MARGIN, top - 8), (page_width - _MARGIN, top - 8)], fill=_LINE)

    for band in range(num_bands):
        left = _MARGIN + band * (band_width + _BAND_GAP)
        for place, heading in enumerate(headings):
            x = left + place * (width + _GAP) + width / 2
            ink.text((x, top + _TEXT_PX / 2), heading, fill=_INK, font=font, anchor="mm")
        for number, row in enumerate(rows[band * per_band : (band + 1) * per_band]):
            y = first_row + number * row_height
            for place, cell in enumerate(row.cells):
                page.paste(_scaled(cell, (height, width)), (left + place * (width + _GAP), y))
            ink.text((left, y + height + 5), f"{row.item_id}  {row.note}", fill=_FAINT, font=note_font)
    return page


def _cell_size(shape: tuple[int, int]) -> tuple[int, int]:
    """(H, W): the pictures' own where it is neither too small to see nor too large to show."""
    longer = max(shape)
    if longer > _LARGEST_CELL:
        return round(shape[0] * _LARGEST_CELL / longer), round(shape[1] * _LARGEST_CELL / longer)
    times = -(-_SMALLEST_CELL // longer)
    return shape[0] * times, shape[1] * times


def _scaled(cell: np.ndarray, size: tuple[int, int]) -> Image.Image:
    picture = Image.fromarray(cell)
    if cell.shape[:2] == size:
        return picture
    shrinks = cell.shape[0] > size[0]
    return picture.resize((size[1], size[0]), Image.Resampling.LANCZOS if shrinks else Image.Resampling.NEAREST)


def _words(name: str) -> str:
    return " ".join(_ABBREVIATIONS.get(word, word) for word in name.split("_"))


def _wrapped(parts: Sequence[str], font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: int) -> list[str]:
    lines = [""]
    for part in parts:
        longer = f"{lines[-1]}   ·   {part}" if lines[-1] else part
        if lines[-1] and font.getlength(longer) > width - 2 * _MARGIN:
            lines.append(part)
        else:
            lines[-1] = longer
    return lines
