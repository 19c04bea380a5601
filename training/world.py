"""The workers that train together, as one of them sees them; whoever launched them has made the process group."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist

from atelier.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class World:
    """One worker's place among all. One worker alone needs no process group.

    Args:
        rank: of this worker, [0, num_workers).
        local_rank: among the workers of its machine.
        device: that this worker computes on.
    """

    rank: int
    num_workers: int
    local_rank: int
    device: torch.device

    def __post_init__(self) -> None:
        if not 0 <= self.rank < self.num_workers:
            raise ConfigError(f"World.rank: is {self.rank}, must be within [0, {self.num_workers})")

    @classmethod
    def alone(cls, device: torch.device | str = "cpu") -> World:
        """A world of one worker."""
        return cls(rank=0, num_workers=1, local_rank=0, device=torch.device(device))

    @property
    def is_first(self) -> bool:
        """Whether this is the worker that speaks for all: logs, manifests, pictures."""
        return self.rank == 0

    def rows(self, batch_size: int) -> range:
        """The rows of a global batch that this worker takes: contiguous parts in rank order.

        Shares differ by one row at most, so that a cluster of any size goes on with the same batches.

        Raises:
            ConfigError: fewer rows than workers.
        """
        if batch_size < self.num_workers:
            raise ConfigError(
                f"batch_size: {batch_size} rows are too few for {self.num_workers} workers; each must take one at least"
            )
        return range(self.rank * batch_size // self.num_workers, (self.rank + 1) * batch_size // self.num_workers)

    def barrier(self) -> None:
        """Returns when every worker has come here."""
        if self.num_workers > 1:
            # Not dist.barrier(): on an accelerator's backend it occupies the device, and it hides who is missing.
            self.gather(None)

    def gather(self, value: Any) -> list[Any]:
        """Every worker's picklable `value`, in rank order, on every worker."""
        if self.num_workers == 1:
            return [value]
        values: list[Any] = [None] * self.num_workers
        dist.all_gather_object(values, value)
        return values

    def share(self, value: Any) -> Any:
        """The first worker's picklable `value`, on every worker; what the others pass is ignored."""
        if self.num_workers == 1:
            return value
        values = [value]
        dist.broadcast_object_list(values, src=0)
        return values[0]


def is_lost_touch(error: BaseException) -> bool:
    """Whether a collective failed since another worker ended or is out of reach.

    gloo says so by a plain RuntimeError, which names a line of its own source.
    """
    return isinstance(error, dist.DistError) or (isinstance(error, RuntimeError) and "gloo/" in str(error))
