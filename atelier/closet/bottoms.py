"""Trousers, shorts, skirts and the skirts of dresses on a body."""

from __future__ import annotations

import numpy as np

from atelier.closet.body import SIGN, Body
from atelier.closet.canvas import Canvas, Patch, Points, ribbon
from atelier.closet.cloth import cloth_of
from atelier.closet.curves import circle, open_curve
from atelier.closet.folds import creased, rippled
from atelier.closet.garments import Garment
from atelier.closet.limb import Limb, rounded_light
from atelier.closet.poses import SIDES, Side
from atelier.closet.shading import lit, scaled
from atelier.closet.torso import CROTCH, HIP, Torso

RISE = 1.52
_LEVELS = np.array([RISE, 2.42, 4.16, 5.84])
"""How far below the neck's base waist, hip, knee and ankle of the average body lie."""


def bottom(canvas: Canvas, body: Body, garment: Garment) -> None:
    """Trousers, shorts or a skirt."""
    if garment.category == "skirt":
        skirt(canvas, body, garment, RISE)
    else:
        _trousers(canvas, body, garment)


def _leg_limb(body: Body, garment: Garment, side: Side) -> Limb:
    """The leg's chain from the waist down, with the trouser leg's thickness."""
    limb, torso = body.legs[side], body.torso
    waist = torso.place([(SIGN[side] * float(torso.width(RISE)) * 0.5, RISE)])
    profile = limb.profile.copy()
    spread = garment.flare * np.clip(profile[:, 0] - 0.3, 0, 2)
    slim = np.interp(profile[:, 0], [1.0, 1.35, 2.0], [0.0, 0.0, 0.03])
    profile[:, 1] = profile[:, 1] + (garment.ease + spread + slim) * body.unit
    profile[:, 0] += 1
    start = np.array([[0.0, float(torso.width(RISE)) * 0.5 * body.unit]])
    return Limb(joints=np.concatenate([waist, limb.joints]), profile=np.concatenate([start, profile[1:]]))


def _pelvis(body: Body, garment: Garment) -> tuple[Points, list[Points]]:
    """The hips' outline, and its two halves at the front's centre line."""
    torso, loose = body.torso, garment.ease * 0.7 + 0.012
    half = [(float(torso.width(level)) + loose, level) for level in (RISE, 1.75, 2.0, HIP)]
    half += [(0.97 * float(torso.width(HIP)), 2.5), (0.62 * float(torso.width(HIP)), 2.68)]
    right = open_curve(half, 4)
    low = [(0.06, CROTCH + 0.06), (-0.06, CROTCH + 0.06)]
    outline = torso.place(np.concatenate([right, low, right[::-1] * (-1.0, 1.0)]))
    centre = _centre_line(torso)
    halves = []
    for sign in (-1.0, 1.0):
        outer = torso.place([(sign * 1.4, CROTCH + 0.3), (sign * 1.4, RISE - 0.05)])
        halves.append(np.concatenate([centre, outer]))
    return outline, halves


def _centre_line(torso: Torso) -> Points:
    """The seam down the front: at the waist it goes round with a turned body, at the crotch it stays in the middle."""
    levels = [(0.0, RISE - 0.05), (0.0, 2.05), (0.0, 2.5), (0.0, CROTCH + 0.3)]
    stay = np.array([0.0, 0.45, 1.0, 1.0])[:, None]
    return torso.front(levels) * (1 - stay) + torso.place(levels) * stay


def _trousers(canvas: Canvas, body: Body, garment: Garment) -> None:
    outline, halves = _pelvis(body, garment)
    pelvis = canvas.shape(outline)
    stop = garment.leg + 1
    for side in _far_first(body):
        limb = _leg_limb(body, garment, side)
        hips = (
            pelvis.within(canvas.shape(halves[0 if side == "right" else 1])) if side != _far_first(body)[0] else pelvis
        )
        leg = canvas.shape(*limb.outlines(1.0, stop))
        for patch in (hips, leg):
            _leg_cloth(canvas, body, garment, limb, patch)
    _waist_details(canvas, body, garment, pelvis)


def _far_first(body: Body) -> tuple[Side, Side]:
    """The order in which legs are painted: the one that crosses over comes last."""
    crossing: list[Side] = [side for side in SIDES if body.pose.legs[side].ankle[0] < -0.3]
    if crossing and body.pose.name == "legs crossed":
        last: Side = crossing[0]
        return ("left" if last == "right" else "right", last)
    return body.far, body.near


