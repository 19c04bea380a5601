"""From a source, a pose and noise to the person in that pose."""

from __future__ import annotations

import torch

from atelier.errors import ConfigError
from atelier.models.diffusion.denoisers import Denoiser
from atelier.models.diffusion.guidance import FULL, POSE, Guidance, released, unguided
from atelier.models.diffusion.modes import Mode, named, reuse_of, run
from atelier.models.diffusion.reuse import WHOLE, Reuse, Reusing
from atelier.models.diffusion.schedules import Schedule
from atelier.models.diffusion.steps import Callback, Stop
from atelier.models.layers.autoencoder import Latents
from atelier.models.layers.noise import Generators, draw_normal
from atelier.models.tensors import Picture
from atelier.models.truepose.networks import TruePose
from atelier.models.truepose.networks_guider import DrawnPose
from atelier.models.truepose.networks_siamese import Source, without

SOURCE_SCALE = 2.0
"""Of guidance: how much further than without it a picture goes to its source."""


@torch.no_grad()
def sample(
    model: TruePose,
    source: Source,
    pose: DrawnPose,
    *,
    mode: Mode | str = "quality",
    source_scale: float = SOURCE_SCALE,
    noise: Latents | None = None,
    generator: Generators | None = None,
    callback: Callback | None = None,
    stop: Stop | None = None,
) -> Picture:
    """The person of `source` in the drawn pose.

    Args:
        source: from `encode`, one row a pose; or one that `editing` made of two.
        mode: which sampler, how many steps, where guided.
        source_scale: 1 is unguided, in one pass.
        noise: to begin with; None draws it.
        generator: one per row, so that a picture does not depend on its batch mates; also for samplers that draw on
            the way.
        callback: sees every step.
        stop: asked before every step.

    Raises:
        ConfigError: neither noise nor generator; sizes or settings that do not fit.
        SamplingStopped: `stop` said so.
    """
    mode, schedule = named(mode), model.schedule()
    noise = first_noise(model, pose, noise, generator)
    denoise = denoiser(model, source, pose, rule(source_scale, mode, schedule), reuse=reuse_of(mode, schedule))
    latents = run(mode, denoise, noise, schedule, clip=False, generator=generator, callback=callback, stop=stop)
    return model.to_picture(latents)


@torch.no_grad()
def denoiser(model: TruePose, source: Source, pose: DrawnPose, guidance: Guidance, *, reuse: Reuse = WHOLE) -> Denoiser:
    """The model under guidance, for one sampling run; all that knows neither noise nor time is computed here, once.

    Args:
        reuse: which steps take coarse features from one before them.
    """
    told = model.tell(source, pose)
    branches = {FULL: lambda: told, POSE: lambda: without(told, source=True, pose=False)}
    return Denoiser(
        network=Reusing(model.predict, reuse),
        conditions={branch: branches[branch]() for branch in sorted(guidance.branches)},
        guidance=guidance,
        prediction=model.config.prediction,
        dtype=model.siamese.target_net.dtype,
    )


def rule(source_scale: float, mode: Mode, schedule: Schedule) -> Guidance:
    """`pose + source_scale (full - pose)` on the mode's part of the timesteps."""
    if source_scale == 1:
        return unguided()
    made = released(source_scale)
    if mode.guided == (0.0, 1.0):
        return made
    first, last = (share * (schedule.num_timesteps - 1) for share in mode.guided)
    return made.between(first, last)


def first_noise(model: TruePose, pose: DrawnPose, noise: Latents | None, generator: Generators | None) -> Latents:
    """The noise that a run begins with: as given, or drawn.

    Raises:
        ConfigError: neither noise nor generator, or noise of another shape than the latents'.
    """
    shape = model.config.latent_shape((pose.shape[2], pose.shape[3]))
    if noise is None:
        if generator is None:
            raise ConfigError("noise: give the noise to begin with, or a generator to draw it")
        noise = draw_normal(len(pose), shape, generator)
    if tuple(noise.shape) != (len(pose), *shape):
        raise ConfigError(f"noise: is {list(noise.shape)}, must be {[len(pose), *shape]}")
    return noise.to(pose.device)
