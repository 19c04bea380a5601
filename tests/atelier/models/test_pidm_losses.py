"""PIDM's losses: what they are at the truth, what they train, what they leave alone."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from atelier.models.diffusion import schedules
from atelier.models.pidm.losses import dropped, objective, variational

SCHEDULE = schedules.linear()


def _rows(timesteps: list[int]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    x0 = (torch.randint(0, 256, (len(timesteps), 3, 8, 8), generator=generator) / 127.5) - 1
    noise = torch.randn(x0.shape, generator=generator)
    t = torch.tensor(timesteps)
    return x0, noise, t, SCHEDULE.add_noise(x0, noise, t)


def test_nothing_is_left_to_learn_at_the_truth() -> None:
    x0, noise, t, x_t = _rows([1, 300, 999])
    truth = torch.cat([noise, -torch.ones_like(noise)], 1)  # the lower bound is the posterior's own variance
    made = objective(truth, x0, x_t, noise, t, SCHEDULE)
    assert made.terms["eps"].item() == 0
    torch.testing.assert_close(variational(truth, x0, x_t, t, SCHEDULE), torch.zeros(3), atol=1e-4, rtol=0)


def test_divergence_is_that_of_two_normals() -> None:
    x0, noise, t, x_t = _rows([400])
    share = 0.6
    output = torch.cat([noise + 0.1, torch.full_like(noise, 2 * share - 1)], 1)
    beta = float(SCHEDULE.betas[400])
    here, there = SCHEDULE.level(400), SCHEDULE.level(399)
    posterior = beta * (1 - there.alpha_bar) / (1 - here.alpha_bar)
    variance = math.exp(share * math.log(beta) + (1 - share) * math.log(posterior))
    # The mean of a step is (x_t - beta / sigma eps) / sqrt(1 - beta): an error of eps moves it by this much.
    moved = beta / here.sigma / math.sqrt(1 - beta) * 0.1
    wanted = torch.distributions.kl_divergence(
        torch.distributions.Normal(0.0, math.sqrt(posterior)), torch.distributions.Normal(moved, math.sqrt(variance))
    )
    found = variational(output, x0, x_t, t, SCHEDULE)
    assert found.item() == pytest.approx(wanted.item() / math.log(2), rel=1e-3)


def test_the_last_step_is_paid_in_bytes() -> None:
    x0, noise, t, x_t = _rows([0, 0])
    sharp = variational(torch.cat([noise, -torch.ones_like(noise)], 1), x0, x_t, t, SCHEDULE)
    blurred = variational(torch.cat([noise, torch.ones_like(noise)], 1), x0, x_t, t, SCHEDULE)
    # A byte is 2/255 wide; a normal around the truth, 0.0074 to 0.01 wide, needs 1.3 to 1.7 bits to name it.
    assert 0.8 < sharp.mean() < blurred.mean() < 2.0


def test_the_variational_term_trains_the_variance_alone() -> None:
    x0, _, t, x_t = _rows([0, 5, 700])
    output = torch.randn(3, 6, 8, 8, requires_grad=True)
    variational(output, x0, x_t, t, SCHEDULE).sum().backward()
    assert output.grad is not None
    assert output.grad[:, :3].abs().max() == 0
    assert (output.grad[:, 3:].flatten(1).abs().sum(1) > 0).all()


def test_rows_are_dropped_one_by_one() -> None:
    kept = dropped(torch.ones(3, 20, 4, 4), torch.tensor([False, True, False]))
    assert kept.flatten(1).mean(1).tolist() == [1, 0, 1]


def test_v_says_the_same_as_the_noise() -> None:
    x0, noise, t, x_t = _rows([10, 300, 700])
    level = [SCHEDULE.level(int(timestep)) for timestep in t]
    alpha, sigma = (
        torch.tensor([getattr(one, name) for one in level]).view(-1, 1, 1, 1) for name in ("alpha", "sigma")
    )
    share = torch.full_like(noise, 0.2)
    truth = objective(torch.cat([alpha * noise - sigma * x0, share], 1), x0, x_t, noise, t, SCHEDULE, "v")
    assert truth.terms["v"].item() == pytest.approx(0, abs=1e-10) and set(truth.terms) == {"v", "variational"}
    eps = noise + 0.1
    as_v = torch.cat([(eps - sigma * x_t) / alpha, share], 1)
    as_eps = torch.cat([eps, share], 1)
    torch.testing.assert_close(
        variational(as_v, x0, x_t, t, SCHEDULE, "v"), variational(as_eps, x0, x_t, t, SCHEDULE), rtol=1e-3, atol=1e-6
    )
    errors = (objective(output, x0, x_t, noise, t, SCHEDULE, name) for output, name in ((as_v, "v"), (as_eps, "eps")))
    by_v, by_eps = (next(iter(made.terms.values())) for made in errors)
    torch.testing.assert_close(by_v, by_eps * alpha.pow(-2).mean(), rtol=1e-3, atol=0)
