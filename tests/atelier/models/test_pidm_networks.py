"""PIDM's networks at their sizes: shapes, starts, configs, folders."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from atelier.errors import ConfigError, WeightsError
from atelier.models.diffusion.modes import Mode
from atelier.models.pidm import Pidm, PidmConfig, pidm_256, pidm_512, pidm_closet
from atelier.models.pidm.sampling import sample
from tests.parity.fill import fill, keys_of

SIZE = (64, 96)


@pytest.fixture(scope="module")
def model() -> Pidm:
    """The small network on filled weights: nothing in it is zero."""
    made = Pidm(pidm_closet()).eval()
    for name, network in made.named_children():
        network.load_state_dict(fill(keys_of(made.get_submodule(name))))
    return made


def test_shapes_on_pictures_that_are_not_square(model: Pidm) -> None:
    with torch.no_grad():
        features = model.encode(torch.randn(2, 3, *SIZE))
        output = model.denoise(torch.randn(2, 3, *SIZE), torch.tensor([3, 700]), torch.rand(2, 20, *SIZE), features)
    assert len(features) == 8
    assert features[0].shape == (2, 24, 32, 48) and features[-1].shape == (2, 96, 4, 6)
    assert output.shape == (2, 6, *SIZE)


def test_a_row_does_not_depend_on_its_batch_mates(model: Pidm) -> None:
    x_t, source, pose = torch.randn(3, 3, *SIZE), torch.randn(3, 3, *SIZE), torch.rand(3, 20, *SIZE)
    t = torch.tensor([900, 10, 500])
    with torch.no_grad():
        together = model.denoise(x_t, t, pose, model.encode(source))
        alone = model.denoise(x_t[1:2], t[1:2], pose[1:2], model.encode(source[1:2]))
    torch.testing.assert_close(together[1:2], alone, rtol=1e-4, atol=1e-5)


def test_source_pose_and_time_matter(model: Pidm) -> None:
    x_t, source, pose = torch.randn(1, 3, *SIZE), torch.randn(1, 3, *SIZE), torch.rand(1, 20, *SIZE)
    with torch.no_grad():
        features = model.encode(source)
        output = model.denoise(x_t, torch.tensor([500]), pose, features)
        for changed in (
            model.denoise(x_t, torch.tensor([500]), pose, model.encode(-source)),
            model.denoise(x_t, torch.tensor([500]), 1 - pose, features),
            model.denoise(x_t, torch.tensor([499.5]), pose, features),
        ):
            assert (output - changed).abs().mean() > 1e-4


def test_untrained_network_predicts_nothing() -> None:
    fresh = Pidm(pidm_closet())
    features = fresh.encode(torch.randn(1, 3, *SIZE))
    output = fresh.denoise(torch.randn(1, 3, *SIZE), torch.tensor([5]), torch.rand(1, 20, *SIZE), features)
    assert output.abs().max() == 0


def test_every_parameter_is_trained() -> None:
    model = Pidm(replace(pidm_closet(), patch=1, width=8, multipliers=(1, 2, 2), texture_strides=(2, 4), num_groups=4))
    for name, network in model.named_children():
        network.load_state_dict(fill(keys_of(model.get_submodule(name))))
    features = model.encode(torch.randn(1, 3, 16, 16))
    model.denoise(torch.randn(1, 3, 16, 16), torch.tensor([5]), torch.rand(1, 20, 16, 16), features).sum().backward()
    assert [name for name, parameter in model.named_parameters() if parameter.grad is None] == []


@pytest.mark.parametrize(("config", "num_maps", "num_blocks"), [(pidm_256(), 18, 7), (pidm_closet(), 8, 6)])
def test_texture_blocks_stand_where_published(config: PidmConfig, num_maps: int, num_blocks: int) -> None:
    with torch.device("meta"):
        model = Pidm(config)
    features = model.encode(torch.zeros(1, 3, *config.working_size, device="meta"))
    keys_values = model.keys_values(features)
    height, width = config.working_size
    strides = [*config.texture_strides, *reversed(config.texture_strides)]
    if config.size_multiple in config.texture_strides:
        strides.insert(len(config.texture_strides), config.size_multiple)  # in the middle
    assert len(features) == num_maps and len(keys_values) == num_blocks
    assert [part.shape[2] for part in keys_values] == [height // stride * (width // stride) for stride in strides]


def test_without_texture_blocks_the_source_goes_in_with_the_noise(tmp_path: Path) -> None:
    baseline = Pidm(
        replace(
            pidm_closet(),
            patch=1,
            width=8,
            multipliers=(1, 2, 2),
            texture_strides=(),
            num_groups=4,
            working_size=(16, 16),
        )
    ).eval()
    baseline.unet.load_state_dict(fill(keys_of(baseline.unet)))
    source, x_t, pose = torch.randn(2, 3, 16, 16), torch.randn(2, 3, 16, 16), torch.rand(2, 20, 16, 16)
    t = torch.tensor([5, 9])
    with torch.no_grad():
        output = baseline.denoise(x_t, t, pose, baseline.encode(source))
        other = baseline.denoise(x_t, t, pose, baseline.encode(-source))
        assert output.shape == (2, 6, 16, 16) and (output - other).abs().mean() > 1e-3
        sampled = sample(baseline, baseline.encode(source), pose, mode=Mode(num_steps=2), noise=x_t)
        baseline.save_pretrained(tmp_path)
        again = Pidm.from_pretrained(tmp_path)
        assert torch.equal(again.denoise(x_t, t, pose, again.encode(source)), output)
    assert sampled.isfinite().all()


def test_closet_weights_stay_within_nine_megabytes() -> None:
    with torch.device("meta"):
        model = Pidm(pidm_closet())
    assert 2 * sum(parameter.numel() for parameter in model.parameters()) < 9e6


def test_a_folder_gives_the_same_model_back(tmp_path: Path, model: Pidm) -> None:
    digest = model.save_pretrained(tmp_path / "full")
    assert model.save_pretrained(tmp_path / "half", dtype=torch.float16) != digest
    loaded, halved = Pidm.from_pretrained(tmp_path / "full"), Pidm.from_pretrained(tmp_path / "half")
    assert loaded.config == model.config and not loaded.training
    assert all(torch.equal(mine, theirs) for mine, theirs in zip(model.parameters(), loaded.parameters(), strict=True))
    assert {parameter.dtype for parameter in halved.parameters()} == {torch.float32}
    (tmp_path / "full" / "encoder.safetensors").unlink()
    with pytest.raises(WeightsError, match=r"encoder\.safetensors is missing"):
        Pidm.from_pretrained(tmp_path / "full")


@pytest.mark.parametrize("config", [pidm_256(), pidm_512(), pidm_closet()])
def test_configs_come_back_from_json(config: PidmConfig) -> None:
    assert PidmConfig.from_json(config.to_json()) == config


def test_what_does_not_fit_is_refused(model: Pidm) -> None:
    with pytest.raises(ConfigError, match="256x176, both sides must be multiples of 32"):
        replace(pidm_256(), working_size=(256, 176))
    with pytest.raises(ConfigError, match="30x48"):
        model.encode(torch.zeros(1, 3, 30, 48))
    with pytest.raises(ConfigError, match=r"texture_strides: \[3\]"):
        replace(pidm_closet(), texture_strides=(3,))
    with pytest.raises(ConfigError, match="num_groups: 7 does not divide 1 x 24"):
        replace(pidm_closet(), num_groups=7)
    with pytest.raises(ConfigError, match="guidance: is 'best'"):
        PidmConfig.from_json({**pidm_closet().to_json(), "guidance": "best"})
    with pytest.raises(ConfigError, match="model: is 'viton_hd'"):
        PidmConfig.from_json({"model": "viton_hd"})
    with pytest.raises(ConfigError, match="depth: no such field"):
        PidmConfig.from_json({"model": "pidm", "depth": 3})
