"""The studio: backdrop, ground shadow, seat, and the shadow an arm throws on what lies behind it."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageFilter

from atelier.closet.body import Body
from atelier.closet.canvas import Canvas, Patch
from atelier.closet.curves import moved
from atelier.closet.labels import BACKGROUND
from atelier.closet.poses import SIDES, Side
from atelier.closet.shading import glow, lit, scaled


def studio(canvas: Canvas, body: Body) -> None:
    """A plain backdrop, brighter behind the head, a floor that meets it softly, and the shadow on the ground."""
    height, width = canvas.size
    whole = Patch(left=0, top=0, alpha=np.full((height, width), 255, np.uint8))
    x, y = whole.grid()
    nx = (x - np.float32(width * 0.42)) / np.float32(width)
    ny = (y - np.float32(height * 0.3)) / np.float32(height)
    light = np.float32(1.035) - np.float32(0.20) * nx * nx - np.float32(0.13) * ny * ny
    floor = _ground(body) - 0.35 * body.unit
    rise = np.clip((y - np.float32(floor)) / np.float32(0.5 * body.unit), 0, 1)
    light = light - np.float32(0.055) * rise * rise * (3 - 2 * rise)
    canvas.paint(whole, lit(body.person.backdrop, light), BACKGROUND)
    for side in SIDES:
        foot = body.legs[side].joints[2] + body.toes[side] * (0.5, 0.75)
        canvas.darken(glow(canvas.size, foot, (0.75 * body.unit, 0.2 * body.unit)), 0.4)
    middle = (body.legs["right"].joints[2] + body.legs["left"].joints[2]) / 2 + (0, 0.25 * body.unit)
    canvas.darken(glow(canvas.size, middle, (1.7 * body.unit, 0.34 * body.unit)), 0.2)


def _ground(body: Body) -> float:
    return max(float(body.legs[side].joints[2][1]) for side in SIDES) + 0.3 * body.unit


def seat(canvas: Canvas, body: Body) -> None:
    """A box to sit on, for a seated body."""
    if not body.pose.seated:
        return
    unit = body.unit
    hips = (body.legs["right"].joints[0] + body.legs["left"].joints[0]) / 2
    ground = _ground(body) - 0.12 * unit
    top = hips[1] + 0.02 * unit
    colour = scaled(body.person.backdrop, 0.8)
    half = 0.95 * unit
    lid = np.array([(-half, top + 0.1 * unit), (-half * 0.88, top), (half * 0.88, top), (half, top + 0.1 * unit)])
    front = np.array([(-half, top + 0.1 * unit), (half, top + 0.1 * unit), (half, ground), (-half, ground)])
    centre = np.array([hips[0], 0.0])
    canvas.darken(glow(canvas.size, np.array([hips[0], ground]), (1.5 * unit, 0.22 * unit)), 0.5)
    box = canvas.shape(front + centre)
    if not box.empty:
        x, _ = box.grid()
        fall = (x - np.float32(hips[0])) / np.float32(half) + np.zeros(box.alpha.shape, np.float32)
        canvas.paint(box, lit(colour, 1 - np.float32(0.07) * fall), BACKGROUND)
    canvas.paint(canvas.shape(lid + centre), scaled(colour, 1.1), BACKGROUND)


def arm_shadow(canvas: Canvas, body: Body, side: Side) -> None:
    """A soft shadow beside a front arm, on the figure only. It is the bare arm's, so that no sleeve changes it."""
    limb, unit = body.arms[side], body.unit
    outlines = [moved(outline, 0.035 * unit, 0.06 * unit) for outline in limb.outlines(0.25, 2.2, round_end=True)]
    patch = canvas.shape(*outlines)
    if patch.empty:
        return
    margin = max(int(0.09 * unit), 1)
    left, top = max(patch.left - margin, 0), max(patch.top - margin, 0)
    right = min(patch.columns.stop + margin, canvas.size[1])
    bottom = min(patch.rows.stop + margin, canvas.size[0])
    sheet = np.zeros((bottom - top, right - left), np.uint8)
    sheet[patch.top - top : patch.rows.stop - top, patch.left - left : patch.columns.stop - left] = patch.alpha
    soft = np.asarray(Image.fromarray(sheet).filter(ImageFilter.BoxBlur(margin * 0.6)))
    figure = canvas.parse_cihp[top:bottom, left:right] > 0
    canvas.darken(Patch(left=left, top=top, alpha=np.where(figure, soft, np.uint8(0))), 0.3)
