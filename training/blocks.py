"""The layers of a step's networks, and what can be done to each of them in place: compiled, or computed twice."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
import torch.compiler.config
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from training.steps.base import TrainStep

_NUM_COMPILATIONS = 4
"""Of a block at most: in training and in validation, of a full and of a last batch."""


def blocks_of(step: TrainStep) -> Iterator[nn.Module]:
    """The blocks that the step names, outer ones of nested blocks only; a network without any is one block itself."""
    for network in step.networks.values():
        yield from _outermost(network, step.blocks) if _has_any(network, step.blocks) else [network]


def compile_blocks(step: TrainStep) -> None:
    """Compiles each block where its rows pass, its hooks left outside, and the methods that the step names.

    One block's compilation serves all of its class and shapes, which takes a tenth of a whole network's time.
    """
    blocks = list(blocks_of(step))
    # The compiler counts by a class's code, not by block, and would leave all beyond eight widths as they were.
    limits = torch.compiler.config
    limits.recompile_limit = max(limits.recompile_limit, _NUM_COMPILATIONS * len(blocks))
    limits.accumulated_recompile_limit = max(limits.accumulated_recompile_limit, limits.recompile_limit)
    for block in blocks:
        block.forward = torch.compile(block.forward)
    for name, methods in step.methods.items():
        network = step.networks[name]
        if not _has_any(network, step.blocks):
            for method in methods:
                setattr(network, method, torch.compile(getattr(network, method)))


def compute_blocks_twice(step: TrainStep) -> None:
    """Keeps no activations inside the blocks: the backward pass computes them again."""
    for block in blocks_of(step):
        block.forward = _computed_twice(block, block.forward)
    for name, methods in step.methods.items():
        network = step.networks[name]
        if not _has_any(network, step.blocks):
            for method in methods:
                setattr(network, method, _computed_twice(network, getattr(network, method)))


def _computed_twice(module: nn.Module, forward: Callable[..., Any]) -> Callable[..., Any]:
    def outer(*arguments: Any, **named: Any) -> Any:
        if not torch.is_grad_enabled():
            return forward(*arguments, **named)
        before = _copied(module)
        is_second = False

        def inner(*arguments: Any, **named: Any) -> Any:
            nonlocal is_second
            if not is_second:
                is_second = True
                return forward(*arguments, **named)
            # A forward pass in training moves running statistics and power iterations. The second one must start where
            # the first did, or its activations are others than those whose gradient is asked for, and must not move
            # them again.
            after = _copied(module)
            _restore(module, before)
            try:
                return forward(*arguments, **named)
            finally:
                _restore(module, after)

        return checkpoint(inner, *arguments, use_reentrant=False, **named)

    return outer


def _copied(module: nn.Module) -> list[Tensor]:
    return [buffer.detach().clone() for buffer in module.buffers()]


@torch.no_grad()
def _restore(module: nn.Module, values: list[Tensor]) -> None:
    for buffer, value in zip(module.buffers(), values, strict=True):
        buffer.copy_(value)


def _has_any(network: nn.Module, classes: tuple[type[nn.Module], ...]) -> bool:
    return any(isinstance(module, classes) for module in network.modules())


def _outermost(module: nn.Module, classes: tuple[type[nn.Module], ...]) -> Iterator[nn.Module]:
    for child in module.children():
        if isinstance(child, classes):
            yield child
        else:
            yield from _outermost(child, classes)
