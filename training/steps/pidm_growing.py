"""Weights of one PIDM as a start for another that takes its pixels in larger patches, or has its textures elsewhere."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

from atelier.errors import ConfigError
from atelier.models.pidm.networks import Pidm
from atelier.models.pidm.networks_blocks import TextureDiffusionBlock
from atelier.models.pidm.networks_unet import TextureEncoder, UNet

_FIXED = ("width", "multipliers", "num_blocks", "num_groups")
"""Of the config: what no weights can be carried over between."""


@torch.no_grad()
def grow(network: Pidm, folder: Path) -> None:
    """Fills a network with the weights in a folder, whose patches may be smaller and whose textures elsewhere.

    Of a picture in which every patch has one colour, a network with the textures of the other then makes what the other
    makes of a picture with a pixel a patch. Texture diffusion blocks that the other does not have add nothing yet.

    Raises:
        ConfigError: their levels are others, their patch is no divisor of this one's, or one alone has textures.
        WeightsError: no such weights.
    """
    theirs = Pidm.from_pretrained(folder)
    given, wanted = theirs.config, network.config
    differing = [name for name in _FIXED if getattr(given, name) != getattr(wanted, name)]
    if wanted.patch % given.patch:
        differing.append("patch")
    if bool(given.texture_strides) != bool(wanted.texture_strides):
        differing.append("texture_strides")
    if differing:
        told = ", ".join(f"{name} {getattr(given, name)} for {getattr(wanted, name)}" for name in differing)
        raise ConfigError(f"{folder}: is no start for this network: {told}")
    finer = (wanted.patch // given.patch) ** 2
    _grow_unet(network.unet, theirs.unet, finer)
    _grow_encoder(network.encoder, theirs.encoder, finer)


def _grow_unet(ours: UNet, theirs: UNet, finer: int) -> None:
    ours.time_embed.load_state_dict(theirs.time_embed.state_dict())
    _grow_down(ours.input_blocks, theirs.input_blocks, finer)
    _copy(ours.middle_block, theirs.middle_block)
    for mine, other in zip(ours.output_blocks, theirs.output_blocks, strict=True):
        _copy(mine, other)
    ours.out[0].load_state_dict(theirs.out[0].state_dict())
    for mine, other in zip(ours.out[-1].parameters(), theirs.out[-1].parameters(), strict=True):
        mine.copy_(other.repeat_interleave(finer, 0))


def _grow_encoder(ours: TextureEncoder, theirs: TextureEncoder, finer: int) -> None:
    if ours.input_blocks is not None and theirs.input_blocks is not None:
        _grow_down(ours.input_blocks, theirs.input_blocks, finer)


def _grow_down(ours: nn.ModuleList, theirs: nn.ModuleList, finer: int) -> None:
    mine, other = (next(blocks[0].children()) for blocks in (ours, theirs))
    first = other.state_dict()
    mine.load_state_dict({**first, "weight": first["weight"].repeat_interleave(finer, 1) / finer})  # a patch's mean
    for block, given in zip(ours[1:], theirs[1:], strict=False):  # an encoder goes as far as its textures do
        _copy(block, given)


def _copy(ours: nn.Module, theirs: nn.Module) -> None:
    """Layer by layer of a block; textures where both have them."""
    for layer, given in zip(_layers(ours, textures=False), _layers(theirs, textures=False), strict=True):
        layer.load_state_dict(given.state_dict())
    for layer, given in zip(_layers(ours, textures=True), _layers(theirs, textures=True), strict=False):
        layer.load_state_dict(given.state_dict())


def _layers(block: nn.Module, *, textures: bool) -> list[nn.Module]:
    return [layer for layer in block.children() if isinstance(layer, TextureDiffusionBlock) is textures]
