"""What a run sees is a function of seed, epoch and index."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from atelier.errors import ConfigError
from training.data.closet_pool import ClosetPool
from training.data.config import DataConfig
from training.data.mirror import mirrored
from training.data.order import SampleOrder
from training.data.try_on import TryOnColumns


def test_order_shows_every_sample_once_an_epoch_and_shuffles_anew() -> None:
    order = SampleOrder(seed=3, num_samples=50)
    first = [order.turn(index).sample for index in range(50)]
    second = [order.turn(index).sample for index in range(50, 100)]
    assert sorted(first) == sorted(second) == list(range(50))
    assert first != second


def test_turn_is_told_by_its_index_alone() -> None:
    walked, asked = SampleOrder(seed=3, num_samples=7), SampleOrder(seed=3, num_samples=7)
    turns = [walked.turn(index) for index in range(30)]
    assert asked.turn(23) == turns[23]
    assert np.array_equal(asked.turn(23).dice().random(4), turns[23].dice().random(4))
    assert SampleOrder(seed=4, num_samples=7).turn(23).dice().random() != turns[23].dice().random()


def test_batch_is_the_same_whatever_came_before_it_and_wherever_it_is_drawn(
    try_ons: DataConfig, cache: Path, tmp_path: Path
) -> None:
    walked = try_ons.batches(cache, seed=1, batch_size=2)
    for step in range(4):
        last = walked.at(step)
    elsewhere = try_ons.batches(tmp_path, seed=1, batch_size=2).at(3)
    assert last.keys() == elsewhere.keys()
    assert all(torch.equal(last[name], elsewhere[name]) for name in last)


def test_pool_refuses_pictures_of_another_closet(try_ons: DataConfig, tmp_path: Path) -> None:
    ClosetPool(try_ons.closet, tmp_path)
    path = tmp_path / try_ons.closet.name / "person.npy"
    person = np.load(path, mmap_mode="r+")
    person[0, 0, 0] ^= 1
    person.flush()
    with pytest.raises(ConfigError, match="another version of the closet"):
        ClosetPool(try_ons.closet, tmp_path)


def test_mirrored_twice_is_the_sample_itself(try_ons: DataConfig, cache: Path) -> None:
    sample = ClosetPool(try_ons.closet, cache)[1]
    again = mirrored(mirrored(sample))
    for name, value in sample.items():
        np.testing.assert_allclose(again[name], value, atol=1e-4)


def test_try_on_hides_what_is_to_be_laid_out(try_ons: DataConfig, cache: Path) -> None:
    columns = TryOnColumns()(ClosetPool(try_ons.closet, cache)[2], np.random.default_rng(0))
    upper = columns["classes"] == 3
    assert upper.any()
    assert not (columns["agnostic_parse"] == 3).any()
    assert (columns["agnostic_person"][upper] == 128).mean() > 0.95
