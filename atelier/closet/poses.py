"""How a person stands, sits or walks, and how much of them the picture shows, from one seed.

Offsets are in head heights, x outward from the body and y down, before turning; the person's build scales them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from atelier.closet.dice import between, dice, pick

Side = Literal["left", "right"]
SIDES: tuple[Side, Side] = ("right", "left")
Offset = tuple[float, float]


@dataclass(frozen=True, kw_only=True)
class Arm:
    """Elbow and wrist from the shoulder joint; `layer` is where the arm lies: behind the torso or before it."""

    elbow: Offset
    wrist: Offset
    layer: Literal["back", "front"] = "front"
    hand: Literal["open", "fist", "hidden"] = "open"
    curl: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Leg:
    """Knee and ankle from the hip joint, and where the toes point from the ankle."""

    knee: Offset
    ankle: Offset
    toes: Offset = (0.10, 0.33)


@dataclass(frozen=True, kw_only=True)
class Pose:
    """A pose of the whole body. `yaw` is the sine of the turn, positive towards the viewer's right."""

    name: str
    arms_name: str
    arms: dict[Side, Arm]
    legs: dict[Side, Leg]
    over: Side
    yaw: float = 0.0
    lean: float = 0.0
    shoulder_tilt: float = 0.0
    hip_tilt: float = 0.0
    bow: float = 0.0
    head_tilt: float = 0.0
    head_yaw: float = 0.0
    seated: bool = False
    shows_feet: bool = False
    head_room: float = 0.3
    span: float = 5.6
    shift: float = 0.0


_DOWN = Arm(elbow=(0.20, 1.34), wrist=(0.26, 2.50))
_EASY = Arm(elbow=(0.33, 1.29), wrist=(0.24, 2.40))
_WIDE = Arm(elbow=(0.48, 1.22), wrist=(0.66, 2.28))
_HIP = Arm(elbow=(0.80, 1.05), wrist=(0.03, 1.80), hand="fist", curl=0.5)
_POCKET = Arm(elbow=(0.44, 1.27), wrist=(0.03, 2.24), hand="hidden")
_BEHIND = Arm(elbow=(0.32, 1.24), wrist=(-0.35, 2.02), layer="back")
_CLASP = Arm(elbow=(0.30, 1.24), wrist=(-0.50, 2.12))
_UNDER = Arm(elbow=(0.24, 1.20), wrist=(-0.92, 1.08), hand="hidden")
_OVER = Arm(elbow=(0.26, 1.18), wrist=(-0.98, 0.92), hand="fist")
_NAPE = Arm(elbow=(0.78, -0.58), wrist=(-0.22, -0.98), hand="hidden")
_WAVE = Arm(elbow=(0.58, 0.86), wrist=(0.80, -0.28))
_CHEST = Arm(elbow=(0.38, 1.18), wrist=(-0.40, 0.52), hand="fist")
_LAP = Arm(elbow=(0.26, 1.22), wrist=(-0.02, 2.30))

_ARMS: dict[str, tuple[Arm, Arm]] = {
    "arms down": (_DOWN, _DOWN),
    "arms relaxed": (_EASY, _EASY),
    "arms held out": (_WIDE, _WIDE),
    "hands on hips": (_HIP, _HIP),
    "one hand on the hip": (_EASY, _HIP),
    "hands in pockets": (_POCKET, _POCKET),
    "one hand in a pocket": (_DOWN, _POCKET),
    "hands behind the back": (_BEHIND, _BEHIND),
    "hands clasped": (_CLASP, _CLASP),
    "arms crossed": (_UNDER, _OVER),
    "one hand behind the head": (_DOWN, _NAPE),
    "both hands behind the head": (_NAPE, _NAPE),
    "one hand raised": (_EASY, _WAVE),
    "a hand on the chest": (_DOWN, _CHEST),
}
_ARM_ODDS = (
    ("arms down",) * 5
    + ("arms relaxed",) * 5
    + ("one hand on the hip",) * 3
    + ("hands on hips", "hands on hips", "arms held out", "hands behind the back", "hands behind the back")
    + ("one hand in a pocket", "hands in pockets", "hands clasped", "arms crossed", "arms crossed")
    + ("one hand behind the head", "one hand raised", "a hand on the chest", "both hands behind the head")
)

_STAND = Leg(knee=(0.01, 1.74), ankle=(0.02, 3.40))
_APART = Leg(knee=(0.09, 1.73), ankle=(0.16, 3.37), toes=(0.16, 0.32))
_LOOSE = Leg(knee=(0.15, 1.68), ankle=(0.13, 3.30), toes=(0.24, 0.28))
_ACROSS = Leg(knee=(-0.14, 1.74), ankle=(-0.46, 3.38), toes=(0.06, 0.34))
_SIT = Leg(knee=(0.15, 0.66), ankle=(0.12, 2.32), toes=(0.10, 0.36))
_LEGS: dict[str, tuple[Leg, Leg]] = {
    "standing": (_STAND, _STAND),
    "feet apart": (_APART, _APART),
    "one knee loose": (_STAND, _LOOSE),
    "legs crossed": (_STAND, _ACROSS),
}


def _jittered(offset: Offset, rng: np.random.Generator, amount: float) -> Offset:
    return (offset[0] + between(rng, -amount, amount), offset[1] + between(rng, -amount, amount))


