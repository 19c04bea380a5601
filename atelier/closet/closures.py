"""What closes and trims a top: neck bands, hoods, collars, plackets, lapels, pockets."""

from __future__ import annotations

import numpy as np

from atelier.closet.canvas import Canvas, Patch, Points
from atelier.closet.curves import circle, closed_curve, moved, open_curve
from atelier.closet.panel import Panel, opening, plain_colour
from atelier.closet.shading import mixed, scaled


def finish(canvas: Canvas, panel: Panel, patch: Patch) -> None:
    """Paints the details of a top's front over its cloth, which `patch` covers."""
    g, unit = panel.garment, panel.unit
    trim = g.trim_colour
    if g.neckline in ("crew", "v", "scoop", "strap") and g.category != "jacket":
        wide = 0.075 if g.neckline in ("crew", "v") else 0.045
        band = canvas.line(panel.neckline(), 2 * wide * unit).within(patch)
        canvas.paint(band, trim, None)
        inner = moved(panel.neckline(), 0.0, wide * unit)
        canvas.paint(canvas.line(inner, 0.016 * unit).within(patch), scaled(trim, 0.82), None)
    if g.category == "hoodie":
        _hood_front(canvas, panel, patch)
    if g.category == "shirt":
        _placket(canvas, panel, patch)
        _collar(canvas, panel)
    if g.category == "jacket":
        _jacket_front(canvas, panel, patch)
    if g.category == "hoodie" or (g.category == "jacket" and g.neckline == "crew"):
        _hem_rib(canvas, panel, patch)


def _hem_rib(canvas: Canvas, panel: Panel, patch: Patch) -> None:
    g = panel.garment
    edge = float(panel.half_width(panel.torso, panel.hem)) + 0.1
    levels = [(-edge, panel.hem - 0.13), (0.0, panel.hem - 0.09), (edge, panel.hem - 0.13)]
    seam = panel.torso.place(open_curve(levels, 5))
    canvas.paint(canvas.line(seam, 0.022 * panel.unit).within(patch), scaled(g.colour, 0.72), None)


def _hood_front(canvas: Canvas, panel: Panel, patch: Patch) -> None:
    """The hood's edges lie round the neck; drawstrings and a pouch pocket hang below."""
    g, torso, unit = panel.garment, panel.torso, panel.unit
    x, depth = panel.neck + 0.09, g.neck_depth
    for sign in (-1, 1):
        lap = [
            (sign * (x + 0.16), -0.02),
            (sign * (x + 0.13), 0.2),
            (sign * 0.12, depth + 0.13),
            (0.0, depth + 0.05),
            (sign * 0.12, depth - 0.06),
            (sign * (x - 0.07), 0.08),
            (sign * (x - 0.06), -0.1),
        ]
        hood = canvas.shape(torso.front(closed_curve(lap, 5)))
        canvas.paint(hood, mixed(g.colour, (255, 255, 255), 0.05) if sign < 0 else scaled(g.colour, 0.93), g.label)
        canvas.paint(canvas.line(torso.front(open_curve(lap[:4], 5)), 0.02 * unit), scaled(g.colour, 0.74), None)
    string = (244, 242, 238) if g.is_dark else scaled(g.colour, 0.62)
    for sign in (-1, 1):
        cord = torso.front(
            open_curve([(sign * 0.10, depth + 0.02), (sign * 0.13, depth + 0.28), (sign * 0.115, depth + 0.5)], 5)
        )
        canvas.paint(canvas.line(cord, 0.026 * unit), string, None)
    top, low = panel.hem - 0.85, panel.hem - 0.16
    pouch = [
        (-0.28, top),
        (0.28, top),
        (0.45, low - 0.28),
        (0.45, low),
        (-0.45, low),
        (-0.45, low - 0.28),
        (-0.28, top),
    ]
    canvas.paint(canvas.line(torso.front(pouch), 0.02 * unit).within(patch), scaled(g.colour, 0.76), None)


