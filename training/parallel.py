"""How networks and their gradients are laid out over the workers: a copy on each (DDP), or a part on each (FSDP2)."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, fully_shard, register_fsdp_forward_method
from torch.distributed.tensor import DTensor
from torch.nn.parallel import DistributedDataParallel

from training.blocks import blocks_of
from training.steps.base import Batch, Moment, Player, StepLoss, TrainStep
from training.world import World


class Turn(nn.Module):
    """The loss of one player as a module, whose parameters are that player's and no other's.

    Wrapped as a whole, so that a step may call its networks as it likes, and so that one player's reduction never
    waits for gradients that the other's turn does not make.
    """

    def __init__(self, step: TrainStep, player: Player) -> None:
        super().__init__()
        self.networks = nn.ModuleDict({name: step.networks[name] for name in player.networks})
        self._player, self._step = player.name, step

    def forward(self, batch: Batch, moment: Moment) -> StepLoss:
        """The player's loss on a part of a batch."""
        return self._step.loss(self._player, batch, moment)


def shard(step: TrainStep, networks: nn.ModuleDict, world: World) -> None:
    """Leaves a part of every weight on each worker; forward passes gather them block by block.

    Autocast alone decides the arithmetic's precision, as it does for replicated networks: weights are gathered as they
    are kept, in float32.

    Args:
        networks: the step's, or copies of some of them.
    """
    mesh = init_device_mesh(world.device.type, (world.num_workers,))
    paths = {module: path for path, module in step.networks.named_modules()}
    for block in [paths[block] for block in blocks_of(step)]:
        if block.partition(".")[0] in networks:
            fully_shard(networks.get_submodule(block), mesh=mesh)
    for name, network in networks.items():
        if not isinstance(network, FSDPModule):
            fully_shard(network, mesh=mesh)
        for method in step.methods.get(name, ()):
            register_fsdp_forward_method(network, method)


def replicate(turn: Turn, player: Player) -> DistributedDataParallel:
    """The turn, with gradients averaged over workers as the backward pass makes them."""
    # The gradient of a 1x1 kernel over channels-last pictures writes its strides otherwise; its numbers lie the same.
    warnings.filterwarnings("ignore", "Grad strides do not match bucket view strides", UserWarning)
    with warnings.catch_warnings():
        # torch 2.13 has another name for `broadcast_buffers`, which 2.11 does not know yet.
        warnings.simplefilter("ignore", FutureWarning)
        return DistributedDataParallel(
            turn,
            # `average_buffers` does it once a step, for sharded networks alike; here the first worker's would win.
            broadcast_buffers=False,
            gradient_as_bucket_view=True,
            find_unused_parameters=player.partly_used,
        )


@contextmanager
def reducing(turn: nn.Module, *, last: bool) -> Iterator[None]:
    """Gradients are reduced over the workers only in the `last` of accumulated parts."""
    if isinstance(turn, DistributedDataParallel) and not last:
        with turn.no_sync():
            yield
        return
    for module in turn.modules():
        if isinstance(module, FSDPModule):
            module.set_requires_gradient_sync(last, recurse=False)
            module.set_is_last_backward(last)
    yield


def clip_gradients(parameters: Iterable[nn.Parameter], max_norm: float) -> Tensor:
    """Scales gradients down to `max_norm` over all of them, on whichever worker their parts lie.

    Returns:
        The norm before, a scalar on the device, the same on every worker; no finite number where a gradient is none.
    """
    with_gradient = [parameter for parameter in parameters if parameter.grad is not None]
    norm = nn.utils.get_total_norm([parameter.grad for parameter in with_gradient if parameter.grad is not None])
    if isinstance(norm, DTensor):
        norm = norm.full_tensor()
    nn.utils.clip_grads_with_norm_(with_gradient, max_norm, norm)
    return norm


@torch.no_grad()
def average_buffers(networks: nn.ModuleDict, world: World) -> None:
    """Makes floating-point buffers (running statistics) the mean of all workers', the same bits on each.

    A checkpoint keeps one copy of them: without this, workers that go on from it would differ from those before.
    """
    buffers = [buffer for buffer in networks.buffers() if buffer.is_floating_point()]
    if world.num_workers == 1 or not buffers:
        return
    flat = torch.cat([buffer.flatten().float() for buffer in buffers])
    dist.all_reduce(flat)
    flat /= world.num_workers
    for buffer, mean in zip(buffers, flat.split([buffer.numel() for buffer in buffers]), strict=True):
        buffer.copy_(mean.view_as(buffer))


def whole_state(networks: nn.ModuleDict, *, keep: bool) -> dict[str, Any]:
    """The whole tensors of networks by name, gathered where they are sharded: to be called on every worker.

    Args:
        keep: whether this worker wants them; the others take part, and hold none.
    """
    state: dict[str, Any] = {}
    for name, value in networks.state_dict().items():
        whole = value.full_tensor() if isinstance(value, DTensor) else value
        if keep:
            state[name] = whole.detach().cpu()
    return state
