"""How much of a picture is left under noise at each timestep.

A noisy picture is `x_t = alpha x_0 + sigma eps` with `alpha² + sigma² = 1` and `alpha² = alpha_bar`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

import torch
from jaxtyping import Float, Int
from torch import Tensor

from atelier.errors import ConfigError
from atelier.models.layers.config import check_last_timestep

_Timestep = TypeVar("_Timestep", int, float)
Rows = Float[Tensor, "batch *shape"]
"""Pictures, latents or noise."""

_MAX_BETA = 0.999
_COSINE_OFFSET = 0.008
_KARRAS_RHO = 7.0


@dataclass(frozen=True, kw_only=True)
class Level:
    """One noise level of a run: what is left of the picture, and the timestep that the network is told."""

    timestep: float
    """0 is the least noise that was trained on; -1 is the clean picture. Whole but for interpolated levels."""
    alpha_bar: float

    @property
    def alpha(self) -> float:
        """The picture's share in `x_t`."""
        return math.sqrt(self.alpha_bar)

    @property
    def sigma(self) -> float:
        """The noise's share in `x_t`."""
        return math.sqrt(1 - self.alpha_bar)


CLEAN = Level(timestep=-1, alpha_bar=1.0)
"""The picture itself, where every run ends."""


@dataclass(frozen=True, eq=False)
class Schedule:
    """The noise that each trained timestep adds; all in float64.

    Args:
        betas: variance that each timestep adds, [0, 1) and at most the last 1.
        zero_terminal_snr: rescale, so that the last timestep is pure noise (Lin et al. 2024, algorithm 1). A network
            that predicts eps has nothing to predict there: such schedules are for v and x0.
        last_timestep: the least noise that samplers visit; what the network takes the picture for there is the picture.
    """

    betas: Float[Tensor, " timesteps"]
    zero_terminal_snr: bool = False
    last_timestep: int = 0
    alpha_bars: Float[Tensor, " timesteps"] = field(init=False)
    """Left of the picture's variance at each timestep, falling."""

    def __post_init__(self) -> None:
        betas = self.betas.double()
        if not bool((betas >= 0).all() and (betas < 1).all()):
            raise ConfigError("betas: must be in [0, 1)")
        alpha_bars = torch.cumprod(1 - betas, 0)
        if self.zero_terminal_snr:
            roots = alpha_bars.sqrt()
            alpha_bars = ((roots - roots[-1]) * roots[0] / (roots[0] - roots[-1])).square()
        check_last_timestep(self.last_timestep, len(betas))
        object.__setattr__(self, "betas", betas)
        object.__setattr__(self, "alpha_bars", alpha_bars)

    @property
    def num_timesteps(self) -> int:
        """How many were trained on."""
        return len(self.betas)

    def ending_at(self, timestep: int) -> Schedule:
        """The same noise, for samplers that end at a timestep above 0.

        Raises:
            ConfigError: not in [0, num_timesteps).
        """
        return replace(self, last_timestep=timestep)

    def visited(self, timesteps: Sequence[_Timestep]) -> Sequence[_Timestep]:
        """Of descending timesteps those down to the last; one at least, where a run begins below it."""
        return [timestep for timestep in timesteps if timestep >= self.last_timestep] or timesteps[:1]

    def level(self, timestep: int) -> Level:
        """A trained timestep's level.

        Raises:
            ConfigError: not in [0, num_timesteps).
        """
        if not 0 <= timestep < self.num_timesteps:
            raise ConfigError(f"timestep: is {timestep}, must be in 0..{self.num_timesteps - 1}")
        return Level(timestep=timestep, alpha_bar=float(self.alpha_bars[timestep]))

    def add_noise(
        self,
        x0: Rows,
        noise: Rows,
        timestep: Int[Tensor, " batch"],
    ) -> Rows:
        """`x_t` of each row at its own timestep."""
        alpha_bar = self.rows(self.alpha_bars, timestep, x0)
        return (alpha_bar.sqrt() * x0 + (1 - alpha_bar).sqrt() * noise).to(x0.dtype)

    def rows(self, table: Float[Tensor, " timesteps"], timestep: Tensor, like: Tensor) -> Tensor:
        """A table's values of each row's timestep, float64 [B, 1, ...], on the device of `like`."""
        values = table.to(like.device)[timestep]
        return values.view(-1, *(1,) * (like.ndim - 1))


def linear(num_timesteps: int = 1000, *, start: float = 1e-4, end: float = 2e-2, **options: bool) -> Schedule:
    """Betas rise linearly (Ho et al. 2020; PIDM)."""
    return Schedule(torch.linspace(start, end, num_timesteps, dtype=torch.float64), **options)


def scaled_linear(
    num_timesteps: int = 1000, *, start: float = 8.5e-4, end: float = 1.2e-2, **options: bool
) -> Schedule:
    """Roots of betas rise linearly (latent diffusion)."""
    roots = torch.linspace(math.sqrt(start), math.sqrt(end), num_timesteps, dtype=torch.float64)
    return Schedule(roots.square(), **options)


def cosine(num_timesteps: int = 1000, **options: bool) -> Schedule:
    """`alpha_bar` falls as a squared cosine, betas at most 0.999 (Nichol and Dhariwal 2021, Eq. 17)."""
    times = torch.linspace(0, 1, num_timesteps + 1, dtype=torch.float64)
    left = torch.cos((times + _COSINE_OFFSET) / (1 + _COSINE_OFFSET) * math.pi / 2).square()
    return Schedule((1 - left[1:] / left[:-1]).clamp(max=_MAX_BETA), **options)


def karras(
    num_timesteps: int = 1000, *, lowest: float = 2e-3, highest: float = 80.0, rho: float = _KARRAS_RHO, **options: bool
) -> Schedule:
    """`sigma / alpha` is evenly spaced in its `rho`-th root from `lowest` to `highest` (Karras et al. 2022, Eq. 5)."""
    ratios = karras_ratios(num_timesteps, lowest, highest, rho)
    alpha_bars = 1 / (1 + ratios.square())
    before = torch.cat([torch.ones(1, dtype=torch.float64), alpha_bars[:-1]])
    return Schedule(1 - alpha_bars / before, **options)


def karras_ratios(num: int, lowest: float, highest: float, rho: float = _KARRAS_RHO) -> Float[Tensor, " num"]:
    """Rising noise-to-picture ratios, evenly spaced in their `rho`-th root, float64."""
    roots = torch.linspace(lowest ** (1 / rho), highest ** (1 / rho), num, dtype=torch.float64)
    return roots.pow(rho)
