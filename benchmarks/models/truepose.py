"""TruePose's ladder: the source read once, the branches in one batch, kernels, precision, modes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from atelier.models import registry
from atelier.models.diffusion.guidance import FULL
from atelier.models.diffusion.modes import reuse_of, run
from atelier.models.layers.pixels import bytes_from_picture, picture_from_bytes
from atelier.models.truepose import TruePose, truepose
from atelier.models.truepose.config import PoseKind, TruePoseConfig
from atelier.models.truepose.networks_clip import ClipImageEncoder
from atelier.models.truepose.networks_fusion import Told
from atelier.models.truepose.networks_siamese import without
from atelier.models.truepose.sampling import SOURCE_SCALE, denoiser, first_noise, rule
from benchmarks.models.filling import fill
from benchmarks.models.levers import ModelTrial, ladder
from benchmarks.models.looping import mode_of, prepare, running, straightforward
from training.data.closet_source import ClosetConfig, draw_sample
from training.data.truepose import TruePoseColumns

RUNGS = ladder(
    ("source read once a run", {"features_once": True}),
    ("branches in one batch", {"one_batch": True}),
    ("fused attention", {"fused_attention": True}),
    ("channels-last", {"channels_last": True}),
    ("bfloat16", {"bfloat16": True}),
    ("compiled", {"compile": True}),
    ("mode balanced", {"mode": "balanced"}),
    ("mode fast", {"mode": "fast"}),
)


def make(trial: ModelTrial, device: torch.device) -> Callable[[], Tensor]:
    """A pass from sources, parses and poses to pictures, uint8 [B, H, W, 3]."""
    model = TruePose.from_pretrained(registry.folder(trial.weights)) if trial.weights else _published(trial)
    model.eval().to(device).requires_grad_(False)
    prepare(model.siamese, trial.levers)
    source, parse, pose = _inputs(trial, device, model.config.pose)
    generators = [torch.Generator().manual_seed(seed) for seed in range(trial.batch_size)]
    noise = first_noise(model, pose, None, generators)
    mode, schedule = mode_of(trial), model.schedule()
    guidance = rule(SOURCE_SCALE, mode, schedule)

    def told(branch: str) -> Told:
        whole = model.tell(model.encode(source, parse), pose)
        return whole if branch == FULL else without(whole, source=True, pose=False)

    def sample() -> Tensor:
        with torch.inference_mode(), running(trial.levers, device):
            if trial.levers.one_batch:
                seen = model.encode(source, parse)
                denoise = denoiser(model, seen, pose, guidance, reuse=reuse_of(mode, schedule))
            else:
                kept = {name: told(name) for name in guidance.branches} if trial.levers.features_once else {}
                denoise = straightforward(
                    lambda name, x_t, t: model.predict(x_t, t, kept.get(name) or told(name)),
                    guidance,
                    prediction=model.config.prediction,
                    clip=False,
                )
            picture = model.to_picture(run(mode, denoise, noise, schedule, clip=False))
        return bytes_from_picture(picture.float())

    return sample


def _published(trial: ModelTrial) -> TruePose:
    """The large network and a CLIP ViT-L/14, both filled by the rule."""
    config = replace(truepose(), working_size=trial.size)
    model = TruePose(config, encoder=ClipImageEncoder(_vit_large(config), config))
    fill(model)
    return model


def _vit_large(config: TruePoseConfig) -> torch.nn.Module:
    from transformers import CLIPVisionConfig, CLIPVisionModel

    return CLIPVisionModel(
        CLIPVisionConfig(
            hidden_size=config.encoder_width,
            intermediate_size=4 * config.encoder_width,
            num_hidden_layers=24,
            num_attention_heads=16,
            image_size=config.crop_size,
            patch_size=14,
        )
    )


def _inputs(trial: ModelTrial, device: torch.device, pose: PoseKind) -> tuple[Tensor, Tensor, Tensor]:
    closet = ClosetConfig(kind="pose_transfer", num_samples=trial.batch_size, size=trial.size)
    columns = TruePoseColumns(pose=pose, mirror=False)
    rows = [columns(draw_sample(closet, index), np.random.default_rng(0)) for index in range(trial.batch_size)]
    source, parse, drawn = (
        torch.from_numpy(np.stack([row[name] for row in rows])).to(device)
        for name in ("source", "source_parse", "pose")
    )
    return picture_from_bytes(source), parse, drawn.permute(0, 3, 1, 2).float() / 255
