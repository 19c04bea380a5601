"""A watch as a sampler's hooks: what is decoded for a preview is no larger than a preview."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from atelier.models.diffusion.schedules import CLEAN, linear
from atelier.models.diffusion.steps import Step
from atelier.stages.watch import sampler_hooks
from tests.atelier.stages.looking import Onlooker


def test_latents_of_a_large_picture_are_shrunk_before_they_are_decoded() -> None:
    decoded: list[tuple[int, ...]] = []

    def to_picture(latents: Tensor) -> Tensor:
        decoded.append(tuple(latents.shape))
        return F.interpolate(latents[:, :3], scale_factor=8)

    onlooker = Onlooker(with_previews=True)
    callback, stop = sampler_hooks(onlooker, to_picture, size=(512, 352), latent_stride=8)
    assert callback is not None and stop is not None
    ramp = torch.linspace(-1, 1, 64).view(1, 1, 64, 1).expand(2, 4, 64, 44)
    step = Step(index=2, num_steps=5, level=linear(10).level(3), reached=CLEAN, x=ramp, x0=ramp)
    assert callback(step) is None
    assert decoded == [(2, 4, 12, 8)] and onlooker.steps == [(3, 5)]
    (preview,) = onlooker.previews
    assert preview.shape == (2, 96, 66, 3)
    assert preview[0, 0, 0, 0] < 25 and preview[0, -1, 0, 0] > 230 and abs(int(preview[1, 47, 30, 1]) - 127) < 15


def test_nobody_who_looks_on_costs_nothing() -> None:
    assert sampler_hooks(None, lambda x0: x0, size=(8, 8)) == (None, None)
