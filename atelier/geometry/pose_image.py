"""The skeleton on black that VITON-HD reads as its pose: OpenPose's BODY_25 rendering.

Geometry, order, colours and blending are those of OpenPose's renderer: limbs are ellipses of half-width
min(H, W) / 120, joints are discs of radius min(H, W) / 100, both scaled by the person's extent, each blended on at 0.6
in the joint's colour. Ours: the 400 pixels to which OpenPose compares that extent scale with the height, from 1024.
"""

from __future__ import annotations

import numpy as np

_LIMBS = np.array(
    [
        *((1, 8), (1, 2), (1, 5), (2, 3), (3, 4), (5, 6), (6, 7), (8, 9), (9, 10), (10, 11), (8, 12), (12, 13)),
        *((13, 14), (1, 0), (0, 15), (15, 17), (0, 16), (16, 18), (14, 19), (19, 20), (14, 21)),
        *((11, 22), (22, 23), (11, 24)),
    ]
)
_COLOURS = np.array(
    [
        *((255, 0, 85), (255, 0, 0), (255, 85, 0), (255, 170, 0), (255, 255, 0), (170, 255, 0), (85, 255, 0)),
        *((0, 255, 0), (255, 0, 0), (0, 255, 85), (0, 255, 170), (0, 255, 255), (0, 170, 255), (0, 85, 255)),
        *((0, 0, 255), (255, 0, 170), (170, 0, 255), (255, 0, 255), (85, 0, 255)),
        *((0, 0, 255), (0, 0, 255), (0, 0, 255), (0, 255, 255), (0, 255, 255), (0, 255, 255)),
    ],
    dtype=np.float32,
)
_ALPHA = np.float32(0.6)
_CONFIDENT = 0.05
_SMALLEST_EXTENT = 0.33


def pose_image(keypoints: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """The rendered skeleton: uint8 RGB [H, W, 3]; black where no joint is confident.

    Args:
        keypoints: [25, 3], BODY_25 in the picture's pixels; joints of confidence 0.05 or less are left out.
        size: (H, W).
    """
    height, width = size
    canvas = np.zeros((height, width, 3), dtype=np.float32)
    joints = keypoints[:, :2].astype(np.float32)
    seen = keypoints[:, 2] > _CONFIDENT
    if not seen.any():
        return canvas.astype(np.uint8)
    extent = float(np.ptp(joints[seen], axis=0).sum()) / (400 * height / 1024)
    shorter = min(size) * min(max(extent, _SMALLEST_EXTENT), 1.0)
    for start, end in _LIMBS[seen[_LIMBS].all(1)]:
        _ellipse(canvas, joints[start], joints[end], shorter / 120, _COLOURS[end])
    for joint in np.flatnonzero(seen):
        _disc(canvas, joints[joint], shorter / 100, _COLOURS[joint])
    return (canvas + np.float32(0.5)).astype(np.uint8)


def _ellipse(canvas: np.ndarray, start: np.ndarray, end: np.ndarray, half_width: float, colour: np.ndarray) -> None:
    middle, half = (start + end) / 2, (end - start) / 2
    half_length = float(np.hypot(*half))
    if half_length == 0:
        return
    cosine, sine = half / half_length
    reach = np.hypot(half_length * np.array([cosine, sine]), half_width * np.array([sine, cosine]))
    part, x, y = _around(canvas, middle, reach)
    along, across = cosine * x + sine * y, sine * x - cosine * y
    _blend(part, (along / half_length) ** 2 + (across / half_width) ** 2 <= 1, colour)


def _disc(canvas: np.ndarray, centre: np.ndarray, radius: float, colour: np.ndarray) -> None:
    part, x, y = _around(canvas, centre, np.array([radius, radius]))
    _blend(part, x * x + y * y <= radius * radius, colour)


def _around(canvas: np.ndarray, centre: np.ndarray, reach: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The part of the canvas within `reach` of a point, and its pixels' offsets x [1, w], y [h, 1] from it."""
    height, width = canvas.shape[:2]
    left, top = (max(0, int(edge)) for edge in np.floor(centre - reach))
    right, bottom = (int(edge) + 1 for edge in np.ceil(centre + reach))
    right, bottom = max(left, min(right, width)), max(top, min(bottom, height))
    x = np.arange(left, right, dtype=np.float32) - centre[0]
    y = np.arange(top, bottom, dtype=np.float32) - centre[1]
    return canvas[top:bottom, left:right], x[None, :], y[:, None]


def _blend(part: np.ndarray, inside: np.ndarray, colour: np.ndarray) -> None:
    part[inside] = part[inside] * (1 - _ALPHA) + colour * _ALPHA
