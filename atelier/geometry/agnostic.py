"""The clothing-agnostic person and parse of VITON-HD (Choi et al., CVPR 2021, section 3.1): what a try-on may see.

Shapes, radii and order are those of the published data-set code, whose radii are absolute pixels at 1024x768. Here they
scale with the picture's height and equal the published ones at 1024.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from PIL import Image, ImageDraw

from atelier.geometry.joints import (
    L_ELBOW,
    L_HIP,
    L_SHOULDER,
    L_WRIST,
    NECK,
    R_ELBOW,
    R_HIP,
    R_SHOULDER,
    R_WRIST,
    is_there,
    torso_joints,
)

GRAY = 128
"""What covers the garment: 0.004 in the networks' [-1, 1]."""

_FULL_HEIGHT = 1024
_PARSE_RADIUS, _PERSON_RADIUS = 10.0, 20.0

_ARMS = (
    (14, (R_SHOULDER, L_SHOULDER, L_ELBOW, L_WRIST)),
    (15, (L_SHOULDER, R_SHOULDER, R_ELBOW, R_WRIST)),
)


def _lookup(groups: Mapping[int, Sequence[int]]) -> np.ndarray:
    """A table from CIHP ids to the key of the group that each stands in, 0 for the others: uint8 [256]."""
    table = np.zeros(256, dtype=np.uint8)
    for key, ids in groups.items():
        table[list(ids)] = key
    return table


_CLASSES = _lookup(
    {1: [1, 2], 2: [4, 13], 4: [9, 12], 5: [14], 6: [15], 7: [16], 8: [17], 9: [18], 10: [19], 11: [8], 12: [3, 11]}
)
"""VITON-HD's 13 classes, the clothes (5, 6, 7) and the neck (10) already taken off."""

_KEPT = _lookup({1: [4, 9, 12, 13, 16, 17, 18, 19]}) > 0
"""What is pasted back: glasses and face, trousers, skirt, legs and shoes. Hair, hat and socks are not."""


def agnostic_parse(parse: np.ndarray, keypoints: np.ndarray) -> np.ndarray:
    """The person's label map without clothes, neck and arms; hands stay, since they lie beyond the wrist's circle.

    Args:
        parse: uint8 [H, W], CIHP ids.
        keypoints: [25, 3], BODY_25 in the picture's pixels.

    Returns:
        uint8 [H, W] of VITON-HD's 13 ids: 0 background, 1 hair, 2 face, 3 upper (always empty), 4 bottom, 5 left arm,
        6 right arm, 7 left leg, 8 right leg, 9 left shoe, 10 right shoe, 11 socks, 12 glove and scarf.

    Raises:
        RowError: `no_person`, see `torso_joints`.
    """
    joints = torso_joints(keypoints)
    classes = _CLASSES[parse]
    for label, chain in _ARMS:
        classes[(parse == label) & _arm(joints, chain, parse.shape)] = 0
    return classes


def agnostic_person(person: np.ndarray, parse: np.ndarray, keypoints: np.ndarray) -> np.ndarray:
    """The person with clothes, arms and neck covered in gray, face and lower body pasted back over the cover.

    The hips are first moved apart, or together, about their middle, until they are as far from each other as the
    shoulders. That happens after the agnostic parse was drawn, as in the published code, and moves nothing there.

    Args:
        person: uint8 RGB [H, W, 3].
        parse: uint8 [H, W], CIHP ids.
        keypoints: [25, 3], BODY_25 in the picture's pixels.

    Returns:
        uint8 RGB [H, W, 3].

    Raises:
        RowError: `no_person`, see `torso_joints`.
    """
    joints = torso_joints(keypoints)
    _widen_hips(joints)
    covered = person.copy()
    covered[_cover(joints, parse.shape) & ~_KEPT[parse]] = GRAY
    return covered


def _arm(joints: np.ndarray, chain: tuple[int, ...], size: tuple[int, ...]) -> np.ndarray:
    """One arm as a chain of strokes from the far shoulder to the wrist; a missing joint is passed over: bool [H, W]."""
    pen = _Pen(size, _PARSE_RADIUS)
    before = chain[0]
    for joint in chain[1:]:
        if not (is_there(joints, before) and is_there(joints, joint)):
            continue
        pen.line(joints[before], joints[joint], 10)
        pen.ellipse(joints[joint], *((4, 4) if joint == chain[-1] else (15, 15)))
        before = joint
    return pen.drawn()


def _cover(joints: np.ndarray, size: tuple[int, ...]) -> np.ndarray:
    """Shoulders, arms, torso and neck as one generous shape: bool [H, W]."""
    pen = _Pen(size, _PERSON_RADIUS)
    pen.line(joints[R_SHOULDER], joints[L_SHOULDER], 10)
    pen.ellipse(joints[R_SHOULDER], 5, 5)
    pen.ellipse(joints[L_SHOULDER], 5, 5)
    for joint in (R_ELBOW, R_WRIST, L_ELBOW, L_WRIST):
        if is_there(joints, joint - 1) and is_there(joints, joint):
            pen.line(joints[joint - 1], joints[joint], 10)
            pen.ellipse(joints[joint], 5, 5)
    pen.ellipse(joints[R_HIP], 3, 6)
    pen.ellipse(joints[L_HIP], 3, 6)
    pen.line(joints[R_SHOULDER], joints[R_HIP], 6)
    pen.line(joints[L_SHOULDER], joints[L_HIP], 6)
    pen.line(joints[R_HIP], joints[L_HIP], 12)
    pen.polygon(joints[[R_SHOULDER, L_SHOULDER, L_HIP, R_HIP]])
    pen.square(joints[NECK], 7)
    return pen.drawn()


def _widen_hips(joints: np.ndarray) -> None:
    shoulders = float(np.linalg.norm(joints[L_SHOULDER] - joints[R_SHOULDER]))
    hips = float(np.linalg.norm(joints[L_HIP] - joints[R_HIP]))
    if hips == 0:  # in profile both hips can lie on one pixel: nothing says which way to move them
        return
    middle = (joints[R_HIP] + joints[L_HIP]) / 2
    for joint in (R_HIP, L_HIP):
        joints[joint] = middle + (joints[joint] - middle) / hips * shoulders


class _Pen:
    """Strokes and shapes on a mask, measured in radii that scale with the picture's height."""

    def __init__(self, size: tuple[int, ...], radius: float) -> None:
        height, width = size
        self._radius = radius * height / _FULL_HEIGHT
        self._mask = Image.new("L", (width, height), 0)
        self._draw = ImageDraw.Draw(self._mask)

    def line(self, start: np.ndarray, end: np.ndarray, width: int) -> None:
        self._draw.line([*start.tolist(), *end.tolist()], fill=255, width=max(1, round(self._radius * width)))

    def ellipse(self, centre: np.ndarray, across: int, along: int) -> None:
        self._draw.ellipse(self._box(centre, across, along), fill=255, outline=255)

    def square(self, centre: np.ndarray, half: int) -> None:
        self._draw.rectangle(self._box(centre, half, half), fill=255, outline=255)

    def polygon(self, corners: np.ndarray) -> None:
        self._draw.polygon([tuple(corner) for corner in corners.tolist()], fill=255, outline=255)

    def drawn(self) -> np.ndarray:
        return np.asarray(self._mask) > 0

    def _box(self, centre: np.ndarray, across: int, along: int) -> tuple[float, float, float, float]:
        x, y = centre.tolist()
        rx, ry = self._radius * across, self._radius * along
        return x - rx, y - ry, x + rx, y + ry
