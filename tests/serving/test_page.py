"""The page in a real browser: by mouse, by keyboard, on a phone, and where something is wrong."""

from __future__ import annotations

import dataclasses
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import uvicorn
from fastapi import FastAPI

from atelier.images import decode_picture
from serving.api.api import create_api
from serving.jobs.sql import SqlJobs
from serving.keys import KeyRing
from serving.models.asked import Answer, Ask, ModelCard, Refusal
from serving.models.client import LocalModel
from serving.models.family import ModelFamily, card_of
from serving.models.watching import Told
from serving.settings import ModelSettings, ServeSettings
from tests.serving import browser
from tests.serving.browser import Browser
from tests.serving.held import held

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(browser.PROGRAM is None, reason="there is no Chromium"),
]
SHOWN = "document.querySelectorAll('#made img').length"
STATUS = "document.getElementById('status').textContent"
FOCUSED = "document.activeElement.id || document.activeElement.name || document.activeElement.tagName"
SLOW_CLOSET = """
    window.sent = []; window.slow = {}; window.away = null;
    const real = window.fetch;
    const told = (status, detail) => new Response(JSON.stringify({detail}), {status});
    window.fetch = async (address, options = {}) => {
        const number = String(address).match(/closet.garment.(\\d+)/)?.[1];
        if (number) await new Promise((resolve) => { setTimeout(resolve, window.slow[number] ?? 800); });
        if (number && number === window.away) return told(503, "busy");
        if (!String(address).startsWith("/v1/jobs")) return real(address, options);
        window.sent.push(options.body.get("garment"));
        return told(422, `heard ${window.sent.length}`);
    };
    window.isSent = async (address) => {
        const bytes = async (one) => String(new Uint8Array(await one.arrayBuffer()));
        return await bytes(window.sent.at(-1)) === await bytes(await real(address));
    };
"""
"""The closet's garments come late, by number; what would be asked for is kept in `sent` instead."""
READY = "['person', 'garment'].every((name) => document.getElementById(`chosen-${name}`)?.naturalWidth > 0)"


@pytest.fixture(scope="module")
def settings(tiny: Callable[[int], str], tmp_path_factory: pytest.TempPathFactory) -> ServeSettings:
    folder = tmp_path_factory.mktemp("page")
    model = ModelSettings(recipe="viton_hd_closet", weights={"weights": tiny(0)}, batch_size=1)
    names = {"store": "store", "database": "jobs.sqlite", "keys": "keys.json"}
    return ServeSettings(models=(model,), anonymous=True, **{name: str(folder / file) for name, file in names.items()})


@pytest.fixture(scope="module")
def model(settings: ServeSettings) -> LocalModel:
    return LocalModel(ModelFamily(settings.models[0]))


@contextmanager
def on_loopback(app: FastAPI) -> Iterator[str]:
    """The address of an application that listens."""
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_level="critical"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}/"
    finally:
        server.should_exit = True
        thread.join(20)


@pytest.fixture
def address(settings: ServeSettings, model: LocalModel, request: pytest.FixtureRequest) -> Iterator[str]:
    """A service on loopback, with keys where the test is parametrized so."""
    told = settings.model_copy(update=getattr(request, "param", {}))
    with on_loopback(create_api(told, {"viton_hd_closet": model}, SqlJobs(told.database))) as address:
        yield address


def test_two_seeds_side_by_side_and_each_can_be_downloaded(address: str, tmp_path: Path) -> None:
    with Browser(tmp_path / "profile", width=1000, height=1100) as page:
        page.open(address)
        page.wait(READY)
        assert page.run("document.getElementById('mode-row').hidden"), "try-on has no modes"
        page.run("document.querySelectorAll('[name=closet-garment]')[2].click()")
        page.wait("document.getElementById('name-garment').textContent === 'closet garment 3'")
        page.run("document.getElementById('make').click()")
        page.wait(f"{SHOWN} === 2")
        seeds = page.run("[...document.querySelectorAll('#made figcaption')].map((caption) => caption.textContent)")
        page.call("Page.setDownloadBehavior", behavior="allow", downloadPath=str(tmp_path))
        page.run("document.querySelector('#made a').click()")
        for _ in range(100):
            if (tmp_path / "atelier-7.jpg").is_file():
                break
            time.sleep(0.1)

    assert seeds[0].startswith("seed 7") and len(set(seeds)) == 2
    assert decode_picture((tmp_path / "atelier-7.jpg").read_bytes()).shape == (256, 192, 3)
    assert page.errors == []


