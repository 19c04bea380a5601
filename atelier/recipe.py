"""A recipe: the ordered stages that make one task's pictures, as values that every plane shares."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass

import torch

from atelier.errors import ConfigError
from atelier.keys import digest
from atelier.stages.base import StageConfig
from atelier.stages.chain import StageChain
from atelier.stages.sampled import MODES, SampledConfig


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How pictures of one task are made.

    Args:
        name: by which jobs, outcomes and reports call it.
        task: the catalog's word for what it makes, e.g. `try_on`.
        model: the system that makes it, by the paper's name, e.g. `viton_hd`; the catalog's column `model` asks for it.
        size: working size (H, W) in pixels.
        inputs: input names that a row must give; `optional` are those it may give.
        stages: in order, each verb once.
        batch_size: rows the tensor stages see at once, always.
    """

    name: str
    task: str
    model: str = ""
    size: tuple[int, int]
    inputs: tuple[str, ...]
    optional: tuple[str, ...] = ()
    stages: tuple[StageConfig, ...]
    batch_size: int = 4

    def __post_init__(self) -> None:
        names = self.stage_names
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ConfigError(f"recipe {self.name}: stages {twice} stand in it twice")
        if self.batch_size < 1:
            raise ConfigError(f"recipe {self.name}: batch_size is {self.batch_size}, must be at least 1")

    @property
    def stage_names(self) -> tuple[str, ...]:
        """The stages' verbs in order."""
        return tuple(stage.name for stage in self.stages)

    @property
    def mode(self) -> str:
        """The mode that its sampler is run in; `""` where it has none."""
        return next((stage.mode for stage in self.stages if isinstance(stage, SampledConfig)), "")

    @property
    def modes(self) -> tuple[str, ...]:
        """The modes that it can be run in, the dearest first; none where it has no sampler."""
        return MODES if self.mode else ()

    def in_mode(self, mode: str) -> Recipe:
        """The same, with its sampler run in a mode.

        Raises:
            ConfigError: it has no sampler, or that no such mode.
        """
        if not self.modes:
            raise ConfigError(f"recipe {self.name}: has no modes, so none of the name {mode!r}")
        stages = (dataclasses.replace(one, mode=mode) if isinstance(one, SampledConfig) else one for one in self.stages)
        return dataclasses.replace(self, stages=tuple(stages))

    def compiled(self) -> Recipe:
        """The same, its networks run through `torch.compile` when it is built: other bits, so another fingerprint."""
        return dataclasses.replace(self, stages=tuple(stage.compiled() for stage in self.stages))

    def before(self, stage: str) -> Recipe:
        """The stages that run before `stage`: where training that stage enters."""
        return dataclasses.replace(self, stages=self.stages[: self._index(stage)])

    def after(self, stage: str) -> Recipe:
        """The stages that run after `stage`: serving enters after `fetch`, with a request's bytes."""
        return dataclasses.replace(self, stages=self.stages[self._index(stage) + 1 :])

    def fingerprint(self) -> str:
        """Digest of everything but the inputs that decides a picture: settings, code versions, weight digests."""
        return digest([self.task, list(self.size), [s.identity() for s in self.stages if s.makes_pixels]])

    def rendition(self) -> str:
        """Digest of how a finished picture is encoded."""
        return digest([stage.identity() for stage in self.stages if not stage.makes_pixels])

    def check(self) -> None:
        """Refuses stages whose weights are of another kind, see `StageConfig.check`."""
        for stage in self.stages:
            stage.check()

    def digests(self) -> Mapping[str, str]:
        """sha256 by name of every weight the recipe reads."""
        return {name: sha for stage in self.stages for name, sha in stage.digests().items()}

    def build(self, device: torch.device | str = "cpu") -> StageChain:
        """All stages, ready, in this process."""
        device = torch.device(device)
        return StageChain([stage.build(device) for stage in self.stages], batch_size=self.batch_size)

    def _index(self, stage: str) -> int:
        if stage not in self.stage_names:
            raise ConfigError(f"recipe {self.name}: has no stage {stage!r}; its stages are {list(self.stage_names)}")
        return self.stage_names.index(stage)
