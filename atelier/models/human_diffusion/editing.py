"""Editing: other words for a region, or other pixels of the pose map, and the rest of the picture as it was."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Bool
from torch import Tensor

from atelier.errors import ConfigError
from atelier.models.diffusion.holding import Holding
from atelier.models.diffusion.modes import Mode, named, reuse_of, run
from atelier.models.diffusion.steps import Callback, Stop
from atelier.models.human_diffusion.networks import HumanDiffusion
from atelier.models.human_diffusion.phrases import Description
from atelier.models.human_diffusion.regions import REGIONS, region_id
from atelier.models.human_diffusion.sampling import MEMORY_SCALE, TEXT_SCALE, denoiser, first_noise, rule
from atelier.models.human_diffusion.tokens import Tokens
from atelier.models.layers.autoencoder import Latents
from atelier.models.layers.noise import Generators
from atelier.models.tensors import LabelIds, Picture

Region = Bool[Tensor, "batch height width"]
"""True where the picture may change."""

MARGIN_SHARE = 1 / 64
"""Of the picture's height: how far around a change the picture may change with it, for edges and shadows."""


def changed_region(
    before: Sequence[Description],
    after: Sequence[Description],
    pose_map_before: LabelIds,
    pose_map_after: LabelIds,
    *,
    margin_px: int | None = None,
) -> Region:
    """Where an edit may change the picture.

    These are the pixels whose label changed, and those of every region whose words changed, in either pose map; all of
    the picture where what is said of the person as a whole changed.

    Args:
        margin_px: how far the region reaches beyond; None is a 64th of the height.

    Raises:
        ConfigError: another number of descriptions than pose maps, or pose maps of two sizes.
    """
    if pose_map_before.shape != pose_map_after.shape or not len(before) == len(after) == len(pose_map_after):
        raise ConfigError(
            f"edit: {len(before)} and {len(after)} descriptions, pose maps {list(pose_map_before.shape)} and"
            f" {list(pose_map_after.shape)}; must be as many of one size"
        )
    changed = pose_map_before != pose_map_after
    for row, (old, new) in enumerate(zip(before, after, strict=True)):
        if old.person != new.person:
            changed[row] = True
        for region in REGIONS:
            if old.phrases.get(region) != new.phrases.get(region):
                label = region_id(region)
                changed[row] |= (pose_map_before[row] == label) | (pose_map_after[row] == label)
    margin = round(changed.shape[1] * MARGIN_SHARE) if margin_px is None else margin_px
    return F.max_pool2d(changed[:, None].float(), 2 * margin + 1, stride=1, padding=margin)[:, 0] > 0


@torch.no_grad()
def edit(
    model: HumanDiffusion,
    original: Picture,
    region: Region,
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
    """The picture with a region made anew; outside the region it equals `original` bit for bit.

    The region is noised again from the noise of the seed and denoised in sight of the rest, which stays what it was.

    Args:
        original: what is edited: an earlier picture of the same size, or any photograph with its pose map.
        region: from `changed_region`, or drawn by hand.
        tokens, pose_map: of the person after the edit.
        noise, generator: those of the original's run give the region what it has in common with the original.

    Raises:
        ConfigError: neither noise nor generator; sizes or settings that do not fit.
        SamplingStopped: `stop` said so.
    """
    mode, schedule = named(mode), model.schedule()
    noise = first_noise(model, pose_map, noise, generator)
    may_change = F.max_pool2d(region[:, None].float(), model.config.latent_stride) > 0
    guidance = rule(model, tokens, text_scale, memory_scale, mode, schedule)
    denoise = Holding(
        denoise=denoiser(model, tokens, pose_map, guidance, reuse=reuse_of(mode, schedule)),
        original=model.to_latents(original),
        may_change=may_change,
    )
    latents = run(
        mode, denoise, noise, schedule, clip=model.vae is None, generator=generator, callback=callback, stop=stop
    )
    return torch.where(region[:, None], model.to_picture(latents), original)