def test_steps_are_watched_and_what_is_coming_is_shown(
    settings: ServeSettings, stepping_settings: ModelSettings, stepping: ModelFamily, tmp_path: Path
) -> None:
    told = settings.model_copy(update={"models": (stepping_settings,)})
    captions = "[...document.querySelectorAll('#coming figcaption')].map((caption) => caption.textContent)"
    first, second = (f"document.querySelectorAll('#coming img')[{number}]" for number in (0, 1))
    with (
        on_loopback(create_api(told, {"pidm_closet": LocalModel(stepping)}, SqlJobs(told.database))) as address,
        Browser(tmp_path / "profile", width=390, height=844) as page,
    ):
        page.open(address)
        page.wait("['person', 'pose'].every((name) => document.getElementById(`chosen-${name}`)?.naturalWidth > 0)")
        with held(stepping, 5, 8) as denoiser:
            page.run("document.getElementById('make').click()")
            page.wait(f"{captions}[1]?.startsWith('step 4 of 10')")
            page.wait(f"{first}.naturalHeight === 96 && {second}.naturalHeight === 96")
            early = page.run(f"[{first}.src, {second}.src]")
            bars = page.run("[...document.querySelectorAll('#coming progress')].map((bar) => bar.value)")
            assert page.run("document.documentElement.scrollWidth") <= 390, "nothing may stick out to the side"
            denoiser.let(5)
            page.wait(f"{captions}[1]?.startsWith('step 7 of 10')")
            page.wait(f"{first}.src !== {json.dumps(early[0])} && {second}.src !== {json.dumps(early[1])}")
        page.wait(f"{SHOWN} === 2 && document.getElementById('coming-section').hidden")
        page.wait("document.getElementById('status').textContent.startsWith('Made in')")

        modes = page.run("[...document.getElementById('mode').options].map((one) => [one.value, one.selected])")
        page.run("document.getElementById('mode').value = 'balanced'")
        with held(stepping, 3) as denoiser:
            page.run("document.getElementById('make').click()")
            page.wait(f"{captions}[0]?.startsWith('step 2 of 20')")
            page.run("document.getElementById('cancel').click()")
            page.wait("document.getElementById('status').textContent === 'Cancelled.'")
            while stepping._batcher.running:
                time.sleep(0.01)
            denoiser.let(3)
            while stepping._batcher.busy_s:
                time.sleep(0.01)
            assert denoiser.calls == 3
        page.wait(f"{SHOWN} === 2")  # what was made before is still there

    assert bars == [0.4, 0.4] and len(set(early)) == 2
    assert modes == [["quality", False], ["balanced", False], ["fast", True]], "the model's own is chosen"
    assert page.errors == []
    for _ in range(100):
        left = [path for path in Path(told.store).rglob("*") if path.is_file()]
        if not left:
            break
        time.sleep(0.1)
    assert left == [], "nothing of a shopper stays"


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


@pytest.fixture
def slow(address: str, tmp_path: Path) -> Iterator[Browser]:
    """The page, where the closet's garments come late."""
    with Browser(tmp_path / "profile", width=1000, height=1100) as page:
        page.open(address)
        page.wait(READY)
        page.run(SLOW_CLOSET)
        yield page


def choose(page: Browser, number: int) -> None:
    page.run(f"document.querySelectorAll('[name=closet-garment]')[{number}].click()")


def test_what_is_shown_as_chosen_is_made_at_any_speed(slow: Browser) -> None:
    slow.run("document.querySelector('[name=closet-garment]:checked').focus()")
    for key in ("ArrowRight", "ArrowRight", *["Tab"] * 5):
        slow.press(key)
    focused = slow.run(FOCUSED)
    slow.press("Enter")
    shown = slow.run("document.getElementById('name-garment').textContent")
    picture = slow.run("document.getElementById('chosen-garment').src")
    choose(slow, 6)  # too late: what was shown when Make was pressed is made
    slow.wait(f"{STATUS} === 'heard 1'")

    assert focused == "make" and shown == "closet garment 3" and picture.endswith("/closet/garment/2.jpg")
    assert slow.run("isSent('/closet/garment/2.jpg')")
    assert slow.errors == []


def test_an_earlier_choice_that_comes_late_changes_nothing(slow: Browser) -> None:
    own = (
        "() => { const files = new DataTransfer();"
        "files.items.add(new File(['mine'], 'shirt.jpg', {type: 'image/jpeg'}));"
        "const input = document.getElementById('file-garment'); input.files = files.files;"
        "input.dispatchEvent(new Event('change')); }"
    )
    name = "document.getElementById('name-garment').textContent"
    slow.run("slow = {1: 1500, 3: 0, 4: 1500}")
    choose(slow, 1)
    choose(slow, 3)
    time.sleep(2)
    assert slow.run(name) == "closet garment 4"
    slow.run("document.getElementById('make').click()")
    slow.wait(f"{STATUS} === 'heard 1'")
    assert slow.run("isSent('/closet/garment/3.jpg')")

    choose(slow, 4)
    slow.run(f"({own})()")
    time.sleep(2)
    assert slow.run(name) == "shirt.jpg"
    assert slow.run("document.querySelector('[name=closet-garment]:checked')") is None
    slow.run("document.getElementById('make').click()")
    slow.wait(f"{STATUS} === 'heard 2'")
    assert slow.run("sent[1].text()") == "mine"


