"""Pictures that a catalog gives by mistake where one person belongs: products, bare studios, half bodies, two people.

Parser and keypoint network learn from them what is nobody; evaluation counts which of them are refused.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageFilter

from atelier.closet import scenery
from atelier.closet.body import solve
from atelier.closet.canvas import Canvas, Colour, Patch
from atelier.closet.cloth import cloth_of
from atelier.closet.dice import between, dice, pick
from atelier.closet.flat import draw_flat
from atelier.closet.garments import CATEGORIES, garment_from, garment_seed
from atelier.closet.labels import DRESS, OUTER, PANTS, SKIRT, TOP
from atelier.closet.look import Look, draw_look
from atelier.closet.outfits import outfit_for
from atelier.closet.people import BACKDROPS, person_from
from atelier.closet.poses import pose_from
from atelier.closet.shading import lit
from atelier.closet.swatches import swatch

_CLOTHES = tuple(label.cihp for label in (TOP, DRESS, OUTER, PANTS, SKIRT))
_NUM_JOINTS = 25
_COMMON = (
    ("flat_lay", 8),
    ("collage", 2),
    ("studio", 3),
    ("fabric", 1),
    ("invisible", 2),
    ("cut_off", 2),
    ("crowd", 3),
)
_USUAL = tuple(kind for kind, times in _COMMON for _ in range(times))


@dataclass(frozen=True, kw_only=True)
class Negative:
    """A picture and what is true of it, as in `Look`; a garment that nobody wears is background.

    `kind` is one of `KINDS`. Only `cut_off` and `crowd` show bodies: the first without a head, mostly from the waist
    down, the second two people, whose keypoints are those of the one in front.
    """

    kind: str
    image: np.ndarray
    parse_cihp: np.ndarray
    keypoints: np.ndarray


def draw_negative(seed: int, *, size: tuple[int, int], kind: str | None = None) -> Negative:
    """The picture that a seed names; `size` is (H, W) in pixels.

    Args:
        kind: one of `KINDS`; drawn from the seed where None.

    Raises:
        ValueError: no such kind.
    """
    rng = dice("negative", seed)
    usual = pick(rng, _USUAL)
    kind = kind or usual
    if kind not in KINDS:
        raise ValueError(f"kind is {kind!r}, must be one of {', '.join(KINDS)}")
    drawn = KINDS[kind](rng, seed, size)
    if isinstance(drawn, Negative):
        return drawn
    return Negative(
        kind=kind,
        image=drawn,
        parse_cihp=np.zeros(size, np.uint8),
        keypoints=np.zeros((_NUM_JOINTS, 3), np.float32),
    )


def _flat_lay(rng: np.random.Generator, seed: int, size: tuple[int, int]) -> np.ndarray:
    """A product picture as the closet's catalogs have them, or on another backdrop, turned and set off the middle."""
    if rng.random() < 0.5:
        return draw_flat(garment=garment_seed(pick(rng, CATEGORIES), seed), size=size).image
    picture = _backdrop(rng, size)
    _lay(picture, rng, garment_seed(pick(rng, CATEGORIES), seed), (0.5, 0.5), between(rng, 0.6, 1.0))
    return picture


def _collage(rng: np.random.Generator, seed: int, size: tuple[int, int]) -> np.ndarray:
    """A top over a bottom, as an outfit is laid out, or four garments in a square."""
    picture = _backdrop(rng, size)
    places = (
        ((0.5, 0.3), (0.5, 0.7)) if rng.random() < 0.6 else ((0.28, 0.28), (0.72, 0.28), (0.28, 0.74), (0.72, 0.74))
    )
    for number, place in enumerate(places):
        _lay(picture, rng, garment_seed(pick(rng, CATEGORIES), seed + number), place, 0.55)
    return picture


def _studio(rng: np.random.Generator, seed: int, size: tuple[int, int]) -> np.ndarray:
    """A backdrop without anybody, some with the shadow or the seat of the person who is not there."""
    if rng.random() < 0.5:
        return _backdrop(rng, size)
    canvas, body = Canvas(size), solve(person_from(seed), pose_from(seed), size)
    scenery.studio(canvas, body)
    scenery.seat(canvas, body)
    return canvas.image


def _fabric(rng: np.random.Generator, seed: int, size: tuple[int, int]) -> np.ndarray:
    """Cloth that fills the picture."""
    height, width = size
    if rng.random() < 0.5:
        return np.ascontiguousarray(swatch(int(rng.integers(1000)), width, height, between(rng, 0.25, 1.0) * width))
    garment = garment_from(garment_seed(pick(rng, CATEGORIES), seed))
    sheet = Image.fromarray(np.ascontiguousarray(cloth_of(garment, width / 3, printed=True).picture))
    return np.array(sheet.resize((width, height), Image.Resampling.BILINEAR))


def _invisible(rng: np.random.Generator, seed: int, size: tuple[int, int]) -> np.ndarray:
    """Clothes as they are worn, and nobody in them: shot on a mannequin that was retouched away."""
    look = draw_look(person=seed, outfit=outfit_for(seed), pose=seed, size=size)
    canvas = Canvas(size)
    scenery.studio(canvas, solve(person_from(seed), pose_from(seed), size))
    labels = _CLOTHES if rng.random() < 0.4 else _CLOTHES[:3]
    clothes = np.isin(look.parse_cihp, labels)
    return np.where(clothes[..., None], look.image, canvas.image)


