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
from atelier.models.human_diffusion import human_diffusion
from atelier.models.pidm import Pidm, pidm_256, pidm_512, pidm_closet
from atelier.models.truepose import truepose
from atelier.recipe import Recipe
from atelier.skeletons import write_openpose
from atelier.stages.chain import new_batch
from atelier.stages.pidm import SynthesizePidm
from atelier.weights import write_folder
from pipelines import jobs
from serving.offered import offered
from tests.parity.fill import fill, keys_of

SIZE = (128, 96)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> str:
    tiny = replace(pidm_closet(), patch=1, width=8, multipliers=(1, 2), texture_strides=(), num_groups=4)
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


def test_the_released_weights_see_squares(tmp_path: Path) -> None:
    write_folder(tmp_path, pidm_256().to_json(), {})
    released = recipes.pidm(weights=str(tmp_path), parser=None, pose=None)
    synthesize = next(stage for stage in released.stages if isinstance(stage, SynthesizePidm))
    assert (released.size, synthesize.network_size, synthesize.mode) == ((256, 176), (256, 256), "quality")
    assert "parse" not in released.stage_names and released.task == "pose_transfer" and released.model == "pidm"


def large(weights: str, folder: Path) -> str:
    """Those weights as `convert pidm --size 512x352` writes them."""
    model = Pidm.from_pretrained(weights)
    model.config = replace(model.config, working_size=pidm_512().working_size)
    model.save_pretrained(folder)
    return str(folder)


def test_weights_of_the_large_size_are_for_the_large_size(weights: str, tmp_path: Path) -> None:
    """By the job and by the recipe that the service is told of."""
    folder = large(weights, tmp_path)
    job = jobs.named("published", pidm=folder, parser="parser_closet", pose="pose_closet")
    served = offered("pidm", {"weights": folder, "parser": "parser_closet", "pose": "pose_closet"})
    for recipe in (job.recipes[0], served):
        assert recipe.size == (512, 352) and recipe.batch_size == 4
        sizes = [size for stage in recipe.stages if isinstance(size := getattr(stage, "size", None), tuple)]
        assert len(sizes) >= 4 and set(sizes) == {(512, 352)}
        synthesize = next(stage for stage in recipe.stages if isinstance(stage, SynthesizePidm))
        assert synthesize.network_size is None and synthesize.size == (512, 352)


@pytest.mark.long
def test_weights_of_the_large_size_make_the_large_size(weights: str, tmp_path: Path) -> None:
    job = jobs.named("published", pidm=large(weights, tmp_path), parser="parser_closet", pose="pose_closet")
    look = draw_look(person=1, outfit=outfit_for(2), pose=3, size=(512, 352))
    batch = _run(job.recipes[0].in_mode("fast"), look.image, write_openpose(look.keypoints))
    assert batch["error_code"][0] == "" and batch["image"].shape[1:] == (512, 352, 3)


def test_other_systems_make_the_size_of_their_weights(tmp_path: Path) -> None:
    wide = replace(truepose(), working_size=(512, 512))
    write_folder(tmp_path / "truepose", wide.to_json(), {})
    assert recipes.truepose(weights=str(tmp_path / "truepose"), parser=None, pose=None).size == (512, 512)
    tall = replace(human_diffusion(), working_size=(768, 384))
    write_folder(tmp_path / "words", tall.to_json(), {})
    assert recipes.human_diffusion(weights=str(tmp_path / "words"), memory=None).size == (768, 384)
