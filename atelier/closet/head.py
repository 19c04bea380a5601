"""Head and face."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from atelier.closet.body import Body
from atelier.closet.canvas import Canvas, Colour, Patch, Points
from atelier.closet.curves import circle, closed_curve, moved, open_curve
from atelier.closet.labels import FACE, GLASSES
from atelier.closet.shading import glow, lit, mixed, scaled


class Face:
    """Places features on a head that turns: what lies in front moves further than what lies at the sides."""

    def __init__(self, body: Body) -> None:
        self.body, self.head, self.person = body, body.head, body.person
        self.narrow = float(np.sqrt(1 - self.head.turn**2)) * 0.5 + 0.5

    def place(self, points: Sequence[Sequence[float]] | Points, depth: float = 1.0) -> Points:
        """Points in head heights to pixels; `depth` 1 lies on the face's front, more stands out further."""
        points, turn = np.asarray(points, np.float64), self.head.turn
        away = np.maximum(turn * np.sign(points[:, 0]), 0)  # the far half is foreshortened more
        across = points[:, 0] * self.narrow * (1 - 0.4 * away) + 0.2 * turn * depth
        return self.head.place(np.stack([across, points[:, 1]], 1))

    @property
    def unit(self) -> float:
        return self.head.unit


def face(canvas: Canvas, body: Body) -> None:
    """Ears, face and features; hair and hat come later."""
    at = Face(body)
    person, unit, turn = body.person, at.unit, body.head.turn
    skin = person.skin
    for sign in (-1, 1):
        if sign * turn > 0.42:
            continue
        x = sign * 0.355 - 0.1 * turn
        ear = body.head.place([(x, 0.09)])[0]
        canvas.paint(canvas.shape(circle(ear, 0.062 * unit, 1.75)), scaled(skin, 0.93), FACE)
        canvas.paint(canvas.shape(circle(ear, 0.032 * unit, 1.75)), scaled(skin, 0.8), None)
    patch = canvas.shape(contour(body))
    if patch.empty:
        return
    x, y = patch.grid()
    nx = (x - np.float32(body.head.centre[0])) / np.float32(0.37 * unit)
    ny = (y - np.float32(body.head.centre[1])) / np.float32(0.5 * unit)
    light = np.float32(1.035) - np.float32(0.05) * nx - np.float32(0.03) * ny - np.float32(0.07) * nx * nx * nx * nx
    canvas.paint(patch, lit(skin, light), FACE)
    blush = mixed(skin, (226, 96, 88), 0.5)
    for sign in (-1, 1):
        cheek = at.place([(sign * 0.2, 0.19)], 0.7)[0]
        soft = glow(canvas.size, cheek, (0.13 * unit, 0.10 * unit)).within(patch)
        canvas.paint(soft.faded(0.38), blush, None)
    if person.beard:
        _beard(canvas, at, patch)
    _eyes(canvas, at)
    _nose(canvas, at)
    _mouth(canvas, at)


def contour(body: Body) -> Points:
    """The outline of skull and jaw, in pixels."""
    build, turn = body.person.build, body.head.turn
    jaw, chin = 0.235 + 0.035 * build, 0.085 + 0.035 * build
    right = [(0.0, -0.5), (0.2, -0.46), (0.325, -0.31), (0.355, -0.1), (0.34, 0.12), (0.30, 0.27), (jaw - 0.02, 0.38)]
    right += [(chin, 0.49)]
    left = [(-x, y) for x, y in right[:0:-1]]
    swung = [(x + 0.10 * turn * (y + 0.1 if y > 0 else 0.1), y) for x, y in [*right, (0.0, 0.502), *left]]
    return body.head.place(closed_curve(swung, 5))


