"""Tops, jackets and the upper part of dresses on a body."""

from __future__ import annotations

import numpy as np

from atelier.closet.body import SIGN, Body, mannequin
from atelier.closet.canvas import Canvas, Colour, Patch, Points
from atelier.closet.cloth import cloth_of
from atelier.closet.curves import circle, closed_curve, mirrored, open_curve
from atelier.closet.folds import creased, rippled, torso_creases
from atelier.closet.garments import Garment
from atelier.closet.limb import Limb, rounded_light
from atelier.closet.poses import Side
from atelier.closet.shading import lit, mixed, scaled
from atelier.closet.torso import CHEST, CROTCH, HIP, WAIST, Torso

_FLAT = mannequin(1.0, np.zeros(2))


class Panel:
    """A garment's front on a torso: its silhouette, its neckline and the way from pixels to cloth."""

    def __init__(self, body: Body, garment: Garment) -> None:
        self.body, self.garment, self.torso = body, garment, body.torso
        self.unit = body.unit
        self.cosine = float(np.sqrt(1 - body.pose.yaw**2))
        person = body.person
        self.neck = (0.185 + 0.045 * person.build + 0.02 * person.weight) * (0.6 + 0.4 * self.cosine)
        self.hem = garment.hem if garment.category != "dress" else WAIST + 0.12

    def half_width(self, torso: Torso, down: np.ndarray | float) -> np.ndarray:
        """Half width of the garment on a torso at a height, in head heights."""
        g = self.garment
        level = np.maximum(down, CHEST)
        flare = g.flare if g.category != "dress" else 0.0
        loose = g.ease + flare * np.clip((np.asarray(level) - CHEST) / (2.4 - CHEST), 0, 1.2)
        snug = torso.width(level)
        if g.category in ("hoodie", "jacket", "shirt", "t-shirt", "long-sleeved top"):
            chest = float(torso.width(CHEST))
            straight = 0.6 if g.category != "long-sleeved top" else 0.3
            snug = snug + straight * np.maximum(chest * 0.97 - snug, 0) * (level > CHEST)
        return snug + loose

    def silhouette(self) -> Points:
        g, torso, person = self.garment, self.torso, self.body.person
        shoulder = person.shoulder * self.cosine
        if g.neckline == "strap":
            strap = min(self.neck + 0.30, shoulder - 0.03)
            top = [(0.0, 0.0), (self.neck, 0.03), (strap, 0.105), (strap + 0.015, 0.35)]
            top.append((float(self.half_width(torso, CHEST)) - 0.03, CHEST + 0.02))
        else:
            top = [
                (0.0, -0.04),
                (self.neck + 0.03, 0.0),
                (0.6 * shoulder, 0.075),
                (shoulder - 0.02, 0.13 - g.ease * 0.1),
            ]
            top.append((shoulder + 0.06 + g.ease * 0.5, 0.28))
            top.append((float(self.half_width(torso, CHEST)) + 0.01, CHEST + 0.02))
        levels = [1.1, WAIST, 2.0, HIP, CROTCH]
        levels = [level for level in levels if level < self.hem - 0.12]
        side = [(float(self.half_width(torso, level)), level) for level in levels]
        gather = 0.93 if g.category == "hoodie" else 1.0
        edge = float(self.half_width(torso, self.hem)) * gather
        right = open_curve([*top[1:], *side, (edge, self.hem)], 5)
        hem = [(edge * k, self.hem + 0.05 * (1 - k * k)) for k in (0.5, 0.0, -0.5)]
        outline = np.concatenate([right, hem, right[::-1] * (-1.0, 1.0)])
        return torso.place(outline)

    def neck_hole(self) -> Points:
        """The opening for the neck, moved round with a turned body."""
        return np.concatenate([self.neckline(), self.torso.place([(self.neck + 0.3, -0.6), (-self.neck - 0.3, -0.6)])])

    def neckline(self) -> Points:
        """The front edge of the neck opening, from the viewer's left to right."""
        g, depth = self.garment, self.garment.neck_depth
        gap = {"strap": 0.11, "scoop": 0.11, "v": 0.055, "crew": 0.045, "hood": 0.07, "collar": 0.04}[g.neckline]
        x = self.neck + gap
        half = [
            (x, 0.03 - 0.05 * (g.neckline == "strap")),
            (x * 0.86, 0.12 + depth * 0.25),
            (x * 0.5, depth * 0.86),
            (0.0, depth),
        ]
        if g.neckline in ("v", "collar"):
            half = [(x, 0.02), (x * 0.72, depth * 0.36), (x * 0.36, depth * 0.7), (0.0, depth)]
        points = [(-a, b) for a, b in half[:-1]] + half[::-1]
        curve = open_curve(points, 5) if g.neckline not in ("v", "collar") else np.asarray(points)
        return self.torso.front(curve)

    def cloth_places(self, patch: Patch) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """For each pixel: `across` and `down` on the body, and the same on the flat cloth."""
        across, down = self.torso.coordinates(patch)
        share = across / self.half_width(self.torso, down).astype(np.float32)
        turn = np.float32(self.torso.turn)
        inner = np.clip(share, -1, 1)
        flat = (share - turn * (1 - inner * inner)) * self.half_width(_FLAT.torso, down).astype(np.float32)
        return share, down, flat, down

    def paint(self, canvas: Canvas, patch: Patch) -> None:
        if patch.empty:
            return
        share, down, u, v = self.cloth_places(patch)
        half = float(self.half_width(self.torso, WAIST))
        light = rounded_light(share, -0.75, 0.85)
        strength = self.garment.crispness * (1.1 if not self.garment.is_dark else 1.5)
        folds = creased(share * np.float32(half), down, torso_creases(self.body, half, self.hem))
        edge = np.clip((down - np.float32(self.hem - 0.10)) * np.float32(10), 0, 1)
        light = light + folds * np.float32(strength) - np.float32(0.03) * edge
        colours = cloth_of(self.garment, round(self.unit, 3), printed=True).sample(u, v)
        canvas.paint(patch, lit(colours, light), self.garment.label)


