"""HumanDiffusion's denoiser: a UNet that is told of each region where the pose map has it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Real
from torch import Tensor, nn

from atelier.models.diffusion.reuse import DeepFeatures
from atelier.models.human_diffusion.config import HumanDiffusionConfig
from atelier.models.human_diffusion.networks_alignment import Alignment, RegionTokens, attention_bias, coverage_at
from atelier.models.human_diffusion.networks_blocks import ResidualBlock, SelfAttention, TimeEmbedding
from atelier.models.human_diffusion.regions import NUM_REGIONS
from atelier.models.human_diffusion.tokens import Tokens
from atelier.models.layers.autoencoder import Latents
from atelier.models.layers.pixels import one_hot
from atelier.models.tensors import LabelIds

Told = Mapping[str, Any]
"""What `UNet.tell` makes of a pose map and tokens: tensors of B rows, in lists and mappings."""


class Level(nn.ModuleList):
    """The blocks of one level on one way: residual blocks, self-attention where the level has it, one alignment."""

    def __init__(self, widths_in: list[int], config: HumanDiffusionConfig, index: int) -> None:
        width, stride = config.widths[index], config.strides[index]
        blocks: list[nn.Module] = [
            ResidualBlock(width_in, width, 4 * config.width, config.num_groups) for width_in in widths_in
        ]
        if stride in config.self_attention_strides:
            blocks.append(SelfAttention(width, config.head_width, config.num_groups))
        retrieves = bool(config.num_retrieved) and stride in config.retrieved_strides
        blocks.append(Alignment(width, config, retrieves=retrieves))
        super().__init__(blocks)
        self.index = index

    @property
    def alignment(self) -> Alignment:
        """The level's alignment, its last block."""
        block = self[-1]
        assert isinstance(block, Alignment)
        return block


class UNet(nn.Module):
    """Noisy latents, time, pose map and tokens → the prediction.

    Alignment closes every level going down and going up; coarse levels attend to whole-region tokens, fine ones also to
    retrieved ones.
    """

    def __init__(self, config: HumanDiffusionConfig) -> None:
        super().__init__()
        self.config = config
        widths, last = config.widths, len(config.widths) - 1
        channels, finest = config.latent_channels * config.patch**2, config.strides[0]
        self.time = TimeEmbedding(config.width)
        self.picture_in = nn.Conv2d(channels, widths[0], 3, padding=1)
        # A convolution as wide as its stride reads every pixel of the map, whatever the latents' size.
        self.pose_in = nn.Conv2d(NUM_REGIONS, widths[0], finest, stride=finest)
        self.tokens = RegionTokens(config)
        before = [widths[0], *widths[:-1]]
        self.down = nn.ModuleList(
            Level([width if place == 0 else widths[index] for place in range(config.num_blocks)], config, index)
            for index, width in enumerate(before)
        )
        self.halvings = nn.ModuleList(nn.Conv2d(width, width, 3, stride=2, padding=1) for width in widths[:-1])
        self.up = nn.ModuleList(
            Level(_widths_up(config, index, widths[min(index + 1, last)]), config, index)
            for index in range(last, -1, -1)
        )
        self.doublings = nn.ModuleList(nn.Conv2d(width, width, 3, padding=1) for width in widths[:0:-1])
        self.out = nn.Sequential(
            nn.GroupNorm(config.num_groups, widths[0]), nn.SiLU(), nn.Conv2d(widths[0], channels, 3, padding=1)
        )
        for parameter in self.out[-1].parameters():
            nn.init.zeros_(parameter)

    def tell(self, pose_map: LabelIds, tokens: Tokens) -> Told:
        """All that knows neither the noisy picture nor the time: once a sampling run.

        Args:
            pose_map: label ids at the picture's size.
        """
        config = self.config
        map_one_hot = one_hot(pose_map, NUM_REGIONS).to(self.pose_in.weight.dtype)
        whole, retrieved = self.tokens(tokens)
        whole_alone = tokens.log_weights.new_zeros(*tokens.log_weights.shape[:2], 1)
        with_retrieved = torch.cat([whole_alone, tokens.log_weights], 2)
        coverages, biases = [], []
        for level in self._levels_down():
            coverage = coverage_at(map_one_hot, config.strides[level.index])
            log_weights = with_retrieved if level.alignment.retrieves else whole_alone
            coverages.append(coverage)
            biases.append(attention_bias(coverage, log_weights.to(coverage.dtype), aligned=config.aligned))
        prepared = [alignment.prepare(whole, retrieved) for alignment in self._alignments()]
        return {
            "pose": self.pose_in(map_one_hot),
            "coverages": coverages,
            "biases": biases,
            "keys_values": [part.keys_values for part in prepared],
            # Of all alignments, or of none: conditions hold tensors alone.
            "modulations": [part.modulation for part in prepared if part.modulation is not None],
        }

    def forward(
        self, x_t: Latents, timestep: Real[Tensor, " batch"], told: Told, deep: DeepFeatures | None = None
    ) -> Latents:
        """The prediction, of the shape of `x_t`.

        Args:
            told: from `tell`.
            deep: where it holds features, everything coarser than the finest level is taken from there and not
                computed; where it is empty, they are kept in it.
        """
        time = self.time(timestep)
        features = self.picture_in(F.pixel_unshuffle(x_t, self.config.patch)) + told["pose"]
        down, up = list(enumerate(self._levels_down())), list(enumerate(self._levels_up(), len(self.down)))
        skips: list[Tensor] = []
        features = _go(*down[0], features, time, told, skips, joins=False)
        if deep is not None and deep.features is not None:
            features = deep.features
        else:
            for (place, level), halve in zip(down[1:], self.halvings, strict=True):
                features = _go(place, level, halve(features), time, told, skips, joins=False)
            for (place, level), double in zip(up[:-1], self.doublings, strict=True):
                features = _go(place, level, features, time, told, skips, joins=True)
                features = double(F.interpolate(features, scale_factor=2.0, mode="nearest"))
            if deep is not None:
                deep.features = features
        features = _go(*up[-1], features, time, told, skips, joins=True)
        return F.pixel_shuffle(self.out(features), self.config.patch)

    def _levels_down(self) -> Iterator[Level]:
        for level in self.down:
            assert isinstance(level, Level)
            yield level

    def _levels_up(self) -> Iterator[Level]:
        for level in self.up:
            assert isinstance(level, Level)
            yield level

    def _alignments(self) -> Iterator[Alignment]:
        """In the order of the forward pass."""
        for level in (*self._levels_down(), *self._levels_up()):
            yield level.alignment