def _leg_cloth(canvas: Canvas, body: Body, garment: Garment, limb: Limb, patch: Patch) -> None:
    if patch.empty:
        return
    along, across, facing = limb.coordinates(patch)
    down = np.interp(along, np.arange(4), _LEVELS).astype(np.float32)
    down += np.clip(along - 3, 0, 1) * np.float32(1.68)
    width = limb.radius(along).astype(np.float32) / np.float32(body.unit * body.person.girth)
    strength = np.float32(garment.crispness * (1.4 if garment.is_dark else 1.0))
    light = rounded_light(np.clip(across, -1, 1), facing, 0.9)
    bones = limb.direction(1.0), limb.direction(2.0)
    bend = float(np.clip(1 - (bones[0] * bones[1]).sum(), 0, 1.0))
    folds = rippled(along, 2.0, 0.5 * bend, across)
    if garment.leg > 1.6:
        folds = folds + rippled(along, 2.95, 0.35, across)
    whole, _ = body.torso.coordinates(patch)  # the hips are lit as one round, the legs below as two
    hips = rounded_light(whole / np.float32(float(body.torso.width(HIP))), -0.75, 0.7)
    below = np.clip((along - np.float32(0.95)) * np.float32(2.5), 0, 1)
    light = hips + (light - hips) * below + folds * strength
    creases = [(-0.85, 0.98, 0.3, 1.10, 0.06, 0.05), (0.9, 1.0, -0.1, 1.16, 0.06, -0.05)]
    light = light + creased(across, along, creases) * strength
    colours = cloth_of(garment, round(body.unit, 3), printed=False).sample(across * width, down)
    canvas.paint(patch, lit(colours, light), garment.label)


def _waist_details(canvas: Canvas, body: Body, garment: Garment, pelvis: Patch) -> None:
    torso, unit = body.torso, body.unit
    dark = scaled(garment.colour, 0.72)
    canvas.paint(
        canvas.line(torso.front([(-0.7, RISE + 0.13), (0.0, RISE + 0.16), (0.7, RISE + 0.13)]), 0.02 * unit).within(
            pelvis
        ),
        dark,
        None,
    )
    canvas.paint(canvas.line(open_curve(_centre_line(torso), 5), 0.02 * unit).within(pelvis), dark, None)
    for sign in (-1, 1):
        pocket = torso.front(open_curve([(sign * 0.40, RISE + 0.16), (sign * 0.46, 1.9), (sign * 0.62, 2.06)], 5))
        canvas.paint(canvas.line(pocket, 0.02 * unit).within(pelvis), dark, None)


def skirt(canvas: Canvas, body: Body, garment: Garment, waist: float) -> None:
    """A skirt from `waist` (head heights below the neck's base) to the garment's hem."""
    torso, unit, legs = body.torso, body.unit, body.legs
    joints = np.stack(
        [torso.place([(0.0, waist)])[0], torso.place([(0.0, 2.42)])[0]]
        + [(legs["right"].joints[k] + legs["left"].joints[k]) / 2 for k in (1, 2)]
    )
    stop = 1 + garment.leg
    top = float(torso.width(waist)) + (0.02 if garment.category == "skirt" else garment.ease)
    hips = float(torso.width(HIP)) + 0.035 + 0.12 * garment.flare
    reach = [1.3, 1.6, 2.0, 2.5, 3.0]
    cover = [_leg_reach(body, joints, place - 1) / unit + 0.05 for place in reach]
    wide = [max(hips + garment.flare * 0.8 * (place - 1), need) for place, need in zip(reach, cover, strict=True)]
    profile = np.array(
        [(0.0, top), (0.45, top * 0.45 + hips * 0.55), (0.85, hips), (1.0, hips), *zip(reach, wide, strict=True)]
    )
    limb = Limb(joints=joints, profile=profile * (1.0, unit))
    places = stop * np.arange(15) / 14
    body_band = ribbon(np.stack([limb.point(float(p)) for p in places]), limb.radius(places))
    hem = circle(limb.point(stop), float(limb.radius(stop)), 0.10)
    patch = canvas.shape(body_band, hem)
    if patch.empty:
        return
    along, across, _ = limb.coordinates(patch)
    across = -across  # a limb counts to the viewer's left on its way down, a torso to the right
    levels = _LEVELS.copy()
    levels[0] = waist
    down = np.interp(along, np.arange(4), levels).astype(np.float32)
    inner = np.clip(across, -1, 1)
    flat = (
        (across - np.float32(torso.turn) * (1 - inner * inner))
        * limb.radius(along).astype(np.float32)
        / np.float32(unit)
    )
    light = rounded_light(across, -0.75, 0.85)
    pleats = [
        (k, 0.35, k * 1.04, stop + 0.5, 0.07, (0.05 + 0.22 * garment.flare) * (1 if k < 0 else -1))
        for k in (-0.8, -0.5, -0.2, 0.18, 0.5, 0.8)
    ]
    strength = np.float32(garment.crispness * (1.4 if garment.is_dark else 1.0))
    light = light + creased(across, along, pleats) * strength
    colours = cloth_of(garment, round(unit, 3), printed=False).sample(flat, down)
    canvas.paint(patch, lit(colours, light), garment.label)
    band = torso.front([(-top - 0.05, waist + 0.11), (0.0, waist + 0.14), (top + 0.05, waist + 0.11)])
    canvas.paint(canvas.line(band, 0.02 * unit).within(patch), scaled(garment.colour, 0.74), None)


def _leg_reach(body: Body, joints: Points, along: float) -> float:
    """How far the legs stand out from the skirt's middle at a place, in pixels."""
    bone = min(int(along), 1)
    middle = joints[bone + 1] + (joints[bone + 2] - joints[bone + 1]) * (along - bone)
    far = 0.0
    for side in SIDES:
        limb = body.legs[side]
        far = max(far, abs(float((limb.point(along) - middle)[0])) + float(limb.radius(along)))
    return far
