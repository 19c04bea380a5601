from __future__ import annotations

import io
import re
import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from PIL import Image

from atelier import storage
from atelier.errors import LedgerError
from pipelines.ledger import Ledger
from pipelines.report import write_report
from pipelines.report.selection import Limits
from pipelines.report.thumbnails import BOX, thumbnails
from pipelines.runs import current_run, discard_plans, plan_folder
from pipelines.summary import summarize

if TYPE_CHECKING:
    from tests.pipelines.conftest import Studio


def ended(**fates: str):
    def fate(unit: Mapping[str, Any]) -> str:
        return fates.get(unit["item_id"], "ok")

    return fate


def picture(colour: str, size: tuple[int, int] = (60, 80)) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", size, colour).save(buffer, "png")
    return buffer.getvalue()


def cards(page: str) -> list[str]:
    return re.findall(r'<article class="card (\w+)" data-code="([\w ]+)" data-item="([^"]*)"', page)


def test_the_page_shows_inputs_and_result_and_is_self_contained(studio: Studio) -> None:
    studio.object("a.png", picture("red"))
    studio.object("garment.png", picture("blue"))
    studio.write_items("a")
    studio.run()
    for batch in Ledger(studio.output).latest(("picture",)):
        storage.put(f"{studio.output}/{batch.column('picture')[0]}", picture("lime"))
    page = Path(write_report(studio.output)).read_text()
    assert page.count('src="data:image/jpeg;base64,') == 3
    assert (
        re.findall(r"(?:src|href)=\"(?!data:|pictures/)", page) == [] and "url(" not in page and "@import" not in page
    )
    assert "1 of 1 pictures are ready" in page and "small_try_on" in page
    assert "0.750 s each" in page and studio.job.recipes[0].fingerprint()[:16] in page


def test_failures_come_first_each_with_its_reason(studio: Studio) -> None:
    studio.write_items("a", "b", "c", "d")
    studio.run(ended(b="rejected", c="failed", d=""))
    page = Path(write_report(studio.output)).read_text()
    shown = [("failed", "was_failed", "c"), ("failed", "not_run", "d"), ("rejected", "was_rejected", "b")]
    assert cards(page) == [*shown, ("ok", "ok", "a")]
    assert "decode: was_failed" in page and "as the test says" in page
    assert "was killed" in page and "of the 3 that are not ok" in page


def test_what_a_catalog_says_is_text_on_the_page(studio: Studio) -> None:
    hostile = "<script>alert(1)</script>"
    studio.write_catalog([{"item_id": hostile, "task": '"><img src=x>'}])
    studio.run()
    page = Path(write_report(studio.output)).read_text()
    assert hostile not in page and "&lt;script&gt;alert(1)" in page and "<img src=x>" not in page


def test_a_large_catalog_gives_a_bounded_page_that_says_what_it_leaves_out(studio: Studio) -> None:
    studio.write_items(*(f"i{n}" for n in range(60)))
    rare = {f"i{n}": "rejected" for n in range(30)} | {"i30": "failed"}
    studio.run(ended(**rare))
    limits = Limits(not_ok=5, worst=2, total=12)
    page = Path(write_report(studio.output, limits=limits)).read_text()
    kinds = [status for status, _, _ in cards(page)]
    assert kinds == ["failed"] + ["rejected"] * 4 + ["ok"] * 7
    assert "was_rejected 4 of 30" in page and "ok 7 of 29" in page
    assert "Shown: 12 of 60 units" in page
    assert cards(Path(write_report(studio.output, limits=limits)).read_text()) == cards(page), "the draw repeats itself"


@pytest.mark.slow
def test_the_worst_of_each_score_is_shown_whatever_its_unit(studio: Studio) -> None:
    names = [f"i{n:02}" for n in range(40)]
    studio.write_items(*names, "unscored")
    studio.scores = {name: {"drift": 20.0 + n, "misaligned": 0.01} for n, name in enumerate(names)}
    studio.scores["i05"] = {"drift": 1.0, "misaligned": 0.4}
    studio.run()
    page = Path(write_report(studio.output, limits=Limits(not_ok=5, worst=2, total=2))).read_text()
    assert {item for _, _, item in cards(page)} == {"i39", "i05"}


