"""Keypoints of a body in the BODY_25 order."""

from __future__ import annotations

import numpy as np

from atelier.closet.body import Body
from atelier.closet.curves import moved
from atelier.closet.poses import Side


def body25(body: Body, size: tuple[int, int]) -> np.ndarray:
    """BODY_25 keypoints, float32 [25, 3]: x, y in pixels and confidence 1; a joint that can't be seen is (0, 0, 0).

    Unseen is what lies outside the picture, and the far ear of a head turned away.
    """
    points = np.zeros((25, 3))
    head, torso = body.head, body.torso
    chains: tuple[tuple[Side, int, int, int], ...] = (("right", 2, 9, 22), ("left", 5, 12, 19))
    shift = 0.2 * head.turn
    narrow = float(np.sqrt(1 - head.turn * head.turn))
    points[0, :2] = head.place([(1.45 * shift, 0.17)])[0]
    points[1, :2] = torso.front([(0.0, 0.22)])[0]
    for side, shoulder, hip, _ in chains:
        points[shoulder : shoulder + 3, :2] = body.arms[side].joints
        points[hip : hip + 3, :2] = body.legs[side].joints
    points[8, :2] = (points[9, :2] + points[12, :2]) / 2
    for eye, ear, sign in ((15, 17, -1), (16, 18, 1)):
        points[eye, :2] = head.place([(sign * 0.155 * narrow + shift, 0.025)])[0]
        points[ear, :2] = head.place([(sign * 0.345 * narrow - 0.5 * shift, 0.07)])[0]
    for side, _, _, toe in chains:
        ankle, reach = body.legs[side].joints[2], body.toes[side]
        outward = (1.0 if side == "left" else -1.0) * 0.06 * body.unit
        points[toe, :2] = ankle + reach - (outward, 0.0)
        points[toe + 1, :2] = ankle + reach * 0.9 + (outward, 0.0)
        points[toe + 2, :2] = moved(ankle, -0.15 * reach[0], 0.16 * body.unit)
    points[:, 2] = 1.0
    for ear, sign in ((17, -1), (18, 1)):
        if sign * head.turn > 0.3:
            points[ear] = 0
    height, width = size
    inside = (points[:, 0] >= 0) & (points[:, 0] < width) & (points[:, 1] >= 0) & (points[:, 1] < height)
    points[~inside] = 0
    return points.astype(np.float32)
