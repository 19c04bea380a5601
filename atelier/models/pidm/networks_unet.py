"""PIDM's noise predictor and its texture encoder: a UNet, and the down-going half of the same."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from jaxtyping import Float, Real
from torch import Tensor, nn
from torch.nn import functional as F

from atelier.models.diffusion.reuse import DeepFeatures
from atelier.models.pidm.config import POSE_CHANNELS, PidmConfig
from atelier.models.pidm.networks_blocks import (
    GroupNorm,
    KeysValues,
    Resample,
    ResBlock,
    TextureDiffusionBlock,
    TimeEmbedding,
)
from atelier.models.tensors import EpsVariance, NoisyPicture, Picture, PoseMap

Texture = Float[Tensor, "batch _width _height _width_px"]
"""One of the encoder's feature maps."""


class Block(nn.ModuleList):
    """The layers at one place of a UNet, each given what it takes."""

    def forward(self, features: Tensor, time: Tensor | None, keys_values: Tensor | None) -> Tensor:
        for layer in self:
            if isinstance(layer, ResBlock):
                features = layer(features, time)
            elif isinstance(layer, TextureDiffusionBlock):
                features = layer(features, keys_values)
            else:
                features = layer(features)
        return features


class TextureEncoder(nn.Module):
    """The source picture as feature maps: the UNet's down-going half on 3 channels, without time and attention, as far
    as the coarsest level that has textures."""

    def __init__(self, config: PidmConfig) -> None:
        super().__init__()
        self.patch = config.patch
        levels = [level for level in range(len(config.multipliers)) if config.has_texture(level)]
        self.input_blocks = (
            _down_blocks(config, num_channels=3, num_levels=levels[-1] + 1, timed=False) if levels else None
        )

    def forward(self, source: Picture) -> list[Texture]:
        """One feature map per block, fine to coarse: 18 for the published network; the source where none is wanted."""
        if self.input_blocks is None:
            return [source]
        textures, features = [], F.pixel_unshuffle(source, self.patch)
        for block in self.input_blocks:
            features = block(features, None, None)
            textures.append(features)
        return textures


