"""The shipped parser and keypoint network refuse what is no person, and nobody who is one."""

from __future__ import annotations

import pytest

from atelier.closet.negatives import KINDS
from atelier.evaluation.refusals import PEOPLE, SWAPPED, Refused, judge_refusals, refusals_table


@pytest.fixture(scope="module")
def judged() -> dict[str, Refused]:
    """A few of each kind; docs/results.md has the figures of many."""
    return judge_refusals(parser="parser_closet", pose="pose_closet", num_people=4, num_others=3, size=(256, 192))


def test_every_kind_is_judged_and_told(judged: dict[str, Refused]) -> None:
    assert set(judged) == {*PEOPLE, SWAPPED, *KINDS}
    table = refusals_table(judged)
    assert all(kind.replace("_", " ") in table for kind in judged)


def test_people_are_never_refused(judged: dict[str, Refused]) -> None:
    assert [judged[kind].share for kind in PEOPLE] == [0, 0]


@pytest.mark.parametrize("kind", [SWAPPED, "flat_lay", "collage", "studio", "invisible"])
def test_pictures_without_a_person_are_refused_as_such(judged: dict[str, Refused], kind: str) -> None:
    assert judged[kind].by_code == {"no_person": judged[kind].num_pictures}


def test_two_people_are_told_from_none(judged: dict[str, Refused]) -> None:
    assert judged["crowd"].by_code.get("several_people", 0) >= 2
