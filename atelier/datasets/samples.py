"""What a data set gives for each of the three tasks: addresses of pictures and maps, keypoints as numbers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, kw_only=True)
class TryOnSample:
    """A person and a garment; `paired` where the person wears that garment.

    All but the last are addresses; `keypoints` is an OpenPose JSON's, `pose_image` that of its rendered skeleton, `""`
    where the release has none.
    """

    person_id: str
    garment_id: str
    person: str
    garment: str
    garment_mask: str
    parse: str
    keypoints: str
    pose_image: str
    paired: bool


@dataclass(frozen=True, kw_only=True)
class PoseTransferSample:
    """The same person in two poses; keypoints are COCO-18 `[18, 3]` in the annotation's own frame (0 where missing)."""

    source: str
    target: str
    source_keypoints: np.ndarray
    target_keypoints: np.ndarray


@dataclass(frozen=True, kw_only=True)
class TextSample:
    """A picture with its 24-label parse and a sentence.

    `keypoints` [21, 3] as annotated: x, y, 1 where present; None where nothing is annotated of the picture.
    """

    image: str
    parse: str
    caption: str
    keypoints: np.ndarray | None
