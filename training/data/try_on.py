"""A try-on sample as VITON-HD is trained on it: paired, the person already wears the garment."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from atelier.geometry.agnostic import GRAY, agnostic_parse, agnostic_person
from atelier.geometry.pose_image import pose_image
from training.data.dataset import Columns, Sample
from training.data.mirror import maybe_mirrored

CLASS_OF_CIHP = np.array([0, 1, 1, 12, 2, 3, 3, 3, 11, 4, 0, 12, 4, 2, 5, 6, 7, 8, 9, 10], dtype=np.uint8)
"""VITON-HD's 13 classes with the clothes in; the neck counts as background, as in the published grouping."""
_BOTTOM = 4


@dataclass(frozen=True, kw_only=True)
class TryOnColumns(Columns):
    """What the three networks read and are to give.

    Writes `agnostic_person`, `pose_image`, `garment`, `person` uint8 RGB; `garment_mask` uint8 {0, 1}; `agnostic_parse`
    and `classes` uint8 ids 0..12, without and with the garment.

    Args:
        mirror: show every other sample as a mirror would.
        largest_gap: of the strip hidden below the hem, of the picture's height.
    """

    mirror: bool = True
    largest_gap: float = 0.04

    reads = ("person", "parse", "keypoints", "garment", "garment_mask")

    @property
    def changes(self) -> tuple[str, ...]:
        return self.reads if self.mirror else ()

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        if self.mirror:
            sample = maybe_mirrored(sample, rng)
        person, parse, keypoints = sample["person"], sample["parse"], sample["keypoints"]
        agnostic = agnostic_person(person, parse, keypoints)
        agnostic_classes = agnostic_parse(parse, keypoints)
        _hide_waist(agnostic, agnostic_classes, self.largest_gap, rng)
        return {
            "person": person,
            "garment": sample["garment"],
            "garment_mask": sample["garment_mask"],
            "agnostic_person": agnostic,
            "agnostic_parse": agnostic_classes,
            "pose_image": pose_image(keypoints, parse.shape),
            "classes": CLASS_OF_CIHP[parse],
        }


def _hide_waist(agnostic: np.ndarray, classes: np.ndarray, largest_gap: float, rng: np.random.Generator) -> None:
    """Covers a strip of the lower body below the hem, of random height.

    Paired, the hem of the garment to be laid out is always where the visible lower body begins; another garment's is
    not. Without this the segmentation learns to copy the old hem.
    """
    gap = int(rng.integers(0, round(largest_gap * classes.shape[0]) + 1))
    bottom = classes == _BOTTOM
    if not gap or not bottom.any():
        return
    kept = bottom.copy()
    kept[:gap] = False
    for shift in range(1, gap + 1):
        kept[shift:] &= bottom[:-shift]
    hidden = bottom & ~kept
    agnostic[hidden] = GRAY
    classes[hidden] = 0
