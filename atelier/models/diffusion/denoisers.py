"""One signature over networks that predict eps, v or x0, under any guidance: `denoise(x_t, level) -> Estimate`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor

from atelier.errors import ConfigError
from atelier.models.diffusion.guidance import Guidance, unguided
from atelier.models.diffusion.schedules import Level

Prediction = Literal["eps", "v", "x0"]
Noisy = Float[Tensor, "batch channels *size"]
Condition = Any
"""What a network is told beside the noisy picture and the time: tensors of B rows, or of 1 that holds for all, in lists
and mappings as the network likes; every branch of a run in the same arrangement."""
Network = Callable[[Tensor, Tensor, Condition], Tensor]
"""`(x_t, timesteps [B], condition)` → prediction, with as many channels again for a learned range's variance."""

_LEAST_PICTURE = 1e-12
"""Below this `alpha_bar` a predicted eps says nothing of the picture."""


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """What a denoiser makes of a noisy picture."""

    x0: Tensor
    eps: Tensor
    variance_share: Tensor | None = None
    """Of a learned range: 0 is the lower (posterior) variance, 1 the upper (beta), in logarithms."""


Denoise = Callable[[Tensor, Level], Estimate]
"""What samplers ask for: the estimate of a noisy picture at a level."""


@dataclass(frozen=True, kw_only=True)
class Denoiser:
    """A network under guidance; every branch of a step is computed in one batch.

    Args:
        network: called once a step, with the branches' rows one after another.
        conditions: branch → condition, for every branch that the guidance may ask for.
        learned_variance: the network's second half of channels is a learned range (Nichol and Dhariwal 2021, Eq. 15),
            guided like the first.
        clip: hold the estimated picture in [-1, 1], and eps to what is then left: where almost all is noise, a little
            error of eps is a large one of the picture. For pictures, not for latents.
        dtype: in which the network takes `x_t`; the state of a sampler may be wider.
    """

    network: Network
    conditions: Mapping[str, Condition]
    guidance: Guidance = field(default_factory=unguided)
    prediction: Prediction = "eps"
    learned_variance: bool = False
    clip: bool = False
    dtype: torch.dtype = torch.float32
    _stacked: dict[tuple[tuple[str, ...], int], Condition] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        if missing := sorted(self.guidance.branches - set(self.conditions)):
            raise ConfigError(f"conditions: the guidance asks for {missing}, there are {sorted(self.conditions)}")

    def __call__(self, x_t: Noisy, level: Level) -> Estimate:
        """The estimate at a level, in the dtype of `x_t`."""
        output = self._guided(x_t, level)
        share = None
        if self.learned_variance:
            output, variance = output.chunk(2, 1)
            share = (variance + 1) / 2
        x0, eps = split(self.prediction, output, x_t, level)
        if self.clip:
            x0 = x0.clamp(-1, 1)
            _, eps = split("x0", x0, x_t, level)
        return Estimate(x0=x0, eps=eps, variance_share=share)

    def _guided(self, x_t: Tensor, level: Level) -> Tensor:
        weights = self.guidance.at(level)
        names, num_rows = tuple(weights), len(x_t)
        if (names, num_rows) not in self._stacked:  # conditions stay the same from step to step
            self._stacked[names, num_rows] = stack([self.conditions[name] for name in names], num_rows)
        rows = x_t.to(self.dtype).repeat(len(names), *(1,) * (x_t.ndim - 1))
        whole = float(level.timestep).is_integer()
        timesteps = torch.full((len(rows),), level.timestep, device=x_t.device, dtype=torch.int64 if whole else None)
        output = self.network(rows, timesteps, self._stacked[names, num_rows]).to(x_t.dtype)
        if len(names) == 1:
            return output
        branches = output.view(len(names), num_rows, *output.shape[1:])
        weighted = [weight * branch for weight, branch in zip(weights.values(), branches, strict=True)]
        return torch.stack(weighted).sum(0)


def split(prediction: Prediction, output: Noisy, x_t: Noisy, level: Level) -> tuple[Noisy, Noisy]:
    """(x0, eps) out of a prediction at a level.

    Raises:
        ConfigError: eps is predicted where nothing of the picture is left (zero terminal SNR).
    """
    alpha, sigma = level.alpha, level.sigma
    match prediction:
        case "eps":
            if level.alpha_bar < _LEAST_PICTURE:
                raise ConfigError(
                    f"prediction: eps gives no picture at timestep {level.timestep:g}, which is pure noise"
                )
            return (x_t - sigma * output) / alpha, output
        case "v":
            return alpha * x_t - sigma * output, sigma * x_t + alpha * output
        case "x0":
            # At a clean level there is no noise to tell.
            return output, (x_t - alpha * output) / sigma if sigma > 0 else torch.zeros_like(x_t)


def target(prediction: Prediction, x0: Noisy, eps: Noisy, alpha: Tensor, sigma: Tensor) -> Noisy:
    """What a network is trained to predict; `alpha` and `sigma` are each row's, [B, 1, ...]."""
    match prediction:
        case "eps":
            return eps
        case "v":
            return alpha * eps - sigma * x0
        case "x0":
            return x0


def stack(conditions: Sequence[Condition], num_rows: int) -> Condition:
    """The branches' conditions as one, rows of the first branch first; single rows are repeated to `num_rows`.

    Raises:
        ConfigError: a tensor of another number of rows.
    """
    first = conditions[0]
    if isinstance(first, Tensor):
        return torch.cat([_rows(part, num_rows) for part in conditions])
    if isinstance(first, Mapping):
        return {key: stack([part[key] for part in conditions], num_rows) for key in first}
    if isinstance(first, Sequence):
        return [stack(list(parts), num_rows) for parts in zip(*conditions, strict=True)]
    raise ConfigError(f"condition: holds a {type(first).__name__}; must hold tensors, in lists and mappings")


def _rows(part: Tensor, num_rows: int) -> Tensor:
    if len(part) not in (1, num_rows):
        raise ConfigError(f"condition: holds {len(part)} rows for a batch of {num_rows}; must hold that many, or 1")
    return part.expand(num_rows, *part.shape[1:])
