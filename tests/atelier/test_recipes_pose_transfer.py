"""A person and a pose become a picture by PIDM's recipes, or are refused with a reason."""

from __future__ import annotations

from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from atelier import recipes
from atelier.closet import draw_look, outfit_for
from atelier.models.pidm import Pidm, pidm_closet
from atelier.recipe import Recipe
from atelier.skeletons import write_openpose
from atelier.stages.chain import new_batch
from atelier.stages.pidm import SynthesizePidm
from tests.parity.fill import fill, keys_of

SIZE = (128, 96)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> str:
    tiny = replace(pidm_closet(), width=8, multipliers=(1, 2), texture_strides=(), num_groups=4)
    model = Pidm(tiny)
    model.unet.load_state_dict(fill(keys_of(model.unet)))
    folder = tmp_path_factory.mktemp("pidm")
    model.save_pretrained(folder)
    return str(folder)


def _run(recipe: Recipe, person: np.ndarray, pose: bytes) -> dict[str, np.ndarray]:
    chain = replace(recipe.after("fetch").before("encode"), batch_size=1).build()
    file = BytesIO()
    Image.fromarray(person).save(file, "PNG")
    columns = {"item_id": ["a"], "variant": [np.int32(0)], "task": [recipe.task], "seed": [np.int64(1)]}
    return chain.run(new_batch({**columns, "person_bytes": [file.getvalue()], "pose_bytes": [pose]}))


def test_a_pose_comes_as_keypoints_or_as_a_picture(weights: str) -> None:
    source = draw_look(person=1, outfit=outfit_for(2), pose=3, size=SIZE)
    other = draw_look(person=4, outfit=outfit_for(5), pose=6, size=SIZE)
    recipe = recipes.pidm_closet(weights=weights, mode="fast")
    given = _run(recipe, source.image, write_openpose(other.keypoints))
    assert given["error_code"][0] == "" and given["image"][0].shape == (*SIZE, 3)
    np.testing.assert_allclose(given["target_keypoints"][0], other.keypoints, atol=0.01)
    file = BytesIO()
    Image.fromarray(other.image).save(file, "PNG")
    found = _run(recipe, source.image, file.getvalue())
    there = (other.keypoints[:, 2] > 0) & (found["target_keypoints"][0][:, 2] > 0)
    assert there.sum() > 10
    assert np.abs(found["target_keypoints"][0] - other.keypoints)[there, :2].mean() < 5


def test_a_picture_without_a_person_is_refused_in_words(weights: str) -> None:
    look = draw_look(person=1, outfit=outfit_for(2), pose=3, size=SIZE)
    empty = np.full((*SIZE, 3), 235, np.uint8)
    pose = write_openpose(look.keypoints)
    refused = _run(recipes.pidm_closet(weights=weights, mode="fast"), empty, pose)
    assert refused["error_code"][0] == "no_person" and "person:" in refused["error_detail"][0]


def test_coarse_weights_see_pictures_at_their_own_size(weights: str, tmp_path: Path) -> None:
    assert recipes.pidm_closet(weights=weights).stages[-2].identity()["settings"]["network_size"] is None
    model = Pidm.from_pretrained(weights)
    model.config = replace(model.config, working_size=(64, 48))
    model.save_pretrained(tmp_path)
    coarse = recipes.pidm_closet(weights=str(tmp_path))
    assert coarse.size == SIZE
    assert [
        stage.identity()["settings"].get(name)
        for stage, name in zip(coarse.stages[-3:-1], ("drawn_size", "network_size"), strict=True)
    ] == [[64, 48]] * 2


def test_the_released_weights_see_squares(weights: str) -> None:
    released = recipes.pidm(weights=weights, parser=None, pose=None)
    synthesize = next(stage for stage in released.stages if isinstance(stage, SynthesizePidm))
    assert (released.size, synthesize.network_size, synthesize.mode) == ((256, 176), (256, 256), "quality")
    assert "parse" not in released.stage_names and released.task == "pose_transfer" and released.model == "pidm"
    large = recipes.pidm(weights=weights, parser="parser_closet", pose=None, size=(512, 352))
    synthesize = next(stage for stage in large.stages if isinstance(stage, SynthesizePidm))
    assert synthesize.network_size is None and "parse" in large.stage_names
