"""The page by keyboard on a phone."""

from __future__ import annotations

from pathlib import Path

from serving.api.api import create_api
from serving.jobs.sql import SqlJobs
from serving.models.asked import Answer, Ask, ModelCard, Refusal
from serving.models.client import LocalModel
from serving.models.family import ModelFamily, card_of
from serving.models.watching import Told
from serving.settings import ModelSettings, ServeSettings
from tests.serving.browser import Browser
from tests.serving.page.loopback import FOCUSED, IN_A_BROWSER, READY, SHOWN, STATUS, on_loopback

pytestmark = IN_A_BROWSER


def test_by_keyboard_on_a_phone(address: str, tmp_path: Path) -> None:
    with Browser(tmp_path / "profile", width=390, height=844) as page:
        page.open(address)
        page.wait(READY)
        assert page.run("document.documentElement.scrollWidth") <= 390, "nothing may stick out to the side"
        way = []
        while not way or way[-1] != "make":
            page.press("Tab")
            way.append(page.run(FOCUSED))
            if way[-1] == "closet-garment":
                page.press("ArrowRight")
            assert len(way) < 30, way
        page.wait("document.getElementById('name-garment').textContent === 'closet garment 2'")
        page.press("Enter")
        page.wait(f"{SHOWN} === 2")
        page.wait(f"({FOCUSED}) === 'make'")
        of = page.run("document.getElementById('made-of').textContent")

    hint = "viton_hd_closet draws little by chance: its pictures of several seeds hardly differ"
    assert of == f"closet person 1 · closet garment 2 · {hint}"
    assert [name for name in way if name != "INPUT"] == [
        "file-person",
        "closet-person",
        "file-garment",
        "closet-garment",
        "seed",
        "dice",
        "samples",
        "format",
        "make",
    ]


class First:
    """The model that a task is made by where none is named; it makes nothing."""

    def __init__(self, settings: ModelSettings) -> None:
        self._card = card_of(settings)

    async def card(self) -> ModelCard:
        return self._card

    async def make(self, ask: Ask, told: Told | None = None) -> Answer:
        return Answer(
            recipe="truepose_closet",
            refusal=Refusal(fault="rejected", code="field_invalid", detail="the first was asked"),
        )


def test_a_model_is_chosen_by_keyboard_on_a_phone(
    settings: ServeSettings,
    model: LocalModel,
    stepping_settings: ModelSettings,
    stepping: ModelFamily,
    tmp_path: Path,
) -> None:
    first = ModelSettings(recipe="truepose_closet", batch_size=1)
    models = (first, settings.models[0], stepping_settings)
    told = settings.model_copy(update={"models": models})
    by_recipe = {
        "truepose_closet": First(first),
        "viton_hd_closet": model,
        "pidm_closet": LocalModel(stepping),
    }
    row = "document.getElementById('model-row')"
    offered = "[...document.getElementById('model').options].map((one) => [one.value, one.selected])"
    modes = "[...document.getElementById('mode').options].map((one) => [one.value, one.selected])"
    with (
        on_loopback(create_api(told, by_recipe, SqlJobs(told.database))) as address,
        Browser(tmp_path / "profile", width=390, height=844) as page,
    ):
        page.open(address)
        page.wait("['person', 'pose'].every((name) => document.getElementById(`chosen-${name}`)?.naturalWidth > 0)")
        page.wait(f"!{row}.hidden")
        before = page.run(f"[{offered}, {modes}]")
        page.run("document.getElementById('make').click()")
        page.wait(f"{STATUS}.startsWith('the first was asked')")

        page.run("document.getElementById('task').focus()")
        page.press("Tab")
        focused = page.run(FOCUSED)
        page.press("ArrowRight")
        after = page.run(f"[{offered}, {modes}]")
        width = page.run("document.documentElement.scrollWidth")
        page.run("document.getElementById('make').click()")
        page.wait(f"{SHOWN} === 2")
        page.wait(f"{STATUS}.startsWith('Made in')")
        made = page.run(STATUS)

        page.run("task.value = 'try_on'; task.dispatchEvent(new Event('change'))")
        hidden = page.run(f"{row}.hidden")

    assert before == [
        [["truepose_closet", True], ["pidm_closet", False]],
        [["quality", False], ["balanced", True], ["fast", False]],
    ]
    assert focused == "model" and width <= 390
    assert after == [
        [["truepose_closet", False], ["pidm_closet", True]],
        [["quality", False], ["balanced", False], ["fast", True]],
    ]
    assert made.endswith("by pidm_closet, fast.")
    assert hidden, "try-on has one model"


def test_a_pose_map_in_other_clothes_by_keyboard_on_a_phone(settings: ServeSettings, tmp_path: Path) -> None:
    model = ModelSettings(recipe="human_diffusion_closet", weights={"mode": "fast"}, batch_size=1)
    told = settings.model_copy(update={"models": (model,)})
    previews = "[...document.querySelectorAll('#inputs .closet img')]"
    name, prompt = "document.getElementById('name-pose_map').textContent", "document.getElementById('prompt')"
    family = LocalModel(ModelFamily(model))
    with (
        on_loopback(create_api(told, {"human_diffusion_closet": family}, SqlJobs(told.database))) as address,
        Browser(tmp_path / "profile", width=390, height=844) as page,
    ):
        page.open(address)
        page.wait(f"{previews}.length === 14 && {previews}.every((one) => one.naturalWidth > 0)")
        plain = page.run(f"{prompt}.value")
        way = []
        while not way or way[-1] != "prompt":
            page.press("Tab")
            way.append(page.run(FOCUSED))
            if way[-1] in ("outfit-pose_map", "closet-pose_map"):
                page.press("ArrowRight")
            assert len(way) < 30, way
        page.wait(f"{name} === 'arms crossed dress'")
        page.wait(f"{previews}.every((one) => one.src.endsWith('_dress.png') && one.naturalWidth > 0)")
        assert page.run("document.documentElement.scrollWidth") <= 390, "nothing may stick out to the side"
        suggested = page.run(f"{prompt}.value")
        page.press("Enter")
        page.wait(f"{SHOWN} === 2")
        of = page.run("document.getElementById('made-of').textContent")
        captions = page.run("[...document.querySelectorAll('#made p')].map((line) => line.textContent)")
        page.run(f"{prompt}.value = 'a person in a green dress'")
        skirt = "const select = document.getElementById('outfit-pose_map'); select.value = 'skirt';"
        page.run(f"{{ {skirt} select.dispatchEvent(new Event('change')); }}")
        page.wait(f"{name} === 'arms crossed skirt'")
        kept = page.run(f"{prompt}.value")
        page.run("document.getElementById('make').click()")
        page.wait("document.querySelector('#made p + p') !== null")
        note = page.run("document.querySelector('#made p + p').textContent")

    assert way == ["file-pose_map", "outfit-pose_map", "closet-pose_map", "prompt"]
    assert plain.endswith("T-shirt with navy trousers") and suggested.endswith("dress")
    assert [caption.partition(" ")[0] for caption in captions] == ["seed", "seed"], "words and map fit: no notes"
    assert of == f"arms crossed dress · “{suggested}”"
    assert kept == "a person in a green dress" and note.startswith("'green dress' is said of dress, which the pose map")
    assert page.errors == []