def _eyes(canvas: Canvas, at: Face) -> None:
    person, unit = at.person, at.unit
    brow = mixed(person.hair_colour, (40, 30, 28), 0.35)
    heavy = 0.016 + 0.014 * person.build
    for sign in (-1, 1):
        inner, outer, y = sign * 0.085, sign * 0.235, 0.03
        middle = (inner + outer) / 2
        almond = [(inner, y + 0.012), (middle - sign * 0.02, y - 0.046), (outer, y - 0.012), (middle, y + 0.036)]
        white = canvas.shape(at.place(closed_curve(almond, 5)))
        canvas.paint(white, (247, 244, 240), FACE)
        centre = at.place([(middle + 0.012 * at.head.turn, y - 0.006)])[0]
        canvas.paint(canvas.shape(circle(centre, 0.044 * unit)).within(white), person.eyes, None)
        canvas.paint(canvas.shape(circle(centre, 0.021 * unit)).within(white), (24, 20, 22), None)
        canvas.paint(
            canvas.shape(circle(centre + np.array([-0.014, -0.016]) * unit, 0.011 * unit)), (255, 255, 255), None
        )
        lid = open_curve([(inner, y + 0.008), (middle - sign * 0.02, y - 0.05), (outer + sign * 0.012, y - 0.018)], 5)
        lash = 0.030 - 0.012 * person.build
        canvas.paint(canvas.line(at.place(lid), lash * unit), (52, 36, 34), None)
        arch = open_curve(
            [(sign * 0.075, -0.075), (sign * 0.17, -0.112 + 0.02 * person.build), (sign * 0.262, -0.07)], 5
        )
        canvas.paint(canvas.line(at.place(arch), (heavy + 0.012) * unit), brow, None)
    if person.glasses:
        frame: Colour = (58, 48, 46)
        for sign in (-1, 1):
            rim = at.place(moved(_RIM, sign * 0.165, 0.03))
            lens = canvas.shape(rim)
            canvas.paint(lens.faded(0.16), (214, 228, 238), None)
            canvas.paint(canvas.line(np.concatenate([rim, rim[:2]]), 0.03 * unit), frame, GLASSES)
        canvas.paint(canvas.line(at.place([(-0.05, 0.015), (0.05, 0.015)]), 0.026 * unit), frame, GLASSES)


_RIM = circle((0.0, 0.0), 0.118, 0.9)


def _nose(canvas: Canvas, at: Face) -> None:
    skin, unit = at.person.skin, at.unit
    side = 1.0 if at.head.turn >= 0 else -1.0
    ridge = [(0.018 * side, 0.0), (0.028 * side, 0.09), (0.058 * side, 0.165), (0.03 * side, 0.19)]
    canvas.paint(
        canvas.line(at.place(open_curve(ridge, 4), 1.35), 0.022 * unit).faded(0.75),
        scaled(skin, 0.80),
        None,
    )
    base = [(-0.042, 0.182), (0.0, 0.198), (0.042, 0.182)]
    canvas.paint(canvas.line(at.place(open_curve(base, 3), 1.45), 0.024 * unit), scaled(skin, 0.74), None)
    tip = at.place([(-0.008, 0.14)], 1.45)[0]
    canvas.paint(
        glow(canvas.size, tip, (0.045 * unit, 0.07 * unit)).faded(0.35), mixed(skin, (255, 250, 240), 0.6), None
    )


def _mouth(canvas: Canvas, at: Face) -> None:
    person, unit = at.person, at.unit
    lips = mixed(person.skin, (176, 54, 62), 0.52 - 0.24 * person.build)
    y, wide = 0.302, 0.108
    upper = [(-wide, y), (-0.04, y - 0.036), (0.0, y - 0.024), (0.04, y - 0.036), (wide, y), (0.0, y + 0.008)]
    lower = [(-wide, y), (0.0, y + 0.008), (wide, y), (0.055, y + 0.046), (0.0, y + 0.054), (-0.055, y + 0.046)]
    canvas.paint(canvas.shape(at.place(closed_curve(lower, 4), 1.1)), mixed(lips, (255, 210, 200), 0.14), None)
    canvas.paint(canvas.shape(at.place(closed_curve(upper, 4), 1.1)), lips, None)
    seam = open_curve([(-wide - 0.01, y - 0.008), (-0.03, y + 0.004), (0.03, y + 0.004), (wide + 0.01, y - 0.008)], 4)
    canvas.paint(canvas.line(at.place(seam, 1.1), 0.014 * unit), scaled(lips, 0.62), None)


def _beard(canvas: Canvas, at: Face, patch: Patch) -> None:
    hair = mixed(at.person.hair_colour, at.person.skin, 0.32)
    outline = [(0.36, 0.02), (0.40, 0.3), (0.2, 0.56), (0.0, 0.6), (-0.2, 0.56), (-0.40, 0.3), (-0.36, 0.02)]
    outline += [(-0.27, 0.16), (-0.2, 0.25), (-0.08, 0.235), (0.0, 0.245), (0.08, 0.235), (0.2, 0.25), (0.27, 0.16)]
    beard = canvas.shape(at.place(closed_curve(outline, 4), 0.6)).within(patch)
    canvas.paint(beard.faded(0.78), hair, None)