def test_each_of_the_worst_says_which_score_put_it_there(studio: Studio) -> None:
    studio.write_items("a", "b", "c", "d", "unscored")
    studio.scores = {
        "a": {"drift": 1.0, "misaligned": 0.4},
        "b": {"drift": 9.0, "misaligned": 0.2},
        "c": {"drift": 8.0, "misaligned": 0.1},
        "d": {"drift": 7.0},
    }
    studio.run()
    page = Path(write_report(studio.output)).read_text()
    said = dict(re.findall(r'data-item="(\w+)"(?:(?!data-item).)*?> ([\d.]+, (?:\w+ )?worst of \d)<', page, re.DOTALL))
    assert said == {
        "a": "0.400, worst of 3",
        "b": "9.000, worst of 4",
        "c": "8.000, 2nd worst of 4",
        "d": "7.000, 3rd worst of 4",
    }
    assert {item for _, _, item in cards(page)[:2]} == {"a", "b"}
    assert [item for _, _, item in cards(page)[2:]] == ["c", "d", "unscored"]
    assert "a picture says which score put it there" in page


def test_nothing_folds_out_where_nothing_lies_behind(studio: Studio) -> None:
    studio.write_catalog([{"item_id": "a", "task": ""}, {"item_id": "b", "task": "levitate"}])
    studio.run()
    page = Path(write_report(studio.output)).read_text()
    main = page[page.index("<main") : page.index("</main>")]
    assert len(cards(page)) == 2 and "<details" not in main and '<p class="task">levitate</p>' in main
    studio.write_items("c")
    studio.run()
    page = Path(write_report(studio.output)).read_text()
    assert re.search(r"<summary>try_on, 0.75 s</summary>\s*recipe", page)


def test_a_picture_that_cannot_be_shown_says_why(tmp_path: Path) -> None:
    large, broken = tmp_path / "large.png", tmp_path / "broken.png"
    large.write_bytes(picture("red", (1200, 600)))
    broken.write_bytes(picture("red")[:40])
    addresses = [str(large), str(broken), str(tmp_path / "none.png"), "", str(large)]
    shown = thumbnails([("person", address) for address in addresses])
    assert len(shown) == 3
    assert shown["person", str(large)].source.startswith("data:image/jpeg") and not shown["person", str(large)].problem
    assert "ends too early" in shown["person", str(broken)].problem and not shown["person", str(broken)].source
    assert shown["person", str(tmp_path / "none.png")].problem
    assert BOX == (168, 224)


def test_nothing_was_run(tmp_path: Path) -> None:
    with pytest.raises(LedgerError, match="holds no run"):
        write_report(str(tmp_path))


def test_a_census_that_lost_units_is_no_summary(studio: Studio) -> None:
    studio.write_items("a")
    studio.run()
    shutil.rmtree(f"{plan_folder(studio.output, current_run(studio.output).run_id)}/census")
    with pytest.raises(LedgerError, match="planned 1 units, its census lists 0"):
        summarize(studio.output)


def test_a_run_after_a_kill_speaks_for_itself(studio: Studio) -> None:
    studio.write_items("a", "b")
    killed = studio.run(ended(b=""))
    assert (killed.ok, killed.made, killed.by_code, killed.run.state) == (1, 1, {"not_run": 1}, "running")
    after = studio.run()
    assert (after.ok, after.made, after.kept, after.by_code, after.run.state) == (2, 1, 1, {}, "finished")


def test_plans_before_the_last_are_discarded_unless_they_may_still_run(studio: Studio) -> None:
    studio.write_items("a", "b")
    runs = []
    for fate in ("ok", "", "ok"):
        studio.run(ended(b=fate, a=fate) if not runs else ended(b=fate))
        studio.object("b.png", f"{time.time()}".encode())
        runs.append(current_run(studio.output).run_id)
    discard_plans(studio.output, runs[-1])
    left = [any(storage.list(plan_folder(studio.output, run_id))) for run_id in runs]
    assert left == [False, True, True], "the second was killed: it is not known to have ended"
    assert summarize(studio.output).units == 2


def test_a_row_rejected_at_plan_shows_what_it_names(studio: Studio) -> None:
    studio.object("p.png", picture("red"))
    studio.write_catalog([{"item_id": "a", "task": "levitate", "person": "p.png", "garment": "none.png"}])
    studio.run()
    page = Path(write_report(studio.output)).read_text()
    assert cards(page) == [("rejected", "unknown_task", "a")]
    assert "data:image/jpeg" in page and "nothing lies there" in page
