"""Ways to run a sampler by name: what a picture may cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from atelier.errors import ConfigError
from atelier.models.diffusion import grids
from atelier.models.diffusion.denoisers import Denoise, Noisy
from atelier.models.diffusion.reuse import Reuse
from atelier.models.diffusion.samplers import ddim, ddpm
from atelier.models.diffusion.schedules import Schedule
from atelier.models.diffusion.solvers import Solver, solve, solver_timesteps
from atelier.models.diffusion.steps import Callback, Stop
from atelier.models.layers.noise import Generators


@dataclass(frozen=True, kw_only=True)
class Mode:
    """A sampler and its settings.

    Args:
        num_steps: `ddim` and `ddpm` on the leading grid may make a few more, see `grids.leading`; fewer are made where
            the schedule ends early, see `Schedule.last_timestep`.
        eta: of `ddim`: 0 draws no noise on the way.
        karras: levels spaced as Karras et al. (2022) do, in place of a grid of evenly spaced timesteps; of any sampler.
        guided: timesteps, as shares of all, between which guidance is applied; beyond them there is one pass.
        reuse_every: of this many steps one computes all of the network, the others take its coarse features from there;
            1 reuses nothing. It is up to a model to do so.
    """

    sampler: Literal["ddim", "ddpm"] | Solver = "ddim"
    num_steps: int = 50
    eta: float = 0.0
    karras: bool = False
    guided: tuple[float, float] = (0.0, 1.0)
    reuse_every: int = 1


QUALITY = Mode()
"""Fifty steps of DDIM, guided throughout: as PIDM is released."""
BALANCED = Mode(sampler="dpm_solver", num_steps=20, karras=True)
FAST = Mode(sampler="dpm_solver", num_steps=10, karras=True, guided=(0.1, 0.9), reuse_every=2)

MODES: Mapping[str, Mode] = {"quality": QUALITY, "balanced": BALANCED, "fast": FAST}


def named(mode: str | Mode) -> Mode:
    """The mode of a name; a mode is itself.

    Raises:
        ConfigError: no such mode; lists those there are.
    """
    if isinstance(mode, Mode):
        return mode
    if mode not in MODES:
        raise ConfigError(f"mode: is {mode!r}, must be one of {sorted(MODES)}")
    return MODES[mode]


def run(
    mode: Mode,
    denoise: Denoise,
    x: Noisy,
    schedule: Schedule,
    *,
    clip: bool = True,
    generator: Generators | None = None,
    callback: Callback | None = None,
    stop: Stop | None = None,
) -> Noisy:
    """The picture that a mode's sampler makes of `x`.

    Args:
        clip: of `ddpm`, see there; False for latents, which are not bounded.

    Raises:
        ConfigError: settings that contradict each other, or a sampler that draws noise without a generator.
        SamplingStopped: `stop` said so.
    """
    if mode.sampler == "ddim":
        timesteps = _grid(mode, schedule)
        return ddim(denoise, x, schedule, timesteps, eta=mode.eta, generator=generator, callback=callback, stop=stop)
    if mode.sampler == "ddpm":
        if generator is None:
            raise ConfigError("ddpm: draws noise at every step and needs a generator")
        timesteps = _grid(mode, schedule)
        return ddpm(denoise, x, schedule, timesteps, clip=clip, generator=generator, callback=callback, stop=stop)
    return solve(
        denoise, x, schedule, mode.num_steps, solver=mode.sampler, karras=mode.karras, callback=callback, stop=stop
    )


def reuse_of(mode: Mode, schedule: Schedule) -> Reuse:
    """Which steps of a mode's run take coarse features from one before them."""
    if mode.reuse_every == 1 or not schedule.last_timestep:
        return Reuse(mode.reuse_every)
    if mode.sampler in ("ddim", "ddpm"):
        timesteps: Sequence[float] = _grid(mode, schedule)
    else:
        timesteps = solver_timesteps(schedule, mode.num_steps, solver=mode.sampler, karras=mode.karras)
    return Reuse(mode.reuse_every, whole_from=schedule.visited(timesteps)[-1])


def _grid(mode: Mode, schedule: Schedule) -> list[int]:
    if mode.karras:
        return grids.karras(schedule, mode.num_steps)
    # Pure noise has to be where the run begins, if it was trained on.
    return (grids.trailing if schedule.zero_terminal_snr else grids.leading)(schedule, mode.num_steps)
