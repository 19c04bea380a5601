"""The loop that the job is measured against stores what it should, and the figures are made of what they say."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import catalogs
from benchmarks.fit import fit
from benchmarks.loops import Threads
from benchmarks.page import with_section
from benchmarks.protocol import check_same
from benchmarks.trial import Trial, measure

SIZE = (64, 48)


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> str:
    return catalogs.draw(tmp_path_factory.mktemp("drawn"), size=SIZE, items=2)


def loop(drawn: str, folder: Path, *, threads: Threads, rows: int = 6) -> Trial:
    folder.mkdir()
    catalog = catalogs.lengthen(drawn, rows)
    return Trial(
        system="prefetching",
        recipe="stand_in",
        rows=rows,
        catalog=catalog,
        folder=str(folder),
        seconds_per_row=0.001,
        size=SIZE,
        threads=threads,
    )


def test_loop_stores_each_row_once_whatever_its_threads(drawn: str, tmp_path: Path) -> None:
    one = measure(loop(drawn, tmp_path / "one", threads=Threads()))
    more = measure(loop(drawn, tmp_path / "more", threads=Threads(prepare=2, compute=2, finish=2)))
    assert len(one.pictures) == 2 * 6  # a master and a rendition each: two items, but six seeds
    check_same(one.pictures, more.pictures, "prefetching")


def test_stand_in_is_busy_for_as_long_as_it_says(drawn: str, tmp_path: Path) -> None:
    measured = measure(loop(drawn, tmp_path / "busy", threads=Threads()))
    assert measured.busy_s >= 2 * 4 * 0.001  # two batches of four, the second padded
    assert measured.wall_s == pytest.approx(measured.head_s + measured.span_s + measured.tail_s)


def test_other_pictures_are_void() -> None:
    with pytest.raises(ValueError, match=r"job stored other pictures: 1 missing, 0 too many, 1 of other bytes"):
        check_same({"a": "1", "b": "2"}, {"a": "3"}, "job")


def test_line_of_two_lengths() -> None:
    line = fit([(10, 3.0), (30, 5.0)])
    assert (line.fixed_s, line.marginal_s) == pytest.approx((2.0, 0.1))
    with pytest.raises(ValueError, match="at least two different numbers of rows"):
        fit([(10, 3.0), (10, 4.0)])


def test_section_of_a_page_is_replaced_alone() -> None:
    page = "before\n<!-- plan -->\nold\n<!-- /plan -->\nafter\n"
    assert with_section(page, "plan", "new") == "before\n<!-- plan -->\n\nnew\n\n<!-- /plan -->\nafter\n"
    with pytest.raises(ValueError, match="has no section 'batch'"):
        with_section(page, "batch", "new")
