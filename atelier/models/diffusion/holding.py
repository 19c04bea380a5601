"""Editing by any sampler: what is known of a picture stays, the rest is denoised in sight of it."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool
from torch import Tensor

from atelier.models.diffusion.denoisers import Denoise, Estimate, Noisy
from atelier.models.diffusion.schedules import Level


@dataclass(frozen=True, kw_only=True)
class Holding:
    """A denoiser that knows the picture outside a region: there it estimates what is known.

    Every sampler then walks outside the region from noise to the original, at each level at that level's noise: it is
    re-noising with the run's own noise, without a hook in the sampler, for ODE solvers too.
    """

    denoise: Denoise
    original: Noisy
    may_change: Bool[Tensor, "batch 1 height width"]

    def __call__(self, x_t: Noisy, level: Level) -> Estimate:
        estimate = self.denoise(x_t, level)
        known_eps = (x_t - level.alpha * self.original) / level.sigma
        return Estimate(
            x0=torch.where(self.may_change, estimate.x0, self.original.to(x_t)),
            eps=torch.where(self.may_change, estimate.eps, known_eps),
            variance_share=estimate.variance_share,
        )
