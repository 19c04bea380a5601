"""What PIDM is trained for: the noise, and the variance of each step (Nichol and Dhariwal 2021, §3.1)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from atelier.models.diffusion.denoisers import target
from atelier.models.diffusion.schedules import Rows, Schedule
from atelier.models.pidm.config import Prediction
from atelier.models.tensors import EpsVariance, NoisyPicture, Picture

_HALF_STEP = 1 / 255
"""Half the distance of two neighbouring byte values in [-1, 1]."""
_LEAST_PROBABILITY = 1e-12


@dataclass(frozen=True, kw_only=True)
class Objective:
    """A loss to minimize, and what it is made of."""

    total: Tensor
    terms: Mapping[str, Tensor]
    """Each term as it enters the total, detached."""


def objective(
    output: EpsVariance,
    x0: Picture,
    x_t: NoisyPicture,
    noise: NoisyPicture,
    timestep: Int[Tensor, " batch"],
    schedule: Schedule,
    prediction: Prediction = "eps",
) -> Objective:
    """Mean squared error of the prediction, plus the variational term in bits per dimension, unweighted.

    At 1000 timesteps a single step's term is 1/1000 of the whole bound's, the weight that improved diffusion gives it.

    Args:
        output: the prediction, and the variance of the learned range.
    """
    alpha, sigma = _shares(timestep, x_t, schedule)
    wanted = target(prediction, x0, noise, alpha, sigma)
    terms = {
        prediction: (output[:, :3] - wanted).square().mean(),
        "variational": variational(output, x0, x_t, timestep, schedule, prediction).mean(),
    }
    return Objective(
        total=terms[prediction] + terms["variational"], terms={name: t.detach() for name, t in terms.items()}
    )


def variational(
    output: EpsVariance,
    x0: Picture,
    x_t: NoisyPicture,
    timestep: Int[Tensor, " batch"],
    schedule: Schedule,
    prediction: Prediction = "eps",
) -> Float[Tensor, " batch"]:
    """Each row's term of the variational bound, bits per dimension: it trains the variance, its mean is detached.

    The divergence of the true posterior from the network's step; at timestep 0 the bits that the byte values cost.
    """
    predicted, share = output[:, :3].detach().float(), (output[:, 3:].float() + 1) / 2
    alpha, sigma = _shares(timestep, x_t, schedule)
    estimate = alpha * x_t - sigma * predicted if prediction == "v" else (x_t - sigma * predicted) / alpha
    here = schedule.alpha_bars
    there = torch.cat([here.new_ones(1), here[:-1]])
    betas = 1 - here / there
    posterior = betas * (1 - there) / (1 - here)
    posterior[0] = posterior[1]  # the first step's is 0, which has no logarithm

    def rows(table: Tensor) -> Tensor:
        return schedule.rows(table, timestep, x_t).float()

    lower, upper = rows(posterior.log()), rows(betas.log())
    log_variance = share * upper + (1 - share) * lower
    of_picture = rows(there.sqrt() * betas / (1 - here))
    of_noisy = rows((here / there).sqrt() * (1 - there) / (1 - here))
    mean = of_picture * estimate + of_noisy * x_t
    true_mean = of_picture * x0 + of_noisy * x_t

    ratio = (lower - log_variance).exp()
    divergence = 0.5 * (log_variance - lower - 1 + ratio + (true_mean - mean).square() * (-log_variance).exp())
    is_last = (timestep == 0).view(-1, 1, 1, 1)
    bits = torch.where(is_last, _byte_cost(x0, mean, log_variance), divergence)
    return bits.flatten(1).mean(1) / math.log(2)


def dropped(condition: Rows, drop: Bool[Tensor, " batch"]) -> Rows:
    """A condition with some rows at null: all zeros, mid-gray for a picture and no pose for a pose map.

    Style and pose are dropped independently, each at 10 %: Eq. 6 asks the network for either without the other.
    """
    return condition.masked_fill(drop.view(-1, *(1,) * (condition.ndim - 1)), 0.0)


def _shares(timestep: Tensor, like: Tensor, schedule: Schedule) -> tuple[Tensor, Tensor]:
    """Of the picture and of the noise in each row of `x_t`, float32 [B, 1, 1, 1]."""
    alpha_bar = schedule.rows(schedule.alpha_bars, timestep, like)
    return alpha_bar.sqrt().float(), (1 - alpha_bar).sqrt().float()


def _byte_cost(x0: Tensor, mean: Tensor, log_variance: Tensor) -> Tensor:
    """Minus the log-probability of byte values under a normal whose tails belong to the first and the last."""
    deviation = (0.5 * log_variance).exp()
    above = torch.special.ndtr((x0 - mean + _HALF_STEP) / deviation)
    below = torch.special.ndtr((x0 - mean - _HALF_STEP) / deviation)
    above = torch.where(x0 > 1 - _HALF_STEP, torch.ones_like(above), above)
    below = torch.where(x0 < -1 + _HALF_STEP, torch.zeros_like(below), below)
    return -(above - below).clamp(min=_LEAST_PROBABILITY).log()
