"""What a run tells people and machines."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest
from rich.console import Console

from atelier.rows import Outcome, Status
from pipelines.logs import configure, event
from pipelines.progress import RunProgress


def ended(status: Status, code: str = "", recipe: str = "toy") -> Outcome:
    return Outcome(item_id="shoe-1", variant=0, task="try_on", recipe=recipe, status=status, code=code, stage="decode")


class Clock:
    """Stands until it is put on."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    """What JSON mode writes to stdout."""
    stdout = io.StringIO()
    configure("json", stdout)
    yield stdout
    logging.getLogger("pipelines").handlers.clear()


def test_off_a_terminal_it_ends_with_a_plain_line() -> None:
    said = io.StringIO()
    with RunProgress({"toy": 3}, console=Console(file=said)) as progress:
        progress.ended([ended("ok"), ended("rejected", "picture_truncated")])
        progress.ended([ended("ok")])

    assert said.getvalue().startswith("3 of 3 units, 2 ok, 1 rejected")
    assert "\x1b" not in said.getvalue()


def test_on_a_terminal_it_draws_a_bar() -> None:
    said, clock = io.StringIO(), Clock()
    console = Console(file=said, force_terminal=True, width=120)
    with RunProgress({"toy": 10}, console=console, clock=clock) as progress:
        progress.ended([ended("ok")] * 2)
        clock.now = 8.0
        progress.ended([ended("ok")] * 4)

    assert "6/10" in said.getvalue()
    assert "30.0 a minute, 8 s left" in said.getvalue()


def test_blocks_that_end_together_are_no_pace() -> None:
    clock = Clock()
    progress = RunProgress({"toy": 53}, console=Console(quiet=True), clock=clock)
    progress.ended([ended("ok")] * 10)
    clock.now = 0.01
    progress.ended([ended("rejected")] * 10)
    assert progress.rate(clock.now) is None and progress.left_s(clock.now) is None
    clock.now = 10.0
    assert progress.rate(clock.now) == 1 and progress.left_s(clock.now) == 33
    clock.now = 100.0
    assert progress.left_s(clock.now) == 330, "it grows while nothing ends"


def test_each_recipe_has_a_pace_of_its_own() -> None:
    said, clock = io.StringIO(), Clock()
    progress = RunProgress({"quick": 20, "slow": 3}, console=Console(file=said, width=200), clock=clock)
    progress.ended([ended("ok", recipe="quick")] * 10)
    clock.now = 10.0
    progress.ended([ended("ok", recipe="quick")] * 5)
    assert said.getvalue().splitlines()[-1] == "15 of 23 units, 15 ok, 30.0 a minute, at least 10 s left"

    progress.ended([ended("ok", recipe="quick")] * 5)
    clock.now = 200.0
    progress.ended([ended("ok", recipe="slow")])
    assert progress.left_s(clock.now) is None, "of the slow one nothing is known yet"
    clock.now = 300.0
    progress.ended([ended("ok", recipe="slow")])
    assert said.getvalue().splitlines()[-1] == "22 of 23 units, 22 ok, 0.6 a minute, 1 min 40 s left"


def test_what_ended_long_ago_is_no_pace_any_more() -> None:
    clock = Clock()
    progress = RunProgress({"toy": 1000}, console=Console(quiet=True), clock=clock)
    for now in range(100):
        clock.now = float(now)
        progress.ended([ended("ok")])
    for now in range(400, 1000, 60):
        clock.now = float(now)
        progress.ended([ended("ok")])
    assert progress.rate(clock.now) == pytest.approx(1 / 60)


def test_machines_get_an_object_a_line(lines: io.StringIO) -> None:
    with RunProgress({"toy": 2}, console=Console(quiet=True)) as progress:
        progress.ended([ended("ok"), ended("failed", "worker_died")])
    event("finished", "2 units", units=2)

    row, counts, last = (json.loads(line) for line in lines.getvalue().splitlines())
    assert (row["event"], row["item_id"], row["code"]) == ("row", "shoe-1", "worker_died")
    assert (counts["event"], counts["ended"], counts["counts"]) == ("progress", 2, {"ok": 1, "failed": 1})
    assert (counts["rate"], counts["left_s"]) == (None, None)
    assert (last["event"], last["message"], last["units"], last["level"]) == ("finished", "2 units", 2, "info")
