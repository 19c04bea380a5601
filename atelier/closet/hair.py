"""Hair behind and before the head, and hats."""

from __future__ import annotations

import numpy as np

from atelier.closet.body import Body
from atelier.closet.canvas import Canvas, Patch
from atelier.closet.curves import circle, closed_curve, open_curve
from atelier.closet.labels import HAIR, HAT
from atelier.closet.shading import lit, mixed, scaled

Half = list[tuple[float, float]]

_CAP: Half = [(0.0, -0.575), (0.17, -0.555), (0.32, -0.44), (0.395, -0.24), (0.39, -0.02)]
_LINES: dict[str, Half] = {
    "round": [(0.345, 0.08), (0.325, -0.06), (0.27, -0.2), (0.12, -0.29), (0.0, -0.3)],
    "fringe": [(0.36, 0.06), (0.33, -0.06), (0.26, -0.12), (0.1, -0.135), (0.0, -0.13)],
    "middle": [(0.36, 0.12), (0.325, -0.02), (0.25, -0.16), (0.11, -0.31), (0.0, -0.40)],
}
_BACKS: dict[str, Half] = {
    "bob": [(0.0, -0.56), (0.3, -0.48), (0.44, -0.2), (0.46, 0.15), (0.47, 0.42), (0.36, 0.56), (0.0, 0.58)],
    "long": [
        (0.0, -0.56), (0.3, -0.48), (0.42, -0.2), (0.44, 0.2), (0.47, 0.6), (0.50, 1.05), (0.34, 1.22), (0.0, 1.2),
    ],
    "wavy": [
        (0.0, -0.58), (0.31, -0.5), (0.45, -0.22), (0.44, 0.05), (0.52, 0.28), (0.47, 0.5), (0.56, 0.74),
        (0.50, 0.94), (0.44, 1.12), (0.0, 1.1),
    ],
}  # fmt: skip
_LOCKS: dict[str, Half] = {
    "bob": [
        (0.33, -0.3), (0.42, -0.15), (0.455, 0.15), (0.465, 0.42), (0.37, 0.54), (0.29, 0.42), (0.32, 0.15),
        (0.31, -0.05),
    ],
    "long": [
        (0.3, -0.3), (0.41, -0.2), (0.43, 0.2), (0.46, 0.6), (0.48, 1.0), (0.40, 1.3), (0.27, 1.1), (0.29, 0.6),
        (0.31, 0.2), (0.31, -0.05),
    ],
    "wavy": [
        (0.3, -0.32), (0.43, -0.2), (0.43, 0.05), (0.51, 0.28), (0.46, 0.5), (0.55, 0.74), (0.49, 0.95),
        (0.41, 1.2), (0.28, 1.0), (0.33, 0.7), (0.26, 0.45), (0.33, 0.2), (0.31, -0.05),
    ],
}  # fmt: skip


def hair_behind(canvas: Canvas, body: Body) -> None:
    """What hangs behind neck and shoulders: painted before the body."""
    style, head = body.person.hair_style, body.head
    colour = scaled(body.person.hair_colour, 0.8)
    if style in _BACKS:
        half = _BACKS[style]
        outline = [*half, *((-x, y) for x, y in half[:0:-1])]
        canvas.paint(canvas.shape(head.place(closed_curve(outline, 5))), colour, HAIR)
    elif style == "afro":
        canvas.paint(canvas.shape(circle(head.place([(0.0, -0.16)])[0], 0.62 * head.unit, 0.94)), colour, HAIR)
    elif style == "ponytail":
        side = -1.0 if head.turn > 0 else 1.0
        tail = [(0.1, -0.4), (0.42, -0.3), (0.52, 0.1), (0.55, 0.5), (0.44, 0.95), (0.36, 0.6), (0.3, 0.2)]
        canvas.paint(canvas.shape(head.place(closed_curve([(side * x, y) for x, y in tail], 5))), colour, HAIR)


def hair_before(canvas: Canvas, body: Body) -> None:
    """Hair on the head and what falls over the shoulders; then the hat."""
    person, head = body.person, body.head
    style, turn = person.hair_style, head.turn
    if style != "bald":
        _cap(canvas, body)
    if style in _LOCKS:
        for sign in (-1, 1):
            reach = 1.0 + 0.1 * sign * turn
            lock = closed_curve([(sign * x * reach - 0.05 * turn, y) for x, y in _LOCKS[style]], 5)
            _strands(canvas, body, canvas.shape(head.place(lock)), sign)
    if style == "bun" and not person.hat:
        _strands(canvas, body, canvas.shape(circle(head.place([(-0.08 * turn, -0.66)])[0], 0.19 * head.unit, 0.85)), 0)
    if person.hat:
        _hat(canvas, body)


