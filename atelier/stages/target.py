"""Target: where the joints of the pose to be taken are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from atelier.errors import RowError
from atelier.models import registry
from atelier.models.pose.estimator import KeypointEstimator
from atelier.models.pose.joints import NUM_JOINTS
from atelier.models.pose.loading import check_estimator, load_estimator
from atelier.stages.base import Columns, Faults, StageConfig, TensorStage


@dataclass(frozen=True, kw_only=True)
class Target(StageConfig):
    """Takes the pose's keypoints where the row gives them, else finds them in the picture of the pose.

    Args:
        weights: a shipped name or a folder, `pose_net`'s or BlazePose's; None where every row brings keypoints.
    """

    name = "target"

    weights: str | None = field(metadata={"identity": False})

    def digests(self) -> Mapping[str, str]:
        """The sha256 of the estimator's weights."""
        return {} if self.weights is None else {"pose": registry.digest(self.weights)}

    def check(self) -> None:
        if self.weights is not None:
            check_estimator(registry.folder(self.weights))

    def columns(self) -> Columns:
        return Columns.of(TargetStage)

    def build(self, device: torch.device) -> TargetStage:
        """The stage, its estimator loaded.

        Raises:
            WeightsError: no such weights, or weights that do not fit.
            ConfigError: BlazePose without its extra installed.
        """
        return TargetStage(self, device)


class TargetStage(TensorStage):
    """Writes `target_keypoints`: float32 [25, 3], BODY_25, working pixels. Given ones go through untouched.

    Errors: `pose_not_found` where a picture shows too little of a pose, `pose_needed` where there is a picture and no
    model.
    """

    name = "target"
    reads = ("given_pose", "has_pose", "pose_picture")
    writes = ("target_keypoints",)

    def __init__(self, config: Target, device: torch.device) -> None:
        self.device = device
        self._estimator: KeypointEstimator | None = None
        if config.weights is not None:
            self._estimator = load_estimator(registry.folder(config.weights), device)

    def blank(self) -> dict[str, Any]:
        return {"target_keypoints": np.zeros((NUM_JOINTS, 3), np.float32)}

    def run_tensors(self, columns: Mapping[str, Any], faults: Faults) -> Mapping[str, torch.Tensor]:
        given, has_pose = columns["given_pose"], columns["has_pose"]
        if has_pose.all():
            return {"target_keypoints": given.clone()}
        missing = torch.nonzero(~has_pose).flatten().tolist()
        if self._estimator is None:
            for row in missing:
                faults.add(row, RowError("pose_needed", "pose: is a picture, and this recipe finds no joints in one"))
            return {"target_keypoints": given.clone()}
        found = self._estimator.estimate(columns["pose_picture"])
        for row in missing:
            if (found[row, :, :2] != 0).any(1).sum() < _FEWEST_JOINTS:
                detail = "pose: no person was found in the picture; give one that shows the pose from head to hips"
                faults.add(row, RowError("pose_not_found", detail))
        return {"target_keypoints": torch.where(has_pose[:, None, None], given, found)}


_FEWEST_JOINTS = 5
"""Of 25: head, neck and shoulders alone are no pose."""
