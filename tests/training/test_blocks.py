"""What is done to the blocks of a step's networks is done to each of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from training.blocks import compile_blocks
from training.steps.base import Moment, StepLoss, TrainStep

WIDTHS = range(2, 14)


class Block(nn.Module):
    """A layer whose shapes are others in each block."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layer = nn.Linear(width, width)

    def forward(self, rows: Tensor) -> Tensor:
        return self.layer(rows).relu()


class Blocks(TrainStep):
    """More widths than the compiler takes of one class's code by itself."""

    blocks = (Block,)
    players = ()

    def __init__(self) -> None:
        self.networks = nn.ModuleDict({"network": nn.ModuleList([Block(width) for width in WIDTHS])})

    def loss(self, player: str, batch: Any, moment: Moment) -> StepLoss:
        raise NotImplementedError

    def export(self, networks: nn.ModuleDict, folder: Path, dtype: torch.dtype | None) -> str:
        raise NotImplementedError


@pytest.fixture
def compiled() -> Iterator[list[Callable[..., Any]]]:
    """Graphs as they are handed to the compiler, which runs them as they are."""
    graphs: list[Callable[..., Any]] = []

    def keep(graph: Callable[..., Any], inputs: list[Tensor]) -> Callable[..., Any]:
        graphs.append(graph)
        return graph

    torch.compiler.reset()
    with torch.compiler.set_stance("default", force_backend=keep):
        yield graphs
    torch.compiler.reset()


def test_every_block_is_compiled_however_many_widths_there_are(compiled: list[Callable[..., Any]]) -> None:
    step = Blocks()
    compile_blocks(step)
    for grads in (True, False):
        with torch.set_grad_enabled(grads):
            for width, block in zip(WIDTHS, step.networks["network"], strict=True):
                block(torch.zeros(3, width))
    assert len(compiled) == 2 * len(WIDTHS)
