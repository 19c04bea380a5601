"""A parser and a keypoint estimator, judged on drawn people whose maps and joints are known."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch

from atelier.closet import Look
from atelier.evaluation.agreement import confusion, correct_keypoints, iou_by_class, mean_iou, pck
from atelier.models.parsing.labels import CIHP
from atelier.models.parsing.parser import HumanParser
from atelier.models.pose.estimator import KeypointEstimator


@dataclass(frozen=True, kw_only=True)
class LookAgreement:
    """Figures over all looks, 0..1."""

    mean_iou: float
    iou_by_label: dict[str, float]
    """CIHP name → intersection over union; labels that no map shows are left out."""
    pck_height: float
    """Joints within 5 % of the person's height."""
    pck_torso: float
    """Joints within 10 % of the distance from neck to mid-hip."""
    presence: float
    """Joints that are rightly there or rightly missing."""


def agreement_on_looks(
    looks: Iterable[Look], parser: HumanParser, estimator: KeypointEstimator, *, batch_size: int = 8
) -> LookAgreement:
    """How well both networks read `looks`, all of one size, which are drawn and dropped batch by batch."""
    counts = np.zeros((len(CIHP), len(CIHP)), np.int64)
    by_height, by_torso, present = [], [], []
    remaining = iter(looks)
    while batch := list(itertools.islice(remaining, batch_size)):
        person = torch.from_numpy(np.stack([look.image for look in batch]))
        counts += confusion(parser(person).numpy(), np.stack([look.parse_cihp for look in batch]), len(CIHP))
        found, truth = estimator.estimate(person).numpy(), np.stack([look.keypoints for look in batch])
        by_height.append(correct_keypoints(found, truth, share=0.05))
        by_torso.append(correct_keypoints(found, truth, share=0.1, of="torso"))
        present.append((found[..., 2] > 0) == (truth[..., 2] > 0))
    ious = zip(CIHP, iou_by_class(counts).tolist(), strict=True)
    return LookAgreement(
        mean_iou=mean_iou(counts),
        iou_by_label={name: value for name, value in ious if not np.isnan(value)},
        pck_height=pck(by_height),
        pck_torso=pck(by_torso),
        presence=float(np.concatenate(present).mean()) if present else float("nan"),
    )
