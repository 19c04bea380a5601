"""A step's networks, averages and optimizers as one worker holds them."""

from __future__ import annotations

import copy

import torch
from torch import nn

from training.averages import WeightAverage
from training.blocks import compile_blocks, compute_blocks_twice
from training.checkpoints import TrainState
from training.dropout import by_batch
from training.moves import PlayerMoves
from training.parallel import shard, whole_state
from training.run import TrainRun
from training.steps.base import TrainStep
from training.world import World


class Layout:
    """Lays a freshly built step out as its run says, in place.

    Args:
        step: with the same weights on every worker.
    """

    def __init__(self, step: TrainStep, run: TrainRun, world: World) -> None:
        self.step, self._world = step, world
        self._sharded = run.sharding == "sharded" and world.num_workers > 1
        step.networks.train()
        by_batch(step.networks)
        if not self._sharded:
            step.to(world.device, torch.channels_last if run.channels_last else torch.preserve_format)
        averaged = [name for player in step.players if player.average for name in player.networks]
        self.average = WeightAverage(nn.ModuleDict({name: step.networks[name] for name in averaged}), run.average_decay)
        # What is whole again is judged and exported on the first worker, in its host's memory.
        self._whole = copy.deepcopy(step.networks) if self._sharded and world.is_first else None
        if run.compile:
            compile_blocks(step)
        if run.activation_checkpointing:
            compute_blocks_twice(step)
        if self._sharded:
            # From the host's memory, block by block: the device never holds the whole of a large network.
            shard(step, self.average.networks, world)
            shard(step, step.networks, world)
            step.to(world.device)
        self.moves = [PlayerMoves(step, player, run, world) for player in step.players]
        self.state = TrainState(
            networks=step.networks,
            averages=self.average.networks,
            optimizers={moves.player.name: moves.optimizer for moves in self.moves},
        )

    def averaged_networks(self) -> nn.ModuleDict | None:
        """All networks, those that have an average with its weights: on the first worker, None on the others.

        To be called on every worker.
        """
        if not self._sharded:
            networks = {name: self.average.networks.get_submodule(name) for name in self.average.networks}
            return nn.ModuleDict({**self.step.networks, **networks}) if self._world.is_first else None
        wanted = self._whole is not None
        state = whole_state(self.step.networks, keep=wanted) | whole_state(self.average.networks, keep=wanted)
        if self._whole is not None:
            self._whole.load_state_dict(state)
        return self._whole
