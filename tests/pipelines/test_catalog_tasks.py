"""Rows of every task: poses by name, words, models; each wrong one with its reason."""

from __future__ import annotations

from dataclasses import replace
from io import StringIO
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from rich.console import Console

from atelier import poses
from atelier.closet.catalog import write_catalog
from atelier.errors import ConfigError
from atelier.rows import Item
from pipelines.catalog import BadRow, Catalog
from pipelines.demo import BROKEN, outcomes_table, turns
from pipelines.job import CatalogJob
from pipelines.validate import checked_item
from tests.pipelines.conftest import Studio, small_job


def job() -> CatalogJob:
    """Two models make `pose_transfer`, one `text_to_person`; their stages are another's, since none is run."""
    try_on = small_job().recipes[0]
    transfer = replace(try_on, name="one", task="pose_transfer", model="pidm", inputs=("person", "pose"), optional=())
    told = replace(
        try_on, name="told", task="text_to_person", model="words", inputs=("prompt", "pose_map"), optional=()
    )
    return CatalogJob(name="all", recipes=(try_on, transfer, replace(transfer, name="two", model="truepose"), told))


def rows_of(studio: Studio, *rows: dict[str, str]) -> list[Item | BadRow]:
    studio.write_catalog([{"item_id": f"i{number}", **row} for number, row in enumerate(rows)])
    return [row for batch in Catalog(studio.catalog).batches() for row in batch]


def test_names_of_the_pack_are_addresses_and_others_are_files(studio: Studio) -> None:
    named, filed, odd = rows_of(
        studio,
        {"task": "pose_transfer", "person": "p.png", "pose": "standing"},
        {"task": "pose_transfer", "person": "p.png", "pose": "poses/standing.json"},
        {"task": "text_to_person", "prompt": "a red coat", "pose_map": "levitating"},
    )
    assert isinstance(named, Item) and named.inputs["pose"] == "pose:standing"
    assert isinstance(filed, Item) and filed.inputs["pose"].endswith("/in/poses/standing.json")
    assert isinstance(odd, BadRow) and odd.code == "unknown_pose"
    assert all(name in odd.detail for name in poses.names()) and "levitating" in odd.detail


def test_the_first_model_is_taken_unless_another_is_named(studio: Studio) -> None:
    cells = {"task": "pose_transfer", "person": "p.png", "pose": "standing"}
    first, second, unknown = (
        checked_item(item, job())
        for item in rows_of(studio, cells, {**cells, "model": "truepose"}, {**cells, "model": "gan"})
        if isinstance(item, Item)
    )
    assert not isinstance(first, BadRow) and first[1].name == "one"
    assert not isinstance(second, BadRow) and second[1].name == "two"
    assert isinstance(unknown, BadRow) and unknown.code == "unknown_model"
    assert "must be empty or one of pidm, truepose" in unknown.detail


def test_a_person_in_words_needs_words(studio: Studio) -> None:
    (item,) = rows_of(studio, {"task": "text_to_person", "pose_map": "seated"})
    assert isinstance(item, Item)
    bad = checked_item(item, job())
    assert isinstance(bad, BadRow) and bad.code == "missing_input" and "prompt" in bad.detail


def test_a_named_pose_is_part_of_the_plans_key(studio: Studio) -> None:
    studio.object("p.png")
    studio.job = job()
    cells = {"item_id": "a", "task": "pose_transfer", "person": "p.png"}
    keys = []
    for pose in ("standing", "standing", "seated"):
        studio.write_catalog([{**cells, "pose": pose}])
        plan = studio.plan()
        (partition,) = plan.partitions
        assert partition.recipe.name == "one"
        keys.append(_plan_key(partition.files[0]))
    assert keys[0] == keys[1] != keys[2]


@pytest.mark.slow
def test_the_demo_draws_rows_that_every_recipe_takes(tmp_path: Path) -> None:
    tasks = turns(job())
    assert tasks == ["try_on", "pose_transfer", "try_on", "pose_transfer:truepose", "try_on", "text_to_person"]
    address = write_catalog(str(tmp_path), items=6, seed=7, size=(64, 48), tasks=tasks, broken=1, kinds=BROKEN)
    rows = [row for batch in Catalog(address).batches() for row in batch]
    checked = [row if isinstance(row, BadRow) else checked_item(row, job()) for row in rows]
    first, *others = [recipe.name for recipe in job().recipes]
    taken = [row[1].name for row in checked[:6] if not isinstance(row, BadRow)]
    assert taken == [name for other in others for name in (first, other)]
    bad = {row.item_id: row.code for row in checked if isinstance(row, BadRow)}
    assert bad == {
        "unknown-task-0": "unknown_task",
        "unknown-pose-0": "unknown_pose",
        "missing-prompt-0": "missing_input",
    }


def test_the_demo_tells_of_a_picture_in_one_line_of_80_columns(studio: Studio) -> None:
    studio.write_items("a", "b", "c")
    studio.run(lambda unit: {"b": "rejected", "c": "failed"}.get(unit["item_id"], "ok"))
    text = StringIO()
    Console(file=text, width=80).print(outcomes_table(studio.output, below=studio.root))
    lines = text.getvalue().splitlines()
    assert [line.split(maxsplit=2) for line in (line.strip() for line in lines) if line][2:] == [
        ["a", "small_try_on", "ok: made in 0.8 s"],
        ["b", "small_try_on", "rejected at decode: was_rejected"],
        ["as", "the", "test says"],
        ["c", "small_try_on", "failed at decode: was_failed"],
        ["as", "the", "test says"],
    ]


def _plan_key(file: str) -> str:
    return pq.read_table(file)["plan_key"][0].as_py()


def test_two_recipes_that_nobody_could_tell_apart_are_refused() -> None:
    recipe = small_job().recipes[0]
    with pytest.raises(ConfigError, match="recipes of the same model"):
        CatalogJob(name="twice", recipes=(recipe, replace(recipe, name="other")))
    with pytest.raises(ConfigError, match="recipes of the same name: small_try_on"):
        CatalogJob(name="twice", recipes=(recipe, replace(recipe, task="other")))
