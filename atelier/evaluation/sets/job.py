"""What is to be evaluated, and by which weights."""

from __future__ import annotations

import os
from dataclasses import dataclass, field

from atelier.errors import ConfigError
from atelier.evaluation.sets.presets import plain
from atelier.evaluation.sets.protocol import Protocol


@dataclass(frozen=True, kw_only=True)
class Job:
    """What is held against what.

    Args:
        made, truth: folders of pictures, paths or `s3://bucket/folder`.
        protocol: one of the presets, or one's own.
        paired: False compares two sets whose pictures have no partners, by distances alone.
        pairs: a file that lists the pairs; None pairs by the protocol's rule.
        task: `task` or `task:recipe` whose pictures alone are judged; None judges those of all tasks.
        training: a folder of the training set's pictures, for paired protocols whose FID is against them.
        lpips: a weight folder; None leaves LPIPS out.
        features: what `load_features` takes; None leaves the distances between sets out.
        device: where networks run.
        batch_size: pictures in a network at once.
        num_threads: that fetch, decode and compute SSIM ahead.

    Raises:
        ConfigError: settings that contradict each other.
    """

    made: str
    truth: str
    protocol: Protocol = field(default_factory=plain)
    paired: bool = True
    pairs: str | None = None
    task: str | None = None
    training: str | None = None
    lpips: str | None = None
    features: str | None = None
    device: str = "cpu"
    batch_size: int = 8
    num_threads: int = field(default_factory=lambda: os.cpu_count() or 1)

    def __post_init__(self) -> None:
        if self.batch_size < 1 or self.num_threads < 1:
            raise ConfigError(f"batch_size {self.batch_size}, num_threads {self.num_threads}: must be at least 1")
        if self.training is not None and self.protocol.distance.against != "training":
            raise ConfigError(f"training: protocol {self.protocol.name} takes no training pictures")
        if self.paired:
            return
        for name, value in (("pairs", self.pairs), ("lpips", self.lpips), ("training", self.training)):
            if value is not None:
                raise ConfigError(f"{name}: unpaired sets are compared by distances alone; give two sets and features")
        if self.features is None:
            raise ConfigError("features: unpaired sets are compared by distances alone, and they need features")
