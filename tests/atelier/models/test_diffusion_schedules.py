"""Noise schedules are the published ones, and grids visit what they say."""

from __future__ import annotations

import pytest
import torch
from diffusers.schedulers.scheduling_ddpm import DDPMScheduler

from atelier.errors import ConfigError
from atelier.models.diffusion import grids, schedules
from atelier.models.diffusion.schedules import Schedule


@pytest.mark.parametrize(
    ("schedule", "name", "start", "end", "zero"),
    [
        (schedules.linear(), "linear", 1e-4, 2e-2, False),
        (schedules.scaled_linear(), "scaled_linear", 8.5e-4, 1.2e-2, False),
        (schedules.cosine(), "squaredcos_cap_v2", 0.0, 0.0, False),
        (schedules.scaled_linear(zero_terminal_snr=True), "scaled_linear", 8.5e-4, 1.2e-2, True),
    ],
)
def test_schedules_are_those_of_diffusers(schedule: Schedule, name: str, start: float, end: float, zero: bool) -> None:
    theirs = DDPMScheduler(beta_start=start, beta_end=end, beta_schedule=name, rescale_betas_zero_snr=zero)
    torch.testing.assert_close(schedule.alpha_bars.float(), theirs.alphas_cumprod, rtol=2e-4, atol=1e-6)


def test_karras_schedule_spans_its_ratios() -> None:
    alpha_bars = schedules.karras(50, lowest=0.01, highest=40).alpha_bars
    ratios = ((1 - alpha_bars) / alpha_bars).sqrt()
    assert ratios[0].item() == pytest.approx(0.01)
    assert ratios[-1].item() == pytest.approx(40)
    steps = ratios.pow(1 / 7).diff()
    assert (steps.max() / steps.min()).item() == pytest.approx(1, abs=1e-6)


def test_terminal_noise_is_pure_only_when_asked() -> None:
    assert schedules.linear(zero_terminal_snr=True).level(999).alpha_bar == 0
    assert schedules.linear().level(999).alpha_bar == pytest.approx(4.036e-5, rel=1e-3)


def test_noise_is_added_by_each_rows_timestep() -> None:
    schedule = schedules.linear()
    x0, noise = torch.ones(2, 3, 2, 2), torch.full((2, 3, 2, 2), 2.0)
    noisy = schedule.add_noise(x0, noise, torch.tensor([0, 999]))
    for row, timestep in enumerate((0, 999)):
        level = schedule.level(timestep)
        assert noisy[row].unique().item() == pytest.approx(level.alpha + 2 * level.sigma, rel=1e-6)


def test_grids() -> None:
    schedule = schedules.linear()
    assert grids.leading(schedule, 50) == list(range(980, -1, -20))
    assert len(grids.leading(schedule, 300)) == 334, "as published: 1000 // 300 is a stride of 3"
    assert grids.trailing(schedule, 4) == [999, 749, 499, 249]
    karras = grids.karras(schedule, 10)
    assert karras[0] == 999 and karras[-1] == 0 and karras == sorted(set(karras), reverse=True)


@pytest.mark.parametrize("num_steps", [0, 1001])
def test_grids_refuse_what_the_schedule_has_not(num_steps: int) -> None:
    with pytest.raises(ConfigError, match=rf"num_steps: is {num_steps}, must be in 1\.\.1000"):
        grids.leading(schedules.linear(), num_steps)


def test_impossible_schedules_are_refused() -> None:
    with pytest.raises(ConfigError, match="betas"):
        Schedule(torch.tensor([0.1, 1.0]))
    with pytest.raises(ConfigError, match=r"timestep: is 1000, must be in 0\.\.999"):
        schedules.linear().level(1000)
    with pytest.raises(ConfigError, match="zero terminal SNR"):
        grids.karras(schedules.linear(zero_terminal_snr=True), 10)
