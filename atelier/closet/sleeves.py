"""Sleeves and their cuffs."""

from __future__ import annotations

import numpy as np

from atelier.closet.body import SIGN, Body
from atelier.closet.canvas import Canvas, Points
from atelier.closet.cloth import cloth_of
from atelier.closet.folds import rippled
from atelier.closet.garments import Garment
from atelier.closet.limb import Limb, rounded_light
from atelier.closet.panel import FLAT_BODY
from atelier.closet.poses import Side
from atelier.closet.shading import lit, scaled


def sleeve_limb(body: Body, garment: Garment, side: Side) -> Limb:
    """The arm's chain with the sleeve's thickness."""
    ease = 0.028 + garment.ease * 0.75
    limb = body.arms[side]
    profile = limb.profile.copy()
    profile[:, 1] += ease * body.unit * np.clip(0.25 + 2.5 * profile[:, 0], 0, 1)
    if garment.sleeve < 1:
        profile[:, 1] += np.clip(profile[:, 0] - 0.15, 0, 1) * 0.07 * body.unit
    return Limb(joints=limb.joints, profile=profile)


def sleeve(canvas: Canvas, body: Body, garment: Garment, side: Side) -> None:
    """One sleeve with its cuff; nothing for a sleeveless cut."""
    if garment.sleeve <= 0:
        return
    limb = sleeve_limb(body, garment, side)
    patch = canvas.shape(*limb.outlines(0.0, garment.sleeve))
    if patch.empty:
        return
    along, across, facing = limb.coordinates(patch)
    bones = limb.direction(0.0), limb.direction(1.0)
    bend = float(np.clip(1 - (bones[0] * bones[1]).sum(), 0, 1.4))
    light = rounded_light(across, facing, 0.95)
    if garment.sleeve > 1.2:
        light = light + rippled(along, 1.0, bend, across) * np.float32(1.5 if garment.is_dark else 1.0)
    settle = np.clip(along * np.float32(3), 0, 1)
    sign = np.float32(SIGN[side])
    light = light * settle + (1 - settle) * np.float32(0.99 - 0.09 * sign)
    down = np.clip(along, -1, 1) * np.float32(1.36) + np.clip(along - 1, 0, 2) * np.float32(1.16) + np.float32(0.2)
    radius = FLAT_BODY.arms[side].radius(along).astype(np.float32) + np.float32(0.03 + garment.ease)
    colours = cloth_of(garment, round(body.unit, 3), printed=False).sample(across * radius, down)
    hem = np.clip((along - np.float32(garment.sleeve - 0.05)) * np.float32(20), 0, 1)
    canvas.paint(patch, lit(colours, light - hem * np.float32(0.05)), garment.label)
    if garment.cuff:
        ribbed = garment.category in ("hoodie", "long-sleeved top", "jacket")
        start = garment.sleeve - garment.cuff
        cuff = canvas.shape(*_cut(limb, start, garment.sleeve)).within(patch)
        if not cuff.empty:
            _, cross, face = limb.coordinates(cuff)
            colour = garment.trim_colour if ribbed else garment.colour
            if ribbed and garment.pattern in ("solid", "print", "logo", "stripes"):
                canvas.paint(cuff, lit(colour, rounded_light(cross, face, 0.95)), None)
            edge = np.stack([limb.point(start) + _normal(limb, start) * k * float(limb.radius(start)) for k in (-1, 1)])
            canvas.paint(canvas.line(edge, 0.02 * body.unit).within(patch), scaled(colour, 0.74), None)


def _normal(limb: Limb, along: float) -> Points:
    way = limb.direction(along)
    return np.array([-way[1], way[0]])


def _cut(limb: Limb, start: float, stop: float) -> list[Points]:
    sides = [
        limb.point(a) + _normal(limb, a) * k * float(limb.radius(a))
        for a, k in ((start, 1.05), (start, -1.05), (stop, -1.05), (stop, 1.05))
    ]
    return [np.stack(sides)]
