"""PIDM's step at a few pixels: pairs in both directions, conditions dropped apart, weights that come back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from atelier.errors import ConfigError
from atelier.geometry.pose_map import pose_map
from atelier.models.pidm import Pidm, pidm_closet
from tests.training.steps.descent import descend
from training.data.closet_source import ClosetConfig, draw_sample
from training.data.dataset import Sample
from training.data.pose_transfer import PoseTransferColumns, SqueezedPoseTransferColumns
from training.steps.base import Moment
from training.steps.pidm import PidmStep, PidmStepConfig

SIZE = (32, 32)
MODEL = replace(
    pidm_closet(), patch=1, working_size=SIZE, width=8, multipliers=(1, 2, 2), texture_strides=(2, 4), num_groups=4
)
CONFIG = PidmStepConfig(model=MODEL, learning_rate=2e-3)


@pytest.fixture(scope="module")
def sample() -> Sample:
    return draw_sample(ClosetConfig(kind="pose_transfer", num_samples=2, size=SIZE), 0)


@pytest.fixture(scope="module")
def batch(sample: Sample) -> Mapping[str, Tensor]:
    """One pair in several of its turns."""
    rows = [PoseTransferColumns()(sample, np.random.default_rng(seed)) for seed in range(6)]
    return {name: torch.from_numpy(np.stack([row[name] for row in rows])) for name in rows[0]}


@pytest.fixture
def step(tmp_path: Path) -> PidmStep:
    torch.manual_seed(0)
    return CONFIG.build(tmp_path)


def _moment(seed: int) -> Moment:
    return Moment(progress=0.5, seeds=tuple(range(seed, seed + 6)))


def test_a_pair_is_one_person_dressed_alike_in_two_poses(sample: Sample) -> None:
    assert set(sample) == {f"{who}{what}" for who in ("source", "target") for what in ("", "_parse", "_keypoints")}
    assert (sample["source_keypoints"] != sample["target_keypoints"]).any()
    assert (sample["source"] != sample["target"]).any()


def test_pairs_are_learned_in_both_directions_and_mirrored(sample: Sample) -> None:
    seen = set()
    for seed in range(20):
        row = PoseTransferColumns()(sample, np.random.default_rng(seed))
        for source, target in (("source", "target"), ("target", "source")):
            if np.array_equal(row["source"], sample[source]) and np.array_equal(row["target"], sample[target]):
                seen.add((source, "as it is"))
                assert np.array_equal(row["pose_map"], pose_map(sample[f"{target}_keypoints"], SIZE))
            turned = sample[source][:, ::-1], sample[target][:, ::-1]
            if np.array_equal(row["source"], turned[0]) and np.array_equal(row["target"], turned[1]):
                seen.add((source, "mirrored"))
    assert len(seen) == 4


def test_a_coarse_run_sees_the_same_pairs_at_half_the_size(sample: Sample) -> None:
    whole = PoseTransferColumns()(sample, np.random.default_rng(5))
    half = PoseTransferColumns(halvings=1)(sample, np.random.default_rng(5))
    assert half["source"].shape == (16, 16, 3) and half["pose_map"].shape == (16, 16, 20)
    for name in ("source", "target"):
        mean = whole[name][6:8, 10:12].reshape(4, 3).mean(0)
        np.testing.assert_allclose(half[name][3, 5], mean, atol=0.5)
    keypoints = sample["target_keypoints"] * np.array([0.5, 0.5, 1], np.float32)
    straight = PoseTransferColumns(mirror=False, halvings=1)
    turns = [straight(sample, np.random.default_rng(seed))["pose_map"] for seed in range(8)]
    assert any(np.array_equal(drawn, pose_map(keypoints, (16, 16))) for drawn in turns)


def test_pictures_and_pose_are_enlarged_alike(sample: Sample) -> None:
    rows, columns = np.mgrid[:64, :48]
    ramps = np.stack([20 + 4 * columns, 20 + 3 * rows, np.zeros_like(rows)], 2).astype(np.uint8)
    keypoints = sample["target_keypoints"] * np.array([1.5, 2, 1], np.float32)
    marked = {"source": ramps, "target": ramps, "source_keypoints": keypoints, "target_keypoints": keypoints}
    plain = SqueezedPoseTransferColumns(network_size=(64, 64), mirror=False)
    zooming = replace(plain, zoom=0.25)
    shares = []
    for seed in range(8):
        row, still = (each(marked, np.random.default_rng(seed)) for each in (zooming, plain))
        assert np.array_equal(row["source"], row["target"]) and row["target"].shape == (64, 48, 3)
        assert np.array_equal(still["target"], ramps)
        again = zooming(marked, np.random.default_rng(seed))
        assert all(np.array_equal(row[name], again[name]) for name in row)
        # Where each pixel was before, read off the ramps, tells where the joints are now.
        before_x, before_y = (row["target"][32, 8:40, 0] - 20.0) / 4, (row["target"][8:56, 24, 1] - 20.0) / 3
        (scale_x, left), (scale_y, top) = (
            np.polyfit(before_x, np.arange(8, 40), 1),
            np.polyfit(before_y, np.arange(8, 56), 1),
        )
        moved = keypoints * np.array([scale_x, scale_y, 1]) + np.array([left, top, 0]) * (keypoints[:, 2:] > 0)
        drawn = pose_map(moved.astype(np.float32), (64, 48), drawn_size=(64, 64))
        assert np.abs(row["pose_map"][..., 3:].astype(int) - drawn[..., 3:]).mean() < 1
        shares.append(scale_x)
    assert 1 <= min(shares) < 1.1 < max(shares) <= 1.26


def test_the_step_learns_and_moves_everything(step: PidmStep, batch: Mapping[str, Tensor]) -> None:
    optimizer = torch.optim.Adam(step.networks.parameters(), lr=CONFIG.learning_rate)
    before = {name: value.clone() for name, value in step.networks.named_parameters()}
    losses = []
    for total, loss in descend((step.loss("pidm", batch, _moment(0)) for _ in range(12)), optimizer):
        losses.append(total)
        assert total == pytest.approx(sum(float(term) for term in loss.terms.values()), rel=1e-4)
    assert losses[-1] < losses[0]
    still = [name for name, value in step.networks.named_parameters() if torch.equal(value, before[name])]
    assert still == []


def test_a_rows_loss_does_not_depend_on_its_batch_mates(tmp_path: Path, batch: Mapping[str, Tensor]) -> None:
    step = CONFIG.build(tmp_path)
    whole = step.loss("pidm", batch, _moment(0))
    parts = [
        step.loss("pidm", {name: column[rows] for name, column in batch.items()}, _moment(0).rows(rows))
        for rows in (slice(0, 2), slice(2, 4), slice(4, 6))
    ]
    mean = sum(float(part.total.detach()) for part in parts) / 3
    assert float(whole.total.detach()) == pytest.approx(mean, rel=1e-4)


def test_style_and_pose_are_dropped_each_by_itself(batch: Mapping[str, Tensor], tmp_path: Path) -> None:
    torch.manual_seed(0)
    step = replace(CONFIG, style_dropped=0.5, pose_dropped=0.5).build(tmp_path)
    given = []
    step.network.register_forward_hook(lambda module, args, output: given.append(args))
    for seed in range(0, 60, 6):
        step.loss("pidm", batch, _moment(seed))
    combinations = {
        (bool(source.any()), bool(pose.any()))
        for _, _, poses, sources in given
        for source, pose in zip(sources, poses, strict=True)
    }
    assert len(combinations) == 4


def test_exported_weights_come_back(step: PidmStep, tmp_path: Path) -> None:
    with torch.no_grad():
        for parameter in step.networks.parameters():
            parameter.add_(0.25)
    step.export(step.networks, tmp_path / "earlier" / "weights", None)
    loaded = Pidm.from_pretrained(tmp_path / "earlier" / "weights")
    again = replace(CONFIG, initial="earlier").build(tmp_path)
    for mine, one, other in zip(
        step.network.parameters(), loaded.parameters(), again.network.parameters(), strict=True
    ):
        assert torch.equal(mine, one) and torch.equal(mine, other)


def test_a_network_of_patches_goes_on_where_one_of_pixels_was(step: PidmStep, tmp_path: Path) -> None:
    with torch.no_grad():
        for parameter in step.networks.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    step.export(step.networks, tmp_path / "earlier" / "weights", None)
    larger = replace(MODEL, working_size=(64, 64), patch=2, texture_strides=(4, 8))
    grown = replace(CONFIG, model=larger, initial="earlier").build(tmp_path).network.eval()
    given = torch.randn(2, 3, 32, 32), torch.tensor([5, 900]), torch.rand(2, 20, 32, 32), torch.randn(2, 3, 32, 32)
    # A patch of one colour is a pixel.
    blocky = [part.repeat_interleave(2, -1).repeat_interleave(2, -2) if part.ndim == 4 else part for part in given]
    expected = step.network.eval()(*given).repeat_interleave(2, -1).repeat_interleave(2, -2)
    torch.testing.assert_close(grown(*blocky), expected, rtol=1e-4, atol=1e-4)

    elsewhere = replace(larger, texture_strides=(2, 4))
    moved = replace(CONFIG, model=elsewhere, initial="earlier").build(tmp_path).network
    assert torch.equal(
        moved.unet.middle_block[-1].in_layers[-1].weight, grown.unet.middle_block[-1].in_layers[-1].weight
    )
    fresh, kept = (block[-1].proj_out2.weight for block in moved.unet.input_blocks if len(block) == 2)
    assert not fresh.any() and torch.equal(kept, grown.unet.input_blocks[3][-1].proj_out2.weight)

    with pytest.raises(ConfigError, match=r"no start for this network: width 8 for 16$"):
        replace(CONFIG, model=replace(larger, width=16), initial="earlier").build(tmp_path)
    with pytest.raises(ConfigError, match=r"texture_strides \(2, 4\) for \(\)$"):
        replace(CONFIG, model=replace(larger, texture_strides=()), initial="earlier").build(tmp_path)
