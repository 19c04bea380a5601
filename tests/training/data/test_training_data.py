"""What a run sees is a function of seed, epoch and index."""

from __future__ import annotations

import numpy as np
import pytest

from training.data.closet_source import ClosetConfig, draw_sample
from training.data.mirror import mirrored
from training.data.order import SampleOrder
from training.data.try_on import TryOnColumns

TRY_ONS = ClosetConfig(kind="try_on", num_samples=4, size=(64, 64))


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


def test_mirrored_twice_is_the_sample_itself() -> None:
    sample = draw_sample(TRY_ONS, 1)
    again = mirrored(mirrored(sample))
    for name, value in sample.items():
        np.testing.assert_allclose(again[name], value, atol=1e-4)


@pytest.mark.parametrize("mirror", [False, True])
def test_try_on_hides_what_is_to_be_laid_out(mirror: bool) -> None:
    columns = TryOnColumns(mirror=mirror)(draw_sample(TRY_ONS, 2), np.random.default_rng(0))
    upper = columns["classes"] == 3
    assert upper.any()
    assert not (columns["agnostic_parse"] == 3).any()
    assert (columns["agnostic_person"][upper] == 128).mean() > 0.95


def test_columns_say_what_they_change_at_random() -> None:
    assert TryOnColumns(mirror=False).changes == ()
    assert "person" in TryOnColumns().changes
