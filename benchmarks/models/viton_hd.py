"""VITON-HD's ladder: one pass, so there is no loop to mend, only how its networks run."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from atelier.models import registry
from atelier.models.viton_hd import InferenceOptions, VitonHD, VitonHDConfig
from atelier.models.viton_hd.networks import draw_segmentation_noise
from benchmarks.models.filling import fill
from benchmarks.models.levers import ModelTrial, ladder
from training.data.closet_source import ClosetConfig, draw_sample
from training.data.try_on import TryOnColumns

RUNGS = ladder(
    ("spectral norm folded", {"folded": True}),
    ("channels-last", {"channels_last": True}),
    ("bfloat16", {"bfloat16": True}),
    ("compiled", {"compile": True}),
)


def make(trial: ModelTrial, device: torch.device) -> Callable[[], Tensor]:
    """A pass from the recipe's columns to pictures, uint8 [B, H, W, 3]: layout, warp and synthesis."""
    levers = trial.levers
    options = InferenceOptions(
        fold_spectral_norm=levers.folded,
        channels_last=levers.channels_last,
        bfloat16=levers.bfloat16,
        compile=levers.compile,
    )
    if trial.weights:
        model = VitonHD.from_pretrained(registry.folder(trial.weights), options)
    else:
        model = VitonHD(VitonHDConfig(working_size=trial.size)).eval()
        fill(model)
        model.optimize(options)
    model.to(device)
    columns = _inputs(trial, device)
    noise = draw_segmentation_noise(_generators(trial), model.config.segmentation_size).to(device)

    def paint() -> Tensor:
        person, pose, garment, mask = (
            columns[name] for name in ("agnostic_person", "pose_image", "garment", "garment_mask")
        )
        layout = model.layout(pose, garment, mask, columns["agnostic_parse"], noise)
        theta = model.warp(person, pose, garment, layout)
        return model.synthesize(person, pose, garment, mask, layout, theta, generator=_generators(trial))

    return paint


def _inputs(trial: ModelTrial, device: torch.device) -> dict[str, Tensor]:
    closet = ClosetConfig(kind="try_on", num_samples=trial.batch_size, size=trial.size)
    columns = TryOnColumns(mirror=False, largest_gap=0.0)
    rows = [columns(draw_sample(closet, index), np.random.default_rng(0)) for index in range(trial.batch_size)]
    return {name: torch.from_numpy(np.stack([row[name] for row in rows])).to(device) for name in rows[0]}


def _generators(trial: ModelTrial) -> list[torch.Generator]:
    return [torch.Generator().manual_seed(seed) for seed in range(trial.batch_size)]
