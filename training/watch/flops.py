"""How many floating-point operations a step takes, counted and not estimated."""

from __future__ import annotations

import copy
from dataclasses import dataclass

from torch.utils.flop_counter import FlopCounterMode

from training.steps.base import Batch, Moment, TrainStep
from training.watch.undisturbed import undisturbed


@dataclass(frozen=True, kw_only=True)
class StepFlops:
    """Floating-point operations of one worker's share of a step, as the run goes.

    Args:
        counts: (share of the run from which it holds, operations), the first from 0.
    """

    counts: tuple[tuple[float, float], ...]

    def at(self, progress: float) -> float:
        """The operations of a step at a share of the run, [0, 1)."""
        return [flops for start, flops in self.counts if start <= progress][-1]


def count_flops(step: TrainStep, batch: Batch, seeds: tuple[int, ...], *, num_rows: int) -> StepFlops:
    """Counts a step on a few real rows, once for each part of the run in which it does other work.

    Args:
        batch, seeds: of those rows, on the step's device.
        num_rows: of one worker's share of a step, to which the count is scaled.
    """
    counts = []
    for start in sorted({0.0, *(share for share in step.work_changes_at if 0 < share < 1)}):
        flops = flops_of_step(step, batch, Moment(progress=start, seeds=seeds))
        counts.append((start, flops * num_rows / len(seeds)))
    return StepFlops(counts=tuple(counts))


def flops_of_step(step: TrainStep, batch: Batch, moment: Moment) -> float:
    """Floating-point operations of every player's loss and gradients on one real batch.

    Matrix products, convolutions and attention are counted, a multiplication and an addition as two; what works
    element by element is not. Counted on a copy of the step, so that no weight, statistic or random number moves: call
    it on the plain step, before it is sharded or compiled. Activations that are computed a second time to save memory
    are then not counted either, as the custom is.
    """
    with undisturbed():
        rehearsal = copy.deepcopy(step)
        counter = FlopCounterMode(display=False)
        with counter:
            for player in rehearsal.players:
                rehearsal.loss(player.name, batch, moment).total.backward()
    return float(counter.get_total_flops())
