"""Distances by torchmetrics are their formulas, and are called FID and KID on one network's features alone."""

from __future__ import annotations

import argparse
import dataclasses

import numpy as np
import pytest
import torch
from torch import nn

from atelier.commands import pictures as command
from atelier.errors import MismatchError, WeightsError
from atelier.evaluation.sets.distances import SetDistances, check_counts, fewest
from atelier.evaluation.sets.features import FeatureNetwork, load_features
from atelier.evaluation.sets.presets import PROTOCOLS
from atelier.evaluation.sets.protocol import DistanceRule
from atelier.evaluation.sets.resizing import Resize

NUM_FEATURES = 6
ANY = FeatureNetwork(
    name="corners",
    is_fid=False,
    num_features=NUM_FEATURES,
    digest="0" * 64,
    module=nn.Identity(),
    features=lambda pictures: pictures[:, :, 0, :2].flatten(1),
)


@pytest.fixture
def made_and_true() -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(4)
    made, true = (random.integers(0, high, (20, 4, 4, 3), dtype=np.uint8) for high in (200, 256))
    return made, true


def _measured(network: FeatureNetwork, rule: DistanceRule, made: np.ndarray, true: np.ndarray) -> SetDistances:
    distances = SetDistances(network, rule, torch.device("cpu"))
    for start in range(0, len(made), 8):
        distances.add(made[start : start + 8], real=False)
        distances.add(true[start : start + 8], real=True)
    return distances


def test_only_inceptions_features_give_a_fid_and_a_kid(made_and_true: tuple[np.ndarray, np.ndarray]) -> None:
    inception = dataclasses.replace(ANY, is_fid=True, name="inception_2015_pool3")
    others = _measured(ANY, DistanceRule(), *made_and_true).scores()
    published = _measured(inception, DistanceRule(), *made_and_true).scores()
    assert set(others) == {"frechet_distance", "kernel_distance"} and set(published) == {"fid", "kid"}
    assert others["frechet_distance"]["value"] == published["fid"]["value"]
    assert set(_measured(inception, DistanceRule(kernel=False), *made_and_true).scores()) == {"fid"}


def test_kernel_distance_is_the_unbiased_discrepancy(made_and_true: tuple[np.ndarray, np.ndarray]) -> None:
    """Binkowski et al. 2018: cubic kernel; sets below a subset's size are taken whole, in any order the same."""
    score = _measured(ANY, DistanceRule(), *made_and_true).scores()["kernel_distance"]
    made, true = (
        ANY.features(torch.from_numpy(side).permute(0, 3, 1, 2).double() / 255).numpy() for side in made_and_true
    )
    num = len(made)

    def kernel(one: np.ndarray, other: np.ndarray) -> np.ndarray:
        return (one @ other.T / NUM_FEATURES + 1) ** 3

    within = sum(kernel(side, side).sum() - np.trace(kernel(side, side)) for side in (made, true))
    want = within / (num * (num - 1)) - 2 * kernel(made, true).mean()
    assert score["mean"] == pytest.approx(want, rel=1e-5) and score["subset_size"] == num
    assert "std" not in score  # every subset was the whole of both


def test_pictures_are_resized_by_the_rule_first(made_and_true: tuple[np.ndarray, np.ndarray]) -> None:
    rule = DistanceRule(resize=Resize(size=(2, 2), rule="plain_bilinear"))
    plain = _measured(ANY, DistanceRule(), *made_and_true).scores()
    resized = _measured(ANY, rule, *made_and_true).scores()
    assert resized["frechet_distance"]["value"] != pytest.approx(plain["frechet_distance"]["value"])


def test_sets_smaller_than_half_the_features_are_refused() -> None:
    assert fewest(2048) == 1024 < PROTOCOLS["viton_hd_1024"].num_pairs  # type: ignore[operator]
    check_counts(ANY, {"made": 3, "truth": 3})
    with pytest.raises(MismatchError, match="the truth set has 2 pictures, must have at least 3 for distances"):
        check_counts(ANY, {"made": 3, "truth": 2})


def test_weights_of_other_models_give_no_features() -> None:
    assert load_features("parser_closet").num_features == 96
    with pytest.raises(WeightsError, match="features can be had of 'lpips', 'parsing_net'"):
        load_features("viton_hd_closet")


def test_command_names_every_protocol() -> None:
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    text = " ".join(parser.format_help().split())
    assert [name for name in PROTOCOLS if name not in text] == []
