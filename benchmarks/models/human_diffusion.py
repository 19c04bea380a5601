"""HumanDiffusion's ladder: the tokens once, the branches in one batch, kernels, precision, modes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from atelier.memory import read_memory
from atelier.models import registry
from atelier.models.diffusion.guidance import FULL, NULL
from atelier.models.diffusion.modes import run
from atelier.models.human_diffusion import HumanDiffusion
from atelier.models.human_diffusion.sampling import MEMORY_SCALE, TEXT, TEXT_SCALE, denoiser, first_noise, rule
from atelier.models.layers.pixels import bytes_from_picture
from benchmarks.models.levers import ModelTrial, ladder
from benchmarks.models.looping import mode_of, prepare, running, straightforward
from training.data.closet_source import ClosetConfig, draw_sample

MEMORY = "human_diffusion_memory_closet"
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
    model = HumanDiffusion.from_pretrained(registry.folder(trial.weights)).to(device).requires_grad_(False)
    memory = read_memory(registry.PRETRAINED / MEMORY)
    prepare(model.unet, trial.levers)
    sentences, pose_map = _inputs(trial, device)
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
                denoise = denoiser(model, tokens, pose_map, guidance, reuse_every=mode.reuse_every)
            else:
                kept = {name: told(name) for name in guidance.branches} if trial.levers.features_once else {}
                denoise = straightforward(
                    lambda name, x_t, t: model.predict(x_t, t, kept.get(name) or told(name)),  # pyright: ignore[reportArgumentType]
                    guidance,
                    prediction=model.config.prediction,
                    clip=model.vae is None,
                )
            latents = run(mode, denoise, noise, schedule)
            picture = model.to_picture(latents)
        return bytes_from_picture(picture.float())

    return sample


def _inputs(trial: ModelTrial, device: torch.device) -> tuple[list[str], Tensor]:
    closet = ClosetConfig(kind="described", num_samples=trial.batch_size, size=trial.size)
    rows = [draw_sample(closet, index) for index in range(trial.batch_size)]
    pose_map = torch.from_numpy(np.stack([row["parse"] for row in rows]))
    return [str(row["caption"]) for row in rows], pose_map.to(device)