class UNet(nn.Module):
    """The noise predictor: noisy picture and pose map concatenated, the source by texture diffusion blocks.

    Down block `k` and up block `k` of N attend to the encoder's maps `k` and `N - 1 - k`, the middle to the last.
    """

    def __init__(self, config: PidmConfig) -> None:
        super().__init__()
        self.blocks_per_level = config.num_blocks + 1  # going down with the halving, going up with the place more
        self.time_embed = TimeEmbedding(config.width // 2, config.time_width)
        self.patch = config.patch
        self.concatenates = not config.texture_strides
        num_channels = 3 + POSE_CHANNELS + (3 if self.concatenates else 0)
        num_levels = len(config.multipliers)
        self.input_blocks = _down_blocks(config, num_channels=num_channels, num_levels=num_levels, timed=True)
        deepest = config.width * config.multipliers[-1]
        self.middle_block = Block([_res(config, deepest, deepest)])
        if config.has_texture(num_levels - 1):
            self.middle_block.append(TextureDiffusionBlock(deepest, config.num_groups))
        self.middle_block.append(_res(config, deepest, deepest))
        self.output_blocks = _up_blocks(config)
        finest = config.width * config.multipliers[0]
        predicted = nn.Conv2d(finest, 6 * config.patch**2, 3, padding=1)
        self.out = nn.Sequential(GroupNorm(config.num_groups, finest), nn.SiLU(), predicted)
        for parameter in self.out[-1].parameters():
            nn.init.zeros_(parameter)

    def forward(
        self,
        x_t: NoisyPicture,
        timestep: Real[Tensor, " batch"],
        pose_map: PoseMap,
        keys_values: Sequence[KeysValues],
        deep: DeepFeatures | None = None,
    ) -> EpsVariance:
        """eps in channels 0..2, the learned range's variance in 3..5.

        Args:
            keys_values: of every texture diffusion block, from `keys_values`.
            deep: where it holds features, everything coarser than the finest level is taken from there and not
                computed; where it is empty, they are kept in it.
        """
        inputs = [x_t, pose_map]
        if self.concatenates:
            (source,), keys_values = keys_values, []
            inputs.append(source.view_as(x_t))
        given = dict(zip((block for _, block in self._attending()), keys_values, strict=True))
        outer = 0 if deep is None else self.blocks_per_level
        time = self.time_embed(timestep)
        features, skips = F.pixel_unshuffle(torch.cat(inputs, 1), self.patch), []
        for block in self.input_blocks[:outer]:
            features = block(features, time, given.get(block))
            skips.append(features)
        if deep is not None and deep.features is not None:
            features = deep.features
        else:
            for block in self.input_blocks[outer:]:
                features = block(features, time, given.get(block))
                skips.append(features)
            features = self.middle_block(features, time, given.get(self.middle_block))
            for block in self.output_blocks[: len(self.output_blocks) - outer]:
                features = block(torch.cat([features, skips.pop()], 1), time, given.get(block))
            if deep is not None:
                deep.features = features
        for block in self.output_blocks[len(self.output_blocks) - outer :]:
            features = block(torch.cat([features, skips.pop()], 1), time, given.get(block))
        return F.pixel_shuffle(self.out(features), self.patch)

    def keys_values(self, textures: Sequence[Texture]) -> list[KeysValues]:
        """What the texture diffusion blocks take of the source, in the order of the forward pass; without any, it."""
        if self.concatenates:
            return [textures[0].flatten(2)]
        attending = ((index, _texture_block(block)) for index, block in self._attending())
        return [block.keys_values(textures[index]) for index, block in attending if block is not None]

    def _attending(self) -> Iterator[tuple[int, nn.Module]]:
        """The places that have a texture diffusion block, each with the number of the map that it attends to."""
        last = len(self.input_blocks) - 1
        placed = [*enumerate(self.input_blocks), (last, self.middle_block)]
        placed += [(last - index, block) for index, block in enumerate(self.output_blocks)]
        return ((index, block) for index, block in placed if _texture_block(block) is not None)


def _texture_block(block: nn.Module) -> TextureDiffusionBlock | None:
    return next((layer for layer in block.children() if isinstance(layer, TextureDiffusionBlock)), None)


def _res(
    config: PidmConfig, width_in: int, width_out: int, *, timed: bool = True, resample: Resample = "none"
) -> ResBlock:
    return ResBlock(
        width_in,
        width_out,
        time_width=config.time_width if timed else None,
        num_groups=config.num_groups,
        dropout=config.dropout,
        resample=resample,
    )


def _down_blocks(config: PidmConfig, *, num_channels: int, num_levels: int, timed: bool) -> nn.ModuleList:
    """A convolution, then per level its residual blocks, the last with a TDB where the level has one, and a halving."""
    width = config.width * config.multipliers[0]
    blocks = [Block([nn.Conv2d(num_channels * config.patch**2, width, 3, padding=1)])]
    for level, multiplier in enumerate(config.multipliers[:num_levels]):
        for _ in range(config.num_blocks):
            blocks.append(Block([_res(config, width, config.width * multiplier, timed=timed)]))
            width = config.width * multiplier
        if timed and config.has_texture(level):
            blocks[-1].append(TextureDiffusionBlock(width, config.num_groups))
        if level + 1 < num_levels:
            blocks.append(Block([_res(config, width, width, timed=timed, resample="down")]))
    return nn.ModuleList(blocks)


def _up_blocks(config: PidmConfig) -> nn.ModuleList:
    """Per level one block more than going down, the middle one with a TDB where the level has one, and a doubling."""
    skips = [config.width * config.multipliers[0]]
    for level, multiplier in enumerate(config.multipliers):
        skips += [config.width * multiplier] * (config.num_blocks + (level + 1 < len(config.multipliers)))
    width, blocks = skips[-1], []
    for level in reversed(range(len(config.multipliers))):
        for place in range(config.num_blocks + 1):
            width_out = config.width * config.multipliers[level]
            blocks.append(Block([_res(config, width + skips.pop(), width_out)]))
            width = width_out
            if place == config.num_blocks // 2 and config.has_texture(level):
                blocks[-1].append(TextureDiffusionBlock(width, config.num_groups))
        if level:
            blocks[-1].append(_res(config, width, width, resample="up"))
    return nn.ModuleList(blocks)
