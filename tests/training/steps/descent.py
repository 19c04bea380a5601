"""Gradient steps on one batch, as every test of a step takes them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from torch.optim import Optimizer

from training.steps.base import StepLoss


def descend(losses: Iterable[StepLoss], optimizer: Optimizer) -> Iterator[tuple[float, StepLoss]]:
    """Follows each loss when it is asked for; gives its total, as it was before, and the loss."""
    for loss in losses:
        optimizer.zero_grad()
        loss.total.backward()
        optimizer.step()
        yield float(loss.total.detach()), loss
