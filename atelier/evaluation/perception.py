"""Judging the parser and the keypoint network on held-out people."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch

from atelier.evaluation.agreement import confusion, correct_keypoints, mean_iou, pck
from atelier.evaluation.held_out import HeldOutTryOn
from atelier.models import registry
from atelier.models.parsing.labels import CIHP
from atelier.models.parsing.parser import HumanParser
from atelier.models.pose.loading import load_estimator

PCK_SHARE = 0.05
"""Of the person's height: how near a joint must be found."""


@dataclass(frozen=True, kw_only=True)
class PerceptionScores:
    """`parser_miou` over the labels that occur, `pose_pck` at `PCK_SHARE` of the person's height; both 0..1."""

    parser_miou: float
    pose_pck: float


def judge_perception(parser: str, pose: str, items: Iterable[HeldOutTryOn]) -> PerceptionScores:
    """mIoU and PCK, pooled over the items' people as they were before the try-on.

    Args:
        parser, pose: shipped names or folders.

    Raises:
        WeightsError: no such weights, or weights that do not fit.
    """
    human_parser = HumanParser.from_pretrained(registry.folder(parser))
    estimator = load_estimator(registry.folder(pose))
    counts = np.zeros((len(CIHP), len(CIHP)), np.int64)
    joints = []
    for item in items:
        person = torch.from_numpy(item.person[None])
        counts += confusion(human_parser(person).numpy(), item.parse[None], len(CIHP))
        found = estimator.estimate(person).numpy()
        joints.append(correct_keypoints(found, item.keypoints[None], share=PCK_SHARE))
    return PerceptionScores(parser_miou=round(mean_iou(counts), 4), pose_pck=round(pck(joints), 4))
