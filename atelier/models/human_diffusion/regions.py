"""The 24 regions of a person in DeepFashion-MultiModal's labels: names by id."""

from __future__ import annotations

import torch

from atelier.errors import ConfigError
from atelier.models.tensors import LabelIds

REGIONS = (
    *("background", "top", "outer", "skirt", "dress", "pants", "leggings", "headwear", "eyeglass", "neckwear", "belt"),
    *("footwear", "bag", "hair", "face", "skin", "ring", "wrist_wearing", "socks", "gloves", "necklace", "rompers"),
    *("earrings", "tie"),
)
"""By id. `skin` is all of it but the face."""

NUM_REGIONS = len(REGIONS)


def region_id(name: str) -> int:
    """A region's label id.

    Raises:
        ConfigError: there is no such region; lists them.
    """
    if name not in REGIONS:
        raise ConfigError(f"region: is {name!r}, must be one of {', '.join(REGIONS)}")
    return REGIONS.index(name)


def check_pose_map(pose_map: LabelIds) -> None:
    """Refuses a pose map with labels outside the set.

    Raises:
        ConfigError: lists the labels that there are not.
    """
    if pose_map.numel() and int(pose_map.max()) >= NUM_REGIONS:
        strangers = sorted(label for label in torch.unique(pose_map).tolist() if label >= NUM_REGIONS)
        raise ConfigError(f"pose_map: holds labels {strangers}, must be 0..{NUM_REGIONS - 1} of DeepFashion-MultiModal")
