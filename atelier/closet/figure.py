"""The bare figure: trunk and neck, arms and hands, legs and shoes."""

from __future__ import annotations

import numpy as np

from atelier.closet.body import SIGN, Body
from atelier.closet.canvas import Canvas, Points, ribbon
from atelier.closet.curves import circle, closed_curve, mirrored, moved
from atelier.closet.labels import ARMS, LEGS, SHOES, SOCKS, TORSO_SKIN
from atelier.closet.limb import Limb, rounded_light
from atelier.closet.poses import Side
from atelier.closet.shading import glow, lit, mixed, scaled
from atelier.closet.torso import CHEST, CROTCH, HIP, WAIST

_OPEN_HAND = (
    (-0.10, 0.08), (0.06, 0.10), (0.16, 0.16), (0.27, 0.185), (0.33, 0.155), (0.27, 0.112), (0.36, 0.108),
    (0.50, 0.088), (0.60, 0.045), (0.615, 0.0), (0.58, -0.05), (0.46, -0.09), (0.28, -0.108), (0.10, -0.095),
    (-0.10, -0.08),
)  # fmt: skip
_FIST = (
    (-0.10, 0.08), (0.05, 0.10), (0.17, 0.14), (0.30, 0.13), (0.38, 0.07), (0.39, -0.03), (0.32, -0.10),
    (0.14, -0.108), (-0.10, -0.08),
)  # fmt: skip


def trunk(canvas: Canvas, body: Body) -> None:
    """Neck, shoulders and trunk down to the crotch, in skin; the head's shadow on the neck."""
    person, torso = body.person, body.torso
    cosine = float(np.sqrt(1 - body.pose.yaw**2))
    neck = 0.185 + 0.045 * person.build + 0.02 * person.weight
    shoulder = person.shoulder * cosine
    half = [
        (neck * 0.97, -0.42),
        (neck, -0.10),
        (neck + 0.075, 0.03),
        (0.62 * shoulder, 0.115),
        (shoulder - 0.02, 0.155),
        (shoulder + 0.08, 0.30),
        (float(torso.width(CHEST)), CHEST),
        (float(torso.width(1.1)), 1.1),
        (float(torso.width(WAIST)), WAIST),
        (float(torso.width(2.0)), 2.0),
        (float(torso.width(HIP)), HIP),
        (float(torso.width(HIP)) * 0.8, 2.58),
        (0.08, CROTCH + 0.04),
    ]
    patch = canvas.shape(torso.place(closed_curve(mirrored(half), 5)))
    if patch.empty:
        return
    across, _ = torso.coordinates(patch)
    light = rounded_light(across / np.float32(person.chest), -0.8, 0.6)
    canvas.paint(patch, lit(person.skin, light), TORSO_SKIN)
    chin = body.head.place(closed_curve([(-0.3, 0.1), (0.3, 0.1), (0.26, 0.5), (0.04, 0.66), (-0.2, 0.5)]))
    canvas.darken(canvas.shape(moved(chin, 0.03 * body.unit, 0.02 * body.unit)).within(patch), 0.24)
    for sign in (-1, 1):
        bone = torso.front([(sign * 0.1, 0.19), (sign * 0.3, 0.155), (sign * 0.52, 0.135)])
        canvas.paint(canvas.line(bone, 0.022 * body.unit), scaled(person.skin, 0.87), None)


def arm(canvas: Canvas, body: Body, side: Side) -> None:
    """One arm with its hand."""
    limb, pose = body.arms[side], body.pose.arms[side]
    outlines = limb.outlines(0.0, 2.0, round_end=True)
    if pose.hand != "hidden":
        outlines.append(_hand(body, side))
    _skin(canvas, body, limb, outlines, ARMS[side].cihp, side)
    tips = {"open": (0.36, 0.57), "fist": (0.24, 0.36), "hidden": None}[pose.hand]
    for lateral in (-0.045, 0.0, 0.045) if tips else ():
        finger = _hand_points(body, side, [(tips[0], lateral), (tips[1], lateral * 0.7)])
        canvas.paint(canvas.line(finger, 0.014 * body.unit), scaled(body.person.skin, 0.8), None)


def _skin(canvas: Canvas, body: Body, limb: Limb, outlines: list[Points], cihp: int, side: Side) -> None:
    patch = canvas.shape(*outlines)
    if patch.empty:
        return
    _, across, facing = limb.coordinates(patch)
    label = ARMS[side] if cihp == ARMS[side].cihp else LEGS[side]
    canvas.paint(patch, lit(body.person.skin, rounded_light(across, facing, 0.9)), label)


