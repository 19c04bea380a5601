"""HumanDiffusion's ladder: the tokens once, the branches in one batch, kernels, precision, modes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from atelier.memory import Memory, read_memory
from atelier.memory_builder import MemoryBuilder
from atelier.models import registry
from atelier.models.diffusion.guidance import FULL, NULL
from atelier.models.diffusion.modes import reuse_of, run
from atelier.models.human_diffusion import HumanDiffusion, human_diffusion, parse
from atelier.models.human_diffusion.networks_clip import ClipEncoders
from atelier.models.human_diffusion.remembering import remember
from atelier.models.human_diffusion.sampling import MEMORY_SCALE, TEXT, TEXT_SCALE, denoiser, first_noise, rule
from atelier.models.layers.autoencoder import Autoencoder
from atelier.models.layers.pixels import bytes_from_picture, picture_from_bytes
from atelier.weights import state_digest
from benchmarks.models.filling import fill
from benchmarks.models.levers import ModelTrial, ladder
from benchmarks.models.looping import mode_of, prepare, running, straightforward
from training.data.closet_source import ClosetConfig, draw_sample

SHIPPED, MEMORY = "human_diffusion_closet", "human_diffusion_memory_closet"
RUNGS = ladder(
    ("tokens once a run", {"features_once": True}),
    ("branches in one batch", {"one_batch": True}),
    ("fused attention", {"fused_attention": True}),
    ("channels-last", {"channels_last": True}),
    ("bfloat16", {"bfloat16": True}),
    ("compiled", {"compile": True}),
    ("mode balanced", {"mode": "balanced"}),
    ("mode fast", {"mode": "fast"}),
)


def make(trial: ModelTrial, device: torch.device) -> Callable[[], Tensor]:
    """A pass from sentences and pose maps to pictures, uint8 [B, H, W, 3]."""
    model = HumanDiffusion.from_pretrained(registry.folder(trial.weights)) if trial.weights else _published(trial)
    model.eval().to(device).requires_grad_(False)
    prepare(model.unet, trial.levers)
    sentences, pose_map, person = _inputs(trial, device)
    memory = read_memory(MEMORY) if trial.weights == SHIPPED else _remembered(model, sentences, pose_map, person)
    memory = memory.to(device)
    generators = [torch.Generator().manual_seed(seed) for seed in range(trial.batch_size)]
    noise = first_noise(model, pose_map, None, generators)
    mode, schedule = mode_of(trial), model.schedule()
    guidance = rule(model, model.encode(sentences, memory), TEXT_SCALE, MEMORY_SCALE, mode, schedule)

    def told(branch: str) -> object:
        tokens = model.encode(sentences, memory)
        said = {NULL: tokens.without(text=True, memory=True), TEXT: tokens.without(memory=True), FULL: tokens}[branch]
        return model.tell(pose_map, said)

    def sample() -> Tensor:
        with torch.inference_mode(), running(trial.levers, device):
            if trial.levers.one_batch:
                tokens = model.encode(sentences, memory)
                denoise = denoiser(model, tokens, pose_map, guidance, reuse=reuse_of(mode, schedule))
            else:
                kept = {name: told(name) for name in guidance.branches} if trial.levers.features_once else {}
                denoise = straightforward(
                    lambda name, x_t, t: model.predict(x_t, t, kept.get(name) or told(name)),  # pyright: ignore[reportArgumentType]
                    guidance,
                    prediction=model.config.prediction,
                    clip=model.vae is None,
                )
            latents = run(mode, denoise, noise, schedule, clip=model.vae is None)
            picture = model.to_picture(latents)
        return bytes_from_picture(picture.float())

    return sample


def _published(trial: ModelTrial) -> HumanDiffusion:
    """The large network, Stable Diffusion's autoencoder and a CLIP ViT-L/14, all filled by the rule."""
    from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
    from transformers import CLIPConfig, CLIPModel

    config, widths = replace(human_diffusion(), working_size=trial.size), (128, 256, 512, 512)
    text = {"hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12, "num_attention_heads": 12}
    ids = {"bos_token_id": _BEGIN, "eos_token_id": _END, "pad_token_id": _END}
    vision = {
        "hidden_size": config.value_width,
        "intermediate_size": 4 * config.value_width,
        "num_hidden_layers": 24,
        "num_attention_heads": 16,
        "image_size": config.crop_size,
        "patch_size": 14,
    }
    clip = CLIPModel(CLIPConfig(text_config={**text, **ids}, vision_config=vision, projection_dim=config.key_width))
    blocks: dict[str, Any] = {
        "block_out_channels": widths,
        "down_block_types": ("DownEncoderBlock2D",) * len(widths),
        "up_block_types": ("UpDecoderBlock2D",) * len(widths),
    }
    vae = AutoencoderKL(**blocks, layers_per_block=2, latent_channels=config.latent_channels)
    assert isinstance(vae, torch.nn.Module)
    model = HumanDiffusion(config, encoders=ClipEncoders(clip, _letters, config), vae=Autoencoder(vae))
    fill(model)
    return model


_BEGIN, _END = 49406, 49407
"""CLIP's own ids."""


def _letters(phrases: Sequence[str], *, max_length: int, **_: object) -> dict[str, Tensor]:
    """A tokenizer's call where CLIP's vocabulary can't be had: a letter is a token."""
    ids = torch.full((len(phrases), max_length), _END)
    for row, phrase in zip(ids, phrases, strict=True):
        told = [_BEGIN, *phrase.encode()[: max_length - 2]]
        row[: len(told)] = torch.tensor(told)
    return {"input_ids": ids}


def _remembered(model: HumanDiffusion, sentences: Sequence[str], pose_map: Tensor, person: Tensor) -> Memory:
    """A memory of the trial's own people, by the model's encoders."""
    described, picture = [parse(sentence) for sentence in sentences], picture_from_bytes(person)
    builder = MemoryBuilder()
    crops = remember(model.encoders, picture, pose_map, described, crop_size=model.config.crop_size)
    builder.add([str(row) for row in range(len(sentences))], crops)
    return builder.build(max_bytes=100_000_000, encoders_digest=state_digest(model.encoders))


def _inputs(trial: ModelTrial, device: torch.device) -> tuple[list[str], Tensor, Tensor]:
    closet = ClosetConfig(kind="described", num_samples=trial.batch_size, size=trial.size)
    rows = [draw_sample(closet, index) for index in range(trial.batch_size)]
    pose_map, person = (torch.from_numpy(np.stack([row[name] for row in rows])) for name in ("parse", "person"))
    return [str(row["caption"]) for row in rows], pose_map.to(device), person.to(device)
