"""A run from a catalog to pictures, on a real Ray: nothing lost, nothing made twice, the same pixels everywhere."""

from __future__ import annotations

import dataclasses
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import ray
import torch
from ray.data import DataContext

from atelier.rows import Outcome
from atelier.stages.chain import new_batch
from pipelines.execute import RunStopped
from pipelines.exits import Exit
from pipelines.job import CatalogJob
from pipelines.ledger import Ledger
from pipelines.outcomes import from_table
from pipelines.run import run
from pipelines.runs import current_run
from pipelines.summary import summarize
from tests.pipelines.toys import Meet, draw_picture, draw_toy, toy_job, toy_recipe

pytestmark = pytest.mark.slow

GOOD = [f"item-{n:02d}" for n in range(10)]


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    ray.init("local", num_cpus=6, object_store_memory=200 * 2**20, include_dashboard=False, log_to_driver=False)
    yield
    ray.shutdown()


@pytest.fixture(scope="module")
def first(cluster: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a catalog, three bad rows among the good ones, and all that a first run made of it."""
    root = tmp_path_factory.mktemp("first")
    catalog = draw_toy(root / "catalog", [*GOOD, "gone", "cut"])
    (root / "catalog" / "gone-person.png").unlink()
    cut = root / "catalog" / "cut-garment.png"
    cut.write_bytes(cut.read_bytes()[:200])
    catalog.write_text(catalog.read_text() + "odd,levitate,item-00-person.png,item-00-garment.png\n")
    assert run(toy_job(failure_budget=0.25), str(catalog), str(root / "output")) is Exit.DONE
    return root


@pytest.fixture
def world(first: Path, tmp_path: Path) -> Path:
    """The same, to be changed."""
    root = tmp_path / "world"
    shutil.copytree(first, root)
    return root


def again(root: Path, job: CatalogJob | None = None) -> Exit:
    return run(job or toy_job(failure_budget=0.25), str(root / "catalog" / "catalog.csv"), str(root / "output"))


def outcomes(root: Path) -> dict[str, Outcome]:
    found = [outcome for batch in Ledger(str(root / "output")).latest() for outcome in from_table(batch)]
    assert len({outcome.item_id for outcome in found}) == len(found)
    return {outcome.item_id: outcome for outcome in found}


def pictures(root: Path) -> dict[str, bytes]:
    ended = outcomes(root).values()
    return {o.item_id: (root / "output" / o.picture).read_bytes() for o in ended if o.status == "ok"}


def direct(root: Path, item_ids: list[str]) -> dict[str, bytes]:
    """The pictures of a call without any plane."""
    recipe, ended = toy_recipe(), outcomes(root)
    made = {}
    for start in range(0, len(item_ids), recipe.batch_size):
        chunk = [ended[item_id] for item_id in item_ids[start : start + recipe.batch_size]]
        columns = {
            "item_id": [o.item_id for o in chunk],
            "variant": np.array([o.variant for o in chunk], np.int32),
            "task": [o.task for o in chunk],
            "seed": np.array([o.seed for o in chunk], np.int64),
            **{f"{name}_address": [o.inputs[name] for o in chunk] for name in ("person", "garment")},
            "garment_mask_address": ["" for _ in chunk],
        }
        batch = recipe.build().run(new_batch(columns))
        made.update(zip(batch["item_id"], batch["picture"], strict=True))
    return made


def test_every_unit_ends_once_and_a_bad_row_ends_alone(first: Path) -> None:
    counted = summarize(str(first / "output")).as_json()
    ended = outcomes(first)

    assert counted == {
        "units": 13, "ok": 10, "rejected": 3, "failed": 0, "made": 10, "kept": 0,
        "by_code": {"object_missing": 1, "picture_truncated": 1, "unknown_task": 1}, "by_note": {"grain": 10},
    }  # fmt: skip
    assert (ended["gone"].stage, ended["cut"].stage, ended["odd"].stage) == ("fetch", "decode", "plan")
    assert "gone-person.png" in ended["gone"].detail
    assert len(pictures(first)) == 10


def test_an_outcome_says_what_it_takes_to_repeat_the_picture(first: Path) -> None:
    outcome = outcomes(first)["item-03"]

    assert outcome.batch_shape == (4, 64, 48)
    assert outcome.fingerprint == toy_recipe().fingerprint()
    assert set(outcome.input_sha256) == {"person", "garment"}
    assert set(outcome.seconds) == {"fetch", "decode", "parse", "synthesize", "encode", "store"}
    assert outcome.versions["torch"] == torch.__version__
    assert outcome.versions["ray"] == ray.__version__


def test_a_second_run_makes_nothing(world: Path) -> None:
    before = pictures(world)

    assert again(world) is Exit.DONE
    counted = summarize(str(world / "output")).as_json()
    assert (counted["ok"], counted["made"], counted["kept"]) == (10, 0, 10)
    assert pictures(world) == before


def test_a_changed_garment_makes_its_unit_anew_and_the_same_bytes_make_none(world: Path, tmp_path: Path) -> None:
    log = tmp_path / "log"
    draw_picture(world / "catalog" / "item-02-garment.png", "another garment")
    draw_picture(world / "catalog" / "item-02-person.png", "another person")
    for item_id in ("item-04", "item-05"):
        os.utime(world / "catalog" / f"{item_id}-person.png", ns=(1, 1))
    before = pictures(world)

    assert again(world, toy_job(failure_budget=0.25, log=str(log))) is Exit.DONE
    counted = summarize(str(world / "output")).as_json()
    after = pictures(world)
    assert (counted["ok"], counted["made"], counted["kept"]) == (10, 1, 9)
    assert [item_id for item_id in before if before[item_id] != after[item_id]] == ["item-02"]
    assert log.read_text() == "batch\n"


def test_another_jpeg_quality_samples_nothing(world: Path, tmp_path: Path) -> None:
    log = tmp_path / "log"
    before = pictures(world)

    assert again(world, toy_job(failure_budget=0.25, quality=40, log=str(log), rows_per_block=16)) is Exit.DONE
    counted, after = summarize(str(world / "output")).as_json(), pictures(world)
    assert (counted["ok"], counted["made"], counted["kept"]) == (10, 0, 10)
    assert all(len(after[item_id]) < len(before[item_id]) for item_id in GOOD)
    assert not log.exists()


def test_fused_split_and_a_direct_call_give_the_same_pictures(first: Path, tmp_path: Path) -> None:
    output = tmp_path / "split"
    job = toy_job(failure_budget=0.25, placement="split")
    assert run(job, str(first / "catalog" / "catalog.csv"), str(output / "output")) is Exit.DONE

    fused, split = pictures(first), pictures(output)
    assert fused == split
    assert direct(first, GOOD) == fused


def test_two_recipes_run_at_once_where_they_fit(cluster: None, tmp_path: Path) -> None:
    tasks = ("try_on", "pose_transfer")
    toy = toy_recipe()
    recipes = []
    for task in tasks:
        meeting = Meet(folder=str(tmp_path), me=task, guests=tasks)
        stages = (*toy.stages[:3], meeting, *toy.stages[3:])
        recipes.append(dataclasses.replace(toy, name=f"toy_{task}", task=task, stages=stages))
    catalog = draw_toy(tmp_path / "catalog", ["item-0", "item-1"])
    head, first, second = catalog.read_text().splitlines()
    catalog.write_text("\n".join([head, first, second.replace("try_on", "pose_transfer")]) + "\n")

    job = CatalogJob(name="both", recipes=tuple(recipes))
    assert run(job, str(catalog), str(tmp_path / "output")) is Exit.DONE
    assert {o.recipe: o.status for o in outcomes(tmp_path).values()} == {"toy_try_on": "ok", "toy_pose_transfer": "ok"}


def test_beyond_the_failure_budget_is_status_3(world: Path) -> None:
    assert again(world, toy_job(failure_budget=0.1)) is Exit.BUDGET_EXCEEDED


def test_an_error_that_no_row_is_to_blame_for_stops_the_run_and_loses_nothing(cluster: None, tmp_path: Path) -> None:
    catalog, output = draw_toy(tmp_path / "catalog", ["item-0", "bug-0"]), str(tmp_path / "output")

    with pytest.raises(RunStopped, match="ZeroDivisionError: a bug in a stage"):
        run(toy_job(), str(catalog), output)
    assert summarize(output).by_code == {"not_run": 2}
    assert current_run(output).state == "stopped"


def test_the_settings_of_others_stay_as_they_were(first: Path) -> None:
    context = DataContext.get_current()

    assert context.max_errored_blocks == 0
    assert context.enable_progress_bars
