"""MCA, multi-scale cross-modality alignment: region tokens and pictures meet where the pose map says so."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from atelier.models.human_diffusion.config import HumanDiffusionConfig
from atelier.models.human_diffusion.networks_blocks import num_heads
from atelier.models.human_diffusion.regions import NUM_REGIONS
from atelier.models.human_diffusion.tokens import Tokens
from atelier.models.layers.attention import attend, zeroed
from atelier.models.tensors import Features

WholeTokens = Float[Tensor, "batch regions token_width"]
"""One token a region: its words, refined by what was retrieved."""
RetrievedTokens = Float[Tensor, "batch regions retrieved token_width"]
"""The retrieved crops' tokens of each region."""
Coverage = Float[Tensor, "batch regions height width"]
"""Of each position, the share that is of each region; adds to 1."""
Bias = Float[Tensor, "batch 1 positions tokens"]
"""Logarithm of a token's weight at a position; -inf where it may not be attended to."""

_SMALL = 1e-5


@dataclass(frozen=True, kw_only=True)
class Aligned:
    """What an alignment block takes of tokens: free of the noisy picture and of the time."""

    keys_values: Float[Tensor, "batch tokens doubled"]
    modulation: Float[Tensor, "batch regions doubled"] | None


class RegionTokens(nn.Module):
    """Encoders' features as the tokens that alignment blocks read.

    A region that nothing is said of has a learned token: something stands for every label, so that no position of a
    pose map is ever without a token to attend to.
    """

    def __init__(self, config: HumanDiffusionConfig) -> None:
        super().__init__()
        width = config.token_width
        self.regions = nn.Parameter(torch.randn(NUM_REGIONS, width) * 0.02)
        self.unsaid = nn.Parameter(torch.zeros(width))
        self.unsaid_person = nn.Parameter(torch.zeros(width))
        self.of_words = nn.Linear(config.key_width, width)
        self.of_person = nn.Linear(config.key_width, width)
        self.mix = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, 2 * width), nn.SiLU(), nn.Linear(2 * width, width)
        )
        self.of_values = nn.Linear(config.value_width, width) if config.num_retrieved else None

    def forward(self, tokens: Tokens) -> tuple[WholeTokens, RetrievedTokens]:
        """(whole, retrieved); `retrieved` has no tokens where the model has no memory."""
        text, said = tokens.text[:, :NUM_REGIONS], tokens.said[:, :NUM_REGIONS, None]
        remembered = tokens.remembered[:, :, None]
        refined = F.normalize(text * said + tokens.style * remembered, dim=-1)
        words = torch.where(said | remembered, self.of_words(refined), self.unsaid)
        person = torch.where(tokens.said[:, -1:], self.of_person(tokens.text[:, -1]), self.unsaid_person)
        whole = words + person[:, None] + self.regions
        whole = whole + self.mix(whole)
        if self.of_values is None:
            return whole, whole.new_zeros(*whole.shape[:2], 0, whole.shape[2])
        return whole, self.of_values(tokens.values) + self.regions[:, None]


class Alignment(nn.Module):
    """One level's alignment: positions attend to their own regions' tokens, then their regions' styles modulate them.

    Starts by adding nothing. Without `aligned` only the attention is left, to all regions alike.
    """

    def __init__(self, width: int, config: HumanDiffusionConfig, *, retrieves: bool) -> None:
        super().__init__()
        self.retrieves = retrieves
        self.num_heads = num_heads(width, config.head_width)
        self.norm = nn.GroupNorm(config.num_groups, width)
        self.to_q = nn.Conv2d(width, width, 1)
        self.to_kv = nn.Linear(config.token_width, 2 * width)
        self.out = zeroed(nn.Conv2d(width, width, 1))
        self.to_modulation = zeroed(nn.Linear(config.token_width, 2 * width)) if config.aligned else None

    def prepare(self, whole: WholeTokens, retrieved: RetrievedTokens) -> Aligned:
        """What does not change during a sampling run."""
        tokens = whole[:, :, None]
        if self.retrieves:
            tokens = torch.cat([tokens, retrieved], 2)
        return Aligned(
            keys_values=self.to_kv(tokens.flatten(1, 2)),
            modulation=None if self.to_modulation is None else self.to_modulation(whole),
        )

    def forward(
        self,
        features: Features,
        keys_values: Float[Tensor, "batch tokens doubled"],
        modulation: Float[Tensor, "batch regions doubled"] | None,
        coverage: Coverage,
        bias: Bias | None,
    ) -> Features:
        queries = self.to_q(self.norm(features)).flatten(2).transpose(1, 2)
        keys, values = keys_values.chunk(2, 2)
        mixed = attend(queries, keys, values, self.num_heads, bias)
        features = features + self.out(mixed.transpose(1, 2).view_as(features))
        if modulation is None:
            return features
        scale, shift = torch.einsum("brc,brhw->bchw", modulation, coverage.to(modulation.dtype)).chunk(2, 1)
        # Normalised by position: a norm over the picture would tell every region of every other's words.
        normalised = features * torch.rsqrt(features.square().mean(1, keepdim=True) + _SMALL)
        return features + normalised * scale + shift


def coverage_at(one_hot: Float[Tensor, "batch regions map_height map_width"], stride: int) -> Coverage:
    """The pose map at a level: shares, not one label a position, so that small regions are not lost."""
    return F.avg_pool2d(one_hot, stride)


def attention_bias(
    coverage: Coverage, log_weights: Float[Tensor, "batch regions per_region"], *, aligned: bool
) -> Bias:
    """The pose map's mask and the tokens' own weights as logits: `log coverage + log weight`.

    Softmax then weighs a token by how much of the position its region covers; a region that a position does not touch
    has -inf there. Shares add to 1 and whole-region tokens have weight 1, so no position is left with -inf alone.

    Args:
        coverage: of the level.
        log_weights: of a region's tokens, its whole-region token first.
        aligned: False leaves the pose map out.
    """
    if not aligned:
        return log_weights.flatten(1)[:, None, None, :]
    logs = coverage.flatten(2).transpose(1, 2).log()  # the logarithm of an untouched region's 0 is the -inf we want
    return (logs[:, :, :, None] + log_weights[:, None]).flatten(2)[:, None]
