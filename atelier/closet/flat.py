"""A garment laid flat: the product picture that goes with it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageFilter

from atelier.closet import bottoms, sleeves, tops
from atelier.closet.body import NECK_Y, Body, mannequin
from atelier.closet.canvas import Canvas, Patch
from atelier.closet.caption import flat_caption
from atelier.closet.garments import Garment, garment_from
from atelier.closet.labels import BACKGROUND
from atelier.closet.panel import Panel
from atelier.closet.poses import SIDES, Pose, flat_pose
from atelier.closet.shading import lit, scaled
from atelier.closet.torso import WAIST

_MARGIN = 0.07


@dataclass(frozen=True, kw_only=True)
class FlatLay:
    """A product picture: `image` uint8 RGB [H, W, 3], `mask` uint8 {0, 1} [H, W], the category and a sentence."""

    image: np.ndarray
    mask: np.ndarray
    category: str
    caption: str


def draw_flat(*, garment: int, size: tuple[int, int]) -> FlatLay:
    """The garment that a seed names, laid flat on a light background; `size` is (H, W) in pixels.

    Raises:
        ValueError: a size under 16 pixels.
    """
    if min(size) < 16:
        raise ValueError(f"size is {size}, must be (H, W) of at least 16 pixels each")
    item = garment_from(garment)
    height, width = size
    left, top, right, bottom = _extent(item)
    unit = min(height * (1 - 2 * _MARGIN) / (bottom - top), width * (1 - 2 * _MARGIN) / (right - left))
    unit = min(unit, height / 3.3)
    crown = np.array([width / 2 - unit * (left + right) / 2, height / 2 - unit * (top + bottom) / 2])
    body = mannequin(unit, crown, _pose(item))
    canvas = Canvas(size)
    whole = Patch(left=0, top=0, alpha=np.full(size, 255, np.uint8))
    x, y = whole.grid()
    nx, ny = (x / np.float32(width) - np.float32(0.45)), (y / np.float32(height) - np.float32(0.4))
    canvas.paint(whole, lit((246, 245, 243), np.float32(1.01) - np.float32(0.07) * (nx * nx + ny * ny)), BACKGROUND)
    _garment(canvas, body, item)
    mask = (canvas.parse_cihp > 0).astype(np.uint8)
    _shadow(canvas, mask, unit)
    return FlatLay(image=canvas.image, mask=mask, category=item.category, caption=flat_caption(item))


def _shadow(canvas: Canvas, mask: np.ndarray, unit: float) -> None:
    reach = max(int(0.05 * unit), 1)
    moved = np.zeros_like(mask)
    moved[reach:, reach // 2 :] = mask[:-reach, : mask.shape[1] - reach // 2] * 255
    soft = np.asarray(Image.fromarray(moved).filter(ImageFilter.BoxBlur(reach)))
    canvas.darken(Patch(left=0, top=0, alpha=np.where(mask == 0, soft, np.uint8(0))), 0.3)


def _pose(garment: Garment) -> Pose:
    """Short sleeves lie further out than long ones."""
    return flat_pose(1.15, 2.25) if garment.sleeve < 1 else flat_pose(0.56, 2.48)


def _extent(garment: Garment) -> tuple[float, float, float, float]:
    """The box round a flat garment, in head heights from the crown: left, top, right, bottom."""
    body = mannequin(1.0, np.zeros(2), _pose(garment))
    ease = garment.ease + 0.05
    if garment.category in ("trousers", "shorts"):
        low = float(body.legs["left"].point(garment.leg)[1])
        reach = abs(float(body.legs["left"].point(garment.leg)[0])) + garment.flare * garment.leg + 0.25
        wide = max(0.72, reach)
        return -wide, NECK_Y + bottoms.RISE, wide, low
    if garment.category == "skirt":
        wide = 0.75 + garment.flare * 0.9 * garment.leg
        return -wide, NECK_Y + bottoms.RISE, wide, float(body.legs["left"].point(garment.leg)[1]) + 0.1
    low, wide = NECK_Y + garment.hem, 0.75 + ease
    if garment.category == "dress":
        low = float(body.legs["left"].point(garment.leg)[1]) + 0.1
        wide = max(wide, 0.75 + garment.flare * 0.9 * garment.leg)
    if garment.sleeve:
        tip = body.arms["left"].point(garment.sleeve)
        wide = max(wide, float(tip[0]) + 0.2)
        low = max(low, float(tip[1]) + 0.1)
    return -wide, 1.1, wide, low


def _garment(canvas: Canvas, body: Body, garment: Garment) -> None:
    if garment.category in ("trousers", "shorts", "skirt"):
        bottoms.bottom(canvas, body, garment)
        return
    panel = Panel(body, garment)
    tops.behind(canvas, body, garment)
    for side in SIDES:
        sleeves.sleeve(canvas, body, garment, side)
    back = canvas.shape(panel.silhouette())
    canvas.paint(back, scaled(garment.colour, 0.62 if not garment.is_dark else 1.25), garment.label)
    if garment.category == "dress":
        bottoms.skirt(canvas, body, garment, WAIST)
    tops.torso_part(canvas, body, garment)
