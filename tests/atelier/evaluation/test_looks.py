"""Both networks judged on a few drawn people."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from atelier.closet import draw_look, outfit_for
from atelier.evaluation.looks import agreement_on_looks
from atelier.models.parsing.config import ParsingNetConfig
from atelier.models.parsing.labels import CIHP, Sides
from atelier.models.parsing.networks import ParsingNet
from atelier.models.parsing.parser import HumanParser
from atelier.models.pose.config import PoseNetConfig
from atelier.models.pose.heatmaps import HeatmapEstimator
from atelier.models.pose.networks import PoseNet


def test_figures_do_not_depend_on_the_batches() -> None:
    torch.manual_seed(0)
    looks = [draw_look(person=seed, outfit=outfit_for(seed), pose=seed, size=(64, 48)) for seed in range(3)]
    config = ParsingNetConfig(input_size=(64, 64), widths=(8, 8, 8, 8, 8), decoder_widths=(8,))
    parser = HumanParser(ParsingNet(config).eval(), [Sides(index, index) for index in range(20)], config)
    pose_config = PoseNetConfig(input_size=(64, 64), widths=(8, 8, 8, 8, 8), decoder_widths=(8,), min_confidence=0.0)
    estimator = HeatmapEstimator(PoseNet(pose_config).eval())
    found = agreement_on_looks(looks, parser, estimator, batch_size=2)
    assert 0 <= found.mean_iou < 0.5 and 0 <= found.pck_height < 0.5
    assert set(found.iou_by_label) <= set(CIHP)
    # Nothing is ever missing at min_confidence 0: what is right is what is truly there.
    there = [float((look.keypoints[:, 2] > 0).mean()) for look in looks]
    assert found.presence == pytest.approx(sum(there) / 3)
    again = agreement_on_looks(looks, parser, estimator, batch_size=3)
    assert dataclasses.asdict(found) == dataclasses.asdict(again)
