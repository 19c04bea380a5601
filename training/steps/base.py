"""A training step: networks, who plays against whom, and the loss of each player on a batch."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor, nn

from atelier.models.layers.noise import draw_normal
from atelier.seeds import generators

Batch = Mapping[str, Tensor]


@dataclass(frozen=True, kw_only=True)
class Player:
    """Networks that one optimizer moves; a GAN has two of them.

    Args:
        networks: names in `TrainStep.networks`.
        learning_rate: after the warm-up.
        average: keep an exponential moving average of the weights, to be exported.
        partly_used: some of the weights take no part in some steps' loss (a branch that is dropped now and then).
            Looking for them costs a walk over the graph each step, so it must be asked for.
    """

    name: str
    networks: tuple[str, ...]
    learning_rate: float
    betas: tuple[float, float] = (0.9, 0.99)
    weight_decay: float = 0.0
    average: bool = True
    partly_used: bool = False


@dataclass(frozen=True, kw_only=True)
class Moment:
    """Where in the run a step stands, and the random numbers of its rows.

    A row's numbers are functions of its seed and of what they are for, never of the rows beside it, the worker or the
    device: the same name gives the same numbers again.

    Args:
        progress: share of the run that is behind, [0, 1).
        seeds: one a row, functions of the run's seed and the row's place in the order of the whole run.
        places: of the rows in the step's batch, over all workers and parts, one after the other; none given: they are
            the whole batch.
    """

    progress: float
    seeds: tuple[int, ...]
    places: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if not self.places:
            object.__setattr__(self, "places", tuple(range(len(self.seeds))))

    def generators(self, name: str) -> list[torch.Generator]:
        """One generator a row, on the CPU, for the use that `name` says."""
        return generators(self.seeds, name)

    def normal(self, name: str, shape: Sequence[int]) -> Tensor:
        """Standard normal float32 [B, *shape], on the CPU."""
        return draw_normal(len(self.seeds), shape, self.generators(name))

    def uniform(self, name: str, shape: Sequence[int]) -> Tensor:
        """Uniform in [0, 1), float32 [B, *shape], on the CPU."""
        return torch.stack([torch.rand(tuple(shape), generator=row) for row in self.generators(name)])

    def integers(self, name: str, high: int, shape: Sequence[int] = ()) -> Tensor:
        """Uniform in [0, high), int64 [B, *shape], on the CPU: timesteps, for instance."""
        return torch.stack([torch.randint(high, tuple(shape), generator=row) for row in self.generators(name)])

    def rows(self, rows: slice) -> Moment:
        """The moment of some of the rows."""
        return Moment(progress=self.progress, seeds=self.seeds[rows], places=self.places[rows])


@dataclass(frozen=True, kw_only=True)
class StepLoss:
    """What a player minimises; `terms` make it up, `left_out` says which ones could not be had and why."""

    total: Tensor
    terms: Mapping[str, Tensor]
    left_out: Mapping[str, str] = field(default_factory=dict)


class TrainStep(ABC):
    """The step of one network or of a pair that plays against each other.

    `networks` are trained and kept in checkpoints; what a step only reads (frozen networks) is no part of it. While a
    player moves, the other players' networks are frozen: a step need not do so.

    Attributes:
        blocks: the layer classes that repeat inside the networks: the unit that is sharded, compiled, and computed
            again in the backward pass where memory is short. Empty: each network is one unit.
        methods: by network, the methods besides `forward` that `loss` calls: a sharded network must know them, to
            gather its weights before they run.
        work_changes_at: shares of the run from which a step does more or less work than before: what a step costs is
            counted anew for each.
    """

    networks: nn.ModuleDict
    players: tuple[Player, ...]
    blocks: ClassVar[tuple[type[nn.Module], ...]] = ()
    methods: ClassVar[Mapping[str, tuple[str, ...]]] = {}
    work_changes_at: tuple[float, ...] = ()

    def to(self, device: torch.device, memory_format: torch.memory_format = torch.preserve_format) -> None:
        """Moves all that the step holds, what it only reads included: every module and tensor among its attributes."""
        for name, value in vars(self).items():
            if isinstance(value, nn.Module):
                value.to(device, memory_format=memory_format)  # pyright: ignore[reportCallIssue]
            elif isinstance(value, Tensor):
                setattr(self, name, value.to(device))

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
