"""What is printed on a chest: a word or a drawn logo."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from atelier.closet.canvas import Canvas, Colour, Patch, Points
from atelier.closet.curves import circle, closed_curve, open_curve
from atelier.closet.garments import Garment

CENTRE_DOWN = 0.98
_STAR = np.array([(0, -1), (0.23, -0.32), (0.95, -0.31), (0.38, 0.12), (0.59, 0.81), (0, 0.4)])


def stamp(picture: np.ndarray, garment: Garment, unit: float, origin: tuple[float, float]) -> None:
    """Prints the garment's word or logo on `picture` (uint8 [h, w, 3]), whose centre front lies at `origin`."""
    canvas = Canvas((picture.shape[0], picture.shape[1]))
    canvas.image[...] = picture
    centre = np.array([origin[0], origin[1] + CENTRE_DOWN * unit])
    if garment.pattern == "print":
        _word(canvas, garment.word, centre, unit, garment.second)
        rule = np.array([(-0.36, 0.2), (0.36, 0.2)]) * unit + centre
        canvas.paint(canvas.line(rule, 0.035 * unit), garment.accent, None)
    else:
        _logo(canvas, garment, centre, unit * 0.34)
    picture[...] = canvas.image


@lru_cache(maxsize=32)
def _letters(word: str, height_px: int) -> np.ndarray:
    font = ImageFont.load_default(size=height_px)
    left, top, right, bottom = font.getbbox(word, stroke_width=max(height_px // 24, 0))
    sheet = Image.new("L", (int(right - left) + 2, int(bottom - top) + 2))
    ImageDraw.Draw(sheet).text((1 - left, 1 - top), word, fill=255, font=font, stroke_width=max(height_px // 24, 0))
    return np.asarray(sheet)


def _word(canvas: Canvas, word: str, centre: Points, unit: float, colour: Colour) -> None:
    wide = 0.84 * unit
    letters = Image.fromarray(_letters(word, 96))
    high = min(wide * letters.height / letters.width, 0.3 * unit)
    wide = high * letters.width / letters.height
    size = (max(int(wide + 0.5), 1), max(int(high + 0.5), 1))
    alpha = np.asarray(
        letters.resize(size, Image.Resampling.BOX if size[0] < letters.width else Image.Resampling.BILINEAR)
    )
    patch = Patch(left=int(centre[0] - size[0] / 2), top=int(centre[1] - size[1] / 2 - 0.03 * unit), alpha=alpha)
    canvas.paint(patch, colour, None)


def _logo(canvas: Canvas, garment: Garment, centre: Points, size: float) -> None:
    one, two = garment.second, garment.accent

    def fill(points: Points | list[tuple[float, float]], colour: Colour) -> None:
        canvas.paint(canvas.shape(np.asarray(points) * size + centre), colour, None)

    disc = circle((0.0, 0.0), 1.0)
    if garment.logo == "circle":
        fill(disc, one)
        fill(circle((0.0, 0.0), 0.66), garment.colour)
        fill(circle((0.0, 0.0), 0.4), two)
    elif garment.logo == "star":
        fill(np.concatenate([_STAR, _STAR[:0:-1] * (-1, 1)]), one)
    elif garment.logo == "mountains":
        fill(disc, one)
        fill([(-0.86, 0.5), (-0.3, -0.45), (0.05, 0.1), (0.32, -0.2), (0.86, 0.5), (0.5, 0.85), (-0.5, 0.85)], two)
        fill(circle((0.4, -0.5), 0.17), garment.colour)
    elif garment.logo == "sun":
        fill(disc, one)
        for index in range(4):
            y = 0.12 + 0.24 * index
            fill([(-1.1, y), (1.1, y), (1.1, y + 0.07 + 0.03 * index), (-1.1, y + 0.07 + 0.03 * index)], garment.colour)
    elif garment.logo == "heart":
        half = [(0.0, -0.45), (0.35, -0.8), (0.85, -0.6), (0.85, -0.1), (0.45, 0.45), (0.0, 0.9)]
        fill(closed_curve([*half, *((-x, y) for x, y in half[-2:0:-1])], 5), one)
    elif garment.logo == "waves":
        for index, colour in enumerate((one, two, one)):
            y = -0.5 + 0.5 * index
            wave = open_curve([(-1.1, y), (-0.55, y - 0.25), (0.0, y), (0.55, y + 0.25), (1.1, y)], 6) * size + centre
            canvas.paint(canvas.line(wave, 0.2 * size), colour, None)
    elif garment.logo == "flower":
        for x, y in ((0.0, -0.55), (0.52, -0.17), (0.32, 0.45), (-0.32, 0.45), (-0.52, -0.17)):
            fill(circle((x, y), 0.42), one)
        fill(circle((0.0, 0.0), 0.32), two)
    else:
        fill([(0.2, -1.0), (-0.6, 0.15), (-0.05, 0.15), (-0.25, 1.0), (0.6, -0.25), (0.05, -0.25), (0.45, -1.0)], one)
