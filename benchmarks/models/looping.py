"""What the diffusion systems' ladders have in common: the straightforward loop, and how a mode is shortened."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, ExitStack
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from atelier.models.diffusion.denoisers import Denoise, Estimate, Prediction, split
from atelier.models.diffusion.guidance import Guidance
from atelier.models.diffusion.modes import Mode, named
from atelier.models.diffusion.schedules import Level
from benchmarks.models.levers import Levers, ModelTrial

Predict = Callable[[str, Tensor, Tensor], Tensor]
"""(branch, x_t, timesteps) → the network's output for that branch alone."""


def straightforward(
    predict: Predict, guidance: Guidance, *, prediction: Prediction, learned_variance: bool = False, clip: bool
) -> Denoise:
    """A denoiser that runs the branches of a step one after the other, as the papers' own loops do."""

    def denoise(x_t: Tensor, level: Level) -> Estimate:
        timesteps = torch.full((len(x_t),), int(level.timestep), device=x_t.device)
        weights: Mapping[str, float] = guidance.at(level)
        parts = [weight * predict(name, x_t.float(), timesteps).to(x_t.dtype) for name, weight in weights.items()]
        output = torch.stack(parts).sum(0)
        if learned_variance:
            output = output.chunk(2, 1)[0]
        x0, eps = split(prediction, output, x_t, level)
        if clip:
            x0 = x0.clamp(-1, 1)
            _, eps = split("x0", x0, x_t, level)
        return Estimate(x0=x0, eps=eps)

    return denoise


def mode_of(trial: ModelTrial) -> Mode:
    """The trial's mode, all of its steps scaled where the case shortens `quality`."""
    mode = named(trial.levers.mode)
    if not trial.num_steps:
        return mode
    share = trial.num_steps / named("quality").num_steps
    return replace(mode, num_steps=max(2, round(mode.num_steps * share)))


def prepare(network: nn.Module, levers: Levers) -> None:
    """Lays a denoising network out as the levers say, in place."""
    if levers.channels_last:
        network.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
    if levers.compile:
        network.compile()


def running(levers: Levers, device: torch.device) -> AbstractContextManager[object]:
    """The surroundings of a pass: attention's kernels, and the precision."""
    stack = ExitStack()
    if not levers.fused_attention:
        stack.enter_context(sdpa_kernel(SDPBackend.MATH))
    if levers.bfloat16:
        stack.enter_context(torch.autocast(device.type, torch.bfloat16))
    return stack
