"""A training run: data, step and schedule in one frozen value."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from training.data.batches import Batches, Columns
from training.data.closet_pool import ClosetPool, PoolConfig
from training.data.order import SampleOrder
from training.steps.base import StepConfig


@dataclass(frozen=True, kw_only=True)
class ClosetData:
    """Closet pictures and how a step's columns come of them."""

    pool: PoolConfig
    columns: Columns

    def batches(self, cache: Path, *, seed: int, batch_size: int) -> Batches:
        """The batches of a run; pictures are kept under `cache`."""
        pool = ClosetPool(self.pool, cache)
        order = SampleOrder(seed, len(pool))
        return Batches(pool=pool, columns=self.columns, order=order, batch_size=batch_size)


@dataclass(frozen=True, kw_only=True)
class TrainRun:
    """Everything that decides which weights come out.

    Args:
        average_decay: of the exported weight average.
        bfloat16: autocast of the networks; losses and weights stay float32.
        checkpoint_every_s: seconds between checkpoints; they change no weight.
    """

    name: str
    data: ClosetData
    step: StepConfig
    batch_size: int
    num_steps: int
    num_warmup_steps: int = 200
    seed: int = 0
    average_decay: float = 0.998
    max_gradient_norm: float = 10.0
    bfloat16: bool = True
    log_every_steps: int = 50
    checkpoint_every_s: float = 120.0
