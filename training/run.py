"""A training run: data, step and schedule in one frozen value."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from atelier.errors import ConfigError
from training.checkpoints.retention import Retention
from training.data.config import DataConfig
from training.schedule import Decay
from training.steps.base import StepConfig
from training.watch.validation.base import Validation

NO_IDENTITY: Mapping[str, Any] = {"identity": False}
"""Marks a field that says how a run is computed, not which: a run goes on with another value of it."""
_NAME = re.compile(r"\w[\w.-]*")


@dataclass(frozen=True, kw_only=True)
class TrainRun:
    """Everything that decides which weights come out.

    Args:
        batch_size: samples of one optimizer step, over all workers and all accumulated parts.
        num_accumulated: parts that each worker's share of a batch is cut into, one after the other, so that less of it
            is in memory at once. Two workers with one part and one worker with two make the same step.
        decay: of the learning rate after the warm-up, down to `decay_floor` of it.
        average_decay: of the exported weight average.
        max_gradient_norm: over all of a player's weights, wherever they lie.
        precision: `bfloat16` computes the networks in it by autocast; weights, losses and averages stay float32. What
            is rounded otherwise learns otherwise: a run of another precision is another run.
        sharding: `replicated` keeps all weights on every worker (DDP); `sharded` keeps a part of weights, averages
            and optimizer states on each (FSDP2) and gathers them block by block.
        activation_checkpointing: computes the step's blocks again in the backward pass: less memory, a third more time.
        compile: by torch.compile, block by block where the step names blocks.
        channels_last: pictures as [B, H, W, C] in memory, which convolutions on accelerators prefer; replicated only.
        checkpoint_every_steps: a run that goes on after a loss has lost these steps at most, and those made while the
            last checkpoint was on its way.
        keep: which checkpoints stay. Where the best do, each validated step has one.
        validate_every_steps: 0 never validates. validation: which held-out rows are drawn then, and by which stages.
        loader_workers: processes a worker that make rows ahead of the step; 0 makes them in the step's own process.
    """

    name: str
    data: DataConfig
    step: StepConfig
    batch_size: int
    num_steps: int
    seed: int = 0
    num_warmup_steps: int = 200
    decay: Decay = "cosine"
    decay_floor: float = 0.02
    average_decay: float = 0.998
    max_gradient_norm: float = 10.0
    precision: Literal["float32", "bfloat16"] = "bfloat16"
    num_accumulated: int = field(default=1, metadata=NO_IDENTITY)
    sharding: Literal["replicated", "sharded"] = field(default="replicated", metadata=NO_IDENTITY)
    activation_checkpointing: bool = field(default=False, metadata=NO_IDENTITY)
    compile: bool = field(default=False, metadata=NO_IDENTITY)
    channels_last: bool = field(default=False, metadata=NO_IDENTITY)
    log_every_steps: int = field(default=50, metadata=NO_IDENTITY)
    checkpoint_every_steps: int = field(default=500, metadata=NO_IDENTITY)
    keep: Retention = field(default_factory=Retention, metadata=NO_IDENTITY)
    validate_every_steps: int = field(default=0, metadata=NO_IDENTITY)
    validation: Validation | None = field(default=None, metadata=NO_IDENTITY)
    loader_workers: int = field(default=0, metadata=NO_IDENTITY)

    @property
    def read_names(self) -> tuple[str, ...]:
        """What step and validation may read by name: earlier runs, shipped weights; addresses and paths left out."""
        texts = (getattr(config, field.name) for config in (self.step, self.validation) for field in _fields(config))
        return tuple(sorted({text for text in texts if isinstance(text, str) and _NAME.fullmatch(text)}))

    def __post_init__(self) -> None:
        if not self.name or self.name in (".", "..") or any(sign in self.name for sign in "/\\"):
            raise ConfigError(f"run {self.name!r}: name: must be that of one folder, which lies in --output; no path")
        for name in ("batch_size", "num_steps", "num_accumulated", "log_every_steps", "checkpoint_every_steps"):
            if (value := getattr(self, name)) < 1:
                raise ConfigError(f"run {self.name}: {name}: is {value}, must be at least 1")
        if self.loader_workers < 0:
            raise ConfigError(f"run {self.name}: loader_workers: is {self.loader_workers}, must be at least 0")
        if self.keep.num_best and not (self.validate_every_steps and self.validation):
            raise ConfigError(
                f"run {self.name}: keep: num_best is {self.keep.num_best}, but no checkpoint is judged; "
                "it must have a validation, and validate_every_steps above 0"
            )
        if self.channels_last and self.sharding == "sharded":
            # FSDP2 takes contiguous weights alone, and gathers them so.
            raise ConfigError(
                f"run {self.name}: channels_last: is True, must be False where sharding is 'sharded', whose weights "
                "lie in one piece"
            )


def _fields(config: Any) -> tuple[dataclasses.Field[Any], ...]:
    return dataclasses.fields(config) if dataclasses.is_dataclass(config) else ()
