"""What a trained TruePose does beyond pose transfer: another garment on a person, and one region made anew."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Bool
from torch import Tensor

from atelier.models.diffusion.holding import Holding
from atelier.models.diffusion.modes import Mode, named, reuse_of, run
from atelier.models.diffusion.steps import Callback, Stop
from atelier.models.layers.autoencoder import Latents
from atelier.models.layers.noise import Generators
from atelier.models.tensors import LabelIds, Picture
from atelier.models.truepose.networks import TruePose
from atelier.models.truepose.networks_fusion import Told
from atelier.models.truepose.networks_guider import DrawnPose
from atelier.models.truepose.networks_siamese import Source
from atelier.models.truepose.networks_unet import attention_grids
from atelier.models.truepose.regions import REGIONS, region_masks, touched
from atelier.models.truepose.sampling import SOURCE_SCALE, denoiser, first_noise, rule

Region = Bool[Tensor, "batch height width"]
"""True where the picture may change."""

_FACE, _GARMENT = range(len(REGIONS))


@torch.no_grad()
def with_garment(
    model: TruePose, person: Source, person_parse: LabelIds, garment: Source, garment_parse: LabelIds
) -> Source:
    """A source of one person and another's garment: garment-style transfer, without training for it.

    TargetNet attends to the person's tokens but those of their garment, and to the other's tokens of the garment alone;
    HPFA's garment region and CAA's garment crop are the other's. Of the whole person CAA is told nothing: those tokens
    show the old garment.

    Args:
        person, garment: from `encode`, as many rows of one size, not mixtures themselves.
        person_parse, garment_parse: CIHP ids that they were encoded with.
    """
    config = model.config
    grids = attention_grids(config, model.config.latent_shape((person_parse.shape[1], person_parse.shape[2]))[1:])
    masks = [region_masks(parse)[:, _GARMENT] for parse in (person_parse, garment_parse)]
    biases = []
    for keys in person["keys"]:
        worn, wanted = (touched(mask, grids[keys.shape[1]]) for mask in masks)
        shown = torch.cat([~worn, wanted], 1)
        biases.append(torch.zeros(shown.shape, device=shown.device).masked_fill(~shown, float("-inf"))[:, None, None])
    mixed: dict[str, Any] = {
        name: [torch.cat(parts, 1) for parts in zip(person[name], garment[name], strict=True)]
        for name in ("keys", "values")
    }
    mixed["bias"] = biases
    if config.fusion:
        mixed |= {REGIONS[_FACE]: person[REGIONS[_FACE]], REGIONS[_GARMENT]: garment[REGIONS[_GARMENT]]}
    return {**mixed, "tokens": _of_views(person["tokens"], garment["tokens"], aligned=config.alignment)}


@torch.no_grad()
def edit(
    model: TruePose,
    original: Picture,
    region: Region,
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
    """The picture with a region made anew; outside the region it equals `original` bit for bit.

    Args:
        original: what is edited: an earlier picture, or any photograph of somebody in the pose.
        region: where the picture may change, at its size; a parse gives a garment's.
        source: whom or what the region is taken from: from `encode`, or `with_garment`.
        noise, generator: as in `sampling.sample`.

    Raises:
        ConfigError: neither noise nor generator; sizes or settings that do not fit.
        SamplingStopped: `stop` said so.
    """
    mode, schedule = named(mode), model.schedule()
    noise = first_noise(model, pose, noise, generator)
    denoise = Holding(
        denoise=denoiser(model, source, pose, rule(source_scale, mode, schedule), reuse=reuse_of(mode, schedule)),
        original=model.to_latents(original),
        may_change=F.max_pool2d(region[:, None].float(), model.config.latent_stride) > 0,
    )
    latents = run(mode, denoise, noise, schedule, clip=False, generator=generator, callback=callback, stop=stop)
    return torch.where(region[:, None], model.to_picture(latents), original)


def _of_views(person: Told, garment: Told, *, aligned: bool) -> dict[str, list[Tensor]]:
    """Image tokens of the person's face and the other's garment; without CAA there is the whole alone, which is not."""
    made = {}
    for name in ("keys", "values"):
        made[name] = []
        for own, other in zip(person[name], garment[name], strict=True):
            if not aligned:
                made[name].append(torch.zeros_like(own))
                continue
            whole, face, _ = own.chunk(1 + len(REGIONS), 1)
            made[name].append(torch.cat([torch.zeros_like(whole), face, other.chunk(1 + len(REGIONS), 1)[-1]], 1))
    return made
