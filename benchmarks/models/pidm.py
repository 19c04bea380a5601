"""PIDM's ladder: the texture features once, the branches in one batch, kernels, precision, modes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from atelier.models import registry
from atelier.models.diffusion import guidance as rules
from atelier.models.diffusion.modes import reuse_of, run
from atelier.models.layers.noise import draw_normal
from atelier.models.layers.pixels import bytes_from_picture, picture_from_bytes
from atelier.models.pidm import Pidm
from atelier.models.pidm.config import PidmConfig
from atelier.models.pidm.sampling import conditions, denoiser, rule, schedule_of
from benchmarks.models.filling import fill
from benchmarks.models.levers import ModelTrial, ladder
from benchmarks.models.looping import mode_of, prepare, running, straightforward
from training.data.closet_source import ClosetConfig, draw_sample
from training.data.pose_transfer import PoseTransferColumns

RUNGS = ladder(
    ("features once a run", {"features_once": True}),
    ("branches in one batch", {"one_batch": True}),
    ("fused attention", {"fused_attention": True}),
    ("channels-last", {"channels_last": True}),
    ("bfloat16", {"bfloat16": True}),
    ("compiled", {"compile": True}),
    ("mode balanced", {"mode": "balanced"}),
    ("mode fast", {"mode": "fast"}),
)


def make(trial: ModelTrial, device: torch.device) -> Callable[[], Tensor]:
    """A pass from sources and pose maps to pictures, uint8 [B, H, W, 3]."""
    if trial.weights:
        model = Pidm.from_pretrained(registry.folder(trial.weights))
    else:
        model = Pidm(PidmConfig(working_size=trial.size, guidance="disentangled", clip=True)).eval()
        fill(model)
    model.to(device).requires_grad_(False)
    prepare(model.unet, trial.levers)
    source, pose_map = _inputs(trial, device)
    noise = draw_normal(len(source), (3, *trial.size), _generators(trial)).to(device).double()
    mode, schedule = mode_of(trial), schedule_of(model)
    guidance = rule(model.config.guidance, 2.0, 2.0, mode, schedule)

    def alone(branch: str, x_t: Tensor, timesteps: Tensor) -> Tensor:
        styled = branch in (rules.FULL, rules.STYLE)
        posed = branch in (rules.FULL, rules.POSE)
        features = model.encode(source if styled else torch.zeros_like(source))
        return model.denoise(x_t, timesteps, pose_map if posed else torch.zeros_like(pose_map), features)

    def sample() -> Tensor:
        with torch.inference_mode(), running(trial.levers, device):
            if trial.levers.one_batch:
                features = model.encode(source)
                denoise = denoiser(model, features, pose_map, guidance, reuse=reuse_of(mode, schedule))
            elif trial.levers.features_once:
                told = conditions(model, model.encode(source), pose_map, guidance.branches)

                def predict(branch: str, x_t: Tensor, timesteps: Tensor) -> Tensor:
                    # What is null is one row for all.
                    keys_values = [each.expand(len(x_t), -1, -1) for each in told[branch]["keys_values"]]
                    return model.predict(x_t, timesteps, told[branch]["pose_map"], keys_values)

                denoise = straightforward(
                    predict,
                    guidance,
                    prediction=model.config.prediction,
                    learned_variance=True,
                    clip=model.config.clip,
                )
            else:
                denoise = straightforward(
                    alone,
                    guidance,
                    prediction=model.config.prediction,
                    learned_variance=True,
                    clip=model.config.clip,
                )
            picture = run(mode, denoise, noise, schedule)
        return bytes_from_picture(picture.float().clamp(-1, 1))

    return sample


def _inputs(trial: ModelTrial, device: torch.device) -> tuple[Tensor, Tensor]:
    closet = ClosetConfig(kind="pose_transfer", num_samples=trial.batch_size, size=trial.size)
    columns = PoseTransferColumns(mirror=False)
    rows = [columns(draw_sample(closet, index), np.random.default_rng(0)) for index in range(trial.batch_size)]
    source = torch.from_numpy(np.stack([row["source"] for row in rows]))
    pose_map = torch.from_numpy(np.stack([row["pose_map"] for row in rows]))
    return picture_from_bytes(source).to(device), (pose_map.permute(0, 3, 1, 2).float() / 255).to(device)


def _generators(trial: ModelTrial) -> list[torch.Generator]:
    return [torch.Generator().manual_seed(seed) for seed in range(trial.batch_size)]
