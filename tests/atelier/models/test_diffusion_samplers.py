"""Samplers are those of the literature, watched and stopped at every step, and every row has noise of its own."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from diffusers.schedulers.scheduling_ddim import DDIMScheduler
from diffusers.schedulers.scheduling_ddpm import DDPMScheduler
from diffusers.schedulers.scheduling_dpmsolver_multistep import DPMSolverMultistepScheduler
from torch import Tensor

from atelier.errors import ConfigError
from atelier.models.diffusion import grids, modes, schedules
from atelier.models.diffusion.denoisers import Denoiser, Prediction, target
from atelier.models.diffusion.samplers import ddim, ddpm
from atelier.models.diffusion.schedules import Schedule
from atelier.models.diffusion.solvers import Solver, solve
from atelier.models.diffusion.steps import SamplingStopped, Step, in_turn

MEAN, DEVIATION = 0.3, 0.2
SCHEDULE = schedules.linear()


def _exact(schedule: Schedule, prediction: Prediction = "eps") -> Denoiser:
    """The best denoiser there is for pictures whose pixels are normal: every sampler has to give them back."""

    def network(x_t: Tensor, timestep: Tensor, condition: Tensor) -> Tensor:
        low, share = timestep.floor().long(), timestep - timestep.floor()
        bars = schedule.alpha_bars
        bar = torch.lerp(bars[low], bars[(low + 1).clamp(max=len(bars) - 1)], share.double()).view(-1, 1, 1, 1)
        alpha, sigma = bar.sqrt(), (1 - bar).sqrt()
        x0 = MEAN + alpha * DEVIATION**2 / (bar * DEVIATION**2 + 1 - bar) * (x_t - alpha * MEAN)
        return target(prediction, x0, (x_t - alpha * x0) / sigma, alpha, sigma)

    conditions = {"full": torch.zeros(1)}
    return Denoiser(network=network, conditions=conditions, prediction=prediction, dtype=torch.float64)


def _wavy(x_t: Tensor, timestep: Tensor, condition: Tensor) -> Tensor:
    """No denoiser at all, but a function that no sampler can give by chance."""
    phase = timestep.view(-1, 1, 1, 1) / 100
    return torch.cat([torch.sin(3 * x_t + phase), torch.cos(2 * x_t - phase)], 1)


WAVY = Denoiser(network=_wavy, conditions={"full": torch.zeros(1)}, learned_variance=True)


def _seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _noise() -> Tensor:
    return torch.randn(16, 3, 8, 8, dtype=torch.float64, generator=_seeded())


@pytest.mark.parametrize(
    ("schedule", "prediction"),
    [
        (schedules.linear(), "eps"),
        (schedules.cosine(), "x0"),
        (schedules.karras(), "v"),
        (schedules.scaled_linear(zero_terminal_snr=True), "v"),
        (schedules.scaled_linear(zero_terminal_snr=True), "x0"),
    ],
    ids=["linear", "cosine", "karras", "zero-snr-v", "zero-snr-x0"],
)
def test_exact_denoisers_give_the_pictures_back(schedule: Schedule, prediction: Prediction) -> None:
    denoise, noise = _exact(schedule, prediction), _noise()
    solvers: tuple[Solver, ...] = ("dpm_solver", "unipc", "euler")
    made = [
        ddim(denoise, noise, schedule, grids.trailing(schedule, 250)),
        ddim(denoise, noise, schedule, grids.trailing(schedule, 250), eta=1.0, generator=_seeded()),
        *(solve(denoise, noise, schedule, 125, solver=solver) for solver in solvers),
    ]
    for picture in made:
        assert picture.mean().item() == pytest.approx(MEAN, abs=0.02)
        assert picture.std().item() == pytest.approx(DEVIATION, abs=0.035)


def test_ancestral_sampling_gives_the_pictures_back() -> None:
    made = ddpm(_exact(SCHEDULE), _noise(), SCHEDULE, clip=False, generator=_seeded())
    assert made.mean().item() == pytest.approx(MEAN, abs=0.02)
    assert made.std().item() == pytest.approx(DEVIATION, abs=0.02)


@pytest.mark.parametrize("eta", [0.0, 0.7])
def test_ddim_is_the_one_of_diffusers(eta: float) -> None:
    theirs = DDIMScheduler(clip_sample=False, set_alpha_to_one=True)
    theirs.set_timesteps(10)
    x = expected = torch.randn(1, 3, 8, 8, generator=_seeded())
    generator = _seeded(1)
    for timestep in theirs.timesteps:
        eps = _wavy(expected, timestep.reshape(1), torch.zeros(1))[:, :3]
        expected = theirs.step(eps, int(timestep), expected, eta=eta, generator=generator).prev_sample
    made = ddim(WAVY, x, SCHEDULE, grids.leading(SCHEDULE, 10), eta=eta, generator=_seeded(1))
    torch.testing.assert_close(made, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("num_steps", [50, 200])
def test_ddpm_with_a_learned_range_is_the_one_of_diffusers(num_steps: int) -> None:
    theirs = DDPMScheduler(variance_type="learned_range", clip_sample=True)
    theirs.set_timesteps(num_steps)
    x = expected = torch.randn(1, 3, 4, 4, generator=_seeded())
    generator = _seeded(1)
    for timestep in theirs.timesteps:
        output = _wavy(expected, timestep.reshape(1), torch.zeros(1))
        expected = theirs.step(output, int(timestep), expected, generator=generator).prev_sample
    made = ddpm(WAVY, x, SCHEDULE, grids.leading(SCHEDULE, num_steps), generator=_seeded(1))
    torch.testing.assert_close(made, expected, rtol=1e-3, atol=1e-3)


def test_solvers_are_diffusers_own_with_eps_as_with_pictures() -> None:
    theirs = DPMSolverMultistepScheduler(timestep_spacing="trailing", use_karras_sigmas=True)
    theirs.set_timesteps(12)
    x = expected = torch.randn(1, 3, 8, 8, generator=_seeded())
    denoise = replace(WAVY, learned_variance=False, network=lambda x_t, t, c: _wavy(x_t, t, c)[:, :3])
    for timestep in theirs.timesteps:
        eps = _wavy(expected, timestep.reshape(1), torch.zeros(1))[:, :3]
        expected = theirs.step(eps, timestep, expected).prev_sample
    made = solve(denoise, x, SCHEDULE, 12, solver="dpm_solver", karras=True)
    torch.testing.assert_close(made, expected, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("solver", ["dpm_solver", "unipc"])
def test_equal_timesteps_of_a_steep_schedule_skip_no_level(solver: Solver) -> None:
    schedule = schedules.cosine()
    made = solve(_exact(schedule), _noise(), schedule, 20, solver=solver, karras=True)
    assert made.std().item() == pytest.approx(DEVIATION, abs=0.05)


RUNS: dict[str, Callable[..., Tensor]] = {
    "ddim": lambda x, generator, denoise=WAVY, schedule=SCHEDULE, **hooks: ddim(
        denoise, x, schedule, grids.leading(schedule, 5), eta=1.0, generator=generator, **hooks
    ),
    "ddpm": lambda x, generator, denoise=WAVY, schedule=SCHEDULE, **hooks: ddpm(
        denoise, x, schedule, grids.leading(schedule, 5), generator=generator, **hooks
    ),
    **{
        solver: lambda x, generator, solver=solver, denoise=WAVY, schedule=SCHEDULE, **hooks: solve(
            denoise, x, schedule, 5, solver=solver, **hooks
        )
        for solver in ("dpm_solver", "unipc", "euler")
    },
}


@pytest.mark.parametrize("name", RUNS)
def test_a_row_does_not_depend_on_its_batch_mates(name: str) -> None:
    x = torch.randn(3, 3, 8, 8, generator=_seeded())
    together = RUNS[name](x, [_seeded(seed) for seed in (5, 6, 7)])
    alone = RUNS[name](x[1:2], [_seeded(6)])
    torch.testing.assert_close(together[1:2], alone, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", RUNS)
def test_every_step_is_seen_and_may_be_changed(name: str) -> None:
    x, steps = torch.randn(2, 3, 8, 8, generator=_seeded()), list[Step]()
    plain = RUNS[name](x, _seeded(1), callback=steps.append)
    assert [step.index for step in steps] == list(range(5))
    assert {step.num_steps for step in steps} == {5}
    assert steps[-1].reached.timestep == -1 and steps[0].level.timestep > steps[0].reached.timestep
    torch.testing.assert_close(steps[-1].x.to(plain), plain)

    same = RUNS[name](x, _seeded(1), callback=lambda step: step.x.clone())
    torch.testing.assert_close(same, plain, rtol=1e-4, atol=1e-4)
    last = in_turn(None, lambda step: torch.zeros_like(step.x), lambda step: step.x + 1 if step.index == 4 else None)
    assert RUNS[name](x, _seeded(1), callback=last).unique().tolist() == [1.0]


@pytest.mark.parametrize("name", RUNS)
def test_what_a_callback_changes_is_what_goes_on(name: str) -> None:
    """A denoiser that sees black leaves of x only noise: what was put in has to be there a step later."""
    black = Denoiser(
        network=lambda x_t, t, c: torch.zeros_like(x_t), conditions={"full": torch.zeros(1)}, prediction="x0"
    )
    steps = list[Step]()

    def put_in(step: Step) -> Tensor | None:
        steps.append(step)
        return torch.full_like(step.x, 50.0) if step.index == 1 else None

    RUNS[name](torch.zeros(1, 3, 8, 8), _seeded(), denoise=black, callback=put_in)
    assert steps[2].x.mean() > 1


@pytest.mark.parametrize("name", RUNS)
def test_a_run_that_ends_early_is_the_whole_one_so_far_and_gives_the_picture_seen_there(name: str) -> None:
    x, whole, early = torch.randn(2, 3, 8, 8, generator=_seeded()), list[Step](), list[Step]()
    RUNS[name](x, _seeded(1), callback=whole.append)
    made = RUNS[name](x, _seeded(1), callback=early.append, schedule=SCHEDULE.ending_at(350))
    assert [step.level.timestep for step in early] == [at for step in whole if (at := step.level.timestep) >= 350]
    assert {step.num_steps for step in early} == {len(early)} and 1 < len(early) < len(whole)
    for step, same in zip(early[:-1], whole, strict=False):
        torch.testing.assert_close(step.x, same.x)
    last = early[-1]
    torch.testing.assert_close(last.x0, whole[last.index].x0)
    torch.testing.assert_close(made, (last.x0.clamp(-1, 1) if name == "ddpm" else last.x0).to(made))
    assert last.reached.timestep == -1


@pytest.mark.parametrize("name", RUNS)
def test_a_run_that_begins_below_its_end_has_one_step(name: str) -> None:
    steps = list[Step]()
    RUNS[name](torch.zeros(1, 3, 8, 8), _seeded(), callback=steps.append, schedule=SCHEDULE.ending_at(999))
    assert len(steps) == 1


@pytest.mark.parametrize("name", RUNS)
def test_a_run_stops_between_two_steps(name: str) -> None:
    steps = list[Step]()
    with pytest.raises(SamplingStopped, match="after 2 of 5 steps"):
        RUNS[name](torch.zeros(1, 3, 8, 8), _seeded(), callback=steps.append, stop=lambda: len(steps) == 2)


def test_modes_run_by_name() -> None:
    x = torch.randn(1, 3, 8, 8, generator=_seeded())
    for mode in modes.MODES.values():
        assert modes.run(mode, WAVY, x, SCHEDULE).isfinite().all()
    with pytest.raises(ConfigError, match=r"mode: is 'best', must be one of \['balanced', 'fast', 'quality'\]"):
        modes.named("best")
    with pytest.raises(ConfigError, match="needs a generator"):
        modes.run(modes.Mode(sampler="ddpm"), WAVY, x, SCHEDULE)


def test_what_does_not_fit_is_refused() -> None:
    x = torch.zeros(1, 3, 8, 8)
    with pytest.raises(ConfigError, match="descend"):
        ddim(WAVY, x, SCHEDULE, [0, 500])
    with pytest.raises(ConfigError, match="which needs a generator"):
        ddim(WAVY, x, SCHEDULE, [500, 0], eta=0.5)
    with pytest.raises(ConfigError, match="callback: gave"):
        ddim(WAVY, x, SCHEDULE, [500, 0], callback=lambda step: torch.zeros(1))
    with pytest.raises(ConfigError, match=r"last_timestep: is 1000, must be in 0\.\.999"):
        SCHEDULE.ending_at(1000)
    assert math.isfinite(ddim(WAVY, x, SCHEDULE, [0]).sum().item())
