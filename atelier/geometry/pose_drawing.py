"""A pose as a picture, in the way that a model reads it."""

from __future__ import annotations

from typing import Literal

import numpy as np

from atelier.geometry.pose_image import pose_image
from atelier.geometry.pose_map import pose_map


def drawn_pose(kind: Literal["skeleton", "pose_map"], keypoints: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """`skeleton`: OpenPose's, uint8 [H, W, 3]. `pose_map`: PIDM's, uint8 [H, W, 20].

    Args:
        keypoints: [25, 3], BODY_25 in the picture's pixels.
        size: (H, W).
    """
    return (pose_image if kind == "skeleton" else pose_map)(keypoints, size)
