"""The pose stage in a chain: given joints, found joints, and rows without shoulders."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from atelier.models.pose.config import PoseNetConfig
from atelier.models.pose.networks import STEM, PoseNet
from atelier.models.registry import digest
from atelier.stages.base import Batch
from atelier.stages.chain import StageChain, new_batch
from atelier.stages.pose import Pose
from atelier.weights import write_folder

SIZE = (64, 64)
CPU = torch.device("cpu")


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    """An estimator that is sure of every joint."""
    torch.manual_seed(0)
    network = PoseNet(PoseNetConfig(input_size=SIZE, widths=(8, 8, 8, 8, 8), decoder_widths=(8,)))
    with torch.no_grad():
        network.presence_head[2].bias.fill_(9)
    write_folder(tmp_path, network.config.to_json(), {STEM: network.state_dict()})
    return tmp_path


def batch(given: list[np.ndarray | None]) -> Batch:
    rows = len(given)
    return new_batch(
        {
            "item_id": [f"item{row}" for row in range(rows)],
            "variant": np.zeros(rows, np.int32),
            "task": ["try_on"] * rows,
            "seed": np.arange(rows),
            "person": np.full((rows, *SIZE, 3), 128, np.uint8),
            "given_keypoints": np.stack([np.zeros((25, 3), np.float32) if k is None else k for k in given]),
            "has_keypoints": np.array([k is not None for k in given]),
        }
    )


def person_with(*joints: int) -> np.ndarray:
    keypoints = np.zeros((25, 3), np.float32)
    keypoints[list(joints)] = (20.25, 30.75, 0.5)
    return keypoints


def test_given_joints_go_through_untouched_and_others_are_found(weights: Path) -> None:
    given = person_with(1, 2, 5)
    after = StageChain([Pose(weights=str(weights)).build(CPU)], batch_size=4).run(batch([given, None]))
    assert np.array_equal(after["keypoints"][0], given)
    assert after["keypoints"].dtype == np.float32 and (after["keypoints"][1, :, 2] > 0.9).all()
    assert after["error_code"].tolist() == ["", ""]


def test_a_row_without_shoulders_fails_alone() -> None:
    given = [person_with(1, 2), person_with(2, 5), person_with(0, 1), person_with(2), None]
    after = StageChain([Pose(weights=None).build(CPU)], batch_size=8).run(batch(given))
    assert after["error_code"].tolist() == ["", "", "no_person", "no_person", "keypoints_needed"]
    assert "both, or one and the neck" in after["error_detail"][2]
    assert (after["keypoints"][2:] == 0).all()


def test_nobody_found_is_said_of_the_picture(weights: Path) -> None:
    stage = Pose(weights=str(weights)).build(CPU)
    estimator = stage._estimator
    assert estimator is not None
    estimator.network.presence_head[2].bias.data.fill_(-9)
    after = StageChain([stage], batch_size=2).run(batch([None, person_with(1, 2, 5)]))
    assert after["error_code"].tolist() == ["no_person", ""]
    assert after["error_detail"][0].startswith("person: no shoulders were found")


def test_identity_is_the_weights_digest_not_their_path(weights: Path) -> None:
    config = Pose(weights=str(weights))
    assert config.digests() == {"pose": digest(str(weights))}
    assert str(weights) not in str(config.identity())
