"""A stage whose pictures come out of a sampler: which modes it can be run in."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, Self

from atelier.models.diffusion import modes
from atelier.stages.base import StageConfig

MODES = tuple(modes.MODES)
"""Their names, the dearest first."""


@dataclass(frozen=True, kw_only=True)
class SampledConfig(StageConfig):
    """What the diffusion systems' stages have in common.

    Args:
        mode: one of `MODES`: sampler, steps, and what is saved on the way, see `atelier.models.diffusion.modes`. Stages
            that differ in it alone share one model in a process.
        compile: the denoising network by `torch.compile`, which has each shape compiled at its first step: minutes on a
            CPU. Other bits, so another fingerprint.

    Raises:
        ConfigError: no such mode.
    """

    mode: str = "quality"
    compile: bool = False

    def __post_init__(self) -> None:
        modes.named(self.mode)

    def compiled(self) -> Self:
        return dataclasses.replace(self, compile=True)

    def identity(self) -> dict[str, Any]:
        told = super().identity()
        if not self.compile:  # what was made before there was this choice keeps its keys
            del told["settings"]["compile"]
        return told
