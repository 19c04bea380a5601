"""TruePose as a stage: a row's picture is its own, a pose is needed, notes are told."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from atelier.errors import ConfigError
from atelier.models.diffusion.steps import SamplingStopped
from atelier.models.truepose import TruePose
from atelier.recipes import truepose as truepose_recipe
from atelier.recipes import truepose_closet as truepose_closet_recipe
from atelier.stages.chain import StageChain, new_batch
from atelier.stages.truepose import SynthesizeTruePose
from tests.atelier.models.truepose.truepose_tiny import FACE, SIZE, TINY, filled, parses
from tests.atelier.stages.looking import Onlooker

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("truepose")
    filled(TruePose(TINY)).save_pretrained(folder)
    return str(folder)


def _rows(count: int, **columns: Any) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    keypoints = np.zeros((25, 3), np.float32)
    keypoints[[1, 2, 3, 8]] = [(8, 6, 1), (4, 7, 1), (3, 16, 1), (8, 18, 1)]
    given: dict[str, Any] = {
        "item_id": [f"item-{row}" for row in range(count)],
        "variant": np.zeros(count, np.int32),
        "task": ["pose_transfer"] * count,
        "seed": np.arange(count),
        "person": rng.integers(0, 256, (count, *SIZE, 3), dtype=np.uint8),
        "parse": parses(count).numpy(),
        "target_keypoints": np.stack([keypoints] * count),
        **columns,
    }
    return new_batch(given)


def _chain(weights: str, **settings: Any) -> StageChain:
    return StageChain(
        [SynthesizeTruePose(size=SIZE, weights=weights, mode="fast", **settings).build(CPU)], batch_size=3
    )


def test_a_picture_is_its_rows_alone(weights: str) -> None:
    together = _chain(weights).run(_rows(3))
    alone = _chain(weights).run({name: value[1:2] for name, value in _rows(3).items()})
    assert together["image"].shape == (3, *SIZE, 3) and together["image"].dtype == np.uint8
    difference = np.abs(together["image"][1].astype(int) - alone["image"][0])
    assert (difference <= 2).mean() > 0.999
    other_seed = _chain(weights).run(_rows(1, seed=np.array([7])))
    assert (other_seed["image"][0] != together["image"][0]).mean() > 0.1


def test_looking_on_changes_no_bit(weights: str) -> None:
    onlooker = Onlooker(with_previews=True)
    watched = _chain(weights).run(_rows(2), watch=onlooker)
    assert np.array_equal(watched["image"], _chain(weights).run(_rows(2))["image"])
    assert onlooker.steps == [(number, 10) for number in range(1, 11)]
    assert {preview.shape for preview in onlooker.previews} == {(3, 96, 96 * SIZE[1] // SIZE[0], 3)}
    with pytest.raises(SamplingStopped):
        _chain(weights).run(_rows(2), watch=Onlooker(last=1))


def test_a_pose_outside_of_the_picture_fails_its_row_alone(weights: str) -> None:
    rows = _rows(3)
    rows["target_keypoints"][1, :, 0] += 1000
    made = _chain(weights).run(rows)
    assert made["error_code"].tolist() == ["", "no_pose", ""]
    assert made["error_detail"][1] == "target_keypoints: no joint of the pose lies in the picture"
    assert made["image"][0].any() and not made["image"][1].any()


def test_a_face_that_the_source_does_not_show_is_noted(weights: str) -> None:
    rows = _rows(2)
    rows["parse"][1][rows["parse"][1] == FACE] = 0
    notes = _chain(weights).run(rows)["notes"].tolist()
    assert notes[0] == "" and notes[1].startswith("face_not_visible: person: shows no face")


def test_settings_are_part_of_what_it_is(weights: str) -> None:
    made = [SynthesizeTruePose(size=SIZE, weights=weights, source_scale=scale).identity() for scale in (2.0, 3.0)]
    assert made[0] != made[1] and "weights" not in made[0]["settings"] and made[0]["digests"]["truepose"]
    with pytest.raises(ConfigError, match="mode: is 'best'"):
        SynthesizeTruePose(size=SIZE, weights=weights, mode="best")
    with pytest.raises(ConfigError, match="working_size: is 34x16"):
        SynthesizeTruePose(size=(34, 16), weights=weights).build(CPU)


def test_the_recipes_walk_from_source_and_pose_to_a_picture(weights: str) -> None:
    closet = truepose_closet_recipe(weights=weights)
    large = truepose_recipe(weights=weights, parser=None, pose=None)
    for recipe, size in ((closet, (128, 96)), (large, (32, 16))):  # that of the weights
        assert (recipe.task, recipe.model, recipe.size) == ("pose_transfer", "truepose", size)
        names = [stage.name for stage in recipe.stages]
        assert names == ["fetch", "decode", "parse", "target", "synthesize", "encode"]
    assert closet.fingerprint() != replace(closet, stages=large.stages).fingerprint()
