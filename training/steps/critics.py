"""What the critics of a two-player step share."""

from __future__ import annotations

from torch import Tensor

from training.steps.base import Player

CRITIC = "critic"
"""By which a step's networks and players name it."""

Scores = list[list[Tensor]]
"""What a `MultiscaleDiscriminator` gives: layer outputs per scale, scores last."""


def split_scores(scores: Scores) -> tuple[Scores, Scores]:
    """The outputs on the first and on the second half of a batch: made and true pictures are judged in one pass."""
    halves = [[output.chunk(2) for output in scale] for scale in scores]
    return [[first for first, _ in scale] for scale in halves], [[second for _, second in scale] for scale in halves]


def critic_player(*, learning_rate: float, betas: tuple[float, float]) -> Player:
    """The player that moves the critic; nobody exports one, so its weights are not averaged."""
    return Player(name=CRITIC, networks=(CRITIC,), learning_rate=learning_rate, betas=betas, average=False)
