"""The systems by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from benchmarks.models import human_diffusion, pidm, truepose, viton_hd
from benchmarks.models.levers import ModelTrial, Rung

Make = Callable[[ModelTrial, torch.device], Callable[[], Tensor]]
"""A trial to a pass that gives its pictures, all that is made once made."""


@dataclass(frozen=True, kw_only=True)
class System:
    """A ladder, and how a rung of it is built."""

    rungs: tuple[Rung, ...]
    make: Make


SYSTEMS: Mapping[str, System] = {
    "viton_hd": System(rungs=viton_hd.RUNGS, make=viton_hd.make),
    "pidm": System(rungs=pidm.RUNGS, make=pidm.make),
    "truepose": System(rungs=truepose.RUNGS, make=truepose.make),
    "human_diffusion": System(rungs=human_diffusion.RUNGS, make=human_diffusion.make),
}
