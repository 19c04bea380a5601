"""ODE solvers, as diffusers has them, behind the samplers' call: a picture in 10 to 25 steps."""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor

from atelier.models.diffusion.denoisers import Denoise, Estimate, Noisy
from atelier.models.diffusion.schedules import CLEAN, Level, Schedule
from atelier.models.diffusion.steps import Callback, Stop, walk

Solver = Literal["dpm_solver", "unipc", "euler"]
"""DPM-Solver++ 2M (Lu et al. 2022), UniPC of order 2 (Zhao et al. 2023), Euler (Karras et al. 2022)."""


def solve(
    denoise: Denoise,
    x: Noisy,
    schedule: Schedule,
    num_steps: int,
    *,
    solver: Solver = "dpm_solver",
    karras: bool = False,
    callback: Callback | None = None,
    stop: Stop | None = None,
) -> Noisy:
    """The picture that an ODE solver makes of `x`, unclipped; draws no noise.

    Timesteps trail: the first is the last that was trained on. Those below the schedule's last are left out, and the
    run ends with the picture that was estimated there.

    Args:
        karras: levels spaced as Karras et al. (2022) do instead of evenly in time.
        callback: sees, and gives, `x` with unit variance whichever scale the solver keeps inside.

    Raises:
        SamplingStopped: `stop` said so.
    """
    scheduler = _scheduler(schedule, solver, karras, num_steps)
    scheduler.set_begin_index(0)  # else it looks its first timestep up, and takes the second of two equal ones
    ratios = scheduler.sigmas.double()
    alpha_bars = 1 / (1 + ratios.square())
    if schedule.zero_terminal_snr:
        alpha_bars[0] = 0.0  # the scheduler stays a little above, to have a finite ratio
    levels = [
        Level(timestep=timestep, alpha_bar=float(alpha_bar))
        for timestep, alpha_bar in zip(schedule.visited(scheduler.timesteps.tolist()), alpha_bars, strict=False)
    ]
    levels.append(CLEAN)
    # Euler keeps x divided by alpha; the others keep it as it is.
    scales = (1 + ratios.square()).sqrt().tolist() if solver == "euler" else [1.0] * len(levels)

    moved = x

    def update(x: Tensor, estimate: Estimate, index: int) -> Tensor:
        nonlocal moved
        if levels[index + 1] is CLEAN:
            return estimate.x0.to(x.dtype)
        if solver == "unipc" and x is not moved and not torch.equal(x, moved):
            # Its corrector makes this x anew out of the one before, and would undo what the callback did.
            scheduler.disable_corrector.append(index - 1)
        state = x.float() * scales[index]
        stepped: Tensor = scheduler.step(estimate.x0.float(), scheduler.timesteps[index], state, return_dict=False)[0]
        moved = (stepped / scales[index + 1]).to(x.dtype)
        return moved

    return walk(denoise, x, levels, update, callback, stop)


def solver_timesteps(schedule: Schedule, num_steps: int, *, solver: Solver, karras: bool) -> list[float]:
    """The timesteps of `solve`, descending, those below the schedule's last among them."""
    return _scheduler(schedule, solver, karras, num_steps).timesteps.tolist()


def _scheduler(schedule: Schedule, solver: Solver, karras: bool, num_steps: int) -> Any:
    # Importing diffusers takes longer than importing torch: only who solves waits for it.
    from diffusers.schedulers.scheduling_dpmsolver_multistep import DPMSolverMultistepScheduler
    from diffusers.schedulers.scheduling_euler_discrete import EulerDiscreteScheduler
    from diffusers.schedulers.scheduling_unipc_multistep import UniPCMultistepScheduler

    made = {
        "dpm_solver": DPMSolverMultistepScheduler,
        "unipc": UniPCMultistepScheduler,
        "euler": EulerDiscreteScheduler,
    }[solver]
    scheduler = made(
        trained_betas=schedule.betas.numpy(),
        num_train_timesteps=schedule.num_timesteps,
        prediction_type="sample",  # of x0, which is well-defined at every level, whatever the network predicts
        rescale_betas_zero_snr=schedule.zero_terminal_snr,
        timestep_spacing="trailing",
        use_karras_sigmas=karras,
    )
    if isinstance(scheduler, EulerDiscreteScheduler):
        scheduler.is_scale_input_called = True  # `solve` scales: else it warns at every step
    scheduler.set_timesteps(num_steps)
    return scheduler
