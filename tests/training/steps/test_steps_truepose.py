"""TruePose's steps at a few pixels: an autoencoder, then both UNets on its latents, and weights that come back."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from atelier.errors import ConfigError
from atelier.geometry.pose_image import pose_image
from atelier.geometry.pose_map import pose_map
from atelier.models.truepose import TruePose
from atelier.models.truepose.convert import convert
from atelier.models.truepose.networks_autoencoder import build_autoencoder
from atelier.models.truepose.networks_unet import build_unet
from tests.atelier.models.truepose.truepose_tiny import TINY, filled, write_clip
from tests.training.steps.descent import descend
from training.data.closet_source import ClosetConfig, draw_sample
from training.data.dataset import Sample
from training.data.truepose import CroppedPictureColumns, TruePoseColumns
from training.runs import named
from training.steps.base import Moment
from training.steps.truepose import TruePoseStep, TruePoseStepConfig
from training.steps.truepose_autoencoder import AutoencoderStepConfig, DecoderStepConfig

SIZE = (32, 32)
MODEL = dataclasses.replace(TINY, working_size=SIZE)
_OTHER_SIDE = np.array([*range(14), 15, 14, 17, 16, 19, 18], np.uint8)
"""Of CIHP's labels, in a mirror."""
CONFIG = TruePoseStepConfig(model=MODEL, autoencoder="autoencoder", learning_rate=2e-3)


@pytest.fixture(scope="module")
def sample() -> Sample:
    return draw_sample(ClosetConfig(kind="pose_transfer", num_samples=2, size=SIZE), 0)


@pytest.fixture(scope="module")
def batch(sample: Sample) -> Mapping[str, Tensor]:
    """One pair in several of its turns."""
    rows = [TruePoseColumns(pose="pose_map")(sample, np.random.default_rng(seed)) for seed in range(6)]
    return {name: torch.from_numpy(np.stack([row[name] for row in rows])) for name in rows[0]}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of runs with an autoencoder's exported weights."""
    folder = tmp_path_factory.mktemp("runs")
    torch.manual_seed(0)
    step = AutoencoderStepConfig(model=MODEL).build(folder)
    step.export(step.networks, folder / "autoencoder" / "weights", None)
    return folder


def _moment(seed: int) -> Moment:
    return Moment(progress=0.5, seeds=tuple(range(seed, seed + 6)))


def _step(runs: Path, config: TruePoseStepConfig = CONFIG) -> TruePoseStep:
    torch.manual_seed(0)
    return config.build(runs)


def test_pairs_are_learned_in_both_directions_and_mirrored_with_their_parses(sample: Sample) -> None:
    seen = set()
    for seed in range(24):
        row = TruePoseColumns(pose="skeleton")(sample, np.random.default_rng(seed))
        for source, target in (("source", "target"), ("target", "source")):
            if np.array_equal(row["source"], sample[source]):
                seen.add((source, "as it is"))
                assert np.array_equal(row["target"], sample[target])
                assert np.array_equal(row["source_parse"], sample[f"{source}_parse"])
                assert np.array_equal(row["pose"], pose_image(sample[f"{target}_keypoints"], SIZE))
            elif np.array_equal(row["source"], sample[source][:, ::-1]):
                seen.add((source, "mirrored"))
                flipped = sample[f"{target}_parse"][:, ::-1]
                assert np.array_equal(row["target_parse"], _OTHER_SIDE[flipped])
    assert len(seen) == 4


def test_a_coarse_run_sees_the_same_at_half_the_size(sample: Sample) -> None:
    columns = TruePoseColumns(pose="pose_map", mirror=False)
    whole, half = (
        each(sample, np.random.default_rng(1)) for each in (columns, dataclasses.replace(columns, halvings=1))
    )
    assert half["source"].shape == half["target"].shape == (16, 16, 3) and half["target_parse"].shape == (16, 16)
    np.testing.assert_allclose(half["source"][3, 5], whole["source"][6:8, 10:12].reshape(4, 3).mean(0), atol=0.5)
    target = "target" if np.array_equal(whole["target"], sample["target"]) else "source"
    keypoints = sample[f"{target}_keypoints"] * np.array([0.5, 0.5, 1], np.float32)
    assert np.array_equal(half["pose"], pose_map(keypoints, (16, 16)))


def test_the_autoencoder_sees_squares_of_people(sample: Sample) -> None:
    person = {"person": sample["source"]}
    row = CroppedPictureColumns(side=16)(person, np.random.default_rng(0))
    assert row["picture"].shape == (16, 16, 3)
    with pytest.raises(ConfigError, match="side: is 64, pictures are 32x32"):
        CroppedPictureColumns(side=64)(person, np.random.default_rng(0))


def test_the_autoencoder_learns_and_its_decoder_goes_on_alone(batch: Mapping[str, Tensor], runs: Path) -> None:
    pictures = {"picture": batch["source"]}
    torch.manual_seed(0)
    for config, still in (
        (AutoencoderStepConfig(model=MODEL, learning_rate=5e-3), set()),
        (DecoderStepConfig(model=MODEL, learning_rate=5e-3, initial="autoencoder"), {"encoder", "quant_conv"}),
    ):
        step = config.build(runs)
        before = {name: value.clone() for name, value in step.vae.named_parameters()}
        optimizer = torch.optim.Adam([value for value in step.vae.parameters() if value.requires_grad], 5e-3)
        found = descend((step.loss("vae", pictures, _moment(seed)) for seed in range(8)), optimizer)
        losses = [total for total, _ in found]
        assert losses[-1] < losses[0]
        moved = {name.partition(".")[0] for name, value in step.vae.named_parameters() if not value.equal(before[name])}
        assert moved == {"encoder", "quant_conv", "post_quant_conv", "decoder"} - still


