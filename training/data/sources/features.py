"""Frozen features as a source: what a stage with fixed weights makes of every sample, computed once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from atelier.errors import CatalogError, ConfigError
from atelier.keys import digest
from atelier.stages.base import StageConfig
from atelier.stages.chain import StageChain, new_batch
from training.data.dataset import Sample
from training.data.shards.dataset import ShardDataset
from training.data.sources.source import LeftOut, Maker, Row, Source


@dataclass(frozen=True, kw_only=True)
class FeatureSource(Source):
    """Samples that hold a stage's columns, one for each sample of prepared data, in its order.

    Args:
        folder: of the prepared data. cache: of the machine that reads it.
        stage: reads columns of the data; its weights are fixed.
    """

    folder: str
    cache: Path
    stage: StageConfig
    batch_size: int = 8
    device: str = "cpu"

    def identity(self) -> Mapping[str, Any]:
        """The data by its digest and the stage with its weights': other samples or weights are other features."""
        identity = {"kind": "features", "of": self.dataset.digest, "stage": self.stage.identity()}
        return identity | {"batch_size": self.batch_size}

    @property
    def name(self) -> str:
        """A folder name that differs wherever the features do."""
        return f"features-{self.stage.name}-{digest(dict(self.identity()))[:16]}"

    @cached_property
    def dataset(self) -> ShardDataset:
        """The data that the features are of."""
        return ShardDataset(self.folder, self.cache)

    def rows(self) -> list[Row]:
        names, columns = set(self.dataset.column_names), self.stage.columns()
        if absent := sorted(set(columns.reads) - names):
            raise ConfigError(
                f"features {self.stage.name}: read {absent}, which the data lacks; it has {sorted(names)}"
            )
        if taken := sorted(set(columns.writes) & names):
            raise ConfigError(f"features {self.stage.name}: write {taken}, which the data has already")
        ids = self.dataset.ids(range(self.dataset.num_samples))
        return [{"id": sample_id, "index": index} for index, sample_id in enumerate(ids)]

    def build(self) -> Maker:
        columns = self.stage.columns()
        chain = StageChain([self.stage.build(torch.device(self.device))], batch_size=self.batch_size)
        reads = [name for name in (*columns.reads, *columns.optional) if name in self.dataset.column_names]

        def make(rows: Sequence[Row]) -> Iterator[tuple[str, Sample] | LeftOut]:
            for start in range(0, len(rows), self.batch_size):
                some = rows[start : start + self.batch_size]
                samples = [self.dataset[row["index"]] for row in some]
                made = chain.run(
                    new_batch(
                        {
                            "item_id": [row["id"] for row in some],
                            "variant": [0] * len(some),
                            "task": ["features"] * len(some),
                            "seed": [0] * len(some),
                            **{name: [sample[name] for sample in samples] for name in reads},
                        }
                    ),
                    keep=columns.writes,
                )
                for number, row in enumerate(some):
                    if made["error_code"][number]:
                        # Left out here, all samples after it would get their neighbour's features.
                        detail = f"{made['error_code'][number]}: {made['error_detail'][number]}"
                        raise CatalogError(f"sample {row['id']}: features {self.stage.name}: {detail}")
                    yield row["id"], {name: made[name][number] for name in columns.writes}

        return make

    @property
    def pixels(self) -> int:
        return 2**18  # 256 samples a shard: what a stage writes is known only once it is built
