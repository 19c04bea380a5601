"""Arms, legs, sleeves and trouser legs: a chain of bones with a thickness."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from atelier.closet.canvas import Patch, Points, ribbon
from atelier.closet.curves import circle

LIGHT = (-0.62, -0.48)
"""Where the studio's light comes from, in the picture's plane."""
_ROUNDING = 0.24
"""How far from a joint, in bones, the centre line leaves the bones."""


@dataclass(frozen=True, kw_only=True)
class Limb:
    """A chain of joints. A place on it is `along` (0 at the first joint, 1 at the second, ...) and `across` (-1..1).

    Args:
        joints: [K, 2] in pixels.
        profile: [M, 2], radius in pixels (second column) by `along` (first, rising).
    """

    joints: Points
    profile: np.ndarray

    def radius(self, along: np.ndarray | float) -> np.ndarray:
        return np.asarray(np.interp(along, self.profile[:, 0], self.profile[:, 1]))

    def point(self, along: float) -> Points:
        """The centre at `along`; past the last joint the last bone goes on."""
        bone = min(max(int(along), 0), len(self.joints) - 2)
        start, end = self.joints[bone], self.joints[bone + 1]
        return start + (end - start) * (along - bone)

    def direction(self, along: float) -> Points:
        """The unit vector of the bone at `along`."""
        bone = min(max(int(along), 0), len(self.joints) - 2)
        step = self.joints[bone + 1] - self.joints[bone]
        return step / max(float(np.sqrt((step * step).sum())), 1e-6)

    def widened(self, factor: float, extra: float = 0.0) -> Limb:
        profile = self.profile.copy()
        profile[:, 1] = profile[:, 1] * factor + extra
        return replace(self, profile=profile)

    def path(self, places: np.ndarray) -> Points:
        """The centre line at rising places, rounded at the joints as flesh is."""
        bones = np.clip(places.astype(int), 0, len(self.joints) - 2)
        starts, ends = self.joints[bones], self.joints[bones + 1]
        line = starts + (ends - starts) * (places - bones)[:, None]
        for joint in range(1, len(self.joints) - 1):
            near = np.abs(places - joint) < _ROUNDING
            share = ((places[near] - joint) / (2 * _ROUNDING) + 0.5)[:, None]
            before, after = self.point(joint - _ROUNDING), self.point(joint + _ROUNDING)
            line[near] = (
                before * (1 - share) ** 2 + self.joints[joint] * (2 * share * (1 - share)) + after * share * share
            )
        return line

    def outlines(self, start: float, stop: float, *, round_end: bool = False) -> list[Points]:
        """Closed outlines whose union is the limb between two places.

        The start is always round, so that a limb sits in its socket; the end is cut square unless `round_end`. A disc
        at each joint fills what a sharp bend would leave open.
        """
        places = start + (stop - start) * np.arange(25) / 24
        pieces = [circle(self.point(start), float(self.radius(start))), ribbon(self.path(places), self.radius(places))]
        for joint in range(1, len(self.joints) - 1):
            if start < joint < stop:
                middle = self.path(np.array([float(joint)]))[0]
                pieces.append(circle(middle, 0.97 * float(self.radius(joint))))
        if round_end:
            pieces.append(circle(self.point(stop - 1e-9), float(self.radius(stop))))
        return pieces

    def coordinates(self, patch: Patch) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """`along`, `across` and how much the rim at +across faces the light (-1..1), each float32 [h, w].

        `along` is stretched on the outside of a bend and squeezed on the inside, so that it has no seam there.
        """
        x, y = patch.grid()
        along = across = facing = None
        joints = self.joints.astype(np.float32)
        bones = len(joints) - 1
        steps = joints[1:] - joints[:-1]
        lengths = np.maximum(np.sqrt((steps * steps).sum(1)), np.float32(1e-3))
        units = steps / lengths[:, None]
        for bone in range(bones):
            (dx, dy), length = units[bone], lengths[bone]
            px, py = x - joints[bone, 0], y - joints[bone, 1]
            t = (px * dx + py * dy) / length
            s = py * dx - px * dy  # + lies to the right of the way down the limb, as the picture shows it
            if bone > 0:
                bend = _half_bend(units[bone - 1], units[bone])
                squeeze = np.clip(s * (-bend) / length, np.float32(-0.6), np.float32(0.6))
                t = (t + squeeze) / (1 + squeeze)
            if bone < bones - 1:
                bend = _half_bend(units[bone], units[bone + 1])
                t = t / (1 + np.clip(s * (-bend) / length, np.float32(-0.6), np.float32(0.6)))
            light = np.float32(-dy * LIGHT[0] + dx * LIGHT[1])
            if along is None or across is None or facing is None:
                along, across, facing = t, s, np.full(s.shape, light, np.float32)
                continue
            way = units[bone - 1] + units[bone]
            beyond = px * way[0] + py * way[1] > 0
            along = np.where(beyond, t + np.float32(bone), along)
            across = np.where(beyond, s, across)
            lead = (px * way[0] + py * way[1]) / (length * np.float32(0.5)) + np.float32(0.5)
            facing = facing + (light - facing) * np.clip(lead, 0, 1)
        if along is None or across is None or facing is None:
            raise ValueError(f"a limb needs at least two joints, this one has {len(joints)}")
        radius = self.radius(along).astype(np.float32)
        return along, across / np.maximum(radius, np.float32(0.5)), facing


def _half_bend(before: np.ndarray, after: np.ndarray) -> np.float32:
    """tan of half the signed angle from one unit vector to the next."""
    cross = before[0] * after[1] - before[1] * after[0]
    dot = before[0] * after[0] + before[1] * after[1]
    return np.float32(cross / max(1.0 + dot, 0.15))


def rounded_light(across: np.ndarray, facing: np.ndarray | float, depth: float = 1.0) -> np.ndarray:
    """How bright a cylinder is at `across` (-1..1), float32 near 1: lit rim, soft core, dark far rim."""
    c = np.clip(across, -1, 1)
    square = c * c
    return np.float32(1.02) + np.float32(depth) * (c * facing * np.float32(0.16) - square * square * np.float32(0.17))
