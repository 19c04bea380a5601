"""What lies between BlazePose's two networks (Bazarevsky et al. 2020): anchors, regions, landmarks.

Positions are pixels of the picture, counted from its upper left corner.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

DETECTOR_SIZE, LANDMARK_SIZE = 224, 256
"""Sides of the networks' square inputs, in pixels."""
NUM_LANDMARKS = 33

_GRIDS = ((8, 2), (16, 2), (32, 6))  # stride, anchors a cell
_ENLARGED = 1.25  # of the circle around the person, as the landmark network was trained
_SAME_PERSON = 0.3  # intersection over union from which two detections are of one person
_WINDOW = 3  # cells around a landmark in its heatmap
_REFINED_FROM = 0.5  # a heatmap without such a peak in that window doesn't move its landmark


@dataclass(frozen=True, kw_only=True)
class Region:
    """A turned square of the picture."""

    x: float
    y: float
    side: float
    angle: float = 0.0
    """Clockwise, in radians: by how much the person is turned from upright."""

    def to_picture(self, points: np.ndarray) -> np.ndarray:
        """Positions [n, 2] in the picture of points in the square, which spans 0..1."""
        cosine, sine = np.cos(self.angle), np.sin(self.angle)
        turn = np.array([[cosine, sine], [-sine, cosine]])
        return (points - 0.5) @ turn * self.side + (self.x, self.y)


@dataclass(frozen=True, kw_only=True)
class Detection:
    """One person: how sure, and the two points that span the landmark network's region."""

    score: float
    hips: tuple[float, float]
    """The middle of the hips."""
    rim: tuple[float, float]
    """A point above it on the circle around the whole person."""

    def region(self) -> Region:
        """The square around that circle, turned upright."""
        across, up = self.rim[0] - self.hips[0], self.hips[1] - self.rim[1]
        radius = float(np.hypot(across, up))
        angle = float(np.pi / 2 - np.arctan2(up, across))
        return Region(x=self.hips[0], y=self.hips[1], side=2 * radius * _ENLARGED, angle=angle)


def whole_picture(size: tuple[int, int]) -> Region:
    """The upright square around a picture of (height, width): what the detector sees."""
    height, width = size
    return Region(x=width / 2, y=height / 2, side=float(max(size)))


def crop(picture: Float[Tensor, "3 height width"], region: Region, side: int) -> Float[Tensor, "side side 3"]:
    """The region, turned upright and scaled to `side` pixels; zero outside of the picture."""
    height, width = picture.shape[1:]
    centres = (np.arange(side) + 0.5) / side
    points = region.to_picture(np.stack(np.meshgrid(centres, centres), axis=-1).reshape(-1, 2))
    grid = torch.from_numpy(points / (width, height) * 2 - 1).to(picture.dtype).view(1, side, side, 2)
    source = picture.unsqueeze(0)
    if (shrink := side / region.side) < 1:
        # Sampling four pixels of a picture five times too large would see only noise of stripes and prints.
        shrunk = (max(round(height * shrink), 1), max(round(width * shrink), 1))
        source = F.interpolate(source, size=shrunk, mode="bilinear", antialias=True)
    return F.grid_sample(source, grid, align_corners=False)[0].permute(1, 2, 0).contiguous()


@cache
def anchors() -> np.ndarray:
    """Centres of the detector's anchors in its input, float32 [2254, 2], 0..1."""
    centres = []
    for stride, per_cell in _GRIDS:
        cells = (np.arange(DETECTOR_SIZE // stride) + 0.5) * stride / DETECTOR_SIZE
        centres.append(np.repeat(np.stack(np.meshgrid(cells, cells), axis=-1).reshape(-1, 2), per_cell, axis=0))
    return np.concatenate(centres).astype(np.float32)


def best_detection(offsets: np.ndarray, logits: np.ndarray, region: Region, *, min_score: float) -> Detection | None:
    """The surest person, averaged over the anchors that saw the same one; None where no anchor is sure enough.

    Args:
        offsets: [2254, 12]: a box (centre, size) and four points, as pixels of the input from the anchor's centre.
        logits: [2254].
        region: what the detector was shown.
    """
    scores = _sigmoid(logits)
    sure = np.flatnonzero(scores >= min_score)
    if not len(sure):
        return None
    scores, values = scores[sure], offsets[sure].reshape(-1, 6, 2) / DETECTOR_SIZE
    values[:, [0, 2, 3, 4, 5]] += anchors()[sure][:, None]
    best = int(scores.argmax())
    weights = scores * (_overlap(values[best, :2], values[:, :2]) >= _SAME_PERSON)
    weights[best] = scores[best]
    points = (values[:, 2:4] * weights[:, None, None]).sum(0) / weights.sum()
    hips, rim = region.to_picture(points)
    return Detection(
        score=float(scores[best]), hips=(float(hips[0]), float(hips[1])), rim=(float(rim[0]), float(rim[1]))
    )


def landmarks_in_picture(values: np.ndarray, heatmaps: np.ndarray, region: Region) -> np.ndarray:
    """Landmarks float32 [33, 3]: x and y in the picture, and how sure it is that the point is there and not hidden.

    Args:
        values: [39, 5] of the landmark network: x, y, z in pixels of its input, logits of visibility and presence.
        heatmaps: [64, 64, 39], logits.
        region: what the network was shown.
    """
    points = values[:NUM_LANDMARKS, :2] / LANDMARK_SIZE
    refined = np.stack([_refined(point, heatmaps[..., index]) for index, point in enumerate(points)])
    confidence = _sigmoid(values[:NUM_LANDMARKS, 3:5].min(axis=1))
    return np.concatenate([region.to_picture(refined), confidence[:, None]], axis=1).astype(np.float32)


def _refined(point: np.ndarray, heatmap: np.ndarray) -> np.ndarray:
    side = len(heatmap)
    column, row = np.floor(point * side).astype(int)
    if not (0 <= column < side and 0 <= row < side):
        return point
    top, left = max(row - _WINDOW, 0), max(column - _WINDOW, 0)
    window = _sigmoid(heatmap[top : row + _WINDOW + 1, left : column + _WINDOW + 1])
    if window.max() < _REFINED_FROM:
        return point
    rows, columns = np.indices(window.shape)
    return np.array([((columns + left) * window).sum(), ((rows + top) * window).sum()]) / (window.sum() * side)


def _overlap(box: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """Intersection over union of one box [2, 2] (centre, size) with others [n, 2, 2]."""
    low = np.maximum(box[0] - box[1] / 2, boxes[:, 0] - boxes[:, 1] / 2)
    high = np.minimum(box[0] + box[1] / 2, boxes[:, 0] + boxes[:, 1] / 2)
    shared = np.clip(high - low, 0, None).prod(axis=1)
    return shared / np.maximum(box[1].prod() + boxes[:, 1].prod(axis=1) - shared, 1e-9)


def _sigmoid(logits: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-np.clip(logits.astype(np.float64), -100, 100)))