def trimmed(told: Told) -> Told:
    """The same without tokens that no position of any row attends to: most of them, as nobody wears 24 regions.

    For training alone: how many are left depends on the rows of the batch, and a picture's bits must not.
    """
    biases, keys_values = list(told["biases"]), list(told["keys_values"])
    for index, bias in enumerate(biases):
        heeded = (bias > float("-inf")).flatten(0, 2).any(0).nonzero().squeeze(1)
        biases[index] = bias[..., heeded]
        for place in (index, -1 - index):  # a level going down and the same one going up
            keys_values[place] = keys_values[place][:, heeded]
    return {**told, "biases": biases, "keys_values": keys_values}


def _go(
    place: int, level: Level, features: Tensor, time: Tensor, told: Told, skips: list[Tensor], *, joins: bool
) -> Tensor:
    """Through a level's blocks: going down each residual block leaves a skip, going up (`joins`) it takes one.

    Args:
        place: of the level in the order of the forward pass.
    """
    for block in level:
        if isinstance(block, ResidualBlock):
            features = block(torch.cat([features, skips.pop()], 1) if joins else features, time)
            if not joins:
                skips.append(features)
        elif isinstance(block, Alignment):
            keys_values = told["keys_values"][place]
            modulation = told["modulations"][place] if told["modulations"] else None
            features = block(
                features, keys_values, modulation, told["coverages"][level.index], told["biases"][level.index]
            )
        else:
            features = block(features)
    if not joins:
        skips[-1] = features  # what comes after the last residual block is handed across too
    return features


def _widths_up(config: HumanDiffusionConfig, index: int, width_below: int) -> list[int]:
    """What the residual blocks of a level going up read: features from below or before, and a skip."""
    width = config.widths[index]
    return [(width_below if place == 0 else width) + width for place in range(config.num_blocks)]
