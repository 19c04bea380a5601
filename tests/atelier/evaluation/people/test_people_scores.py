"""Figures of made people: what they are at the truth, how far they reach, and that they tell better from worse."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from torchmetrics.image.fid import _compute_fid

from atelier.evaluation.people.held_out import HeldOutPerson, held_out_descriptions, held_out_transfers
from atelier.evaluation.people.instruments import Instruments
from atelier.evaluation.people.judge import baselines, scored_by
from atelier.evaluation.people.resampling import Resampled, draws, resampled
from atelier.evaluation.people.scores import METRICS, differences, figures, frechet, measured

SIZE = (64, 48)


@pytest.fixture(scope="module")
def items() -> Sequence[HeldOutPerson]:
    return list(held_out_transfers(6, seed=0, size=SIZE))


@pytest.fixture(scope="module")
def scores(items: Sequence[HeldOutPerson]) -> dict[str, dict[str, Resampled]]:
    score = scored_by(Instruments.load(parser="parser_closet", pose="pose_closet"), items)
    truths = np.stack([item.truth for item in items])
    noisy = np.clip(truths + np.random.default_rng(0).normal(0, 15, truths.shape), 0, 255).astype(np.uint8)
    return {
        name: measured(score(made)) for name, made in (baselines(items) | {"truth": truths, "noisy": noisy}).items()
    }


def test_items_are_held_out_people_in_two_poses(items: Sequence[HeldOutPerson]) -> None:
    [source] = baselines(items).values()
    assert source.shape == (6, *SIZE, 3)
    assert all((source[row] != item.truth).any() for row, item in enumerate(items))
    assert all(item.person.any() and (item.garment <= item.person).all() for item in items)
    again = next(held_out_transfers(1, seed=0, size=SIZE))
    assert np.array_equal(again.truth, items[0].truth)
    told = next(held_out_descriptions(1, seed=0, size=SIZE))
    assert np.array_equal(told.truth, items[0].truth) and told.caption and told.regions.max() < 24


def test_regions_in_mean_colours_know_no_colour_of_their_own_item() -> None:
    described = list(held_out_descriptions(4, seed=1, size=SIZE))
    [(name, made)] = baselines(described).items()
    assert name == "true regions, mean colours"
    first = described[0].regions == 0
    others = np.concatenate([item.truth[item.regions == 0] for item in described[1:]])
    np.testing.assert_allclose(made[0][first][0], others.mean(0), atol=0.5)


def test_the_truth_scores_best(scores: dict[str, dict[str, Resampled]]) -> None:
    best, worse, source = (figures(scores[name]) for name in ("truth", "noisy", "source copied"))
    assert set(best) == set(METRICS)
    assert best["person_ssim"].value == pytest.approx(1) and best["garment_ciede2000"].value == pytest.approx(
        0, abs=1e-9
    )
    assert best["closet_fd"].value == pytest.approx(0, abs=1e-6)
    for name, more_is_better in METRICS.items():
        sign = 1 if more_is_better else -1
        assert sign * best[name].value > sign * worse[name].value
        assert best[name].low <= best[name].value <= best[name].high
    assert worse["person_psnr"].value > source["person_psnr"].value


def test_differences_are_of_the_same_items(scores: dict[str, dict[str, Resampled]]) -> None:
    same = differences(scores["noisy"], scores["noisy"])
    assert all(figure.value == figure.low == figure.high == 0 for figure in same.values())
    ahead = differences(scores["truth"], scores["noisy"])
    assert ahead["person_ssim"].excludes_zero and ahead["person_ssim"].value > 0
    assert not same["person_ssim"].excludes_zero


def test_an_interval_is_as_wide_as_theory_says() -> None:
    values = np.random.default_rng(1).normal(5, 2, 400)
    made = resampled(lambda weights: float(np.average(values, weights=weights)), 400)
    found = made.interval()
    assert found.value == pytest.approx(values.mean())
    assert found.high - found.low == pytest.approx(2 * 1.96 * values.std() / 20, rel=0.1)
    spread = made.spread()
    assert spread.high - spread.low == pytest.approx(found.high - found.low, rel=0.1)
    assert (draws(7, 5).sum(1) == 7).all() and np.array_equal(draws(7, 5), draws(7, 5))


def test_the_distance_is_frechets_and_weights_are_repetitions() -> None:
    import torch

    rng = np.random.default_rng(2)
    made, true = rng.normal(0, 1, (60, 5)), rng.normal(0.3, 1.5, (60, 5))
    moments = [(torch.from_numpy(x.mean(0)), torch.from_numpy(np.cov(x.T))) for x in (made, true)]
    theirs = float(_compute_fid(*moments[0], *moments[1]))
    assert frechet(made, true, np.ones(60)) == pytest.approx(theirs, rel=1e-6)
    weights = rng.integers(0, 3, 60).astype(float)
    again, true_again = (np.repeat(x, weights.astype(int), 0) for x in (made, true))
    assert frechet(made, true, weights) == pytest.approx(frechet(again, true_again, np.ones(len(again))), rel=1e-9)
