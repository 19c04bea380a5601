"""What is shown as chosen on the page is what is sent, however slow the line."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.serving.browser import Browser
from tests.serving.page.loopback import FOCUSED, IN_A_BROWSER, READY, STATUS

pytestmark = IN_A_BROWSER

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
