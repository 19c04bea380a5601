"""Pose: where the person's joints are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from atelier.errors import RowError
from atelier.models import registry
from atelier.models.pose.estimator import KeypointEstimator
from atelier.models.pose.joints import LEFT_SHOULDER, NECK, NUM_JOINTS, RIGHT_SHOULDER
from atelier.models.pose.loading import check_estimator, load_estimator
from atelier.stages.base import Columns, Faults, StageConfig, TensorStage


@dataclass(frozen=True, kw_only=True)
class Pose(StageConfig):
    """Takes the catalog's keypoints where it gives them, else a model's.

    Args:
        weights: a shipped name or a folder, `pose_net`'s or BlazePose's; None where every row brings its keypoints.
    """

    name = "pose"

    weights: str | None = field(metadata={"identity": False})

    def digests(self) -> Mapping[str, str]:
        """The sha256 of the estimator's weights."""
        return {} if self.weights is None else {"pose": registry.digest(self.weights)}

    def check(self) -> None:
        if self.weights is not None:
            check_estimator(registry.folder(self.weights))

    def columns(self) -> Columns:
        return Columns.of(PoseStage)

    def build(self, device: torch.device) -> PoseStage:
        """The stage, its estimator loaded.

        Raises:
            WeightsError: no such weights, or weights that do not fit.
            ConfigError: BlazePose without its extra installed.
        """
        return PoseStage(self, device)


class PoseStage(TensorStage):
    """Writes `keypoints`: float32 [25, 3], BODY_25, working pixels. Given ones go through untouched.

    Errors: `no_person` where the joints don't say how the torso lies, `keypoints_needed` where there are neither
    keypoints nor a model.
    """

    name = "pose"
    reads = ("person", "given_keypoints", "has_keypoints")
    writes = ("keypoints",)

    def __init__(self, config: Pose, device: torch.device) -> None:
        self.device = device
        self._estimator: KeypointEstimator | None = None
        if config.weights is not None:
            self._estimator = load_estimator(registry.folder(config.weights), device)

    def blank(self) -> dict[str, Any]:
        return {"keypoints": np.zeros((NUM_JOINTS, 3), np.float32)}

    def run_tensors(self, columns: Mapping[str, Any], faults: Faults) -> Mapping[str, torch.Tensor]:
        given, has_keypoints = columns["given_keypoints"], columns["has_keypoints"]
        if has_keypoints.all():
            keypoints = given.clone()
        elif self._estimator is None:
            keypoints = given.clone()
            for row in torch.nonzero(~has_keypoints).flatten().tolist():
                faults.add(row, RowError("keypoints_needed", "keypoints: are not given, and this recipe finds none"))
        else:
            keypoints = torch.where(has_keypoints[:, None, None], given, self._estimator.estimate(columns["person"]))
        _check(keypoints, has_keypoints, faults)
        return {"keypoints": keypoints}


def _check(keypoints: torch.Tensor, has_keypoints: torch.Tensor, faults: Faults) -> None:
    there = (keypoints[..., :2] != 0).any(2)
    shoulders = there[:, [RIGHT_SHOULDER, LEFT_SHOULDER]].sum(1)
    enough = (shoulders == 2) | ((shoulders == 1) & there[:, NECK])
    for row in torch.nonzero(~enough).flatten().tolist():
        if has_keypoints[row]:
            detail = "keypoints: lack the shoulders; both, or one and the neck, are needed"
        else:
            detail = "person: no shoulders were found; give a picture of one person, from head to hips at least"
        faults.add(row, RowError("no_person", detail))
