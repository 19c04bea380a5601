"""What is no step is no part of a step's pace; what will be no step is told apart."""

from __future__ import annotations

import time

import pytest

from training.pace import Pace


def test_pauses_are_no_part_of_a_steps_seconds() -> None:
    begun = time.monotonic()
    pace = Pace(3, 10, {"validation": 5})
    with pace.waiting():
        time.sleep(0.02)
    with pace.pausing("validation"):
        time.sleep(0.1)
    paced = pace.at(5)
    assert 2 * paced.step_s + 0.1 <= time.monotonic() - begun
    assert 0.02 <= 2 * paced.waited_s <= 2 * paced.step_s


def test_pauses_to_come_are_those_that_are_due_and_the_one_at_the_end() -> None:
    pace = Pace(0, 10, {"validation": 4, "checkpoint": 0})
    assert pace.at(1).pauses_left_s == 0, "nobody knows yet"
    with pace.pausing("validation"):
        time.sleep(0.01)
    one_s = pace.at(10).pauses_left_s
    assert one_s >= 0.01
    for step, number in ((2, 3), (4, 3), (5, 2), (8, 2), (9, 1)):  # at 4, at 8 and at the end
        again = Pace(step - 1, 10, {"validation": 4})
        with again.pausing("validation"):
            time.sleep(0.01)
        left_s = again.at(step).pauses_left_s
        assert left_s / number == pytest.approx(again.at(10).pauses_left_s)
