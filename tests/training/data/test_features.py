"""Frozen features lie beside the samples that they are of, and only where nothing random comes before them."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from atelier.errors import CatalogError, ConfigError, RowError
from atelier.stages.base import Columns as StageColumns
from atelier.stages.base import Faults, StageConfig, TensorStage
from training.data.closet_source import ClosetConfig
from training.data.config import DataConfig
from training.data.loader import Loader
from training.data.order import SampleOrder
from training.data.preparing.here import prepare_here
from training.data.try_on import TryOnColumns
from training.world import World

CLOSET = ClosetConfig(kind="try_on", num_samples=5, size=(32, 32))
STILL = TryOnColumns(mirror=False)


@dataclass(frozen=True, kw_only=True)
class Shades(StageConfig):
    """A frozen network: one random projection of a picture's four quarters."""

    name = "shades"
    seed: int = 0
    reads: str = "garment"
    refuses: float = 2.0

    def columns(self) -> StageColumns:
        return StageColumns(reads=(self.reads,), writes=("shades",))

    def build(self, device: torch.device) -> ShadesStage:
        return ShadesStage(self, device)


class ShadesStage(TensorStage):
    name = "shades"
    writes = ("shades",)

    def __init__(self, config: Shades, device: torch.device) -> None:
        self.device, self.reads, self._refuses = device, (config.reads,), config.refuses
        self._projection = torch.randn(12, 7, generator=torch.Generator().manual_seed(config.seed))

    def blank(self) -> dict[str, Any]:
        return {"shades": np.zeros(7, np.float32)}

    def run_tensors(self, columns: Mapping[str, Any], faults: Faults) -> Mapping[str, torch.Tensor]:
        pictures = columns[self.reads[0]].permute(0, 3, 1, 2) / 255
        quarters = torch.nn.functional.adaptive_avg_pool2d(pictures, 2).flatten(1)
        for row in torch.nonzero(quarters.mean(1) > self._refuses).flatten().tolist():
            faults.add(row, RowError("too_bright", "garment: is white all over"))
        return {"shades": quarters @ self._projection}


def shades_of(picture: np.ndarray) -> torch.Tensor:
    stage = Shades().build(torch.device("cpu"))
    return stage.run_tensors({"garment": torch.from_numpy(picture.copy())[None]}, Faults())["shades"][0]


def test_features_come_with_the_samples_they_are_of(tmp_path: Path) -> None:
    config = DataConfig(closet=CLOSET, columns=STILL, features=(Shades(),))
    dataset = config.open(None, tmp_path)
    assert dataset.column_names[-1] == "shades" and dataset.ids([4]) == [CLOSET.sample_id(4)]
    loader = Loader(
        dataset=dataset,
        columns=config.loaded_columns,
        order=SampleOrder(0, dataset.num_samples),
        batch_size=2,
        world=World.alone(),
    )
    for batch in itertools.islice(loader.iterate(), 3):
        for garment, shades in zip(batch.columns["garment"], batch.columns["shades"], strict=True):
            torch.testing.assert_close(shades, shades_of(garment.numpy()))


def test_features_after_an_augmentation_are_refused() -> None:
    with pytest.raises(
        ConfigError, match=r"features shades: .* they read \['garment'\], which TryOnColumns\(mirror=Tr"
    ):
        DataConfig(closet=CLOSET, columns=TryOnColumns(), features=(Shades(),))


def written(folder: Path) -> Mapping[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in folder.iterdir() if path.is_dir()}


def test_features_are_computed_once_and_anew_for_other_weights_or_data(tmp_path: Path) -> None:
    config = DataConfig(closet=CLOSET, columns=STILL, features=(Shades(),))
    first = config.open(None, tmp_path)
    before = written(tmp_path / "prepared")
    assert config.open(None, tmp_path).digest == first.digest
    assert written(tmp_path / "prepared") == before
    others = (
        dataclasses.replace(config, features=(Shades(seed=1),)),
        dataclasses.replace(config, closet=dataclasses.replace(CLOSET, seed=1)),
        dataclasses.replace(config, features=()),
    )
    assert len({first.digest, *(other.open(None, tmp_path).digest for other in others)}) == 4


def test_features_prepared_beside_the_shards_are_taken(tmp_path: Path) -> None:
    config = DataConfig(closet=CLOSET, columns=STILL, features=(Shades(),))
    shards = config.preparation(None, tmp_path / "a")
    prepare_here(shards)
    [preparation] = config.feature_preparations(shards.output, tmp_path / "a")
    prepare_here(preparation)
    dataset = config.open(shards.output, tmp_path / "b")
    assert np.array_equal(dataset[3]["shades"], config.open(None, tmp_path / "c")[3]["shades"])
    assert not (tmp_path / "b" / "prepared").exists()


def test_a_sample_without_features_ends_the_job(tmp_path: Path) -> None:
    config = DataConfig(closet=CLOSET, columns=STILL, features=(Shades(refuses=0.0),))
    with pytest.raises(CatalogError, match=rf"sample {CLOSET.sample_id(0)}: features shades: too_bright: garment: is"):
        config.open(None, tmp_path)


@pytest.mark.parametrize(("reads", "reason"), [("latent", r"read \['latent'\], which the data lacks")])
def test_features_of_columns_that_are_not_there_are_refused(tmp_path: Path, reads: str, reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        DataConfig(closet=CLOSET, columns=STILL, features=(Shades(reads=reads),)).open(None, tmp_path)
