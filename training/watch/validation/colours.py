"""Label maps and joints made visible."""

from __future__ import annotations

import numpy as np

from atelier.geometry.pose_image import pose_image

GROUND = (238, 239, 241)
"""Of everything that stands alone in a cell."""
_CIHP = np.array(
    [
        *(GROUND, (140, 86, 75), (90, 62, 46), (44, 120, 115), (30, 30, 30)),
        *((214, 90, 80), (178, 96, 160), (232, 150, 70), (120, 160, 90), (70, 110, 180)),
        *((244, 205, 170), (200, 60, 110), (120, 130, 200), (250, 220, 190), (226, 170, 130)),
        *((205, 145, 105), (190, 200, 120), (150, 170, 90), (60, 70, 80), (95, 105, 115)),
    ],
    dtype=np.uint8,
)
"""Of CIHP's 20 labels: skin in skin tones, left and right apart, garments far from each other."""
_LAYOUT = np.array(
    [GROUND, (150, 170, 200), (214, 90, 80), (90, 62, 46), (244, 205, 170), (226, 170, 130), (60, 70, 80)],
    dtype=np.uint8,
)
"""Of VITON-HD's 7 regions: background, pasted, upper, hair, left arm, right arm, noise."""
_REGIONS = np.array(
    [
        *(GROUND, (214, 90, 80), (232, 150, 70), (120, 130, 200), (178, 96, 160), (70, 110, 180)),
        *((95, 140, 190), (140, 86, 75), (44, 120, 115), (230, 190, 90), (110, 70, 40), (60, 70, 80)),
        *((160, 120, 60), (90, 62, 46), (250, 220, 190), (226, 170, 130), (210, 190, 60), (100, 160, 160)),
        *((120, 160, 90), (130, 140, 150), (220, 200, 110), (200, 60, 110), (240, 210, 60), (80, 40, 90)),
    ],
    dtype=np.uint8,
)
"""Of DeepFashion-MultiModal's 24 labels, in CIHP's colours where the two mean the same."""
_DIMMED = 0.45


def parse_colours(parse: np.ndarray) -> np.ndarray:
    """A map of CIHP ids [H, W] as uint8 RGB."""
    return _CIHP[parse]


def region_colours(regions: np.ndarray) -> np.ndarray:
    """A map of DeepFashion-MultiModal's 24 ids [H, W] as uint8 RGB."""
    return _REGIONS[regions]


def layout_colours(layout: np.ndarray) -> np.ndarray:
    """A layout's ids 0..6 [H, W] as uint8 RGB."""
    return _LAYOUT[layout]


def with_skeleton(person: np.ndarray, keypoints: np.ndarray) -> np.ndarray:
    """The skeleton over the dimmed person, uint8 RGB [H, W, 3]."""
    skeleton = pose_image(keypoints, (person.shape[0], person.shape[1]))
    dimmed = (255 - (255 - person.astype(np.float32)) * _DIMMED).astype(np.uint8)
    return np.where(skeleton.any(2, keepdims=True), skeleton, dimmed)
