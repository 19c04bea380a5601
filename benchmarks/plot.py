"""A line plot as an SVG file: a few series over one axis, no library."""

from __future__ import annotations

import html
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

_WIDTH, _HEIGHT = 720, 400
_LEFT, _RIGHT, _TOP, _BOTTOM = 72, 150, 44, 56
_COLOURS = ("#0b5fa5", "#c2410c", "#15803d", "#6b21a8")


def write_lines(
    path: Path, *, title: str, x: str, y: str, series: Mapping[str, Sequence[tuple[float, float]]], mark: float
) -> None:
    """Writes a plot.

    Args:
        x, y: the axes' words. series: points by name, from left to right; y must be more than 0, and is drawn as its
            logarithm, since latency under load spans decades.
        mark: an x where a line stands.
    """
    points = [point for line in series.values() for point in line]
    most_x = max(mark, *(px for px, _ in points)) * 1.05
    low = math.floor(math.log10(min(py for _, py in points)))
    high = max(low + 1, math.ceil(math.log10(max(py for _, py in points))))

    def at(px: float, py: float) -> tuple[float, float]:
        right, down = _WIDTH - _LEFT - _RIGHT, _HEIGHT - _TOP - _BOTTOM
        return _LEFT + right * px / most_x, _TOP + down * (high - math.log10(py)) / (high - low)

    left, bottom = at(0, 10.0**low)
    right, top = at(most_x, 10.0**high)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" font-family="sans-serif" '
        'font-size="13" fill="#222">',
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="#fff"/>',
        _text(_LEFT, 24, title, size=16),
        _text((left + right) / 2, _HEIGHT - 14, x, anchor="middle"),
        f'<text transform="translate(18 {(top + bottom) / 2:.0f}) rotate(-90)" text-anchor="middle">'
        f"{html.escape(y)}</text>",
    ]
    for decade in range(low, high + 1):
        for part in (1, 2, 5) if decade < high else (1,):
            _, level = at(0, part * 10.0**decade)
            parts.append(_line(left, level, right, level, "#e5e5e5" if part > 1 else "#bbb"))
            parts.append(_text(left - 8, level + 4, f"{part * 10.0**decade:g}", anchor="end"))
    step = _round_step(most_x / 6)
    for number in range(int(most_x / step) + 1):
        place, _ = at(number * step, 10.0**low)
        parts.append(_text(place, bottom + 18, f"{number * step:g}", anchor="middle"))
    place, _ = at(mark, 10.0**low)
    parts.append(f'<path d="M{place:.1f} {bottom:.1f}V{top:.1f}" stroke="#888" stroke-dasharray="5 4"/>')
    parts.append(_text(place, top - 6, "saturation", anchor="middle"))
    for colour, (name, line) in zip(_COLOURS, series.items(), strict=False):
        places = [at(px, py) for px, py in line]
        path_data = "M" + "L".join(f"{px:.1f} {py:.1f}" for px, py in places)
        parts.append(f'<path d="{path_data}" fill="none" stroke="{colour}" stroke-width="2.5"/>')
        parts += [f'<circle cx="{px:.1f}" cy="{py:.1f}" r="4" fill="{colour}"/>' for px, py in places]
        parts.append(_text(places[-1][0] + 10, places[-1][1] + 4, name, colour=colour))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join([*parts, "</svg>"]) + "\n", encoding="utf-8")


def _round_step(least: float) -> float:
    """The least of 1, 2, 5, 10 … and their tenths that is no less."""
    decade = 10.0 ** math.floor(math.log10(least))
    return next(part * decade for part in (1, 2, 5, 10) if part * decade >= least)


def _text(px: float, py: float, words: str, *, size: int = 13, anchor: str = "start", colour: str = "#222") -> str:
    style = f'font-size="{size}" text-anchor="{anchor}" fill="{colour}"'
    return f'<text x="{px:.1f}" y="{py:.1f}" {style}>{html.escape(words)}</text>'


def _line(px: float, py: float, qx: float, qy: float, colour: str) -> str:
    return f'<path d="M{px:.1f} {py:.1f}L{qx:.1f} {qy:.1f}" stroke="{colour}"/>'
