"""A training step: networks, who plays against whom, and the loss of each player on a batch."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn

Batch = Mapping[str, Tensor]


@dataclass(frozen=True, kw_only=True)
class Player:
    """Networks that one optimizer moves; a GAN has two of them.

    Args:
        networks: names in `TrainStep.networks`.
        learning_rate: after the warm-up.
        average: keep an exponential moving average of the weights, to be exported.
    """

    name: str
    networks: tuple[str, ...]
    learning_rate: float
    betas: tuple[float, float] = (0.9, 0.99)
    weight_decay: float = 0.0
    average: bool = True


@dataclass(frozen=True, kw_only=True)
class Moment:
    """Where in the run a step stands, and its random numbers.

    Args:
        progress: share of the run that is behind, [0, 1).
        generator: seeded by the run's seed and the step's number, on the CPU.
    """

    progress: float
    generator: torch.Generator


@dataclass(frozen=True, kw_only=True)
class StepLoss:
    """What a player minimises; `terms` make it up, `left_out` says which ones could not be had and why."""

    total: Tensor
    terms: Mapping[str, Tensor]
    left_out: Mapping[str, str] = field(default_factory=dict)


class TrainStep(ABC):
    """The step of one network or of a pair that plays against each other.

    `networks` are trained and kept in checkpoints; what a step only reads (frozen networks) is no part of it.
    """

    networks: nn.ModuleDict
    players: tuple[Player, ...]

    @abstractmethod
    def loss(self, player: str, batch: Batch, moment: Moment) -> StepLoss:
        """A player's loss; players are asked in their order, each after the one before has moved."""

    @abstractmethod
    def export(self, networks: nn.ModuleDict, folder: Path, dtype: torch.dtype | None) -> str:
        """Writes `networks` (this step's, or their averages) as a weight folder and gives its sha256."""


class StepConfig(ABC):
    """What it takes to build a step: a frozen dataclass in each step's file."""

    @abstractmethod
    def build(self, runs: Path) -> TrainStep:
        """The step with fresh weights, drawn from torch's global generator.

        Args:
            runs: the folder where earlier runs lie, for a step that reads their weights.
        """
