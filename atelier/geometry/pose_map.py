"""The pose as PIDM reads it: a coloured skeleton and, for 17 limbs, how far every pixel is from each.

Geometry, colours and rounding are those of the released code at 256 pixels of height. Ours: at other heights discs and
limbs are drawn, and distances counted, in proportion, so that a map means the same at every size.
"""

from __future__ import annotations

import math

import numpy as np

from atelier.skeletons import coco18

NUM_CHANNELS = 20
"""3 of the skeleton's colours, 17 of distances."""

_LIMBS = np.array(
    [
        *((1, 2), (1, 5), (2, 3), (3, 4), (5, 6), (6, 7), (1, 8), (8, 9), (9, 10), (1, 11), (11, 12), (12, 13)),
        *((1, 0), (0, 14), (14, 16), (0, 15), (15, 17)),
    ]
)
_COLOURS = np.array(
    # The list of the released code is drawn as BGR and turned once more: read from the right it is what is seen.
    [
        *((255, 0, 0), (255, 85, 0), (255, 170, 0), (255, 255, 0), (170, 255, 0), (85, 255, 0)),
        *((0, 255, 0), (0, 255, 85), (0, 255, 170), (0, 255, 255), (0, 170, 255), (0, 85, 255)),
        *((0, 0, 255), (85, 0, 255), (170, 0, 255), (255, 0, 255), (255, 0, 170), (255, 0, 85)),
    ]
)[:, ::-1]
_HEIGHT = 256
"""At which the released code draws; also the frame of its annotation files."""
_FRAME_WIDTH, _FRAME_BORDER = 176, 40
_RADIUS = 4
"""Of a joint's disc, and half of a limb's width, in pixels of that height."""
_UNDER, _OVER = 0.4, 0.6
_FAR = np.int16(20_000)
"""More than any picture's sides together."""
_PIXELS_PER_STEP = 3
"""Of distance, for one step of 255."""


def pose_map(keypoints: np.ndarray, size: tuple[int, int], drawn_size: tuple[int, int] | None = None) -> np.ndarray:
    """A person's pose map: uint8 [H, W, 20]; networks take it divided by 255, channels first.

    A limb of which a joint is missing is everywhere as far as can be: its channel is 255 throughout, not 0.

    Args:
        keypoints: BODY_25 float32 [25, 3] in the picture's pixels; a joint of confidence 0 is missing.
        size: (H, W) of the picture.
        drawn_size: of the map, for a network that sees pictures squeezed to it; None is the picture's.
    """
    if drawn_size is not None:
        keypoints = keypoints * np.array([drawn_size[1] / size[1], drawn_size[0] / size[0], 1], np.float32)
        size = drawn_size
    height, width = size
    joints = coco18(keypoints)
    scale = height / _HEIGHT
    radius = max(1, round(_RADIUS * scale))
    made = np.zeros((height, width, NUM_CHANNELS), np.uint8)
    skeleton = np.zeros((height, width, 3), np.uint8)
    for (x, y, confidence), colour in zip(joints, _COLOURS, strict=True):
        if confidence > 0:
            _disc(skeleton, int(x), int(y), radius, colour)
    made[..., 3:] = 255
    present = [index for index, limb in enumerate(_LIMBS) if (joints[limb, 2] > 0).all()]
    limbs = np.zeros((len(present), height, width), bool)
    for limb, index in zip(limbs, present, strict=True):
        start, end = joints[_LIMBS[index], :2]
        limb[:] = _limb(start, end, radius, size)
        skeleton[limb] = np.rint(_UNDER * skeleton[limb] + _OVER * _COLOURS[index])
    made[..., :3] = skeleton
    distances = np.minimum(_city_block(limbs) / np.float32(_PIXELS_PER_STEP * scale), 255)
    made[..., 3 + np.array(present, int)] = distances.transpose(1, 2, 0)
    return made


def annotated(joints: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """COCO-18 joints float32 [18, 3] in pixels of `size`, from the rows "x y" of a published annotation.

    Args:
        joints: [18, 2] in the published frame of 256x256, which has a border of 40 pixels left and right; -1 is
            missing.
    """
    height, width = size
    x = (joints[:, 0] - _FRAME_BORDER) / _FRAME_WIDTH * width
    y = joints[:, 1] / _HEIGHT * height
    seen = (joints != -1).all(1)
    return np.where(seen[:, None], np.stack([x, y, np.ones_like(x)], 1), 0).astype(np.float32)


def _disc(canvas: np.ndarray, x: int, y: int, radius: int, colour: np.ndarray) -> None:
    top, left = max(0, y - radius), max(0, x - radius)
    part = canvas[top : max(0, y + radius + 1), left : max(0, x + radius + 1)]
    rows, columns = np.ogrid[top : top + part.shape[0], left : left + part.shape[1]]
    part[(rows - y) ** 2 + (columns - x) ** 2 <= radius**2] = colour


def _limb(start: np.ndarray, end: np.ndarray, half_width: int, size: tuple[int, int]) -> np.ndarray:
    """bool [H, W]: the ellipse between two joints; centre, half-length and angle are whole numbers, as published."""
    dx, dy = (start - end).tolist()
    centre = [int(middle) for middle in (start + end) / 2]
    half_length = int(math.hypot(dx, dy) / 2)
    turn = math.radians(int(math.degrees(math.atan2(dy, dx))))
    around = np.radians(np.arange(361))
    along, across = half_length * np.cos(around), half_width * np.sin(around)
    x = np.rint(centre[0] + along * math.cos(turn) - across * math.sin(turn))
    y = np.rint(centre[1] + along * math.sin(turn) + across * math.cos(turn))
    return _filled(x, y, size)


def _filled(x: np.ndarray, y: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """bool [H, W]: the inside of a convex outline, and its border where that runs through pixels' centres.

    Args:
        x, y: whole-numbered corners, the first once more at the end.
    """
    height, width = size
    dx, dy = np.diff(x), np.diff(y)
    # On a long limb two corners lie more than a row apart: every edge is met in each row that it crosses.
    row = np.arange(max(1, int(np.abs(dy).max())))
    share = np.minimum(row / np.maximum(np.abs(dy), 1)[:, None], 1)
    x = (x[:-1, None] + dx[:, None] * share).ravel()
    y = np.rint(y[:-1, None] + dy[:, None] * share).astype(int).ravel()
    inside = (y >= 0) & (y < height)
    left, right = np.full(height, float(width)), np.full(height, -1.0)
    np.minimum.at(left, y[inside], x[inside])
    np.maximum.at(right, y[inside], x[inside])
    columns = np.arange(width)
    return (columns >= np.floor(left + 0.5)[:, None]) & (columns <= np.ceil(right - 0.5)[:, None])


def _city_block(limbs: np.ndarray) -> np.ndarray:
    """int16 [n, H, W]: distance to the nearest pixel of each limb, rows and columns added; far where there is none."""
    distance = np.where(limbs, np.int16(0), _FAR)
    for axis in (1, 2):
        steps = np.arange(limbs.shape[axis], dtype=np.int16).reshape((-1, 1) if axis == 1 else (1, -1))
        before = np.minimum.accumulate(distance - steps, axis) + steps
        after = np.flip(np.minimum.accumulate(np.flip(distance + steps, axis), axis), axis) - steps
        distance = np.minimum(before, after)
    return distance
