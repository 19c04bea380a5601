"""Which trained timesteps a sampling run visits, from noise to picture."""

from __future__ import annotations

import torch

from atelier.errors import ConfigError
from atelier.models.diffusion.schedules import Schedule, karras_ratios


def leading(schedule: Schedule, num_steps: int) -> list[int]:
    """Every `num_timesteps // num_steps`-th timestep from 0, descending: the released PIDM grid.

    50 of 1000 begin at 980: the last trained timesteps are never visited. Where `num_steps` does not divide the
    timesteps there are more steps than asked for, as published.
    """
    return list(range(0, schedule.num_timesteps, schedule.num_timesteps // _checked(schedule, num_steps)))[::-1]


def trailing(schedule: Schedule, num_steps: int) -> list[int]:
    """Evenly spaced and beginning at the last timestep, as a zero terminal SNR needs it (Lin et al. 2024, table 2)."""
    stride = schedule.num_timesteps / _checked(schedule, num_steps)
    return [round(schedule.num_timesteps - index * stride) - 1 for index in range(num_steps)]


def karras(schedule: Schedule, num_steps: int) -> list[int]:
    """The trained timesteps nearest to levels spaced as Karras et al. (2022) do; fewer than asked where they meet.

    Raises:
        ConfigError: the schedule ends in pure noise, whose ratio to the picture is infinite.
    """
    if schedule.zero_terminal_snr:
        raise ConfigError("karras grid: the schedule has zero terminal SNR; take `trailing`")
    ratios = ((1 - schedule.alpha_bars) / schedule.alpha_bars).sqrt()
    wanted = karras_ratios(_checked(schedule, num_steps), float(ratios[0]), float(ratios[-1]))
    nearest = (wanted.log()[:, None] - ratios.log()[None, :]).abs().argmin(1)
    return sorted(set(torch.Tensor.tolist(nearest)), reverse=True)


def _checked(schedule: Schedule, num_steps: int) -> int:
    if not 1 <= num_steps <= schedule.num_timesteps:
        raise ConfigError(f"num_steps: is {num_steps}, must be in 1..{schedule.num_timesteps}")
    return num_steps