def _hand_points(body: Body, side: Side, points: list[tuple[float, float]]) -> Points:
    limb, arm_pose = body.arms[side], body.pose.arms[side]
    way = limb.direction(1.5)
    thumb = SIGN[side] * np.array([-way[1], way[0]])
    way = way + thumb * arm_pose.curl
    way = way / float(np.sqrt((way * way).sum()))
    thumb = SIGN[side] * np.array([-way[1], way[0]])
    shape = np.asarray(points) * body.unit * (0.92 + 0.1 * body.person.build)
    return limb.joints[2] + shape[:, :1] * way + shape[:, 1:] * thumb


def _hand(body: Body, side: Side) -> Points:
    outline = _OPEN_HAND if body.pose.arms[side].hand == "open" else _FIST
    return closed_curve(_hand_points(body, side, list(outline)), 4)


def leg(canvas: Canvas, body: Body, side: Side) -> None:
    """One leg with sock and shoe."""
    person, limb, unit = body.person, body.legs[side], body.unit
    _skin(canvas, body, limb, limb.outlines(0.0, 2.05), LEGS[side].cihp, side)
    if float(limb.point(1.0)[1]) < canvas.size[0]:
        knee = moved(limb.point(1.0), 0, 0.05 * unit)
        soft = glow(canvas.size, knee, (0.15 * unit, 0.16 * unit)).within(canvas.shape(*limb.outlines(0.6, 1.4)))
        canvas.paint(soft.faded(0.5), scaled(person.skin, 0.86), None)
    if person.socks:
        sock = limb.widened(1.0, 0.012 * unit)
        patch = canvas.shape(*sock.outlines(1.74, 2.05))
        if not patch.empty:
            _, across, facing = sock.coordinates(patch)
            canvas.paint(patch, lit(person.sock_colour, rounded_light(across, facing)), SOCKS)
    _shoe(canvas, body, side)


def _cut_square(limb: Limb, start: float, stop: float) -> Points:
    """A piece of a limb with square ends, as a boot's top is."""
    places = start + (stop - start) * np.arange(9) / 8
    return ribbon(limb.path(places), limb.radius(places))


def _shoe(canvas: Canvas, body: Body, side: Side) -> None:
    person, unit = body.person, body.unit
    ankle, reach = body.legs[side].joints[2], body.toes[side]
    heel = moved(ankle, -0.22 * reach[0], 0.13 * unit)
    toe = ankle + reach * (1.0, 0.82)
    shape = Limb(
        joints=np.stack([heel, toe]),
        profile=np.array([(-0.5, 0.135), (0.0, 0.135), (0.5, 0.142), (0.85, 0.155), (1.2, 0.14)]) * (1, unit),
    )
    sole = [moved(outline, 0.0, 0.035 * unit) for outline in shape.outlines(0.0, 1.0, round_end=True)]
    upper = shape.outlines(0.0, 1.0, round_end=True)
    if person.boots:
        shaft = body.legs[side].widened(1.0, 0.035 * unit)
        patch = canvas.shape(_cut_square(shaft, 1.62, 2.0), circle(ankle, float(shaft.radius(2.0))))
        if not patch.empty:
            _, across, facing = shaft.coordinates(patch)
            canvas.paint(patch, lit(person.shoe_colour, rounded_light(across, facing)), SHOES[side])
    else:
        upper.append(circle(moved(ankle, 0, 0.03 * unit), 0.13 * unit))
    dark = sum(person.shoe_colour) < 240
    canvas.paint(canvas.shape(*sole), (235, 232, 226) if not dark else scaled(person.shoe_colour, 0.6), SHOES[side])
    patch = canvas.shape(*upper)
    if patch.empty:
        return
    _, across, facing = shape.coordinates(patch)
    canvas.paint(patch, lit(person.shoe_colour, rounded_light(across, facing, 0.9)), SHOES[side])
    if not person.boots:
        lace = mixed(person.shoe_colour, (250, 250, 250) if dark else (60, 56, 60), 0.45)
        way = (toe - heel) / max(float(np.sqrt(((toe - heel) ** 2).sum())), 1e-6)
        lateral = np.array([-way[1], way[0]]) * 0.055 * unit
        for share in (0.35, 0.52, 0.69):
            centre = heel + (toe - heel) * share
            canvas.paint(canvas.line(np.stack([centre - lateral, centre + lateral]), 0.02 * unit), lace, None)
