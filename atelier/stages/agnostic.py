"""Agnostic: what a try-on may see of a person, and the skeleton it is posed by."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from atelier.geometry.agnostic import agnostic_parse, agnostic_person
from atelier.geometry.pose_image import pose_image
from atelier.stages.base import Columns, RowStage, StageConfig


@dataclass(frozen=True, kw_only=True)
class Agnostic(StageConfig):
    """Draws VITON-HD's agnostic person and parse.

    Args:
        size: working size (H, W).
    """

    name = "agnostic"

    size: tuple[int, int]

    def columns(self) -> Columns:
        return Columns.of(AgnosticStage)

    def build(self, device: torch.device) -> AgnosticStage:
        """The stage; it draws on the CPU."""
        return AgnosticStage(self)


class AgnosticStage(RowStage):
    """Writes `agnostic_person` and `pose_image` (uint8 RGB) and `agnostic_parse` (uint8 ids 0..12).

    Error: `no_person` where the keypoints don't say how the torso lies.
    """

    name = "agnostic"
    reads = ("person", "parse", "keypoints")
    writes = ("agnostic_person", "agnostic_parse", "pose_image")

    def __init__(self, config: Agnostic) -> None:
        self._size = config.size

    def blank(self) -> dict[str, Any]:
        picture, labels = np.zeros((*self._size, 3), np.uint8), np.zeros(self._size, np.uint8)
        return {"agnostic_person": picture, "agnostic_parse": labels, "pose_image": picture}

    def run_row(self, row: Mapping[str, Any]) -> Mapping[str, Any]:
        person, parse, keypoints = row["person"], row["parse"], row["keypoints"]
        return {
            "agnostic_parse": agnostic_parse(parse, keypoints),
            "agnostic_person": agnostic_person(person, parse, keypoints),
            "pose_image": pose_image(keypoints, self._size),
        }
