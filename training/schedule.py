"""The learning rate over a run."""

from __future__ import annotations

import math


def warmup_cosine(step: int, num_steps: int, num_warmup_steps: int, floor: float = 0.02) -> float:
    """The factor on the learning rate at a step: linear from 0 to 1, then half a cosine down to `floor`."""
    if step < num_warmup_steps:
        return (step + 1) / num_warmup_steps
    done = (step - num_warmup_steps) / max(1, num_steps - num_warmup_steps)
    return floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * min(done, 1.0)))
