from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from atelier.recipe import Recipe
from atelier.rows import UNIT_SCHEMA
from pipelines.plan import Plan
from pipelines.spool import Spool, read_spool

if TYPE_CHECKING:
    from tests.pipelines.conftest import Studio


def names(plan: Plan) -> list[tuple[str, int]]:
    return [
        (row["item_id"], row["variant"])
        for partition in plan.partitions
        for file in partition.files
        for row in pq.read_table(file).to_pylist()
    ]


def ended(**fates: str):
    def fate(unit: Mapping[str, Any]) -> str:
        return fates.get(unit["item_id"], "ok")

    return fate


def test_items_become_units_with_keys_seeds_and_tokens(studio: Studio) -> None:
    studio.write_items("a", "b", variants=2, seed=5)
    plan = studio.plan()
    assert names(plan) == [("a", 0), ("a", 1), ("b", 0), ("b", 1)]
    table = pq.read_table(plan.partitions[0].files[0])
    assert table.schema.equals(UNIT_SCHEMA)
    rows = table.to_pylist()
    assert rows[0]["seed"] == 5 and len({row["seed"] for row in rows[:2]}) == 2
    assert rows[0]["seed"] == rows[2]["seed"], "the catalog's seed is the seed, whatever the item is called"
    assert len({row["plan_key"] for row in rows}) == 4
    assert rows[0]["person_token"].startswith("1-") and rows[0]["parse_address"] == rows[0]["parse_token"] == ""
    assert plan.describe().startswith("4 of 4 units to make\n")


def test_a_second_identical_plan_is_empty(studio: Studio) -> None:
    studio.write_items("a", "b", "c")
    first = studio.run()
    assert (first.units, first.ok, first.made) == (3, 3, 3)
    plan = studio.plan()
    assert plan.is_empty and plan.counts.ok == 3
    assert "0 of 3 units to make" in plan.describe()
    again = studio.run()
    assert (again.ok, again.made, again.kept) == (3, 0, 3)


def test_failed_and_killed_units_come_back_and_rejected_ones_do_not(studio: Studio) -> None:
    studio.write_items("good", "bad", "unlucky", "late")
    summary = studio.run(ended(bad="rejected", unlucky="failed", late=""))
    assert summary.as_json() == {
        "units": 4,
        "ok": 1,
        "rejected": 1,
        "failed": 2,
        "made": 1,
        "kept": 0,
        "by_code": {"was_rejected": 1, "was_failed": 1, "not_run": 1},
    }
    assert names(studio.plan()) == [("unlucky", 0), ("late", 0)]


def test_a_changed_picture_makes_exactly_its_units_again(studio: Studio) -> None:
    studio.write_items("a", "b", "c", variants=2)
    studio.run(ended(c="rejected"))
    studio.object("b.png", b"another person")
    assert names(studio.plan()) == [("b", 0), ("b", 1)]
    studio.object("c.png", b"mended")
    assert names(studio.plan()) == [("b", 0), ("b", 1), ("c", 0), ("c", 1)]
    studio.object("garment.png", b"worn by all of them")
    assert len(names(studio.plan())) == 6


def test_the_same_bytes_under_a_new_date_are_looked_at_again_but_a_store_decides(studio: Studio) -> None:
    studio.write_items("a", "b")
    studio.run()
    os.utime(f"{studio.root}/in/a.png", (1, 1))
    assert names(studio.plan()) == [("a", 0)]


@pytest.mark.parametrize("column", ["prompt", "seed", "garment"])
def test_what_the_row_says_is_part_of_the_work(studio: Studio, column: str) -> None:
    studio.write_items("a", "b")
    studio.run()
    cells = {"prompt": "in red", "seed": 3, "garment": "parse.png"}
    studio.object("parse.png")
    rows: list[dict[str, Any]] = [
        {"item_id": name, "task": "try_on", "person": f"{name}.png", "garment": "garment.png"} for name in "ab"
    ]
    rows[1][column] = cells[column]
    studio.write_catalog(rows)
    assert names(studio.plan()) == [("b", 0)]


def test_columns_that_the_recipe_does_not_take_change_nothing(studio: Studio) -> None:
    studio.write_items("a")
    studio.run()
    studio.write_items("a", truth="elsewhere.png", keypoints="pose.json", variants=1)
    assert studio.plan().is_empty


def test_a_missing_object_goes_to_the_run_and_is_tried_again_when_it_appears(studio: Studio) -> None:
    studio.write_items("a", "b")
    Path(studio.root, "in/b.png").unlink()
    assert names(studio.plan()) == [("a", 0), ("b", 0)], "fetch is to say what is wrong"
    studio.run(ended(b="rejected"))
    assert studio.plan().is_empty
    studio.object("b.png")
    assert names(studio.plan()) == [("b", 0)]


def test_an_ok_whose_input_has_no_known_version_is_not_believed(studio: Studio) -> None:
    studio.write_items("a")
    Path(studio.root, "in/a.png").unlink()
    studio.run()
    assert names(studio.plan()) == [("a", 0)]


