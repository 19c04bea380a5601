"""A batch is a function of data, order and step: not of processes, workers or restarts."""

from __future__ import annotations

import itertools
import multiprocessing
import os
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch

from atelier.errors import CatalogError, ConfigError, RowError
from training.data.closet_source import ClosetConfig
from training.data.config import DataConfig
from training.data.dataset import Columns, Dataset, Sample
from training.data.loader import LoadedBatch, Loader
from training.data.look import LookColumns
from training.data.order import SampleOrder
from training.world import World

LOOKS = DataConfig(closet=ClosetConfig(kind="looks", num_samples=5, size=(64, 64)), columns=LookColumns())
BATCH_SIZE = 4


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return LOOKS.open(None, tmp_path_factory.mktemp("cache"))


def loader(
    dataset: Dataset, *, columns: Columns | None = None, rank: int = 0, ranks: int = 1, num_workers: int = 0
) -> Loader:
    world = World(rank=rank, num_workers=ranks, local_rank=rank, device=torch.device("cpu"))
    order = SampleOrder(7, dataset.num_samples)
    return Loader(
        dataset=dataset,
        columns=columns or LOOKS.columns,
        order=order,
        batch_size=BATCH_SIZE,
        world=world,
        num_workers=num_workers,
    )


def batches(loader: Loader, *, first_step: int = 0, num_steps: int = 4) -> list[LoadedBatch]:
    loaded = list(itertools.islice(loader.iterate(first_step), num_steps))
    loader.close()
    return loaded


def assert_same(mine: Sequence[LoadedBatch], theirs: Sequence[LoadedBatch]) -> None:
    for one, other in zip(mine, theirs, strict=True):
        assert (one.step, one.global_indexes, one.ids) == (other.step, other.global_indexes, other.ids)
        assert one.columns.keys() == other.columns.keys()
        assert all(torch.equal(one.columns[name], other.columns[name]) for name in one.columns)


def test_pictures_lie_in_memory_as_inference_decodes_them(dataset: Dataset) -> None:
    [batch] = batches(loader(dataset), num_steps=1)
    assert all(column.is_contiguous() for column in batch.columns.values())


def test_processes_that_load_change_nothing(dataset: Dataset) -> None:
    assert_same(batches(loader(dataset)), batches(loader(dataset, num_workers=2)))


@pytest.mark.parametrize("ranks", [2, 3])
def test_workers_share_the_very_batch_that_one_has(dataset: Dataset, ranks: int) -> None:
    whole = batches(loader(dataset))
    parts = [batches(loader(dataset, rank=rank, ranks=ranks)) for rank in range(ranks)]
    for step, batch in enumerate(whole):
        shares = [part[step] for part in parts]
        assert [index for share in shares for index in share.global_indexes] == batch.global_indexes
        for name, column in batch.columns.items():
            assert torch.equal(torch.cat([share.columns[name] for share in shares]), column)


@pytest.mark.parametrize("num_workers", [0, 1])
def test_loading_goes_on_as_if_it_had_not_stopped(dataset: Dataset, num_workers: int) -> None:
    assert_same(batches(loader(dataset))[2:], batches(loader(dataset, num_workers=num_workers), first_step=2)[:2])


def test_a_loader_can_start_over(dataset: Dataset) -> None:
    once = loader(dataset, num_workers=1)
    first = list(itertools.islice(once.iterate(0), 2))
    assert_same(first, list(itertools.islice(once.iterate(0), 2)))
    once.close()


def test_a_signal_to_all_of_a_runs_processes_leaves_those_that_load(dataset: Dataset) -> None:
    once = loader(dataset, num_workers=2)
    loaded = once.iterate(0)
    first = [next(loaded), next(loaded)]  # one of each: both have begun
    loading = multiprocessing.active_children()
    assert len(loading) == 2
    for process in loading:
        for number in (signal.SIGTERM, signal.SIGINT):
            assert process.pid is not None
            os.kill(process.pid, number)
    assert_same(first + list(itertools.islice(loaded, 2)), batches(loader(dataset)))
    assert multiprocessing.active_children() == loading
    once.close()
    assert not multiprocessing.active_children()


def test_loading_draws_nothing_from_torchs_generator(dataset: Dataset) -> None:
    before = torch.get_rng_state()
    batches(loader(dataset, num_workers=1), num_steps=1)
    assert torch.equal(before, torch.get_rng_state())


@dataclass(frozen=True, kw_only=True)
class Fastidious(Columns):
    """Refuses one sample, as drawing an agnostic person may."""

    refused: bytes

    reads = ("person",)

    @property
    def changes(self) -> tuple[str, ...]:
        return ()

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        if sample["person"].tobytes() == self.refused:
            raise RowError("no_person", "keypoints: lack the shoulders")
        return {"person": sample["person"]}


@pytest.mark.parametrize("num_workers", [0, 1])
def test_a_sample_that_cannot_be_shown_is_named(dataset: Dataset, num_workers: int) -> None:
    columns = Fastidious(refused=dataset[3]["person"].tobytes())
    wanted = rf"sample 3, {dataset.ids([3])[0]}: Fastidious: no_person: keypoints: lack the shoulders"
    with pytest.raises(CatalogError, match=wanted):
        batches(loader(dataset, columns=columns, num_workers=num_workers))


def test_settings_that_cannot_be_followed_are_refused(dataset: Dataset, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="5 workers"):
        loader(dataset, ranks=5)
    with pytest.raises(ConfigError, match="over 9 samples, the data has 5"):
        Loader(
            dataset=dataset,
            columns=LOOKS.columns,
            order=SampleOrder(0, 9),
            batch_size=2,
            world=World.alone(),
        )