def behind(canvas: Canvas, body: Body, garment: Garment) -> None:
    """What of a top lies behind the neck: the hood, or the back of a collar. Painted before the trunk."""
    panel, g = Panel(body, garment), garment
    x, torso, shift = panel.neck, body.torso, 0.12 * body.pose.yaw
    if g.category == "hoodie":
        hood = [(0.0, -0.24), (0.22, -0.22), (x + 0.20, -0.06), (x + 0.24, 0.16), (0.0, 0.3)]
        outline = torso.place([(a - shift, b) for a, b in closed_curve(mirrored(hood), 4)])
        canvas.paint(canvas.shape(outline), scaled(plain_colour(g, body), 0.74), g.label)
    elif g.neckline == "collar":
        stand = [(0.0, -0.20), (x * 0.7, -0.195), (x + 0.03, -0.16), (x + 0.08, 0.06), (0.0, 0.16)]
        outline = torso.place([(a - 0.5 * shift, b) for a, b in mirrored(stand)])
        canvas.paint(canvas.shape(outline), scaled(plain_colour(g, body), 0.78), g.label)


def plain_colour(garment: Garment, body: Body) -> Colour:
    """The one colour that a garment's small parts are painted in: its cloth's mean."""
    if garment.pattern in ("solid", "print", "logo"):
        return garment.colour
    if garment.pattern != "fabric":
        return mixed(garment.colour, garment.second, 0.0 if garment.pattern == "gradient" else 0.25)
    red, green, blue = cloth_of(garment, round(body.unit, 3), printed=False).picture[::5, ::5].mean((0, 1))
    return int(red), int(green), int(blue)


def torso_part(canvas: Canvas, body: Body, garment: Garment) -> None:
    """The front of a top with its neckline, closures and pockets."""
    panel = Panel(body, garment)
    patch = canvas.shape(panel.silhouette()).without(panel.neck_hole())
    if garment.category == "jacket" and garment.opened:
        patch = patch.without(_opening(panel))
    panel.paint(canvas, patch)
    if patch.empty:
        return
    _finish(canvas, panel, patch)


def _opening(panel: Panel) -> Points:
    """What an open jacket shows of the layer below."""
    hem = panel.hem + 0.3
    half = [(panel.neck + 0.03, 0.0), (0.20, 0.5), (0.17, 1.2), (0.24, 2.0), (0.36, hem)]
    right, left = panel.torso.front(half), panel.torso.front([(-x, y) for x, y in half])
    return np.concatenate([right, left[::-1]])


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
    radius = _FLAT.arms[side].radius(along).astype(np.float32) + np.float32(0.03 + garment.ease)
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


def _finish(canvas: Canvas, panel: Panel, patch: Patch) -> None:
    g, unit = panel.garment, panel.unit
    trim = g.trim_colour
    if g.neckline in ("crew", "v", "scoop", "strap") and g.category != "jacket":
        wide = 0.075 if g.neckline in ("crew", "v") else 0.045
        band = canvas.line(panel.neckline(), 2 * wide * unit).within(patch)
        canvas.paint(band, trim, None)
        inner = open_curve(panel.neckline() + (0.0, wide * unit), 1)
        canvas.paint(canvas.line(inner, 0.016 * unit).within(patch), scaled(trim, 0.82), None)
    if g.category == "hoodie":
        _hood_front(canvas, panel, patch)
    if g.category in ("shirt",):
        _placket(canvas, panel, patch)
    if g.neckline == "collar" and g.category == "shirt":
        _collar(canvas, panel)
    if g.category == "jacket":
        _jacket_front(canvas, panel, patch)
    if g.category in ("hoodie", "jacket") and (g.category == "hoodie" or g.neckline == "crew"):
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
        rim = np.concatenate([_opening(panel), _opening(panel)[:1]])
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
