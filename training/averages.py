"""Exponential moving averages of weights, which judge better than the last step's."""

from __future__ import annotations

import copy

import torch
from torch import nn


class WeightAverage:
    """An averaged copy of networks.

    The decay starts low, min(decay, (1 + n) / (10 + n)) after n steps, so that random first weights are soon forgotten.
    Buffers (running statistics, power iterations) are copied, not averaged: they are averages already.
    """

    def __init__(self, networks: nn.ModuleDict, decay: float) -> None:
        self.networks = copy.deepcopy(networks).requires_grad_(False)
        self.decay = decay

    @torch.no_grad()
    def update(self, networks: nn.ModuleDict, num_steps: int) -> None:
        """Moves the average towards `networks`, `num_steps` of which have been made."""
        decay = min(self.decay, (1 + num_steps) / (10 + num_steps))
        for mine, theirs in zip(self.networks.parameters(), networks.parameters(), strict=True):
            mine.lerp_(theirs, 1 - decay)
        for mine, theirs in zip(self.networks.buffers(), networks.buffers(), strict=True):
            mine.copy_(theirs)
