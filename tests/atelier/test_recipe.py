"""Recipes as values: what decides a picture is in the fingerprint, what only packs it in the rendition."""

from __future__ import annotations

import dataclasses
import pickle
from collections.abc import Mapping

import pytest
import torch

from atelier import recipes
from atelier.errors import ConfigError
from atelier.models.viton_hd import InferenceOptions, VitonHD, VitonHDConfig
from atelier.recipe import Recipe
from atelier.stages.base import StageConfig
from atelier.stages.decode import Decode
from atelier.stages.encode import Encode
from atelier.stages.fetch import Fetch


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> str:
    return saved(tmp_path_factory, seed=0)


def saved(tmp_path_factory: pytest.TempPathFactory, *, seed: int) -> str:
    torch.manual_seed(seed)
    config = VitonHDConfig(
        working_size=(64, 32),
        segmentation_size=(32, 32),
        segmentation_widths=(2, 2),
        matching_size=(64, 64),
        matching_widths=(2, 2, 2, 2),
        regression_widths=(2, 2, 2, 2),
        alias_widths=(2, 2, 2),
        alias_hidden=2,
        alias_injected=2,
        num_misaligned_blocks=1,
    )
    folder = tmp_path_factory.mktemp("weights")
    VitonHD(config).save_pretrained(folder)
    return str(folder)


def of(weights: str, **changes: object) -> Recipe:
    recipe = recipes.try_on(
        name="tiny", size=(64, 32), weights=weights, parser=None, pose=None, repaint=False, batch_size=2
    )
    return dataclasses.replace(recipe, **changes)


def with_stage(recipe: Recipe, stage: StageConfig) -> Recipe:
    stages = tuple(stage if s.name == stage.name else s for s in recipe.stages)
    return dataclasses.replace(recipe, stages=stages)


def test_the_way_of_a_row(weights: str) -> None:
    recipe = of(weights)
    names = ["fetch", "decode", "parse", "pose", "agnostic", "layout", "warp", "synthesize", "inspect", "encode"]
    assert recipe.stage_names == tuple(names)
    assert recipe.before("layout").stage_names == tuple(names[:5])
    assert recipe.after("fetch").stage_names == tuple(names[1:])
    with pytest.raises(ConfigError, match="no stage 'sample'"):
        recipe.before("sample")


def test_every_stage_reads_what_the_ones_before_it_wrote(weights: str) -> None:
    known = {"item_id", "variant", "task", "seed", "prompt", *(f"{name}_address" for name in ("person", "garment"))}
    for stage in of(weights).build().stages:
        assert set(stage.reads) <= known, stage.name
        known |= set(stage.writes)
        assert set(stage.blank()) == set(stage.writes), stage.name


def test_the_fingerprint_holds_settings_and_weights_and_no_path(
    weights: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    recipe = of(weights)
    assert recipe.fingerprint() == of(weights).fingerprint() == pickle.loads(pickle.dumps(recipe)).fingerprint()  # noqa: S301
    assert recipe.fingerprint() == of(saved(tmp_path_factory, seed=0)).fingerprint()
    assert recipe.fingerprint() != of(saved(tmp_path_factory, seed=1)).fingerprint()
    assert recipe.fingerprint() != of(weights, size=(64, 64)).fingerprint()
    assert recipe.fingerprint() == of(weights, name="other", batch_size=8).fingerprint()
    options = InferenceOptions(bfloat16=True)
    layout = next(stage for stage in recipe.stages if stage.name == "layout")
    assert recipe.fingerprint() != with_stage(recipe, dataclasses.replace(layout, options=options)).fingerprint()


def test_packing_is_a_rendition_and_fetching_is_nothing(weights: str) -> None:
    recipe = of(weights)
    smaller = with_stage(recipe, Encode(quality=70))
    assert smaller.fingerprint() == recipe.fingerprint() and smaller.rendition() != recipe.rendition()
    fetch = next(stage for stage in recipe.stages if isinstance(stage, Fetch))
    slower = with_stage(recipe, dataclasses.replace(fetch, num_threads=1, max_bytes=10))
    assert slower.fingerprint() == recipe.fingerprint() and slower.rendition() == recipe.rendition()


def test_a_new_version_of_the_code_makes_pictures_anew(weights: str) -> None:
    class Decoded(Decode):
        version = 2

    recipe = of(weights)
    assert with_stage(recipe, Decoded(size=(64, 32))).fingerprint() != recipe.fingerprint()


def test_digests_name_every_weight(weights: str) -> None:
    digests: Mapping[str, str] = of(weights).digests()
    assert list(digests) == ["viton_hd"] and len(digests["viton_hd"]) == 64


def test_contradictions_are_refused(weights: str) -> None:
    recipe = of(weights)
    with pytest.raises(ConfigError, match=r"\['encode'\] stand in it twice"):
        dataclasses.replace(recipe, stages=(*recipe.stages, Encode()))
    with pytest.raises(ConfigError, match="batch_size is 0"):
        of(weights, batch_size=0)


def test_recipes_go_by_name() -> None:
    recipe = recipes.named("viton_hd_closet")
    assert (recipe.task, recipe.size, recipe.batch_size) == ("try_on", (256, 192), 4)
    assert recipe.inputs == ("person", "garment")
    with pytest.raises(ConfigError, match="viton_hd_closet"):
        recipes.named("viton")


def test_the_published_recipe_is_the_paper_s(weights: str) -> None:
    recipe = recipes.viton_hd(weights=weights, parser=None, pose=None)
    assert recipe.size == (1024, 768)
    synthesize = next(stage for stage in recipe.stages if stage.name == "synthesize")
    assert synthesize.identity()["settings"]["repaint"] is False
