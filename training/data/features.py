"""Frozen features beside the samples that they are of, and the rule about when they may be kept."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from atelier.errors import ConfigError
from atelier.stages.base import StageConfig
from training.data.dataset import Columns, Dataset, Sample


def check_frozen(stage: StageConfig, columns: Columns) -> None:
    """Raises `ConfigError` where a stage would read what looks otherwise every time a sample is shown."""
    reads = stage.columns()
    if changed := sorted({*reads.reads, *reads.optional} & set(columns.changes)):
        raise ConfigError(
            f"features {stage.name}: cannot be computed once: they read {changed}, which {columns} changes at random "
            "before each step; compute them in the step, or train without that augmentation"
        )


@dataclass(frozen=True)
class WithFeatures:
    """A data set whose samples have their features' columns too; sample numbers are the data's."""

    data: Dataset
    features: tuple[Dataset, ...]

    def __post_init__(self) -> None:
        for features in self.features:
            if features.num_samples != self.data.num_samples:
                raise ConfigError(f"features: are of {features.num_samples} samples, the data has {self.num_samples}")

    @property
    def num_samples(self) -> int:
        return self.data.num_samples

    @property
    def column_names(self) -> tuple[str, ...]:
        return sum((features.column_names for features in self.features), self.data.column_names)

    @property
    def digest(self) -> str:
        digests = [self.data.digest, *(features.digest for features in self.features)]
        return hashlib.sha256("".join(digests).encode()).hexdigest()

    def ids(self, indexes: Sequence[int]) -> list[str]:
        return self.data.ids(indexes)

    def __getitem__(self, index: int) -> Sample:
        sample = dict(self.data[index])
        for features in self.features:
            sample |= features[index]
        return sample


@dataclass(frozen=True, kw_only=True)
class FeatureColumns(Columns):
    """A step's columns with features added to them, as they are kept.

    Args:
        columns: what the step reads beside them. names: of the feature columns.
    """

    columns: Columns
    names: tuple[str, ...]

    reads: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "reads", (*self.columns.reads, *self.names))

    @property
    def changes(self) -> tuple[str, ...]:
        return self.columns.changes

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        return self.columns(sample, rng) | {name: sample[name] for name in self.names}
