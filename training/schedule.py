"""The learning rate over a run."""

from __future__ import annotations

import math
from typing import Literal

Decay = Literal["cosine", "linear", "constant"]


def learning_rate_factor(
    step: int, num_steps: int, *, num_warmup_steps: int, decay: Decay = "cosine", floor: float = 0.02
) -> float:
    """The factor on the learning rate at a step: linear up to 1, then as `decay` says.

    Args:
        step: counted from 0.
        num_warmup_steps: the first steps, at 1/n, 2/n, … 1.
        decay: `cosine` and `linear` fall to `floor` at the run's end, `constant` stays at 1.
        floor: share of the learning rate that is left at the end.
    """
    if step < num_warmup_steps:
        return (step + 1) / num_warmup_steps
    if decay == "constant":
        return 1.0
    done = min((step - num_warmup_steps) / max(1, num_steps - num_warmup_steps), 1.0)
    left = 1 - done if decay == "linear" else 0.5 * (1 + math.cos(math.pi * done))
    return floor + (1 - floor) * left
