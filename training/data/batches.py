"""Batches by step: the same rows for a step number, however often the run was stopped before it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from training.data.dataset import Columns, Dataset
from training.data.order import SampleOrder


@dataclass(frozen=True, kw_only=True)
class Batches:
    """Samples in their order, `batch_size` a step.

    Args:
        columns: augments one sample and draws what is conditioned on.
    """

    pool: Dataset
    columns: Columns
    order: SampleOrder
    batch_size: int

    def at(self, step: int) -> Mapping[str, Tensor]:
        """The batch of a step, counted from 0: column → [B, ...] in the columns' own dtype."""
        turns = [self.order.turn(step * self.batch_size + row) for row in range(self.batch_size)]
        rows = [self.columns(self.pool[turn.sample], turn.dice()) for turn in turns]
        return {name: torch.from_numpy(np.stack([row[name] for row in rows])) for name in rows[0]}
