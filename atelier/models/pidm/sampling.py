"""From a source, a pose map and noise to the person in that pose."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from atelier.errors import ConfigError
from atelier.models.diffusion import guidance as rules
from atelier.models.diffusion.denoisers import Condition, Denoiser
from atelier.models.diffusion.modes import Mode, named, reuse_of, run
from atelier.models.diffusion.reuse import WHOLE, DeepFeatures, Reuse, Reusing
from atelier.models.diffusion.schedules import Schedule, linear
from atelier.models.diffusion.steps import Callback, Stop
from atelier.models.layers.noise import Generators, draw_normal
from atelier.models.pidm.config import Guidance
from atelier.models.pidm.networks import Pidm
from atelier.models.pidm.networks_unet import Texture
from atelier.models.tensors import NoisyPicture, Picture, PoseMap


@torch.no_grad()
def sample(
    model: Pidm,
    features: Sequence[Texture],
    pose_map: PoseMap,
    *,
    mode: Mode | str = "quality",
    guidance: Guidance | None = None,
    pose_scale: float = 2.0,
    style_scale: float = 2.0,
    noise: NoisyPicture | None = None,
    generator: Generators | None = None,
    callback: Callback | None = None,
    stop: Stop | None = None,
) -> Picture:
    """The person of `features` in the pose of `pose_map`.

    Args:
        features: from `encode`, of as many sources as there are pose maps; or a mixture of two persons' features.
        mode: which sampler, how many steps, where guided.
        guidance: None is what the weights were trained for.
        noise: to begin with; None draws it.
        generator: one per row, so that a picture does not depend on its batch mates; also for samplers that draw on
            the way.
        callback: sees every step; see `editing.keep_outside` for appearance control.
        stop: asked before every step.

    Raises:
        ConfigError: neither noise nor generator; sizes, scales or settings that do not fit.
        SamplingStopped: `stop` said so.
    """
    mode = named(mode)
    if noise is None:
        if generator is None:
            raise ConfigError("sample: give the noise to begin with, or a generator to draw it")
        noise = draw_normal(len(pose_map), (3, *pose_map.shape[-2:]), generator).to(pose_map.device)
    schedule = schedule_of(model)
    scaled = rule(guidance or model.config.guidance, pose_scale, style_scale, mode, schedule)
    denoise = denoiser(model, features, pose_map, scaled, reuse=reuse_of(mode, schedule))
    # The released state is of double precision; the network takes it in its own.
    image = run(mode, denoise, noise.double(), schedule, generator=generator, callback=callback, stop=stop)
    return image.float().clamp(-1, 1)


def schedule_of(model: Pidm) -> Schedule:
    """The noise that the model is trained on: linear betas, 1e-4 to 2e-2."""
    return linear(model.config.num_timesteps).ending_at(model.config.last_timestep)


def denoiser(
    model: Pidm,
    features: Sequence[Texture],
    pose_map: PoseMap,
    guidance: rules.Guidance,
    *,
    reuse: Reuse = WHOLE,
) -> Denoiser:
    """The model under guidance, for one sampling run; all that knows neither noise nor time is computed here, once.

    Args:
        reuse: which steps take coarse features from one before them.
    """

    def predict(x_t: Tensor, t: Tensor, condition: Mapping[str, Any], deep: DeepFeatures | None) -> Tensor:
        return model.predict(x_t, t, condition["pose_map"], condition["keys_values"], deep)

    return Denoiser(
        network=Reusing(predict, reuse),
        conditions=conditions(model, features, pose_map, guidance.branches),
        guidance=guidance,
        prediction=model.config.prediction,
        learned_variance=True,
        clip=model.config.clip,
        dtype=next(model.unet.parameters()).dtype,
    )


def conditions(
    model: Pidm, features: Sequence[Texture], pose_map: PoseMap, branches: Collection[str]
) -> Mapping[str, Condition]:
    """What the network is told in each branch. Null pose: zeros. Null style: the textures of an all-zero picture."""
    posed = {rules.FULL, rules.POSE}
    styled = {rules.FULL, rules.STYLE}
    style = model.keys_values(features) if styled & set(branches) else []
    null_style: list[Tensor] = []
    if set(branches) - styled:
        height, width = pose_map.shape[-2:]
        null_style = model.keys_values(model.encode(features[0].new_zeros(1, 3, height, width)))
    return {
        name: {
            "pose_map": pose_map if name in posed else torch.zeros_like(pose_map),
            "keys_values": style if name in styled else null_style,
        }
        for name in branches
    }


def rule(guidance: Guidance, pose_scale: float, style_scale: float, mode: Mode, schedule: Schedule) -> rules.Guidance:
    """The guidance of a name, on the mode's part of the timesteps."""
    match guidance:
        case "none":
            return rules.unguided()
        case "released":
            made = rules.released(style_scale)
        case "disentangled":
            made = rules.disentangled(pose_scale, style_scale)
        case "nested":
            made = rules.nested(pose_scale, style_scale)
    if mode.guided == (0.0, 1.0):
        return made
    first, last = (share * (schedule.num_timesteps - 1) for share in mode.guided)
    return made.between(first, last)
