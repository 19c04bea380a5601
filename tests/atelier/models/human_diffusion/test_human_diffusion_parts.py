"""CLIP and an autoencoder from local folders: real classes of transformers and diffusers, tiny."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from torch import Tensor

from atelier.errors import ConfigError, WeightsError
from atelier.memory_builder import MemoryBuilder
from atelier.models.diffusion.modes import Mode, run
from atelier.models.human_diffusion import HumanDiffusion, HumanDiffusionConfig, parse
from atelier.models.human_diffusion.editing import changed_region, edit
from atelier.models.human_diffusion.networks_clip import ClipEncoders
from atelier.models.human_diffusion.remembering import remember
from atelier.models.human_diffusion.sampling import MEMORY_SCALE, TEXT_SCALE, denoiser, first_noise, rule, sample
from atelier.models.layers.autoencoder import Autoencoder
from atelier.weights import state_digest
from tests.atelier.models.human_diffusion.conftest import seeds, stirred
from tests.atelier.models.human_diffusion.local_parts import latent, write_clip, write_vae

SENTENCE = "a red shirt and navy trousers"


@pytest.fixture(scope="module")
def config(tiny_config: HumanDiffusionConfig) -> HumanDiffusionConfig:
    return latent(tiny_config)


@pytest.fixture(scope="module")
def clip_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_clip(tmp_path_factory.mktemp("clip"))


@pytest.fixture(scope="module")
def vae_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_vae(tmp_path_factory.mktemp("vae"))


@pytest.fixture(scope="module")
def latent_model(config: HumanDiffusionConfig, clip_folder: Path, vae_folder: Path) -> HumanDiffusion:
    torch.manual_seed(0)
    encoders = ClipEncoders.from_folder(clip_folder, config)
    model = HumanDiffusion(config, encoders=encoders, vae=Autoencoder.from_folder(vae_folder))
    stirred(model.unet)
    return model.eval()


def test_clip_gives_keys_and_values(latent_model: HumanDiffusion, pictures: Tensor, pose_maps: Tensor) -> None:
    encoders = latent_model.encoders
    keys = encoders.read(encoders.tokenize(["red shirt", "blue shirt", "red shirt"]))
    assert torch.allclose(keys.norm(dim=1), torch.ones(3), atol=1e-5) and keys.shape == (3, 16)
    assert torch.equal(keys[0], keys[2]) and not torch.allclose(keys[0], keys[1], atol=1e-4)
    remembered = remember(encoders, pictures[:1], pose_maps[:1], [parse("a red shirt, fair skin")], crop_size=32)
    assert remembered.values.shape[1:] == (4, 32) and set(remembered.phrases) <= {"red shirt", "fair skin"}
    assert not any(weight.requires_grad for weight in encoders.parameters())
    assert not latent_model.train().encoders.get_submodule("clip").training
    latent_model.eval()


def test_a_latent_model_makes_edits_and_returns(
    latent_model: HumanDiffusion, pictures: Tensor, pose_maps: Tensor, tmp_path: Path
) -> None:
    builder = MemoryBuilder()
    said = [parse(SENTENCE)] * len(pictures)
    builder.add([str(row) for row in range(len(pictures))], remember(
        latent_model.encoders, pictures, pose_maps, said, crop_size=32))  # fmt: skip
    memory = builder.build(max_bytes=1_000_000, encoders_digest=state_digest(latent_model.encoders))
    latent_model.save_pretrained(tmp_path)
    again = HumanDiffusion.from_pretrained(tmp_path)
    mode, maps = Mode(num_steps=3), pose_maps[:1]
    made, back = (
        sample(model, model.encode([SENTENCE], memory), maps, mode=mode, generator=seeds(3))
        for model in (latent_model, again)
    )
    assert torch.equal(made, back) and made.shape == pictures[:1].shape
    after = [said[0].changed(top="green hoodie")]
    region = changed_region(said[:1], after, maps, maps)
    edited = edit(again, pictures[:1], region, again.encode(after, memory), maps, mode=mode, generator=seeds(3))
    outside = ~region[:, None].expand_as(edited)
    assert torch.equal(edited[outside], pictures[:1][outside]) and not torch.equal(edited, pictures[:1])


def test_latents_are_drawn_about_their_mean(latent_model: HumanDiffusion, pictures: Tensor) -> None:
    mean = latent_model.to_latents(pictures[:1])
    first, again, other = (latent_model.to_latents(pictures[:1], seeds(seed)) for seed in (1, 1, 2))
    assert mean.shape == (1, *latent_model.config.latent_shape((64, 32)))
    assert torch.equal(first, again) and not torch.equal(first, other) and not torch.equal(first, mean)


def test_parts_that_do_not_fit_are_refused(
    config: HumanDiffusionConfig, latent_model: HumanDiffusion, clip_folder: Path, vae_folder: Path, tmp_path: Path
) -> None:
    with pytest.raises(WeightsError, match="key_width is 16, must be 24"):
        ClipEncoders.from_folder(clip_folder, dataclasses.replace(config, key_width=24))
    with pytest.raises(WeightsError, match="is no folder with CLIP"):
        ClipEncoders.from_folder(tmp_path / "nowhere", config)
    with pytest.raises(WeightsError, match="is no folder with an AutoencoderKL"):
        Autoencoder.from_folder(tmp_path / "nowhere")
    with pytest.raises(ConfigError, match="encoders: the config says 'clip'"):
        HumanDiffusion(config)
    with pytest.raises(ConfigError, match="vae: given False, with latent_stride 2"):
        HumanDiffusion(config, encoders=latent_model.encoders)
    with pytest.raises(ConfigError, match="vae: has stride 2 and 4 channels, must have latent_stride 4"):
        other = dataclasses.replace(config, latent_stride=4, retrieved_strides=(), self_attention_strides=())
        HumanDiffusion(other, encoders=latent_model.encoders, vae=Autoencoder.from_folder(vae_folder))
    latent_model.save_pretrained(tmp_path)
    torch.manual_seed(9)
    AutoencoderKL.from_config(AutoencoderKL.load_config(vae_folder)).save_pretrained(tmp_path / "other")
    with pytest.raises(WeightsError, match=r"vae: the weights are .*, the model was trained on"):
        HumanDiffusion.from_pretrained(tmp_path, vae=tmp_path / "other")


def test_ancestral_steps_on_latents_are_not_held_in_a_pictures_range(
    latent_model: HumanDiffusion, pose_maps: Tensor, pictures: Tensor
) -> None:
    """Latents are not bounded: at the last step the estimate is what is made, and it may lie beyond 1."""
    mode = Mode(sampler="ddpm", num_steps=5)
    tokens, maps = latent_model.encode([SENTENCE] * 2), pose_maps[:2]
    schedule = latent_model.schedule()
    noise = 4 * first_noise(latent_model, maps, None, seeds(0, 1))
    guidance = rule(latent_model, tokens, TEXT_SCALE, MEMORY_SCALE, mode, schedule)

    def run_with(*, clip: bool) -> Tensor:
        denoise = denoiser(latent_model, tokens, maps, guidance)
        with torch.no_grad():
            return run(mode, denoise, noise, schedule, clip=clip, generator=seeds(0, 1))

    unbounded = run_with(clip=False)
    assert unbounded.abs().max() > 1.5 and run_with(clip=True).abs().max() <= 1
    made = sample(latent_model, tokens, maps, mode=mode, noise=noise, generator=seeds(0, 1))
    torch.testing.assert_close(made, latent_model.to_picture(unbounded))
    everywhere = torch.ones_like(maps, dtype=torch.bool)
    changed = edit(latent_model, pictures[:2], everywhere, tokens, maps, mode=mode, noise=noise, generator=seeds(0, 1))
    torch.testing.assert_close(changed, made)
