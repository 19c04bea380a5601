"""DeepFashion-MultiModal's labels and joints as parser and keypoint network are trained on them: CIHP and BODY_25."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from atelier.datasets.multimodal import NUM_JOINTS
from atelier.models.human_diffusion.regions import REGIONS
from atelier.models.parsing.labels import CIHP
from atelier.skeletons import BODY_25, COCO_18, body25
from training.data.dataset import Sample

_TOES = ("left_big_toe", "right_big_toe")

_REGIONS_OF = {
    "hat": ("headwear",),
    "hair": ("hair",),
    "glove": ("gloves",),
    "sunglasses": ("eyeglass",),
    "upper": ("top", "tie"),
    "dress": ("dress", "rompers"),
    "coat": ("outer",),
    "socks": ("socks",),
    "pants": ("pants", "leggings", "belt"),
    "torso_skin": ("necklace",),
    "scarf": ("neckwear",),
    "skirt": ("skirt",),
    "face": ("face", "earrings"),
}
"""By CIHP's label. A bag is no part of the person, as with other label sets: background."""
_SKIN = tuple(REGIONS.index(name) for name in ("skin", "ring", "wrist_wearing"))
_FOOTWEAR = (REGIONS.index("footwear"),)

_Segment = tuple[str, str]
_LIMBS: dict[str, tuple[_Segment, ...]] = {
    "torso_skin": (("nose", "neck"), ("neck", "mid_hip"), ("left_shoulder", "right_shoulder")),
    "left_arm": (("left_shoulder", "left_elbow"), ("left_elbow", "left_wrist")),
    "right_arm": (("right_shoulder", "right_elbow"), ("right_elbow", "right_wrist")),
    "left_leg": (("left_hip", "left_knee"), ("left_knee", "left_ankle"), ("left_ankle", "left_big_toe")),
    "right_leg": (("right_hip", "right_knee"), ("right_knee", "right_ankle"), ("right_ankle", "right_big_toe")),
}
_FEET: dict[str, tuple[_Segment, ...]] = {
    "left_shoe": (("left_knee", "left_ankle"), ("left_ankle", "left_big_toe")),
    "right_shoe": (("right_knee", "right_ankle"), ("right_ankle", "right_big_toe")),
}


def is_multimodal(sample: Sample) -> bool:
    """Whether a sample's joints are DeepFashion-MultiModal's 21."""
    return sample["keypoints"].shape == (NUM_JOINTS, 3)


def as_look(sample: Sample) -> Sample:
    """The sample with `parse` uint8 CIHP ids and `keypoints` float32 BODY_25 [25, 3].

    CIHP tells limbs and sides where the release says skin and footwear: those pixels go to the nearest limb between two
    annotated joints, in our reading; skin is the torso's, and footwear the left foot's, where no such joints are.
    """
    keypoints = body25_of(sample["keypoints"])
    return {**sample, "parse": cihp_of(sample["parse"], keypoints), "keypoints": keypoints}


def body25_of(joints: np.ndarray) -> np.ndarray:
    """BODY_25 [25, 3] of 21 joints [21, 3]: COCO-18, mid hip and the big toes, as the closet writes them.

    The release shows its own order in a figure only; joints in another one must be put into this before.
    """
    keypoints = body25(joints[: len(COCO_18)])
    mid_hip, *toes = joints[len(COCO_18) :]
    if mid_hip[2] > 0:
        keypoints[BODY_25.index("mid_hip")] = mid_hip
    for name, toe in zip(_TOES, toes, strict=True):
        keypoints[BODY_25.index(name)] = toe
    return keypoints


def cihp_of(regions: np.ndarray, keypoints: np.ndarray) -> np.ndarray:
    """CIHP ids [H, W] of the release's 24 ids [H, W], both uint8.

    Args:
        keypoints: BODY_25 [25, 3] in the map's pixels.
    """
    by_region = np.zeros(256, np.uint8)
    for label, names in _REGIONS_OF.items():
        by_region[[REGIONS.index(name) for name in names]] = CIHP.index(label)
    parse = by_region[regions]
    for ids, limbs in ((_SKIN, _LIMBS), (_FOOTWEAR, _FEET)):
        inside = np.isin(regions, ids)
        rows, columns = np.nonzero(inside)
        parse[inside] = _nearest(np.stack([columns, rows], 1).astype(np.float32), limbs, keypoints)
    return parse


def _nearest(places: np.ndarray, limbs: dict[str, tuple[_Segment, ...]], keypoints: np.ndarray) -> np.ndarray:
    """The label of the nearest limb to each place [N, 2]; the first limb's where none has both joints."""
    labels = np.array([CIHP.index(name) for name in limbs], np.uint8)
    distances = np.stack([_distance(places, segments, keypoints) for segments in limbs.values()])
    return labels[distances.argmin(0)]


def _distance(places: np.ndarray, segments: Sequence[_Segment], keypoints: np.ndarray) -> np.ndarray:
    nearest = np.full(len(places), np.inf, np.float32)
    for start, end in ((keypoints[BODY_25.index(joint)] for joint in segment) for segment in segments):
        if start[2] > 0 and end[2] > 0:
            along = end[:2] - start[:2]
            share = ((places - start[:2]) @ along / max(float(along @ along), 1e-6)).clip(0, 1)
            nearest = np.minimum(nearest, np.linalg.norm(places - start[:2] - share[:, None] * along, axis=1))
    return nearest