def _placket(canvas: Canvas, panel: Panel, patch: Patch) -> None:
    g, torso, unit = panel.garment, panel.torso, panel.unit
    levels = [g.neck_depth - 0.04 + (panel.hem + 0.04 - g.neck_depth) * k / 6 for k in range(7)]
    for x in (-0.065, 0.065):
        edge = torso.front([(x, level) for level in levels])
        canvas.paint(canvas.line(edge, 0.016 * unit).within(patch), scaled(g.colour, 0.76), None)
    button = mixed(g.colour, (255, 255, 255), 0.75) if g.is_dark else scaled(g.colour, 0.6)
    count = 6
    for k in range(count):
        level = g.neck_depth + 0.12 + (panel.hem - 0.35 - g.neck_depth) * k / (count - 1)
        centre = torso.front([(0.0, level)])[0]
        canvas.paint(canvas.shape(_disc(centre, 0.033 * unit)).within(patch), button, None)
    if g.pocket:
        pocket = torso.front([(0.2, 0.8), (0.2, 1.12), (0.32, 1.18), (0.44, 1.12), (0.44, 0.8), (0.2, 0.8)])
        canvas.paint(canvas.line(pocket, 0.016 * unit).within(patch), scaled(g.colour, 0.78), None)


def _disc(centre: Points, radius: float) -> Points:
    """A button: never so small that it vanishes."""
    return circle(centre, max(radius, 0.6))


def _collar(canvas: Canvas, panel: Panel) -> None:
    """Two collar points that lie open on the chest."""
    g, torso, unit = panel.garment, panel.torso, panel.unit
    x, depth = panel.neck + 0.04, g.neck_depth
    cloth = plain_colour(g, panel.body)
    for sign in (-1, 1):
        wing = [
            (sign * (x - 0.03), -0.17),
            (sign * (x + 0.06), 0.02),
            (sign * 0.30, depth + 0.10),
            (sign * 0.02, depth - 0.02),
            (sign * (x - 0.085), 0.06),
        ]
        patch = canvas.shape(torso.front(wing))
        canvas.paint(patch, mixed(cloth, (255, 255, 255), 0.12) if sign < 0 else scaled(cloth, 0.96), g.label)
        edge = torso.front(wing[1:4])
        canvas.paint(canvas.line(edge, 0.018 * unit), scaled(cloth, 0.7), None)


def _jacket_front(canvas: Canvas, panel: Panel, patch: Patch) -> None:
    g, torso, unit = panel.garment, panel.torso, panel.unit
    cloth = plain_colour(g, panel.body)
    dark = scaled(cloth, 0.66)
    if g.opened:
        rim = np.concatenate([opening(panel), opening(panel)[:1]])
        canvas.paint(canvas.line(rim, 0.05 * unit).within(patch), scaled(cloth, 0.78), None)
    else:
        levels = [g.neck_depth - 0.02 + (panel.hem + 0.05 - g.neck_depth) * k / 6 for k in range(7)]
        canvas.paint(
            canvas.line(torso.front([(0.0, level) for level in levels]), 0.03 * unit).within(patch), dark, None
        )
    if g.neckline == "collar":
        for sign in (-1, 1):
            inner = 0.19 if g.opened else 0.0
            lapel = [
                (sign * (panel.neck + 0.02), -0.12),
                (sign * (panel.neck + 0.12), 0.05),
                (sign * 0.46, 0.52),
                (sign * 0.40, 0.62),
                (sign * (inner + 0.02), 1.12),
                (sign * inner, 0.62 if g.opened else 0.9),
                (sign * (panel.neck - 0.01), 0.1),
            ]
            canvas.paint(
                canvas.shape(torso.front(lapel)),
                mixed(cloth, (255, 255, 255), 0.07) if sign < 0 else scaled(cloth, 0.9),
                g.label,
            )
            canvas.paint(canvas.line(torso.front(lapel[1:5]), 0.02 * unit), dark, None)
        if not g.opened:
            for level in (1.25, 1.65, 2.05):
                canvas.paint(canvas.shape(_disc(torso.front([(0.07, level)])[0], 0.04 * unit)), dark, None)
    else:
        band = canvas.line(panel.neckline(), 0.15 * unit).within(patch)
        canvas.paint(band, g.trim_colour, None)
    for sign in (-1, 1):
        pocket = torso.front([(sign * 0.34, panel.hem - 0.62), (sign * 0.56, panel.hem - 0.5)])
        canvas.paint(canvas.line(pocket, 0.03 * unit).within(patch), dark, None)