def test_a_sample_that_cannot_be_fetched_is_told_and_no_other_is_sent(slow: Browser) -> None:
    slow.run("slow = {5: 0}; away = '5'")
    choose(slow, 5)
    slow.run("document.getElementById('make').click()")
    slow.wait("document.getElementById('status').classList.contains('bad')")
    said = slow.run(STATUS)
    assert said == "garment: closet garment 6 could not be fetched. Try again, or choose another."
    assert slow.run("sent.length") == 0

    slow.run("away = null; document.getElementById('make').click()")
    slow.wait(f"{STATUS} === 'heard 1'")
    assert slow.run("isSent('/closet/garment/5.jpg')")


class First:
    """The model that a task is made by where none is named; it has two modes, and makes nothing."""

    def __init__(self, settings: ModelSettings) -> None:
        self._card = dataclasses.replace(card_of(settings), modes=("quality", "balanced"))

    async def card(self) -> ModelCard:
        return self._card

    async def make(self, ask: Ask, told: Told | None = None) -> Answer:
        return Answer(
            recipe="truepose_closet",
            refusal=Refusal(fault="rejected", code="field_invalid", detail="the first was asked"),
        )


@pytest.mark.parametrize("anonymous", [True, False])
def test_a_model_is_chosen_by_keyboard_on_a_phone(
    settings: ServeSettings,
    model: LocalModel,
    stepping_settings: ModelSettings,
    stepping: ModelFamily,
    tmp_path: Path,
    anonymous: bool,
) -> None:
    first = ModelSettings(recipe="truepose_closet", batch_size=1)
    keys = str(tmp_path / "keys.json")
    models = (first, settings.models[0], stepping_settings)
    told = settings.model_copy(update={"models": models, "anonymous": anonymous, "keys": keys})
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
        if not anonymous:
            assert page.run(f"{row}.hidden"), "the list needs a key"
            key = KeyRing(keys).add("shop", ["make", "jobs", "models"])
            page.run(
                f"const key = document.getElementById('key'); key.value = '{key}';"
                "key.dispatchEvent(new Event('change'));"
            )
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
        [["quality", False], ["balanced", True]],
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
    assert kept == "a person in a green dress" and note.startswith("'green dress' is said of dress, which the pose map")
    assert page.errors == []


def test_what_is_wrong_is_said_on_the_page(address: str, tmp_path: Path) -> None:
    status = "document.getElementById('status')"
    swap = (
        "fetch('/closet/garment/0.jpg').then((answer) => answer.blob()).then((blob) => {"
        "const files = new DataTransfer(); files.items.add(new File([blob], 'shirt.jpg', {type: 'image/jpeg'}));"
        "const input = document.getElementById('file-person'); input.files = files.files;"
        "input.dispatchEvent(new Event('change'));})"
    )
    with Browser(tmp_path / "profile", width=1000, height=1100) as page:
        page.open(address)
        page.wait(READY)
        page.run(swap)
        page.wait("document.getElementById('name-person').textContent === 'shirt.jpg'")
        page.run("document.getElementById('make').click()")
        page.wait(f"{status}.classList.contains('bad')")
        said = page.run(f"{status}.textContent")
        page.run("document.getElementById('seed').value = 'x'; document.getElementById('make').click()")
        wrong = page.run(f"{status}.textContent")

    assert said.startswith("person: shows") and wrong.startswith("seed: must be a whole number")


@pytest.mark.parametrize("address", [{"anonymous": False}], indirect=True)
def test_the_page_asks_for_a_key_and_forgets_it_with_the_tab(
    address: str, settings: ServeSettings, tmp_path: Path
) -> None:
    hint = "document.getElementById('key-says')"
    key = KeyRing(settings.keys).add("shop", ["make"])  # which may not ask for jobs: it waits for the pictures
    with Browser(tmp_path / "profile", width=1000, height=1100) as page:
        page.open(address)
        page.wait(READY)
        assert not page.run("document.getElementById('key-row').hidden")
        page.run("document.getElementById('make').click()")
        absent = page.run(f"[{STATUS}, {FOCUSED}, {hint}.hidden, {hint}.textContent]")
        enter = "key.dispatchEvent(new Event('input')); key.dispatchEvent(new Event('change'));"
        page.run(f"key.value = 'atl_wrong'; {enter} document.getElementById('make').focus(); make.click()")
        page.wait(f"{STATUS}.startsWith('The key is')")
        wrong = page.run(f"[{FOCUSED}, {hint}.hidden]")
        page.run(f"key.value = '{key}'; {enter} make.click()")
        page.wait(f"{SHOWN} === 2")
        assert page.run(f"{hint}.hidden")
        assert page.run("Object.keys(localStorage).length + document.cookie.length") == 0
        assert page.run("sessionStorage.getItem('key')") == key
    assert absent == [
        "Making needs a key: put yours into the field “API key” at the top of the page.",
        "key",
        False,
        "Put your key here.",
    ]
    assert wrong == ["key", False]
