"""Joint sets in BODY_25's order: BlazePose's 33 landmarks in it, and the mirrored person."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

NUM_JOINTS = 25
NECK, MID_HIP = 1, 8
RIGHT_SHOULDER, LEFT_SHOULDER = 2, 5
_RIGHT_HIP, _LEFT_HIP = 9, 12

# BODY_25 joint → BlazePose landmark. Small toes have none; the big toe is BlazePose's "foot index".
_LANDMARKS = {
    **dict(zip((0, 15, 16, 17, 18), (0, 5, 2, 8, 7), strict=True)),  # nose, eyes, ears
    **dict(zip((2, 3, 4, 9, 10, 11), (12, 14, 16, 24, 26, 28), strict=True)),  # the right arm and leg
    **dict(zip((5, 6, 7, 12, 13, 14), (11, 13, 15, 23, 25, 27), strict=True)),  # the left ones
    **dict(zip((22, 24, 19, 21), (32, 30, 31, 29), strict=True)),  # toe and heel, right and left
}
# Each joint's twin on the other side.
_TWINS = [0, 1, 5, 6, 7, 2, 3, 4, 8, 12, 13, 14, 9, 10, 11, 16, 15, 18, 17, 22, 23, 24, 19, 20, 21]


def body25_of_blazepose(landmarks: np.ndarray) -> np.ndarray:
    """BODY_25 keypoints float32 [25, 3] out of BlazePose's landmarks [33, 3], both (x, y, confidence).

    Neck and middle of the hips lie between the pairs, as confident as the less confident of the two; small toes are
    missing.
    """
    joints = np.zeros((NUM_JOINTS, 3), dtype=np.float32)
    joints[list(_LANDMARKS)] = landmarks[list(_LANDMARKS.values())]
    for middle, right, left in ((NECK, RIGHT_SHOULDER, LEFT_SHOULDER), (MID_HIP, _RIGHT_HIP, _LEFT_HIP)):
        joints[middle] = (joints[right] + joints[left]) / 2
        joints[middle, 2] = min(joints[right, 2], joints[left, 2])
    return joints


def mirrored_keypoints(keypoints: Float[Tensor, "batch joints 3"], width: int) -> Float[Tensor, "batch joints 3"]:
    """The keypoints of the mirrored picture, `width` pixels wide: left and right exchanged."""
    mirrored = keypoints[:, _TWINS].clone()
    mirrored[..., 0] = torch.where(mirrored[..., 2] > 0, width - mirrored[..., 0], 0.0)
    return mirrored