def test_other_pixels_are_made_again_and_another_rendition_is_only_encoded(studio: Studio) -> None:
    studio.write_items("a", "b")
    studio.run(ended(b="rejected"))
    recipe = studio.job.recipes[0]
    *pixels, encode = recipe.stages
    finer = dataclasses.replace(recipe, stages=(*pixels, dataclasses.replace(encode, quality=50)))
    larger = dataclasses.replace(recipe, size=(128, 96))
    studio.job = dataclasses.replace(studio.job, recipes=(finer,))
    plan = studio.plan()
    assert names(plan) == [("a", 0)] and plan.counts.to_encode == 1
    assert "(1 only to encode)" in plan.describe()
    studio.job = dataclasses.replace(studio.job, recipes=(larger,))
    assert (len(names(studio.plan())), studio.plan().counts.to_encode) == (2, 0)


def test_the_job_seed_moves_only_seeds_that_the_catalog_leaves_open(studio: Studio) -> None:
    studio.write_items("a")
    studio.run()
    studio.job = dataclasses.replace(studio.job, seed=1)
    assert names(studio.plan()) == [("a", 0)]
    studio.write_items("a", seed=9)
    studio.run()
    studio.job = dataclasses.replace(studio.job, seed=2)
    assert studio.plan().is_empty


def test_rows_that_cannot_be_planned_are_rejected_once(studio: Studio) -> None:
    rows = [
        {"item_id": "odd", "task": "levitate", "person": "a.png", "garment": "a.png"},
        {"item_id": "bare", "task": "try_on"},
        {"item_id": "bare", "task": "try_on"},
        {"item_id": "", "task": "try_on"},
    ]
    studio.write_catalog(rows)
    summary = studio.run()
    assert (summary.units, summary.rejected) == (4, 4)
    assert summary.by_code == {"missing_input": 1, "unknown_task": 1, "duplicate_item": 1, "missing_value": 1}
    again = studio.plan()
    assert (again.counts.rejected, again.counts.rejected_now) == (4, 0)
    studio.write_catalog([{**rows[0], "task": "fly"}, *rows[1:]])
    assert studio.plan().counts.rejected_now == 1


def test_a_job_that_learns_a_task_plans_what_it_had_rejected(studio: Studio) -> None:
    studio.write_items("a", "b")
    studio.job = dataclasses.replace(studio.job, recipes=(dataclasses.replace(studio.job.recipes[0], task="pose"),))
    assert studio.run().by_code == {"unknown_task": 2}
    trying: Recipe = dataclasses.replace(studio.job.recipes[0], task="try_on", name="learned")
    studio.job = dataclasses.replace(studio.job, recipes=(*studio.job.recipes, trying))
    plan = studio.plan()
    assert [(partition.recipe.name, partition.num_units) for partition in plan.partitions] == [("learned", 2)]


def test_a_limit_takes_the_first_items(studio: Studio) -> None:
    studio.write_items("a", "b", "c", variants=2)
    plan = studio.plan(limit=2)
    assert names(plan) == [("a", 0), ("a", 1), ("b", 0), ("b", 1)]
    assert "only the first 2 items" in plan.describe()


def test_a_plan_for_looking_leaves_no_trace_in_the_output(studio: Studio) -> None:
    studio.write_catalog([{"item_id": "odd", "task": "levitate"}])
    studio.plan()
    assert not Path(studio.output).exists()


def test_chunks_and_files_keep_the_order(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipelines.planner.UNITS_A_CHUNK", 3)
    studio.write_items(*"abcde", variants=2)
    plan = studio.plan()
    assert plan.partitions[0].num_units == 10
    assert names(plan) == [(item_id, variant) for item_id in "abcde" for variant in (0, 1)]


def test_a_spool_writes_whole_files_in_order(tmp_path: Path) -> None:
    spool = Spool(str(tmp_path / "spool"), rows_a_file=4)
    for start in range(0, 9, 3):
        spool.add(pa.table({"number": range(start, start + 3)}))
    spool.close()
    spool.close()
    tables = list(read_spool(str(tmp_path / "spool")))
    assert [table.num_rows for table in tables] == [6, 3] and len(spool.files) == 2
    assert pa.concat_tables(tables).column("number").to_pylist() == list(range(9))
    assert list(read_spool(str(tmp_path / "nothing"))) == []


@pytest.mark.slow
def test_a_store_tells_versions_apart_by_content(s3: str, studio: Studio) -> None:
    stored = type(studio)(s3)
    stored.write_items("a", "b", "c")
    assert stored.run().ok == 3
    stored.object("a.png", b"a")
    assert stored.plan().is_empty, "the same bytes uploaded again are the same version"
    stored.object("a.png", b"another")
    plan = stored.plan()
    assert (plan.counts.to_make, plan.counts.ok) == (1, 2)
