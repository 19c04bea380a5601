"""The front of a top: its silhouette on a torso, and the way from pixels to cloth."""

from __future__ import annotations

import numpy as np

from atelier.closet.body import Body, mannequin
from atelier.closet.canvas import Canvas, Colour, Patch, Points
from atelier.closet.cloth import cloth_of
from atelier.closet.curves import open_curve
from atelier.closet.folds import creased, torso_creases
from atelier.closet.garments import Garment
from atelier.closet.limb import rounded_light
from atelier.closet.shading import lit, mixed
from atelier.closet.torso import CHEST, CROTCH, HIP, WAIST, Torso

FLAT_BODY = mannequin(1.0, np.zeros(2))
"""The body against which cloth is measured: one pixel is one head height."""


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
            (x, -0.06),
            (x * 0.9, 0.1 + depth * 0.25),
            (x * 0.5, depth * 0.86),
            (0.0, depth),
        ]
        if g.neckline in ("v", "collar"):
            half = [(x, -0.05), (x * 0.74, depth * 0.36), (x * 0.36, depth * 0.7), (0.0, depth)]
        points = [(-a, b) for a, b in half[:-1]] + half[::-1]
        curve = open_curve(points, 5) if g.neckline not in ("v", "collar") else np.asarray(points)
        return self.torso.front(curve)

    def cloth_places(self, patch: Patch) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """For each pixel: `across` and `down` on the body, and the same on the flat cloth."""
        across, down = self.torso.coordinates(patch)
        share = across / self.half_width(self.torso, down).astype(np.float32)
        turn = np.float32(self.torso.turn)
        inner = np.clip(share, -1, 1)
        flat = (share - turn * (1 - inner * inner)) * self.half_width(FLAT_BODY.torso, down).astype(np.float32)
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


def opening(panel: Panel) -> Points:
    """What an open jacket shows of the layer below."""
    hem = panel.hem + 0.3
    half = [(panel.neck + 0.03, 0.0), (0.20, 0.5), (0.17, 1.2), (0.24, 2.0), (0.36, hem)]
    right, left = panel.torso.front(half), panel.torso.front([(-x, y) for x, y in half])
    return np.concatenate([right, left[::-1]])


def plain_colour(garment: Garment, body: Body) -> Colour:
    """The one colour that a garment's small parts are painted in: its cloth's mean."""
    if garment.pattern in ("solid", "print", "logo"):
        return garment.colour
    if garment.pattern != "fabric":
        return mixed(garment.colour, garment.second, 0.0 if garment.pattern == "gradient" else 0.25)
    red, green, blue = cloth_of(garment, round(body.unit, 3), printed=False).picture[::5, ::5].mean((0, 1))
    return int(red), int(green), int(blue)