@pytest.mark.slow
def test_the_step_learns_and_moves_all_that_takes_part(batch: Mapping[str, Tensor], runs: Path) -> None:
    step = _step(runs)
    optimizer = torch.optim.Adam(step.networks.parameters(), lr=CONFIG.learning_rate)
    before = {name: value.clone() for name, value in step.networks.named_parameters()}
    losses = []
    for total, loss in descend((step.loss("truepose", batch, _moment(0)) for _ in range(8)), optimizer):
        assert set(loss.terms) == {"denoising", "alignment"}
        losses.append(total)
    assert losses[-1] < losses[0]
    still = [name for name, value in step.networks.named_parameters() if torch.equal(value, before[name])]
    assert all(name.startswith("siamese.source_net.") for name in still), still  # what follows its last attention
    assert not any(".down_blocks." in name or ".conv_in." in name for name in still)
    assert not any(value.requires_grad for value in step.model.vae.parameters())


@pytest.mark.parametrize(("part", "terms"), [("fusion", {"denoising", "alignment"}), ("alignment", {"denoising"})])
def test_each_part_can_be_taken_away(batch: Mapping[str, Tensor], runs: Path, part: str, terms: set[str]) -> None:
    step = _step(runs, dataclasses.replace(CONFIG, model=dataclasses.replace(MODEL, **{part: False})))
    loss = step.loss("truepose", batch, _moment(0))
    assert set(loss.terms) == terms and loss.total.isfinite()


def test_a_rows_loss_does_not_depend_on_its_batch_mates(batch: Mapping[str, Tensor], runs: Path) -> None:
    step = _step(runs, dataclasses.replace(CONFIG, alignment_weight=0.0))
    whole = step.loss("truepose", batch, _moment(0))
    parts = [
        step.loss("truepose", {name: column[rows] for name, column in batch.items()}, _moment(0).rows(rows))
        for rows in (slice(0, 2), slice(2, 4), slice(4, 6))
    ]
    mean = sum(float(part.total.detach()) for part in parts) / 3
    assert float(whole.total.detach()) == pytest.approx(mean, rel=1e-4)


def test_source_and_pose_are_dropped_alone_and_together(batch: Mapping[str, Tensor], runs: Path) -> None:
    config = dataclasses.replace(CONFIG, source_dropped=0.25, pose_dropped=0.25, both_dropped=0.25)
    step, told = _step(runs, config), []
    for gate in step.model.siamese.conditions.guider.out.parameters():
        torch.nn.init.ones_(gate)  # it starts by adding nothing
    step.model.siamese.register_forward_pre_hook(lambda module, args: told.append(args[2]))
    for seed in range(0, 30, 6):
        step.loss("truepose", batch, _moment(seed))
    combinations = {
        (bool(keys.any()), bool(pose.any()))
        for each in told
        for keys, pose in zip(each["keys"][0], each["pose"], strict=True)
    }
    assert len(combinations) == 4


def test_exported_weights_come_back(runs: Path, tmp_path: Path) -> None:
    step = _step(runs)
    with torch.no_grad():
        for parameter in step.networks.parameters():
            parameter.add_(0.25)
    step.export(step.networks, runs / "earlier" / "weights", None)
    loaded = TruePose.from_pretrained(runs / "earlier" / "weights")
    again = _step(runs, dataclasses.replace(CONFIG, initial="earlier"))
    for mine, one, other in zip(step.model.parameters(), loaded.parameters(), again.model.parameters(), strict=True):
        assert torch.equal(mine, one) and torch.equal(mine, other)


@pytest.mark.slow
def test_the_large_run_begins_with_stable_diffusion_and_keeps_its_autoencoder(
    batch: Mapping[str, Tensor], tmp_path: Path
) -> None:
    """`truepose_512` with tiny networks in the places of the large ones."""
    model = dataclasses.replace(MODEL, encoder="clip")
    filled(build_unet(model)).save_pretrained(tmp_path / "sd" / "unet")
    filled(build_autoencoder(model), 1).save_pretrained(tmp_path / "sd" / "vae")
    clip = write_clip(tmp_path / "clip")
    convert(stable_diffusion=tmp_path / "sd", clip=clip, out=tmp_path / "stable_diffusion", config=model)
    config = named("truepose_512").step
    assert isinstance(config, TruePoseStepConfig)
    step = _step(tmp_path, dataclasses.replace(config, model=model))
    begun = TruePose.from_pretrained(tmp_path / "stable_diffusion", clip=clip)
    for mine, theirs in zip(step.model.parameters(), begun.parameters(), strict=True):
        assert torch.equal(mine, theirs)
    loss = step.loss("truepose", batch, _moment(0))
    loss.total.backward()
    assert loss.total.isfinite() and "encoder" not in step.networks
    step.export(step.networks, tmp_path / "made", None)
    assert TruePose.from_pretrained(tmp_path / "made", clip=clip).config == model
