"""A dressed person with everything that is known about the picture."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from atelier.closet import bottoms, figure, hair, head, scenery, sleeves, tops
from atelier.closet.body import Body, solve
from atelier.closet.canvas import Canvas
from atelier.closet.caption import look_caption
from atelier.closet.garments import Garment
from atelier.closet.keypoints import body25
from atelier.closet.outfits import Outfit, worn
from atelier.closet.people import person_from
from atelier.closet.poses import Side, pose_from
from atelier.closet.torso import WAIST


@dataclass(frozen=True, kw_only=True)
class Look:
    """A picture and its truths.

    `image` uint8 RGB [H, W, 3]; `parse_cihp` and `parse_multimodal` label ids uint8 [H, W]; `keypoints` BODY_25
    float32 [25, 3] (x and y in pixels, confidence 1; an unseen joint is 0, 0, 0); `caption` an English sentence.
    """

    image: np.ndarray
    parse_cihp: np.ndarray
    parse_multimodal: np.ndarray
    keypoints: np.ndarray
    caption: str


def draw_look(*, person: int, outfit: Outfit, pose: int, size: tuple[int, int]) -> Look:
    """The person that a seed names, in an outfit, in the pose that a seed names; `size` is (H, W) in pixels.

    The same person and pose in another top differs only where either top, or what it covers and uncovers, lies.

    Raises:
        ValueError: a size under 16 pixels, or an outfit that leaves the person half dressed.
    """
    if min(size) < 16:
        raise ValueError(f"size is {size}, must be (H, W) of at least 16 pixels each")
    who, how = person_from(person), pose_from(pose)
    clothes = worn(outfit)
    body = solve(who, how, size)
    canvas = Canvas(size)
    scenery.studio(canvas, body)
    hair.hair_behind(canvas, body)
    layers = clothes.layers
    backs: list[Side] = [side for side in (body.far, body.near) if how.arms[side].layer == "back"]
    fronts: list[Side] = [side for side in _front_order(body) if side not in backs]
    for side in backs:
        _arm(canvas, body, layers, side)
    scenery.seat(canvas, body)
    for side in (body.far, body.near):
        figure.leg(canvas, body, side)
    for garment in layers:
        tops.behind(canvas, body, garment)
    figure.trunk(canvas, body)
    if clothes.bottom is not None:
        bottoms.bottom(canvas, body, clothes.bottom)
    for garment in layers:
        if garment.category == "dress":
            bottoms.skirt(canvas, body, garment, WAIST)
        tops.torso_part(canvas, body, garment)
    for side in fronts:
        scenery.arm_shadow(canvas, body, side)
        _arm(canvas, body, layers, side)
    head.face(canvas, body)
    hair.hair_before(canvas, body)
    return Look(
        image=canvas.image,
        parse_cihp=canvas.parse_cihp,
        parse_multimodal=canvas.parse_multimodal,
        keypoints=body25(body, size),
        caption=look_caption(who, how, clothes),
    )


def _front_order(body: Body) -> tuple[Side, Side]:
    over = body.pose.over
    return ("left" if over == "right" else "right", over)


def _arm(canvas: Canvas, body: Body, layers: tuple[Garment, ...], side: Side) -> None:
    figure.arm(canvas, body, side)
    for garment in layers:
        sleeves.sleeve(canvas, body, garment, side)
