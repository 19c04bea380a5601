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


def ended(status: Status, code: str = "") -> Outcome:
    return Outcome(item_id="shoe-1", variant=0, task="try_on", recipe="toy", status=status, code=code, stage="decode")


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    """What JSON mode writes to stdout."""
    stdout = io.StringIO()
    configure("json", stdout)
    yield stdout
    logging.getLogger("pipelines").handlers.clear()


def test_off_a_terminal_it_ends_with_a_plain_line() -> None:
    said = io.StringIO()
    with RunProgress(3, console=Console(file=said)) as progress:
        progress.ended([ended("ok"), ended("rejected", "picture_truncated")])
        progress.ended([ended("ok")])

    assert said.getvalue().startswith("3 of 3 units, 2 ok, 1 rejected")
    assert "\x1b" not in said.getvalue()


def test_on_a_terminal_it_draws_a_bar() -> None:
    said = io.StringIO()
    with RunProgress(2, console=Console(file=said, force_terminal=True, width=120)) as progress:
        progress.ended([ended("ok")])
        progress.ended([ended("ok")])

    assert "2/2" in said.getvalue()
    assert "0 s left" in said.getvalue()


def test_machines_get_an_object_a_line(lines: io.StringIO) -> None:
    with RunProgress(2, console=Console(quiet=True)) as progress:
        progress.ended([ended("ok"), ended("failed", "worker_died")])
    event("finished", "2 units", units=2)

    row, counts, last = (json.loads(line) for line in lines.getvalue().splitlines())
    assert (row["event"], row["item_id"], row["code"]) == ("row", "shoe-1", "worker_died")
    assert (counts["event"], counts["ended"], counts["counts"]) == ("progress", 2, {"ok": 1, "failed": 1})
    assert (last["event"], last["message"], last["units"], last["level"]) == ("finished", "2 units", 2, "info")
