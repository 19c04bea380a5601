"""Pictures made from the page: side by side, step by step, and what is said where something is wrong."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from atelier.images import decode_picture
from serving.api.api import create_api
from serving.jobs.sql import SqlJobs
from serving.keys import KeyRing
from serving.models.client import LocalModel
from serving.models.family import ModelFamily
from serving.settings import ModelSettings, ServeSettings
from tests.serving.browser import Browser
from tests.serving.held import held
from tests.serving.page.loopback import FOCUSED, IN_A_BROWSER, READY, SHOWN, STATUS, on_loopback

pytestmark = IN_A_BROWSER


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
        page.run(swap.replace("new File([blob]", "new File(['no picture']").replace("shirt.jpg", "text.jpg"))
        page.wait(f"{status}.textContent.startsWith('text.jpg cannot be shown')")
        page.wait("document.getElementById('chosen-person').src === ''")

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
