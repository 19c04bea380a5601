"""Keypoint conventions: BODY_25 inside, COCO-18 and OpenPose's JSON at the edges.

Keypoints are float32 `[25, 3]` (x, y, confidence) in pixels; a missing joint is (0, 0, 0).
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np

BODY_25 = (
    *("nose", "neck", "right_shoulder", "right_elbow", "right_wrist", "left_shoulder", "left_elbow", "left_wrist"),
    *("mid_hip", "right_hip", "right_knee", "right_ankle", "left_hip", "left_knee", "left_ankle"),
    *("right_eye", "left_eye", "right_ear", "left_ear"),
    *("left_big_toe", "left_small_toe", "left_heel", "right_big_toe", "right_small_toe", "right_heel"),
)
"""OpenPose's BODY_25, in order; left is the person's left."""

COCO_18 = (
    *("nose", "neck", "right_shoulder", "right_elbow", "right_wrist", "left_shoulder", "left_elbow", "left_wrist"),
    *("right_hip", "right_knee", "right_ankle", "left_hip", "left_knee", "left_ankle"),
    *("right_eye", "left_eye", "right_ear", "left_ear"),
)
"""OpenPose's COCO-18, in order: PIDM's and DeepFashion's annotations."""

_BODY_25_OF_COCO_18 = np.array([BODY_25.index(name) for name in COCO_18])


def coco18(body25: np.ndarray) -> np.ndarray:
    """COCO-18 keypoints [18, 3] out of BODY_25's [25, 3]: a subset, in its own order.

    Raises:
        ValueError: the array is not [25, 3].
    """
    if body25.shape != (25, 3):
        raise ValueError(f"keypoints has shape {list(body25.shape)}, BODY_25 is [25, 3]")
    return body25[_BODY_25_OF_COCO_18]


def body25(coco18: np.ndarray) -> np.ndarray:
    """BODY_25 keypoints [25, 3] out of COCO-18's [18, 3]; the middle of the hips is found, the feet stay missing."""
    joints = np.zeros((25, 3), dtype=np.float32)
    joints[_BODY_25_OF_COCO_18] = coco18
    right, left = joints[BODY_25.index("right_hip")], joints[BODY_25.index("left_hip")]
    if right[2] > 0 and left[2] > 0:
        joints[BODY_25.index("mid_hip")] = (right + left) / 2
    return joints


def write_openpose(keypoints: np.ndarray) -> bytes:
    """OpenPose's JSON of one person, as its `--write_json` gives it."""
    flat = [round(float(value), 3) for value in keypoints.reshape(-1)]
    person: dict[str, Any] = {"person_id": [-1], "pose_keypoints_2d": flat}
    return json.dumps({"version": 1.3, "people": [person]}).encode()


def read_openpose(data: bytes) -> np.ndarray | None:
    """BODY_25 keypoints [25, 3] of the first person in an OpenPose JSON, which may have 25 or 18 joints.

    Returns:
        None where the file names no person.

    Raises:
        ValueError: the data are not such a JSON; says what is wrong.
    """
    wanted = "must be an OpenPose JSON with people[0].pose_keypoints_2d"
    try:
        read = json.loads(data)
    except (ValueError, RecursionError) as error:
        where = f" (line {error.lineno}, column {error.colno})" if isinstance(error, json.JSONDecodeError) else ""
        raise ValueError(f"is no JSON{where}; {wanted}") from error
    people = read.get("people") if isinstance(read, dict) else None
    if not isinstance(people, list):
        raise ValueError(f"has no list of people; {wanted}")
    if not people:
        return None
    try:
        flat = np.asarray(people[0]["pose_keypoints_2d"], dtype=np.float32)
    except (LookupError, ValueError, TypeError, OverflowError) as error:
        raise ValueError(f"people[0].pose_keypoints_2d is no list of numbers; {wanted}") from error
    if flat.size not in (75, 54):
        raise ValueError(f"pose_keypoints_2d has {flat.size} numbers; must be 75 (BODY_25) or 54 (COCO-18)")
    if not np.isfinite(flat).all():
        raise ValueError("pose_keypoints_2d holds a number that is not finite")
    joints = flat.reshape(-1, 3)
    return joints if len(joints) == 25 else body25(joints)
