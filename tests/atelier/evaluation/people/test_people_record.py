"""A judgement is written down whole: figures, differences, tables and a sheet, of weights beside other weights."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from atelier.errors import ConfigError
from atelier.evaluation.people.record import evaluate_people
from atelier.evaluation.people.scores import METRICS
from atelier.evaluation.people.systems import recipe_of
from atelier.models.pidm import Pidm, PidmConfig, pidm_closet
from atelier.recipe import Recipe
from tests.parity.fill import fill, keys_of

SIZE = (32, 32)
TINY = replace(pidm_closet(), patch=1, working_size=SIZE, width=8, multipliers=(1, 2), texture_strides=(), num_groups=4)


def _saved(config: PidmConfig, folder: Path) -> str:
    model = Pidm(config)
    model.unet.load_state_dict(fill(keys_of(model.unet)))
    model.save_pretrained(folder)
    return str(folder)


@pytest.mark.long
def test_weights_are_judged_beside_others_and_the_source(tmp_path: Path) -> None:
    recipes = {
        name: recipe_of("pidm", weights=_saved(replace(TINY, guidance=guidance), tmp_path / name), mode="fast")
        for name, guidance in (("pidm", "disentangled"), ("unguided", "none"))
    }
    text = evaluate_people(
        recipes, num_items=48, seed=0, parser="parser_closet", pose="pose_closet", out=tmp_path / "out"
    )
    record = json.loads((tmp_path / "out" / "eval.json").read_text())
    assert list(record["methods"]) == ["source copied", "pidm", "unguided"] and record["judged"] == "pidm"
    assert all(set(figures) == set(METRICS) for figures in record["methods"].values())
    assert set(record["differences"]) == {"source copied", "unguided"} and len(record["items"]) == 48
    ours, other = (record["methods"][name]["person_psnr"]["value"] for name in ("pidm", "unguided"))
    assert record["differences"]["unguided"]["person_psnr"]["value"] == pytest.approx(ours - other, abs=2e-4)
    assert record["digests"]["pidm"] != record["digests"]["instruments"] and record["seconds_per_picture"]["pidm"] > 0
    assert text == (tmp_path / "out" / "tables.md").read_text() and "| **pidm** |" in text
    with Image.open(tmp_path / "out" / "sheet.jpg") as sheet:
        assert sheet.width > 10 * SIZE[1]


def test_what_cannot_be_judged_is_refused(tmp_path: Path) -> None:
    recipe = recipe_of("pidm", weights=_saved(TINY, tmp_path / "one"), mode="fast")
    other = recipe_of("pidm", weights=_saved(replace(TINY, working_size=(160, 128)), tmp_path / "two"), mode="fast")
    out = tmp_path / "out"

    def judge(*recipes: Recipe, num_items: int = 48) -> None:
        named = {str(index): one for index, one in enumerate(recipes)}
        evaluate_people(named, num_items=num_items, seed=0, parser="parser_closet", pose="pose_closet", out=out)

    with pytest.raises(ConfigError, match="must be at least 48"):
        judge(recipe, num_items=10)
    with pytest.raises(ConfigError, match="must be of one task and working size"):
        judge(recipe, other)
    with pytest.raises(ConfigError, match="model: is 'gan'"):
        recipe_of("gan", weights="pidm_closet", mode="fast")
    assert not out.exists()
