"""Weights of another model are refused by their config, folder and both models named, before anything is built."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from atelier import recipes
from atelier.errors import ConfigError, WeightsError
from atelier.models.human_diffusion import human_diffusion_closet
from atelier.models.layers.config import DIGESTS
from atelier.models.pidm import pidm_closet
from atelier.models.truepose import truepose_closet
from atelier.recipe import Recipe
from atelier.weights import write_folder

RIGHT = {"pidm": pidm_closet(), "truepose": truepose_closet(), "human_diffusion": human_diffusion_closet()}


def recipe_of(model: str, weights: str) -> Recipe:
    if model == "pidm":
        return recipes.pidm(weights=weights, parser=None, pose=None)
    if model == "truepose":
        return recipes.truepose(weights=weights, parser=None, pose=None)
    return recipes.text_to_person(name="told", size=(128, 96), weights=weights, memory=None, mode="fast", batch_size=1)


@pytest.mark.parametrize("model", RIGHT)
def test_a_config_of_the_right_model_is_taken(model: str, tmp_path: Path) -> None:
    write_folder(tmp_path, {**RIGHT[model].to_json(), DIGESTS: {}}, {})
    recipe_of(model, str(tmp_path)).check()


@pytest.mark.parametrize("model", RIGHT)
def test_weights_of_another_model_are_refused(model: str) -> None:
    with pytest.raises(ConfigError, match=f"viton_hd_closet: model: is 'viton_hd', must be '{model}'"):
        recipe_of(model, "viton_hd_closet").check()


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (
            lambda: recipes.viton_hd_closet(weights="pose_closet"),
            "pose_closet: model: is 'pose_net', must be 'viton_hd'",
        ),
        (lambda: recipes.viton_hd_closet(parser="pose_closet"), "pose_closet: .*model is 'pose_net'; a parser's is"),
        (lambda: recipes.viton_hd_closet(pose="parser_closet"), "parser_closet: .*model is 'parsing_net'; must be"),
        (
            lambda: recipes.pidm_closet(weights="viton_hd_closet"),
            "viton_hd_closet: model: is 'viton_hd', must be 'pidm'",
        ),
    ],
)
def test_every_kind_of_weights_is_held_to_its_stage(make: Callable[[], Recipe], said: str) -> None:
    with pytest.raises((ConfigError, WeightsError), match=said):
        make().check()


def test_a_memory_is_held_to_be_one(tmp_path: Path) -> None:
    write_folder(tmp_path, human_diffusion_closet().to_json(), {})
    told = recipes.human_diffusion_closet(weights=str(tmp_path), memory="parser_closet")
    with pytest.raises(WeightsError, match="model: is 'parsing_net', must be 'stylized_memory'"):
        told.check()
