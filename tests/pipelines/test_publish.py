from __future__ import annotations

import csv
import dataclasses
import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq
import pytest

from pipelines.publish import current, publish
from pipelines.runs import current_run, write_record

if TYPE_CHECKING:
    from tests.pipelines.conftest import Studio


def published(studio: Studio) -> list[tuple[str, int]]:
    now = current(studio.output)
    assert now is not None
    rows = pq.read_table(f"{studio.output}/{now.catalog}").to_pylist()
    assert len(rows) == now.num_pictures
    return [(row["item_id"], row["variant"]) for row in rows]


def ended(**fates: str):
    def fate(unit: Mapping[str, Any]) -> str:
        return fates.get(unit["item_id"], "ok")

    return fate


def test_finished_pictures_come_out_in_the_catalogs_order(studio: Studio) -> None:
    studio.write_items("d", "c", "b", "a", variants=2)
    studio.run(ended(c="failed"))
    assert published(studio) == [("d", 0), ("d", 1), ("b", 0), ("b", 1), ("a", 0), ("a", 1)]
    studio.run()
    assert published(studio) == [(item_id, variant) for item_id in "dcba" for variant in (0, 1)]


def test_the_csv_twin_opens_in_a_spreadsheet_and_runs_no_formula(studio: Studio) -> None:
    studio.write_items("ä", "=cmd()")
    studio.run()
    now = current(studio.output)
    assert now is not None
    content = Path(studio.output, now.csv).read_bytes()
    assert content.startswith(b"\xef\xbb\xbf")
    rows = list(csv.DictReader(io.StringIO(content.decode("utf-8-sig"))))
    assert [row["item_id"] for row in rows] == ["ä", "'=cmd()"]
    assert rows[0]["picture"].startswith("pictures/") and rows[0]["finished_at"].endswith("+00:00")


def test_until_a_run_has_ended_readers_see_the_catalog_before(studio: Studio) -> None:
    studio.write_items("a", "b")
    assert current(studio.output) is None
    studio.run()
    before = current(studio.output)
    studio.object("a.png", b"another")
    studio.run(ended(a=""))
    assert current(studio.output) == before and published(studio) == [("a", 0), ("b", 0)]
    studio.run(ended(a="failed"))
    assert published(studio) == [("b", 0)], "the picture of an input that has changed is not published"


def test_a_run_that_changes_nothing_publishes_nothing(studio: Studio) -> None:
    studio.write_items("a")
    studio.run()
    files = sorted(Path(studio.output, "catalog").iterdir())
    studio.run()
    assert sorted(Path(studio.output, "catalog").iterdir()) == files


def test_items_that_left_the_catalog_are_neither_published_nor_counted(studio: Studio) -> None:
    studio.write_items("a", "b")
    studio.run()
    studio.write_items("b")
    summary = studio.run()
    assert published(studio) == [("b", 0)]
    assert (summary.units, summary.ok, summary.kept) == (1, 1, 1)


def test_a_limited_run_leaves_what_was_published_of_the_others(studio: Studio) -> None:
    studio.write_items("a", "b", "c")
    studio.run()
    studio.object("a.png", b"another")
    summary = studio.run(ended(a="failed"), limit=1)
    assert (summary.units, summary.failed) == (1, 1)
    assert published(studio) == [("b", 0), ("c", 0)]


def test_an_older_run_never_replaces_a_newer_ones_catalog(studio: Studio) -> None:
    studio.write_items("a", "b")
    studio.run(ended(b="failed"))
    older = current_run(studio.output).run_id
    studio.run()
    newer = current(studio.output)
    assert publish(studio.output, older) == newer == current(studio.output)


def test_the_pointer_is_plain_json(studio: Studio) -> None:
    studio.write_items("a")
    studio.run()
    held = json.loads(Path(studio.output, "catalog/CURRENT").read_text())
    assert held["num_pictures"] == 1 and Path(studio.output, held["catalog"]).exists()


def test_an_output_in_which_nothing_finished_has_an_empty_catalog(studio: Studio) -> None:
    studio.write_items("a")
    studio.run(ended(a="failed"))
    assert published(studio) == []


@pytest.mark.slow
def test_a_catalog_is_published_in_a_store(s3: str, studio: Studio) -> None:
    stored = type(studio)(s3)
    stored.write_items("a", "b")
    stored.run(ended(b="failed"))
    assert stored.run().ok == 2
    now = current(stored.output)
    assert now is not None and now.num_pictures == 2
    record = current_run(stored.output)
    write_record(stored.output, dataclasses.replace(record, state="stopped"))
    assert current_run(stored.output).state == "stopped"
