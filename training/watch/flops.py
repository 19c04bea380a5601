"""How many floating-point operations a step takes, counted and not estimated."""

from __future__ import annotations

import copy

from torch.utils.flop_counter import FlopCounterMode

from training.steps.base import Batch, Moment, TrainStep
from training.watch.undisturbed import undisturbed


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
