"""How far label maps and keypoints agree with true ones: mIoU and PCK.

Both are pooled: counts are summed over all pictures first, so that a figure doesn't depend on how they were batched.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

_NECK, _MID_HIP = 1, 8  # of BODY_25


def confusion(predicted: np.ndarray, truth: np.ndarray, num_classes: int) -> np.ndarray:
    """Pixel counts int64 [num_classes, num_classes], true class by row; add those of several batches.

    Args:
        predicted, truth: label ids below `num_classes`, of one shape.
    """
    if predicted.shape != truth.shape:
        raise ValueError(f"predicted has shape {predicted.shape}, truth {truth.shape}; they must be the same")
    pairs = truth.astype(np.int64).ravel() * num_classes + predicted.ravel()
    return np.bincount(pairs, minlength=num_classes**2).reshape(num_classes, num_classes)


def iou_by_class(counts: np.ndarray) -> np.ndarray:
    """Intersection over union, float [num_classes]; NaN for a class that is in no map, true or predicted."""
    shared = np.diag(counts).astype(np.float64)
    union = counts.sum(0) + counts.sum(1) - shared
    return np.divide(shared, union, out=np.full(len(counts), np.nan), where=union > 0)


def mean_iou(counts: np.ndarray) -> float:
    """The mean of `iou_by_class` over the classes that the true maps show, background included.

    A class that is only ever predicted lowers the others, whose pixels it takes, and isn't counted itself.
    """
    shown = counts.sum(1) > 0
    return float(iou_by_class(counts)[shown].mean()) if shown.any() else float("nan")


def correct_keypoints(
    predicted: np.ndarray, truth: np.ndarray, *, share: float, of: Literal["height", "torso"] = "height"
) -> tuple[np.ndarray, np.ndarray]:
    """How many of each joint lie within `share` of the person's height, or of the torso, and how many there are.

    Args:
        predicted, truth: [B, 25, 3], (x, y, confidence); 0 is a missing joint. A joint that truth lacks doesn't count;
            one that only the prediction lacks is wrong.
        of: `height` is the vertical extent of the person's true joints, `torso` the distance of neck and mid-hip; a
            person who lacks either doesn't count.

    Returns:
        `(correct, total)`, int64 [25] each; add those of several batches.
    """
    there = truth[..., 2] > 0
    if of == "height":
        y = np.where(there, truth[..., 1], np.nan)
        shown = there.any(1)
        scale = np.zeros(len(truth))
        scale[shown] = np.nanmax(y[shown], axis=1) - np.nanmin(y[shown], axis=1)
    else:
        both = there[:, _NECK] & there[:, _MID_HIP]
        scale = np.where(both, np.linalg.norm(truth[:, _NECK, :2] - truth[:, _MID_HIP, :2], axis=1), 0)
    counted = there & (scale > 0)[:, None]
    distance = np.linalg.norm(predicted[..., :2] - truth[..., :2], axis=2)
    correct = counted & (predicted[..., 2] > 0) & (distance <= share * scale[:, None])
    return correct.sum(0), counted.sum(0)


def pck(counts: Sequence[tuple[np.ndarray, np.ndarray]]) -> float:
    """Percentage of correct keypoints, 0..1, over all joints and batches of `correct_keypoints`."""
    total = sum(int(total.sum()) for _, total in counts)
    return sum(int(correct.sum()) for correct, _ in counts) / total if total else float("nan")
