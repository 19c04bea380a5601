"""What a worker may wish between steps, and how all workers come to do the same at the same step."""

from __future__ import annotations

from enum import IntEnum
from typing import Any

import torch
import torch.distributed as dist

from training.world import World


class Wish(IntEnum):
    """From the mildest to the strongest; of several the strongest is done.

    `LOOK`: ask the launcher for news, which takes every worker; `KEEP`: a checkpoint now, whole before the next step;
    `STOP`: a checkpoint, and the end.
    """

    GO_ON = 0
    LOOK = 1
    KEEP = 2
    STOP = 3


class Agreement:
    """The strongest of all workers' wishes, known to all of them at the same step.

    A worker that stopped by itself would leave the others waiting for its gradients for ever. Wishes travel while the
    step computes and are read after it, so that they cost a step nothing; they are done one step late.
    """

    def __init__(self, world: World) -> None:
        self._mine = torch.zeros(1, dtype=torch.int32)
        # A group of its own, on the CPU: no accelerator waits for it, and it never mixes with the gradients' traffic.
        self._group: Any = dist.new_group(backend="gloo") if world.num_workers > 1 else None
        self._work: dist.Work | None = None

    def cast(self, wish: Wish) -> None:
        """Sends this worker's wish on its way; to be called once a step, on every worker."""
        self._mine[0] = wish
        if self._group is not None:
            self._work = dist.all_reduce(self._mine, dist.ReduceOp.MAX, group=self._group, async_op=True)

    def read(self) -> Wish:
        """The wish that all workers do now: the strongest that was cast."""
        if self._work is not None:
            self._work.wait()
            self._work = None
        return Wish(int(self._mine[0]))

    def close(self) -> None:
        """Ends the group; to be called on every worker."""
        if self._group is not None:
            dist.destroy_process_group(self._group)
            self._group = None
