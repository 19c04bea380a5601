"""Dropout that depends on a row's place in the step's batch, never on how the batch is cut."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class BatchDropout(nn.Dropout):
    """Draws for the whole batch, whichever of its rows it is given, and takes their share.

    So each worker draws for each of its parts all of the batch's numbers; where a part is the whole batch, this is
    `nn.Dropout` itself.
    """

    def __init__(self, p: float) -> None:
        super().__init__(p)
        self._part: tuple[int, int, int] | None = None

    def take(self, places: Iterable[int], batch_size: int) -> None:
        """Says which rows come next.

        Args:
            places: of the rows in the batch, one after the other.
            batch_size: rows of the whole batch.
        """
        rows = list(places)
        self._part = None if len(rows) == batch_size else (rows[0], len(rows), batch_size)

    def forward(self, input: Tensor) -> Tensor:
        if self._part is None or not self.training or self.p == 0:
            return super().forward(input)
        return _drawn(input, self.p, *self._part)


def _of_part(input: Tensor, p: float, first: int, num_rows: int, batch_size: int) -> Tensor:
    # A network may be given its rows several times over, one round after the other.
    num_rounds, rest = divmod(len(input), num_rows)
    if rest:
        raise ValueError(f"dropout: {len(input)} rows come of a part of {num_rows}; must be a multiple of them")
    shape = (num_rounds * batch_size, *input.shape[1:])
    # In the layout that the whole batch would have: it decides which element gets which number.
    channels_last = input.dim() == 4 and input.is_contiguous(memory_format=torch.channels_last)
    layout = torch.channels_last if channels_last else torch.contiguous_format
    ones = torch.empty(shape, dtype=input.dtype, device=input.device, memory_format=layout).fill_(1)
    kept = F.dropout(ones, p).unflatten(0, (num_rounds, batch_size))[:, first : first + num_rows]
    return input * kept.flatten(0, 1)


_drawn: Any = torch.compiler.disable(_of_part)
"""Compiled code has random numbers of its own, as many as it is given rows."""


def by_batch(networks: nn.Module) -> None:
    """Puts a `BatchDropout` into the place of each dropout layer."""
    for module in list(networks.modules()):
        for name, child in module.named_children():
            if type(child) is nn.Dropout:
                setattr(module, name, BatchDropout(child.p))
