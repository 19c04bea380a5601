"""Exponential moving averages of weights, which judge better than the last step's."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor
from torch.optim.swa_utils import get_ema_multi_avg_fn


class WeightAverage:
    """An averaged copy of networks, sharded where they are.

    The decay starts low, min(decay, (1 + n) / (10 + n)) after n steps, so that random first weights are soon forgotten.
    Buffers (running statistics, power iterations) are copied, not averaged: they are averages already.

    Args:
        networks: to be copied, before they are sharded or wrapped.
    """

    def __init__(self, networks: nn.ModuleDict, decay: float) -> None:
        self.networks = copy.deepcopy(networks).requires_grad_(False)
        self.decay = decay

    @torch.no_grad()
    def update(self, networks: nn.ModuleDict, num_steps: int) -> None:
        """Moves the average towards `networks`, `num_steps` of which have been made.

        Args:
            networks: as they train, sharded as this average is; may hold more networks than it.
        """
        decay = min(self.decay, (1 + num_steps) / (10 + num_steps))
        averaged = nn.ModuleDict({name: networks[name] for name in self.networks})
        # Element by element, so each worker moves its own parts. In one call: thousands of small tensors otherwise
        # cost more than the step.
        mine = [_local(parameter) for parameter in self.networks.parameters()]
        move = get_ema_multi_avg_fn(decay)
        move(mine, [_local(parameter) for parameter in averaged.parameters()], num_steps)
        for mine_buffer, buffer in zip(self.networks.buffers(), averaged.buffers(), strict=True):
            mine_buffer.copy_(buffer)


def _local(parameter: Tensor) -> Tensor:
    return parameter.to_local() if isinstance(parameter, DTensor) else parameter.detach()
