"""The joints that clothes hang on, with estimates where a detector gave none.

What a missing joint becomes is ours: the published VITON-HD code has no answer (its hip rescale divides by zero).
"""

from __future__ import annotations

import numpy as np

from atelier.errors import RowError
from atelier.skeletons import BODY_25

NECK, MID_HIP = BODY_25.index("neck"), BODY_25.index("mid_hip")
R_SHOULDER, R_ELBOW, R_WRIST = (BODY_25.index(f"right_{name}") for name in ("shoulder", "elbow", "wrist"))
L_SHOULDER, L_ELBOW, L_WRIST = (BODY_25.index(f"left_{name}") for name in ("shoulder", "elbow", "wrist"))
R_HIP, L_HIP = BODY_25.index("right_hip"), BODY_25.index("left_hip")

_TORSO_LENGTH = 1.6
"""Neck to middle of the hips in shoulder distances, of a person seen from the front."""


def is_there(joints: np.ndarray, joint: int) -> bool:
    """Whether a joint was found: missing ones lie at (0, 0), as in OpenPose's files."""
    return bool(joints[joint, 0] != 0 or joints[joint, 1] != 0)


def torso_joints(keypoints: np.ndarray) -> np.ndarray:
    """Positions float64 [25, 2] with neck, shoulders and hips all in place; other missing joints stay (0, 0).

    - one shoulder missing: the other, mirrored at the neck;
    - the neck missing: between the shoulders;
    - one hip missing: the other, mirrored at the middle of the hips, else a shoulder distance away along the shoulders;
    - both missing (a portrait): around the middle of the hips, else 1.6 shoulder distances below the neck, at right
      angles to the shoulders.

    Args:
        keypoints: [25, 3] BODY_25.

    Raises:
        RowError: `no_person` where no joint was found, or where shoulders and neck don't say how the torso lies.
    """
    joints = np.array(keypoints[:, :2], dtype=np.float64)
    if not joints.any():
        raise RowError("no_person", "the keypoints hold no joint of BODY_25 at all; at least the shoulders are needed")
    _place_shoulders(joints)
    _place_hips(joints)
    return joints


def _place_shoulders(joints: np.ndarray) -> None:
    found = [joint for joint in (R_SHOULDER, L_SHOULDER) if is_there(joints, joint)]
    if len(found) == 2:
        if not is_there(joints, NECK):
            joints[NECK] = (joints[R_SHOULDER] + joints[L_SHOULDER]) / 2
        return
    if not found or not is_there(joints, NECK):
        names = ", ".join(BODY_25[joint] for joint in (NECK, R_SHOULDER, L_SHOULDER) if not is_there(joints, joint))
        raise RowError("no_person", f"the keypoints lack {names}; both shoulders, or one and the neck, are needed")
    other = L_SHOULDER if found[0] == R_SHOULDER else R_SHOULDER
    joints[other] = 2 * joints[NECK] - joints[found[0]]


def _place_hips(joints: np.ndarray) -> None:
    found = [joint for joint in (R_HIP, L_HIP) if is_there(joints, joint)]
    if len(found) == 2:
        return
    across = joints[L_SHOULDER] - joints[R_SHOULDER]
    middle = joints[MID_HIP].copy() if is_there(joints, MID_HIP) else None
    if found:
        away = across if found[0] == R_HIP else -across
        other = L_HIP if found[0] == R_HIP else R_HIP
        joints[other] = joints[found[0]] + away if middle is None else 2 * middle - joints[found[0]]
        return
    if middle is None:
        down = np.array([-across[1], across[0]])
        # A person seen from behind has the left shoulder on the left: the normal then points up.
        middle = joints[NECK] + _TORSO_LENGTH * (down if down[1] >= 0 else -down)
    joints[R_HIP], joints[L_HIP] = middle - across / 2, middle + across / 2
