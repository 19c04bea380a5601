"""Samplers of discrete diffusion: functions of a denoiser, a noisy picture and a schedule.

Noise is drawn on the CPU, from one generator per row where they are given so: a picture then does not depend on its
batch mates. `solvers` has the ODE solvers of diffusers behind the same call.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor

from atelier.errors import ConfigError
from atelier.models.diffusion.denoisers import Denoise, Estimate, Noisy
from atelier.models.diffusion.schedules import CLEAN, Level, Schedule
from atelier.models.diffusion.steps import Callback, Stop, walk
from atelier.models.layers.noise import Generators, draw_normal


def ddim(
    denoise: Denoise,
    x: Noisy,
    schedule: Schedule,
    timesteps: Sequence[int],
    *,
    eta: float = 0.0,
    generator: Generators | None = None,
    callback: Callback | None = None,
    stop: Stop | None = None,
) -> Noisy:
    """The picture that DDIM (Song et al. 2021, Eq. 12) makes of `x`, unclipped, in the dtype of `x`.

    Args:
        x: at the level of the first timestep: noise, or a picture that noise was added to.
        timesteps: descending, of `grids`.
        eta: 0 is deterministic, 1 has the variance of DDPM.
        generator: for `eta` above 0.

    Raises:
        ConfigError: timesteps that do not descend; `eta` without a generator.
        SamplingStopped: `stop` said so.
    """
    levels = path(schedule, timesteps)
    if eta > 0 and generator is None:
        raise ConfigError(f"eta: is {eta}, which needs a generator")

    def update(x: Tensor, estimate: Estimate, index: int) -> Tensor:
        here, there = levels[index], levels[index + 1]
        spread = eta * math.sqrt(_posterior_variance(here, there))
        direction = math.sqrt(max(1 - there.alpha_bar - spread**2, 0.0))
        moved = there.alpha * estimate.x0 + direction * estimate.eps
        if spread > 0 and generator is not None:
            moved = moved + spread * _noise(x, generator)
        return moved

    return walk(denoise, x, levels, update, callback, stop)


def ddpm(
    denoise: Denoise,
    x: Noisy,
    schedule: Schedule,
    timesteps: Sequence[int] | None = None,
    *,
    clip: bool = True,
    generator: Generators,
    callback: Callback | None = None,
    stop: Stop | None = None,
) -> Noisy:
    """The picture that ancestral sampling (Ho et al. 2020) makes of `x`; variances are learned where the network's are.

    Args:
        timesteps: descending; None visits all. Skipped ones are summed up (Nichol and Dhariwal 2021, §4).
        clip: hold the estimated picture in [-1, 1] at every step, as the released PIDM does.

    Raises:
        ConfigError: timesteps that do not descend.
        SamplingStopped: `stop` said so.
    """
    levels = path(schedule, range(schedule.num_timesteps)[::-1] if timesteps is None else timesteps)

    def update(x: Tensor, estimate: Estimate, index: int) -> Tensor:
        here, there = levels[index], levels[index + 1]
        x0 = estimate.x0.clamp(-1, 1) if clip else estimate.x0
        mean = posterior_mean(x0, x, here, there)
        if there is CLEAN:
            return mean
        return mean + _spread(estimate.variance_share, here, there) * _noise(x, generator)

    return walk(denoise, x, levels, update, callback, stop)


def path(schedule: Schedule, timesteps: Sequence[int]) -> list[Level]:
    """The levels of descending timesteps down to the schedule's last, and the clean picture after them.

    Raises:
        ConfigError: none, not descending, or out of the schedule.
    """
    if not timesteps or any(later >= earlier for earlier, later in pairwise(timesteps)):
        raise ConfigError(f"timesteps: {list(timesteps)[:8]} must be at least one, and descend")
    return [*(schedule.level(timestep) for timestep in schedule.visited(timesteps)), CLEAN]


def posterior_mean(x0: Noisy, x_t: Noisy, here: Level, there: Level) -> Noisy:
    """Of `x` at `there`, given `x_t` at `here` and the picture (Ho et al. 2020, Eq. 7)."""
    step = here.alpha_bar / there.alpha_bar
    of_picture = there.alpha * (1 - step) / (1 - here.alpha_bar)
    of_noisy = math.sqrt(step) * (1 - there.alpha_bar) / (1 - here.alpha_bar)
    return of_picture * x0 + of_noisy * x_t


def _posterior_variance(here: Level, there: Level) -> float:
    return (1 - there.alpha_bar) / (1 - here.alpha_bar) * (1 - here.alpha_bar / there.alpha_bar)


def _spread(share: Tensor | None, here: Level, there: Level) -> Tensor | float:
    """The deviation of a step: between the posterior's and beta's where a range was learned, else the posterior's."""
    lower = math.log(_posterior_variance(here, there))
    if share is None:
        return math.exp(lower / 2)
    upper = math.log(1 - here.alpha_bar / there.alpha_bar)
    return torch.exp((share * upper + (1 - share) * lower) / 2)


def _noise(x: Tensor, generator: Generators) -> Tensor:
    return draw_normal(len(x), x.shape[1:], generator).to(x)