def pose_from(seed: int) -> Pose:
    """The pose that `seed` names: about six in ten frontal, the rest turned, walking or seated."""
    rng = dice("pose", seed)
    kind = pick(rng, ("frontal",) * 12 + ("turned",) * 4 + ("walking",) * 2 + ("seated",) * 2)
    swap = bool(rng.random() < 0.5)
    arms_name = pick(rng, _ARM_ODDS)
    if kind == "seated" and arms_name in ("arms down", "arms relaxed", "hands clasped", "arms held out"):
        arms_name = "hands in the lap"
    if kind == "walking":
        arms_name = pick(rng, ("arms relaxed", "arms relaxed", "arms held out", "one hand in a pocket"))
    pair = (_LAP, _LAP) if arms_name == "hands in the lap" else _ARMS[arms_name]
    pair = pair[::-1] if swap else pair
    arms: dict[Side, Arm] = {
        side: replace(arm, elbow=_jittered(arm.elbow, rng, 0.035), wrist=_jittered(arm.wrist, rng, 0.035))
        for side, arm in zip(SIDES, pair, strict=True)
    }
    over: Side = "right" if swap else "left"

    facing = 1.0 if rng.random() < 0.5 else -1.0
    yaw = {"frontal": between(rng, -0.16, 0.16), "turned": facing * between(rng, 0.34, 0.68)}.get(
        kind, facing * between(rng, 0.0, 0.4)
    )
    stance = "one knee loose" if rng.random() < 0.45 else pick(rng, tuple(_LEGS))
    leg_pair = _LEGS[stance] if rng.random() < 0.5 else _LEGS[stance][::-1]
    legs: dict[Side, Leg] = dict(zip(SIDES, leg_pair, strict=True))
    weight_on: Side = "left" if leg_pair[0] is _LOOSE else "right"
    sway = (1.0 if weight_on == "left" else -1.0) * (1.0 if stance == "one knee loose" else 0.0)
    if kind == "walking":
        legs = _walk(facing, abs(yaw), between(rng, 0.8, 1.1))
    if kind == "seated":
        legs = {side: replace(_SIT, knee=_jittered(_SIT.knee, rng, 0.04)) for side in SIDES}
        sway = 0.0
    if kind == "turned":
        arms = _turned(arms, facing)

    shows_feet = bool(rng.random() < (0.85 if kind == "walking" else 0.6 if kind == "seated" else 0.3))
    reach = 6.55 if kind == "seated" else 7.65
    head_room = between(rng, 0.24, 0.42) + (0.25 if "behind the head" in arms_name else 0.0)
    span = head_room + (reach if shows_feet else between(rng, 4.35, 5.45))
    return Pose(
        name={"frontal": stance, "turned": "turned", "walking": "walking", "seated": "seated"}[kind],
        arms_name=arms_name,
        arms=arms,
        legs=legs,
        over=over,
        yaw=yaw,
        lean=between(rng, -0.03, 0.03) + (0.05 * facing if kind == "walking" else 0.0),
        shoulder_tilt=-0.05 * sway + between(rng, -0.02, 0.02),
        hip_tilt=0.07 * sway,
        bow=0.06 * sway,
        head_tilt=between(rng, -0.09, 0.09),
        head_yaw=max(-0.75, min(0.75, yaw * 0.9 + between(rng, -0.2, 0.2))),
        seated=kind == "seated",
        shows_feet=shows_feet,
        head_room=head_room,
        span=span,
        shift=between(rng, -0.12, 0.12) - (0.15 * facing if kind in ("turned", "walking") else 0.0),
    )


def _walk(facing: float, turn: float, stride: float) -> dict[Side, Leg]:
    """The near leg swings forward, the far one back: both inward, as the body faces away from its near side."""
    near: Side = "right" if facing > 0 else "left"
    far: Side = "left" if near == "right" else "right"
    reach = (0.15 + 1.1 * turn) * stride
    front = Leg(knee=(-0.30 * reach, 1.68), ankle=(-0.55 * reach, 3.34), toes=(0.12, 0.33))
    back = Leg(knee=(-0.06 * reach, 1.70), ankle=(-0.62 * reach, 3.16), toes=(0.06, 0.30))
    return {near: front, far: back}


def _turned(arms: dict[Side, Arm], facing: float) -> dict[Side, Arm]:
    """The far arm of a turned body hangs behind it, unless it does something in front."""
    far: Side = "left" if facing > 0 else "right"
    arm = arms[far]
    if arm.wrist[0] > -0.3 and arm.wrist[1] > 1.5:
        return {**arms, far: replace(arm, layer="back")}
    return arms


def flat_pose(reach: float, drop: float) -> Pose:
    """How a garment lies on the table: arms out by `reach` and down by `drop` at the wrist, legs a little apart."""
    arm = Arm(elbow=(reach * 0.56, drop * 0.53), wrist=(reach, drop))
    return replace(FLAT, arms=dict.fromkeys(SIDES, arm))


FLAT = Pose(
    name="flat",
    arms_name="flat",
    arms={side: Arm(elbow=(0.62, 1.22), wrist=(1.02, 2.30)) for side in SIDES},
    legs={side: Leg(knee=(0.10, 1.74), ankle=(0.18, 3.42)) for side in SIDES},
    over="left",
)
"""How a garment lies on the table: sleeves out, legs a little apart."""
