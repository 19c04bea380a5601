"""Predictions of every kind mean the same picture, and guidance computes no branch in vain."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from atelier.errors import ConfigError
from atelier.models.diffusion import guidance, schedules
from atelier.models.diffusion.denoisers import Denoiser, Prediction, split, stack, target
from atelier.models.diffusion.guidance import Guidance

LEVEL = schedules.linear().level(400)
SHIFTS = {"null": 1.0, "pose": 2.0, "style": 5.0, "full": 7.0}


class Shift(nn.Module):
    """A network whose prediction is what its condition says, and that remembers the rows it was given."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[int] = []
        self.timesteps: list[Tensor] = []

    def forward(self, x_t: Tensor, timestep: Tensor, condition: dict[str, list[Tensor]]) -> Tensor:
        self.rows.append(len(x_t))
        self.timesteps.append(timestep)
        (shift,) = condition["shift"]
        return shift.view(-1, 1, 1, 1).expand_as(x_t) + 0 * x_t


def _denoiser(network: Shift, rule: Guidance) -> Denoiser:
    conditions = {name: {"shift": [torch.tensor([shift])]} for name, shift in SHIFTS.items()}
    return Denoiser(network=network, conditions=conditions, guidance=rule)


@pytest.mark.parametrize("prediction", ["eps", "v", "x0"])
def test_every_prediction_gives_back_picture_and_noise(prediction: Prediction) -> None:
    x0, eps = torch.randn(2, 3, 4, 4, dtype=torch.float64), torch.randn(2, 3, 4, 4, dtype=torch.float64)
    alpha, sigma = (torch.full((2, 1, 1, 1), share, dtype=torch.float64) for share in (LEVEL.alpha, LEVEL.sigma))
    found = split(prediction, target(prediction, x0, eps, alpha, sigma), alpha * x0 + sigma * eps, LEVEL)
    torch.testing.assert_close(found, (x0, eps))


@pytest.mark.parametrize(
    ("rule", "expected", "num_branches"),
    [
        (guidance.unguided(), 7, 1),
        (guidance.classifier_free(3.0), 1 + 3 * (7 - 1), 2),
        (guidance.classifier_free(1.0), 7, 1),
        (guidance.classifier_free(0.0), 1, 1),
        (guidance.disentangled(2.0, 3.0), 1 + 2 * (2 - 1) + 3 * (5 - 1), 3),
        (guidance.disentangled(0.0, 3.0), 1 + 3 * (5 - 1), 2),
        (guidance.disentangled(0.7, 0.3), 1 + 0.7 * (2 - 1) + 0.3 * (5 - 1), 2),
        (guidance.released(2.0), 2 + 2 * (7 - 2), 2),
        (guidance.released(1.0), 7, 1),
        (guidance.nested(2.0, 3.0), 1 + 2 * (2 - 1) + 3 * (7 - 2), 3),
        (guidance.nested(3.0, 3.0), 1 + 3 * (7 - 1), 2),
    ],
)
def test_rules_weigh_branches_in_one_batch(rule: Guidance, expected: float, num_branches: int) -> None:
    network = Shift()
    estimate = _denoiser(network, rule)(torch.randn(3, 2, 4, 4), LEVEL)
    torch.testing.assert_close(estimate.eps, torch.full((3, 2, 4, 4), float(expected)))
    assert network.rows == [3 * num_branches]


def test_guidance_holds_on_its_interval_only() -> None:
    network, schedule = Shift(), schedules.linear()
    denoise = _denoiser(network, guidance.disentangled().between(100, 800))
    estimates = [denoise(torch.zeros(2, 1, 2, 2), schedule.level(t)).eps for t in (801, 800, 100, 99)]
    assert network.rows == [2, 6, 6, 2]
    assert estimates[0].unique().item() == SHIFTS["full"]
    assert [timesteps[0].item() for timesteps in network.timesteps] == [801, 800, 100, 99]


def test_learned_range_is_guided_and_scaled() -> None:
    def network(x_t: Tensor, timestep: Tensor, condition: Tensor) -> Tensor:
        return torch.cat([x_t, torch.zeros_like(x_t)], 1) + condition.view(-1, 1, 1, 1)

    conditions = {"null": torch.tensor([0.0]), "full": torch.tensor([0.5])}
    rule = guidance.classifier_free(2.0)
    denoise = Denoiser(network=network, conditions=conditions, guidance=rule, learned_variance=True)
    x_t = torch.randn(2, 3, 4, 4)
    estimate = denoise(x_t, LEVEL)
    torch.testing.assert_close(estimate.eps, x_t + 1)
    torch.testing.assert_close(estimate.variance_share, torch.ones(2, 3, 4, 4))


def test_a_clipped_estimate_still_adds_up() -> None:
    denoise = Denoiser(network=lambda x_t, t, c: 0 * x_t, conditions={"full": torch.zeros(1)}, clip=True)
    x_t = 5 * torch.randn(2, 3, 4, 4)
    estimate = denoise(x_t, LEVEL)
    assert estimate.x0.abs().max() == 1
    torch.testing.assert_close(LEVEL.alpha * estimate.x0 + LEVEL.sigma * estimate.eps, x_t)


def test_state_may_be_wider_than_the_network() -> None:
    dtypes = []

    def network(x_t: Tensor, timestep: Tensor, condition: Tensor) -> Tensor:
        dtypes.append(x_t.dtype)
        return x_t

    denoise = Denoiser(network=network, conditions={"full": torch.zeros(1)})
    assert denoise(torch.zeros(1, 1, 2, 2, dtype=torch.float64), LEVEL).x0.dtype == torch.float64
    assert dtypes == [torch.float32]


def test_conditions_are_stacked_branch_by_branch() -> None:
    null, full = {"a": [torch.zeros(1, 2)], "b": torch.zeros(1)}, {"a": [torch.ones(3, 2)], "b": torch.arange(3.0)}
    stacked = stack([null, full], 3)
    assert stacked["a"][0][:, 0].tolist() == [0, 0, 0, 1, 1, 1]
    assert stacked["b"].tolist() == [0, 0, 0, 0, 1, 2]


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"asks for \['null'\]"):
        Denoiser(network=Shift(), conditions={"full": torch.zeros(1)}, guidance=guidance.classifier_free(2.0))
    with pytest.raises(ConfigError, match="2 rows for a batch of 3"):
        stack([torch.zeros(2)], 3)
    with pytest.raises(ConfigError, match="add to 3"):
        Guidance(weights={"null": 1.0, "full": 2.0})
    pure_noise = schedules.linear(zero_terminal_snr=True).level(999)
    with pytest.raises(ConfigError, match="eps gives no picture at timestep 999"):
        split("eps", torch.zeros(1, 1, 2, 2), torch.zeros(1, 1, 2, 2), pure_noise)