def _cap(canvas: Canvas, body: Body) -> None:
    person, head, turn = body.person, body.head, body.head.turn
    style = person.hair_style
    line = {"bob": "fringe", "long": "middle", "wavy": "middle", "curly": "round", "afro": "round"}.get(style, "round")
    if style == "long" and person.seed % 3 == 0:
        line = "fringe"
    outer = list(_CAP)
    if style in ("buzz cut", "bun", "ponytail"):
        outer = [(x * 0.955, y * 0.93) for x, y in outer]
    inner = _LINES[line]
    shift = 0.17 * turn
    rim = [(x, y) for x, y in reversed(outer)] + [(-x, y) for x, y in outer[1:]]
    front = [(-x + shift, y) for x, y in inner] + [(x + shift, y) for x, y in reversed(inner[:-1])]
    if style in ("side part", "quiff"):
        part = -1.0 if person.seed % 2 else 1.0
        front = [
            (-0.345, 0.08),
            (-0.32, -0.08),
            (-0.24, -0.19),
            (0.0, -0.26),
            (0.14, -0.37),
            (0.28, -0.24),
            (0.325, -0.08),
            (0.345, 0.08),
        ]
        front = [(part * x + shift, y) for x, y in front]
        if part < 0:
            front.reverse()
        lift = 0.09 if style == "quiff" else 0.04
        rim = [(x, y - lift * max(0.0, 1 - 4 * (x + part * 0.12) ** 2) * (y < -0.3)) for x, y in rim]
    # On the far side of a turned head the hairline would leave the head: it stops at the rim, above the ear.
    front = [(x, y) if abs(x) < 0.37 else ((0.37 if x > 0 else -0.37), min(y, -0.05)) for x, y in front]
    pieces = [np.concatenate([open_curve(head.place(rim), 6), open_curve(head.place(front), 6)])]
    if style in ("curly", "afro"):
        size, reach = (0.12, 0.92) if style == "curly" else (0.2, 1.18)
        for index, (x, y) in enumerate(
            [*rim[1:-1], (0.2, -0.42), (-0.2, -0.42), (0.28, -0.3), (-0.28, -0.3), (0.0, -0.42)]
        ):
            pieces.append(
                circle(
                    head.place([(x * reach, (y + 0.05) * reach - 0.02)])[0], (size + 0.012 * (index % 3)) * head.unit
                )
            )
    patch = canvas.shape(*pieces)
    if style == "buzz cut":
        canvas.paint(patch.faded(0.72), person.hair_colour, HAIR)
        return
    _strands(canvas, body, patch, 0)


def _strands(canvas: Canvas, body: Body, patch: Patch, sign: int) -> None:
    """Paints hair with a sheen across the crown and a few strands."""
    if patch.empty:
        return
    person, head = body.person, body.head
    x, y = patch.grid()
    nx = (x - np.float32(head.centre[0])) / np.float32(head.unit)
    ny = (y - np.float32(head.centre[1])) / np.float32(head.unit)
    ring = (ny + np.float32(0.36) - nx * nx * np.float32(0.9) + np.float32(0.2) * nx) / np.float32(0.13)
    light = np.float32(0.97) - np.float32(0.22) * nx + np.float32(0.26) / (1 + ring * ring)
    canvas.paint(patch, lit(person.hair_colour, light - np.float32(0.06) * np.maximum(ny, 0)), HAIR)
    if person.hair_style in ("curly", "afro", "bald"):
        return
    dark, bright = scaled(person.hair_colour, 0.78), mixed(person.hair_colour, (255, 236, 214), 0.16)
    if sign:
        tracks = [
            [(sign * (0.36 + d), -0.15), (sign * (0.39 + d), 0.3), (sign * (0.37 + d), 0.9)] for d in (-0.035, 0.03)
        ]
    else:
        tracks = [
            [(0.02 * k, -0.55), (0.14 * k, -0.44), (0.19 * k, -0.28), (0.2 * k, -0.1)]
            for k in (-1.7, -1, -0.4, 0.5, 1.1, 1.8)
        ]
    for index, track in enumerate(tracks):
        stroke = canvas.line(head.place(open_curve(track, 5)), 0.014 * head.unit).within(patch)
        canvas.paint(stroke.faded(0.6), dark if index % 2 else bright, None)


def _hat(canvas: Canvas, body: Body) -> None:
    person, head, turn = body.person, body.head, body.head.turn
    colour = person.hat_colour

    def paint(points: Half, shade: float) -> None:
        patch = canvas.shape(head.place(closed_curve(points, 5)))
        if patch.empty:
            return
        x, _ = patch.grid()
        nx = (x - np.float32(head.centre[0])) / np.float32(0.45 * head.unit)
        light = (
            np.float32(shade)
            - np.float32(0.1) * nx
            - np.float32(0.1) * nx * nx
            + np.zeros(patch.alpha.shape, np.float32)
        )
        canvas.paint(patch, lit(colour, light), HAT)

    if person.hat == "beanie":
        paint(
            [(-0.41, -0.2), (-0.40, -0.42), (-0.25, -0.66), (0.0, -0.73), (0.25, -0.66), (0.40, -0.42), (0.41, -0.2)],
            1.0,
        )
        paint([(-0.43, -0.14), (-0.42, -0.33), (0.0, -0.36), (0.42, -0.33), (0.43, -0.14), (0.0, -0.18)], 1.1)
    elif person.hat == "cap":
        paint(
            [
                (-0.41, -0.2),
                (-0.39, -0.44),
                (-0.22, -0.64),
                (0.0, -0.68),
                (0.22, -0.64),
                (0.39, -0.44),
                (0.41, -0.2),
                (0.0, -0.24),
            ],
            1.0,
        )
        paint(
            [
                (x + 0.3 * turn, y)
                for x, y in [(-0.36, -0.2), (0.0, -0.3), (0.36, -0.2), (0.3, -0.08), (0.0, -0.05), (-0.3, -0.08)]
            ],
            0.86,
        )
    else:
        paint(
            [
                (-0.78, -0.2),
                (-0.4, -0.3),
                (0.0, -0.34),
                (0.4, -0.3),
                (0.78, -0.2),
                (0.5, -0.12),
                (0.0, -0.09),
                (-0.5, -0.12),
            ],
            0.95,
        )
        paint(
            [
                (-0.39, -0.25),
                (-0.36, -0.5),
                (-0.2, -0.68),
                (0.0, -0.71),
                (0.2, -0.68),
                (0.36, -0.5),
                (0.39, -0.25),
                (0.0, -0.3),
            ],
            1.04,
        )
        band = open_curve([(-0.385, -0.3), (0.0, -0.35), (0.385, -0.3)], 5)
        canvas.paint(canvas.line(head.place(band), 0.07 * head.unit), scaled(colour, 0.55), None)
