"""The small keypoint network: it learns places finer than its cells, and which joints are not there."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from atelier.errors import ConfigError, WeightsError
from atelier.models.pose.config import PoseNetConfig, pose_closet
from atelier.models.pose.heatmaps import decode_heatmaps
from atelier.models.pose.joints import mirrored_keypoints
from atelier.models.pose.loading import load_estimator
from atelier.models.pose.losses import gaussian_targets, pose_loss
from atelier.models.pose.networks import STEM, PoseMaps, PoseNet
from atelier.weights import write_folder

TINY = PoseNetConfig(input_size=(64, 64), widths=(8, 8, 12, 12, 12), decoder_widths=(12, 12, 12))


def joints(batch: int, size: tuple[int, int]) -> torch.Tensor:
    """Three cells from the border at least: nearer, what is left of a Gaussian is not centred on its joint."""
    torch.manual_seed(0)
    drawn = torch.rand(batch, 25, 3) * torch.tensor([size[1] - 24.0, size[0] - 24.0, 0.0])
    return drawn + torch.tensor([12.0, 12.0, 1.0])


def test_closet_network_fits_its_budget() -> None:
    network = PoseNet(pose_closet())
    assert sum(tensor.numel() for tensor in network.state_dict().values()) * 2 <= 2_000_000
    maps = network(torch.zeros(1, 3, 64, 96))
    assert maps.heatmaps.shape == (1, 25, 16, 24) and maps.presence.shape == (1, 25)


def test_decoding_undoes_the_targets_within_a_twentieth_of_a_cell() -> None:
    keypoints = joints(2, (96, 64))
    keypoints[:, 3] = 0
    target = gaussian_targets(keypoints, (96, 64), (24, 16), sigma=1.0)
    assert torch.allclose(target.sum((2, 3)), torch.ones(2, 25))
    present = torch.where(keypoints[..., 2] > 0, 9.0, -9.0)
    found = decode_heatmaps(PoseMaps(target.clamp_min(1e-30).log(), present), (96, 64), min_confidence=0.5)
    assert (found - keypoints)[..., :2].abs().max() < 0.2  # a cell is 4 pixels
    assert (found[:, 3] == 0).all() and (found[:, 4, 2] > 0.99).all()
    # At twice the picture's size the same maps give twice the position.
    twice = decode_heatmaps(PoseMaps(target.clamp_min(1e-30).log(), present), (192, 128), min_confidence=0.5)
    assert torch.allclose(twice[..., :2], 2 * found[..., :2])


def test_learns_one_batch_and_returns_from_fp16(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = PoseNet(TINY)
    person = torch.randint(0, 256, (2, 64, 64, 3), dtype=torch.uint8)
    picture = person.permute(0, 3, 1, 2).float() / 127.5 - 1
    keypoints = joints(2, (64, 64))
    keypoints[0, 7], keypoints[1, 9] = 0, 0
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-2)
    losses = []
    for _ in range(100):
        loss = pose_loss(network(picture), keypoints, (64, 64))
        optimizer.zero_grad()
        loss.total.backward()
        optimizer.step()
        losses.append(loss.total.item())
    assert losses[-1] < 0.2 * losses[0]

    write_folder(tmp_path, network.config.to_json(), {STEM: network.state_dict()}, dtype=torch.float16)
    found = load_estimator(tmp_path).estimate(person)
    assert found.shape == (2, 25, 3) and found.dtype == torch.float32
    assert (found - keypoints)[..., :2].norm(dim=2).median() < 3
    assert (found[0, 7] == 0).all() and (found[1, 9] == 0).all()
    assert load_estimator(tmp_path).estimate(torch.zeros(1, 128, 96, 3, dtype=torch.uint8)).shape == (1, 25, 3)


def test_a_missing_joint_moves_no_heatmap() -> None:
    maps = PoseMaps(torch.randn(1, 25, 16, 12, requires_grad=True), torch.zeros(1, 25))
    keypoints = joints(1, (64, 48))
    keypoints[0, 4] = 0
    pose_loss(maps, keypoints, (64, 48)).total.backward()
    gradient = maps.heatmaps.grad
    assert gradient is not None and (gradient[0, 4] == 0).all() and (gradient[0, 5] != 0).any()


def test_mirror_exchanges_left_and_right() -> None:
    keypoints = torch.zeros(1, 25, 3)
    keypoints[0, 4] = torch.tensor([10.0, 20.0, 1.0])  # right wrist
    mirrored = mirrored_keypoints(keypoints, 64)
    assert mirrored[0, 7].tolist() == [54.0, 20.0, 1.0]
    assert (mirrored[0, 4] == 0).all()
    assert torch.equal(mirrored_keypoints(mirrored, 64), keypoints)


def test_another_model_is_named(tmp_path: Path) -> None:
    write_folder(tmp_path, {"model": "parsing_net"}, {})
    with pytest.raises(WeightsError, match="'parsing_net'; must be 'pose_net' or 'blazepose'"):
        load_estimator(tmp_path)
    with pytest.raises(ConfigError, match=r"min_confidence: is 3, must be 0\.\.1"):
        PoseNetConfig(min_confidence=3)
