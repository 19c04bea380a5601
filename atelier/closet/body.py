"""A person in a pose, solved into pixels: frames, limbs and keypoints."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from atelier.closet.canvas import Points
from atelier.closet.limb import Limb
from atelier.closet.people import MANNEQUIN, Person
from atelier.closet.poses import FLAT, SIDES, Pose, Side
from atelier.closet.torso import CHEST, CROTCH, HIP, WAIST, Torso

NECK_Y, SHOULDER_DOWN, HIP_DOWN = 1.23, 0.35, 2.45
ARM_LENGTHS = (1.36, 1.16)
SIGN: dict[Side, float] = {"right": -1.0, "left": 1.0}
ASPECT = 0.75


@dataclass(frozen=True, kw_only=True)
class Head:
    """The head's frame: `place` takes points in head heights from its centre, before tilting."""

    centre: Points
    unit: float
    tilt: float
    turn: float

    def place(self, points: Points | list[tuple[float, float]] | list[list[float]]) -> Points:
        points = np.asarray(points, np.float64)
        sine, cosine = self.tilt, float(np.sqrt(1 - self.tilt * self.tilt))
        x = points[:, 0] * cosine - points[:, 1] * sine
        y = points[:, 0] * sine + points[:, 1] * cosine
        return self.centre + self.unit * np.stack([x, y], 1)


@dataclass(frozen=True, kw_only=True)
class Body:
    """Everything that clothes and skin hang on. Lengths in pixels; `unit` is pixels in a head height."""

    person: Person
    pose: Pose
    unit: float
    head: Head
    torso: Torso
    arms: dict[Side, Limb]
    legs: dict[Side, Limb]
    toes: dict[Side, Points]
    near: Side

    @property
    def far(self) -> Side:
        return "left" if self.near == "right" else "right"


def _frame(size: tuple[int, int], pose: Pose) -> tuple[float, Points]:
    """Pixels in a head height, and where the middle of the crown lies."""
    height, width = size
    unit = min(height, width / ASPECT) / pose.span
    top = (height - pose.span * unit) / 2 + pose.head_room * unit
    return unit, np.array([width / 2 + pose.shift * unit, top])


def solve(person: Person, pose: Pose, size: tuple[int, int]) -> Body:
    """The body of `person` in `pose` in a picture of `size` (H, W)."""
    unit, crown = _frame(size, pose)
    return solve_at(person, pose, unit, crown)


def solve_at(person: Person, pose: Pose, unit: float, crown: Points) -> Body:
    """The same with a given scale (pixels in a head height) and place of the crown."""
    tall = person.stature
    cosine = float(np.sqrt(1 - pose.yaw * pose.yaw))

    def turned(half: float, depth: float) -> float:
        return float(np.sqrt((half * cosine) ** 2 + (depth * pose.yaw) ** 2))

    neck = crown + np.array([-0.04 * pose.yaw, NECK_Y]) * unit
    drop = np.array([pose.lean, 1.0])
    axis = drop / float(np.sqrt((drop * drop).sum()))
    chest = turned(person.chest, 0.45 + 0.06 * person.weight)
    widths = np.array(
        [
            (0.0, chest),
            (CHEST, chest),
            (1.05, 0.55 * chest + 0.45 * turned(person.waist, 0.38) + 0.015),
            (WAIST, turned(person.waist, 0.36 + 0.08 * person.weight)),
            (2.0, turned(person.hip, 0.46) * 0.93),
            (HIP, turned(person.hip, 0.47)),
            (CROTCH, turned(person.hip, 0.45) * 1.0),
            (7.0, turned(person.hip, 0.45) * 1.0),
        ]
    )
    torso = Torso(
        neck=neck,
        axis=axis,
        unit=unit,
        length=tall,
        widths=widths,
        tilts=(pose.shoulder_tilt, pose.hip_tilt),
        bow=pose.bow,
        turn=0.42 * pose.yaw,
    )
    head_unit = unit * person.head_scale
    head = Head(
        centre=crown + np.array([0.07 * pose.yaw - 0.35 * pose.head_tilt * 0.4, 0.5]) * unit,
        unit=head_unit,
        tilt=pose.head_tilt,
        turn=pose.head_yaw,
    )
    arms, legs, toes = {}, {}, {}
    for side in SIDES:
        sign = SIGN[side]
        arms[side] = _arm(person, pose, torso, side, sign, cosine)
        legs[side], toes[side] = _leg(person, pose, torso, side, sign, cosine)
    near: Side = "left" if pose.yaw < 0 else "right"
    return Body(person=person, pose=pose, unit=unit, head=head, torso=torso, arms=arms, legs=legs, toes=toes, near=near)