def _cut_off(rng: np.random.Generator, seed: int, size: tuple[int, int]) -> Negative:
    """A person without a head, as where a picture was cropped for trousers or shoes."""
    height, width = size
    scale = between(rng, 1.3, 1.7)
    large = (round(height * scale), round(width * scale))
    look = draw_look(person=seed, outfit=outfit_for(seed), pose=seed, size=large)
    hips = look.keypoints[8, 1] or 0.55 * large[0]
    top = int(np.clip(hips - between(rng, -0.05, 0.12) * height, 0, large[0] - height))
    left = (large[1] - width) // 2
    cut = np.s_[top : top + height, left : left + width]
    return Negative(
        kind="cut_off",
        image=look.image[cut].copy(),
        parse_cihp=look.parse_cihp[cut].copy(),
        keypoints=_placed(look.keypoints, 1.0, (-left, -top), size),
    )


def _crowd(rng: np.random.Generator, seed: int, size: tuple[int, int]) -> Negative:
    """Two people side by side, or one a little behind the other."""
    height, width = size
    picture, parse = _backdrop(rng, size), np.zeros(size, np.uint8)
    keypoints = np.zeros((_NUM_JOINTS, 3), np.float32)
    apart = between(rng, 0.3, 0.5) * width
    scales = sorted(between(rng, 0.6, 0.85) for _ in range(2))
    side = -1 if rng.random() < 0.5 else 1
    for number, scale in enumerate(scales):
        look = _standing(seed + number, size)
        small = (round(width * scale), round(height * scale))
        image = np.asarray(Image.fromarray(look.image).resize(small, Image.Resampling.BOX))
        labels = np.asarray(Image.fromarray(look.parse_cihp).resize(small, Image.Resampling.NEAREST))
        left = round((width - small[0]) / 2 + side * (apart / 2 if number else -apart / 2))
        top = round((height - small[1]) * between(rng, 0.4, 0.9))
        into = np.s_[top : top + small[1], max(left, 0) : min(left + small[0], width)]
        out_of = np.s_[:, max(-left, 0) : max(-left, 0) + (into[1].stop - into[1].start)]
        there = labels[out_of] > 0
        picture[into][there] = image[out_of][there]
        parse[into][there] = labels[out_of][there]
        keypoints = _placed(look.keypoints, scale, (left, top), size)
    return Negative(kind="crowd", image=picture, parse_cihp=parse, keypoints=keypoints)


KINDS: Mapping[str, Callable[[np.random.Generator, int, tuple[int, int]], np.ndarray | Negative]] = {
    "flat_lay": _flat_lay,
    "collage": _collage,
    "studio": _studio,
    "fabric": _fabric,
    "invisible": _invisible,
    "cut_off": _cut_off,
    "crowd": _crowd,
}
"""How each kind is drawn; a picture alone where nobody is in it."""


def _standing(seed: int, size: tuple[int, int]) -> Look:
    """The first look from a seed on whose pose needs no seat."""
    pose = seed
    while pose_from(pose).seated:
        pose += 1
    return draw_look(person=seed, outfit=outfit_for(seed), pose=pose, size=size)


def _placed(keypoints: np.ndarray, scale: float, offset: tuple[float, float], size: tuple[int, int]) -> np.ndarray:
    """Joints scaled and moved by `offset` (x, y); those that leave the picture are missing."""
    places = keypoints[:, :2] * np.float32(scale) + np.array(offset, np.float32)
    inside = (keypoints[:, 2] > 0) & (places >= 0).all(1) & (places < (size[1], size[0])).all(1)
    return np.where(inside[:, None], np.concatenate([places, keypoints[:, 2:]], 1), 0).astype(np.float32)


def _backdrop(rng: np.random.Generator, size: tuple[int, int]) -> np.ndarray:
    """A plain backdrop: mostly light, at times of any colour, evenly or unevenly lit."""
    colour: Colour = pick(rng, (*BACKDROPS, (255, 255, 255), (246, 245, 243)))
    if rng.random() < 0.35:
        red, green, blue = (int(rng.integers(30, 256)) for _ in range(3))
        colour = (red, green, blue)
    whole = Patch(left=0, top=0, alpha=np.full(size, 255, np.uint8))
    x, y = whole.grid()
    across, down = x / np.float32(size[1]) - np.float32(0.5), y / np.float32(size[0]) - np.float32(0.4)
    uneven = np.float32(between(rng, 0.0, 0.3))
    light = np.float32(1.02) - uneven * across * across - uneven * down * np.float32(between(rng, -0.6, 0.6))
    if rng.random() < 0.3:
        light = light - np.float32(0.07) * (down > between(rng, 0.2, 0.5))
    return lit(colour, light + np.zeros(size, np.float32))


def _lay(picture: np.ndarray, rng: np.random.Generator, garment: int, place: tuple[float, float], scale: float) -> None:
    """Lays a flat garment and its shadow on the picture, turned a little, its middle at `place` (of the sides)."""
    height, width = picture.shape[:2]
    flat = draw_flat(garment=garment, size=(height, width))
    angle = between(rng, -12, 12)
    size = (round(width * scale), round(height * scale))
    cut = np.dstack([flat.image, flat.mask * np.uint8(255)])
    turned = Image.fromarray(cut).resize(size, Image.Resampling.BILINEAR).rotate(angle, Image.Resampling.BILINEAR)
    corner = (round(width * place[0] - size[0] / 2), round(height * place[1] - size[1] / 2))
    alpha = Image.new("L", (width, height))
    alpha.paste(turned.getchannel("A"), corner)
    shadow = np.asarray(alpha.filter(ImageFilter.BoxBlur(max(width // 40, 1))), np.float32)[..., None] / 255
    colour = Image.new("RGB", (width, height))
    colour.paste(turned.convert("RGB"), corner)
    cover = np.asarray(alpha, np.float32)[..., None] / 255
    below = picture * (1 - between(rng, 0.0, 0.35) * shadow)
    picture[...] = (below * (1 - cover) + np.asarray(colour, np.float32) * cover + 0.5).astype(np.uint8)
