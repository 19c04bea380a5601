"""The ranks that keep checkpoints together, and how they agree."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from datetime import timedelta
from typing import Any, TypeVar, cast

import torch.distributed as dist

from atelier.errors import AtelierError
from training.checkpoints.manifest import DamagedCheckpoint
from training.world import World

T = TypeVar("T")

_TIMEOUT = timedelta(minutes=30)
"""How long a rank waits for the others' files: the slowest upload of a large state, not a hang of the network."""


class Ranks:
    """All ranks of a world, in a process group of their own.

    A checkpoint's messages pass while steps pass theirs: in one group the two would meet. The group is gloo's whatever
    the steps use, since what is agreed lies in CPU memory.

    Args:
        world: whose ranks all make one of these; None for one process that reads by itself, whatever group it is in.
    """

    def __init__(self, world: World | None) -> None:
        self.world = world or World.alone()
        shared = world is not None and dist.is_initialized()
        made = dist.new_group(backend="gloo", timeout=_TIMEOUT) if shared else None
        self.group = cast("dist.ProcessGroup | None", made)
        if self.group is None:
            warnings.filterwarnings("ignore", message="torch.distributed is disabled, unavailable or uninitialized")

    def agreed(self, work: Callable[[], T]) -> T:
        """What the first rank's `work` gives or raises, on every rank."""
        outcome: list[Any] = [None, None]
        if self.world.is_first:
            try:
                outcome[0] = work()
            except (AtelierError, DamagedCheckpoint) as error:
                outcome[1] = error
        if self.group is not None:
            dist.broadcast_object_list(outcome, src=0, group=self.group)
        if outcome[1] is not None:
            raise outcome[1]
        return outcome[0]