def _arm(person: Person, pose: Pose, torso: Torso, side: Side, sign: float, cosine: float) -> Limb:
    arm = pose.arms[side]
    joint = sign * (person.shoulder - 0.03) * cosine
    shoulder = torso.place([(joint, SHOULDER_DOWN)])[0]
    unit, tall = torso.unit, person.stature
    spread = 0.55 + 0.45 * cosine
    hips = person.hip - MANNEQUIN.hip + 0.25 * (MANNEQUIN.shoulder - person.shoulder)
    elbow = np.array([sign * (arm.elbow[0] + 0.35 * hips) * spread, arm.elbow[1] * tall])
    wrist = np.array([sign * (arm.wrist[0] + hips) * spread, arm.wrist[1] * tall])
    wide = person.girth * unit
    profile = [
        (-0.5, 0.172),
        (0.0, 0.178),
        (0.14, 0.19),
        (0.45, 0.172),
        (0.85, 0.142),
        (1.0, 0.14),
        (1.25, 0.147),
        (1.7, 0.108),
        (2.0, 0.088),
        (2.4, 0.08),
    ]
    return Limb(
        joints=np.stack([shoulder, shoulder + elbow * unit, shoulder + wrist * unit]),
        profile=np.array(profile) * (1.0, wide),
    )


def _leg(person: Person, pose: Pose, torso: Torso, side: Side, sign: float, cosine: float) -> tuple[Limb, Points]:
    leg = pose.legs[side]
    width = float(torso.width(HIP))
    joint = torso.place([(sign * width * 0.5, HIP_DOWN)])[0]
    unit, tall = torso.unit, person.stature
    spread = 1.0 if pose.seated or pose.name == "walking" else 0.5 + 0.5 * cosine
    turn = 0.28 * pose.yaw if pose.seated else 0.0
    knee = np.array([sign * leg.knee[0] * spread + turn, leg.knee[1] * tall])
    ankle = np.array([sign * leg.ankle[0] * spread + turn, leg.ankle[1] * tall])
    wide = person.girth * unit
    thigh = width * 0.5 / person.girth  # so that the thighs meet below the crotch
    profile = [
        (-0.5, thigh),
        (0.0, thigh),
        (0.2, thigh * 0.98),
        (0.6, 0.15 + 0.36 * thigh),
        (0.9, 0.205),
        (1.0, 0.196),
        (1.12, 0.186),
        (1.35, 0.196),
        (1.6, 0.165),
        (1.88, 0.112),
        (2.0, 0.108),
        (2.3, 0.11),
    ]
    toes = np.array([sign * leg.toes[0] * cosine + 0.36 * pose.yaw, leg.toes[1] - 0.08 * abs(pose.yaw)]) * unit
    limb = Limb(
        joints=np.stack([joint, joint + knee * unit, joint + ankle * unit]),
        profile=np.array(profile) * (1.0, wide),
    )
    return limb, toes


def mannequin(unit: float, crown: Points, pose: Pose = FLAT) -> Body:
    """The average body, laid flat."""
    return solve_at(MANNEQUIN, pose, unit, crown)
