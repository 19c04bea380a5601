"""Tops, jackets and the upper part of dresses on a body."""

from __future__ import annotations

from atelier.closet.body import Body
from atelier.closet.canvas import Canvas
from atelier.closet.closures import finish
from atelier.closet.curves import closed_curve, mirrored
from atelier.closet.garments import Garment
from atelier.closet.panel import Panel, opening, plain_colour
from atelier.closet.shading import scaled


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


def torso_part(canvas: Canvas, body: Body, garment: Garment) -> None:
    """The front of a top with its neckline, closures and pockets."""
    panel = Panel(body, garment)
    patch = canvas.shape(panel.silhouette()).without(panel.neck_hole())
    if garment.category == "jacket" and garment.opened:
        patch = patch.without(opening(panel))
    panel.paint(canvas, patch)
    if patch.empty:
        return
    finish(canvas, panel, patch)
