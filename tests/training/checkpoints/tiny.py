"""A tiny state of real networks and optimizers, and runs that it could be of."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from training.checkpoints import CheckpointInfo, CheckpointStore, TrainState


@dataclass(frozen=True, kw_only=True)
class TinyModel:
    width: int = 8
    kernels: tuple[int, ...] = (3, 1)


@dataclass(frozen=True, kw_only=True)
class TinyRun:
    """Looks like a run to a checkpoint: a name, settings, and one setting that decides no weight."""

    name: str = "tiny"
    model: TinyModel = TinyModel()
    learning_rate: float = 1e-3
    log_every_steps: int = field(default=1, metadata={"identity": False})


def tiny_info(run: TinyRun | None = None, *, data: str = "d1") -> CheckpointInfo:
    return CheckpointInfo.start(run or TinyRun(), data=data, num_workers=1)


class Tiny:
    """Two networks with running statistics, two optimizers, one average; `step` trains by one step."""

    def __init__(self, *, seed: int = 0, width: int = 8) -> None:
        torch.manual_seed(seed)
        painter = nn.Sequential(nn.Conv2d(3, width, 3), nn.BatchNorm2d(width), nn.Conv2d(width, 5, 1))
        self.networks = nn.ModuleDict({"painter": painter, "critic": nn.Linear(width, 2)})
        self.averages = copy.deepcopy(self.networks).requires_grad_(False)
        self.optimizers = {
            name: torch.optim.AdamW(network.parameters(), lr=1e-3) for name, network in self.networks.items()
        }
        self.width = width
        self.state = TrainState(networks=self.networks, averages=self.averages, optimizers=self.optimizers)

    def step(self, number: int, rank: int = 0) -> None:
        torch.manual_seed(100 * number + rank)
        picture, vector = torch.randn(2, 3, 6, 6), torch.randn(2, self.width)
        loss = self.networks["painter"](picture).square().sum() + self.networks["critic"](vector).square().sum()
        loss.backward()
        for optimizer in self.optimizers.values():
            optimizer.param_groups[0]["lr"] = 1e-3 / (1 + number)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        with torch.no_grad():
            for mine, theirs in zip(self.averages.parameters(), self.networks.parameters(), strict=True):
                mine.lerp_(theirs, 0.5)

    def copied(self) -> dict[str, Tensor]:
        return {name: tensor.detach().clone() for name, tensor in self.state.tensors().items()}


def saved_at(store: CheckpointStore, *steps: int) -> Tiny:
    """A run that has trained to the last of `steps`, with a checkpoint at each."""
    tiny = Tiny()
    for number in range(max(steps) + 1):
        if number in steps:
            store.save(tiny.state, tiny_info().at(number))
            store.wait()
        if number < max(steps):
            tiny.step(number)
    return tiny


def assert_same(left: TrainState, right: TrainState) -> None:
    mine, theirs = left.tensors(), right.tensors()
    assert mine.keys() == theirs.keys()
    different = [name for name, tensor in mine.items() if not torch.equal(tensor, theirs[name])]
    assert not different, different
    assert left.values() == right.values()
