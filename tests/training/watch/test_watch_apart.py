"""A tracker whose server hangs holds no step, and what it was not told is said."""

from __future__ import annotations

import threading

import pytest

from training.watch.apart import Apart
from training.watch.observer import Observer, RunFacts, StepReport

FACTS = RunFacts(run="painter", first_step=0, num_steps=4, batch_size=4, settings={})


class Hanging(Observer):
    """Answers nothing until it is let go."""

    may_fail = True

    def __init__(self) -> None:
        self.let_go = threading.Event()
        self.heard: list[str] = []

    def started(self, facts: RunFacts) -> None:
        assert self.let_go.wait(60)
        self.heard.append(facts.run)

    def stepped(self, report: StepReport) -> None:
        self.heard.append(f"step {report.step}")
        if report.step == 2:
            raise ConnectionError("the server is away")

    def stopped(self, step: int, reason: str) -> None:
        self.heard.append(reason)


def step(number: int) -> StepReport:
    return StepReport(step=number, losses={}, samples_per_s=1.0, step_s=1.0)


def test_loop_goes_on_while_it_hangs_and_all_is_told_in_order(caplog: pytest.LogCaptureFixture) -> None:
    hanging = Hanging()
    apart = Apart(hanging, patience_s=60)
    apart.started(FACTS)
    for number in (1, 2, 3):
        apart.stepped(step(number))
    assert hanging.heard == []
    hanging.let_go.set()
    apart.stopped(3, "done")
    assert hanging.heard == ["painter", "step 1", "step 2", "step 3", "done"]
    assert [record.getMessage() for record in caplog.records] == [
        "Hanging failed; the run goes on, and no more is said of this: ConnectionError: the server is away"
    ]


def test_what_there_is_no_room_or_no_patience_for_is_counted(caplog: pytest.LogCaptureFixture) -> None:
    hanging = Hanging()
    apart = Apart(hanging, room=3, patience_s=0)
    for number in range(6):
        apart.stepped(step(10 + number)) if number else apart.started(FACTS)
    apart.stopped(15, "done")
    (record,) = caplog.records
    assert hanging.heard == []
    # Of seven things one may be in hand.
    assert record.getMessage() in [
        f"Hanging hangs: at least {missed} of the things it was told are missing there" for missed in (6, 7)
    ]
    hanging.let_go.set()
