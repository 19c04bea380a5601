"""From words, a pose map and noise to a person."""

from __future__ import annotations

import torch

from atelier.errors import ConfigError
from atelier.models.diffusion.denoisers import Denoiser
from atelier.models.diffusion.guidance import FULL, NULL, Guidance, classifier_free
from atelier.models.diffusion.modes import Mode, named, reuse_of, run
from atelier.models.diffusion.reuse import WHOLE, Reuse, Reusing
from atelier.models.diffusion.schedules import Schedule
from atelier.models.diffusion.steps import Callback, Stop
from atelier.models.human_diffusion.networks import HumanDiffusion
from atelier.models.human_diffusion.regions import check_pose_map
from atelier.models.human_diffusion.tokens import Tokens
from atelier.models.layers.autoencoder import Latents
from atelier.models.layers.noise import Generators, draw_normal
from atelier.models.tensors import LabelIds, Picture

TEXT = "text"
"""The branch that is told words and no memory."""

TEXT_SCALE, MEMORY_SCALE = 1.5, 1.5
"""Chosen on the small weights: beyond, colours grow garish while people come no nearer to the true ones."""


@torch.no_grad()
def sample(
    model: HumanDiffusion,
    tokens: Tokens,
    pose_map: LabelIds,
    *,
    mode: Mode | str = "quality",
    text_scale: float = TEXT_SCALE,
    memory_scale: float = MEMORY_SCALE,
    noise: Latents | None = None,
    generator: Generators | None = None,
    callback: Callback | None = None,
    stop: Stop | None = None,
) -> Picture:
    """The persons that tokens tell of, laid out as the pose maps say.

    Args:
        tokens: from `encode`, one row a pose map.
        mode: which sampler, how many steps, where guided.
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
    noise = first_noise(model, pose_map, noise, generator)
    guidance = rule(model, tokens, text_scale, memory_scale, mode, schedule)
    denoise = denoiser(model, tokens, pose_map, guidance, reuse=reuse_of(mode, schedule))
    latents = run(
        mode, denoise, noise, schedule, clip=model.vae is None, generator=generator, callback=callback, stop=stop
    )
    return model.to_picture(latents)


def denoiser(
    model: HumanDiffusion, tokens: Tokens, pose_map: LabelIds, guidance: Guidance, *, reuse: Reuse = WHOLE
) -> Denoiser:
    """The model under guidance, for one sampling run; all that knows neither noise nor time is computed here, once.

    Args:
        reuse: which steps take coarse features from one before them.

    Raises:
        ConfigError: a pose map with labels outside the set.
    """
    check_pose_map(pose_map)
    told = {
        NULL: lambda: tokens.without(text=True, memory=True),
        TEXT: lambda: tokens.without(memory=True),
        FULL: lambda: tokens,
    }
    return Denoiser(
        network=Reusing(model.predict, reuse),
        conditions={branch: model.tell(pose_map, told[branch]()) for branch in sorted(guidance.branches)},
        guidance=guidance,
        prediction=model.config.prediction,
        clip=model.vae is None,
        dtype=next(model.unet.parameters()).dtype,
    )


def rule(
    model: HumanDiffusion, tokens: Tokens, text_scale: float, memory_scale: float, mode: Mode, schedule: Schedule
) -> Guidance:
    """`null + text_scale (text - null) + memory_scale (full - text)` on the mode's part of the timesteps.

    At equal scales the text's own branch vanishes; without a memory it is the full one.
    """
    if model.config.num_retrieved and bool(tokens.remembered.any()):
        weights = {NULL: 1 - text_scale, TEXT: text_scale - memory_scale, FULL: memory_scale}
        made = Guidance(weights=weights)
    else:
        made = classifier_free(text_scale)
    if mode.guided == (0.0, 1.0):
        return made
    first, last = (share * (schedule.num_timesteps - 1) for share in mode.guided)
    return made.between(first, last)


def first_noise(
    model: HumanDiffusion, pose_map: LabelIds, noise: Latents | None, generator: Generators | None
) -> Latents:
    """The noise that a run begins with: as given, or drawn.

    Raises:
        ConfigError: neither noise nor generator, or noise of another shape than the latents'.
    """
    shape = model.config.latent_shape((pose_map.shape[1], pose_map.shape[2]))
    if noise is None:
        if generator is None:
            raise ConfigError("noise: give the noise to begin with, or a generator to draw it")
        noise = draw_normal(len(pose_map), shape, generator)
    if tuple(noise.shape) != (len(pose_map), *shape):
        raise ConfigError(f"noise: is {list(noise.shape)}, must be {[len(pose_map), *shape]}")
    return noise.to(pose_map.device)
