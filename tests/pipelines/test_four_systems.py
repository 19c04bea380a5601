"""One catalog for all four systems, on a real Ray, with networks of a few thousand weights: a row of each is made."""

from __future__ import annotations

import csv
import dataclasses
import json
from collections.abc import Iterator
from io import StringIO
from pathlib import Path

import pytest
import ray
import torch
from PIL import Image
from rich.console import Console

from atelier import recipes
from atelier.closet import draw_flat, draw_look
from atelier.closet.catalog import write_catalog
from atelier.closet.garments import garment_seed
from atelier.closet.outfits import outfit_for
from atelier.closet.pose_pack import pose_seed
from atelier.models.human_diffusion import HumanDiffusion, human_diffusion_closet
from atelier.models.pidm import Pidm, pidm_closet
from atelier.models.truepose import TruePose, truepose_closet
from pipelines import jobs
from pipelines.demo import BROKEN, demo
from pipelines.exits import Exit
from pipelines.job import CatalogJob
from pipelines.ledger import Ledger
from pipelines.outcomes import from_table
from pipelines.report import write_report
from pipelines.run import run
from pipelines.summary import summarize

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
TASKS = ("try_on", "pose_transfer", "pose_transfer:pidm", "text_to_person")


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    ray.init("local", num_cpus=14, object_store_memory=200 * 2**20, include_dashboard=False, log_to_driver=False)
    yield
    ray.shutdown()


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> CatalogJob:
    """The job `closet` with untrained systems at their sizes, and without a memory."""
    root = tmp_path_factory.mktemp("weights")
    torch.manual_seed(0)
    transfer = dataclasses.replace(
        pidm_closet(), patch=1, width=8, multipliers=(1, 1, 1), texture_strides=(4,), num_groups=4, guidance="none"
    )
    Pidm(transfer).save_pretrained(root / "pidm")
    siamese = dataclasses.replace(truepose_closet(), widths=(16, 16), num_groups=4, attention=(True, True))
    TruePose(siamese).save_pretrained(root / "truepose")
    words = dataclasses.replace(
        human_diffusion_closet(), width=16, multipliers=(1, 1), num_groups=4, head_width=16,
        self_attention_strides=(), retrieved_strides=(), stylized_memory=False,
    )  # fmt: skip
    HumanDiffusion(words).save_pretrained(root / "words")
    folders = {"pidm": "pidm", "truepose": "truepose", "human_diffusion": "words"}
    shipped = jobs.closet(**{name: str(root / folder) for name, folder in folders.items()}, memory="")
    made = (
        shipped.recipes[0],
        recipes.truepose_closet(weights=str(root / "truepose"), mode="fast"),
        recipes.pidm_closet(weights=str(root / "pidm"), mode="fast"),
        recipes.human_diffusion_closet(weights=str(root / "words"), memory=None, mode="fast"),
    )
    assert [recipe.name for recipe in shipped.recipes] == [recipe.name for recipe in made]
    return dataclasses.replace(shipped, recipes=made, failure_budget=0.5)


def test_a_catalog_of_all_tasks_ends_in_pictures_and_reasons(cluster: None, job: CatalogJob, tmp_path: Path) -> None:
    kinds = ("unknown_pose", "unknown_model", "bad_pose_map", "missing_prompt")
    address = write_catalog(str(tmp_path / "in"), items=4, seed=1, size=(128, 96), tasks=TASKS, broken=1, kinds=kinds)
    rows = list(csv.DictReader(Path(address).read_text().splitlines()))
    told = next(row for row in rows if row["task"] == "text_to_person")
    told |= {"prompt": "a woman in a chartreuse poncho", "variants": "2"}
    with Path(address).open("w", newline="") as file:
        writer = csv.DictWriter(file, [*rows[0], "variants"], restval="")
        writer.writeheader()
        writer.writerows(rows)

    output = str(tmp_path / "out")
    assert run(job, address, output) is Exit.DONE
    outcomes = {
        (outcome.item_id, outcome.variant): outcome
        for batch in Ledger(output).latest()
        for outcome in from_table(batch)
    }
    made = {name: outcome for name, outcome in outcomes.items() if outcome.status == "ok"}
    assert {outcome.recipe for outcome in made.values()} == {recipe.name for recipe in job.recipes}
    assert len(made) == 5, {name: outcome.detail for name, outcome in outcomes.items()}
    for outcome in made.values():
        with Image.open(f"{output}/{outcome.picture}") as picture:
            assert picture.size == ((96, 128) if outcome.recipe != "viton_hd_closet" else (192, 256))
    first, second = (made[told["item_id"], variant] for variant in (0, 1))
    assert first.picture != second.picture and first.seed != second.seed
    assert any(note.startswith("unknown_words: ") and "chartreuse" in note for note in first.notes)
    assert first.prompt == "a woman in a chartreuse poncho"
    codes = {outcome.item_id: outcome.code for outcome in outcomes.values() if outcome.status != "ok"}
    assert codes == {
        "unknown-pose-0": "unknown_pose",
        "unknown-model-0": "unknown_model",
        "bad-pose-map-0": "pose_map_invalid",
        "missing-prompt-0": "missing_input",
    }
    assert summarize(output).as_json()["by_note"] == {"unknown_words": 2, "words_without_region": 2}
    page = Path(write_report(output)).read_text()
    assert "chartreuse poncho" in page and 'data-note="unknown_words"' in page
    assert json.loads(json.dumps(summarize(output).as_json()))["units"] == 9
    assert run(job, address, output) is Exit.DONE and summarize(output).made == 0


@pytest.mark.long
def test_the_rows_of_the_readme_become_what_they_say(cluster: None, job: CatalogJob, tmp_path: Path) -> None:
    """As a new user writes them, with pictures of their own beside the table."""
    table = (ROOT / "README.md").read_text().partition("```csv\n")[2].partition("```")[0]
    rows = list(csv.DictReader(table.splitlines()))
    assert [row["task"] for row in rows] == ["try_on", "pose_transfer", "pose_transfer", "text_to_person"]
    people = {path: number for number, path in enumerate(("people/anna.png", "people/ben.png"))}
    for folder in ("people", "garments"):
        (tmp_path / folder).mkdir()
    for path, number in people.items():
        look = draw_look(person=number, outfit=outfit_for(7), pose=pose_seed("standing"), size=(128, 96))
        Image.fromarray(look.image).save(tmp_path / path)
    Image.fromarray(draw_flat(garment=garment_seed("shirt", 3), size=(128, 96)).image).save(
        tmp_path / "garments/shirt.png"
    )
    (tmp_path / "catalog.csv").write_text(table)
    assert run(job, str(tmp_path / "catalog.csv"), str(tmp_path / "out")) is Exit.DONE
    outcomes = {one.item_id: one for batch in Ledger(str(tmp_path / "out")).latest() for one in from_table(batch)}
    assert {name: (one.status, one.detail) for name, one in outcomes.items()} == {
        row["item_id"]: ("ok", "") for row in rows
    }
    assert not any("words_without_region" in note for one in outcomes.values() for note in one.notes)


@pytest.mark.long
def test_the_demo_makes_something_by_each_of_the_four_shipped_systems(cluster: None, tmp_path: Path) -> None:
    said = StringIO()
    assert demo(str(tmp_path), Console(file=said, width=160), num_items=6) is Exit.DONE
    outcomes = [one for batch in Ledger(f"{tmp_path}/output").latest() for one in from_table(batch)]
    made = [one for one in outcomes if one.status == "ok"]
    assert len(made) == 6 and {one.recipe for one in made} == set(recipes.RECIPES)
    assert {one.status for one in outcomes} == {"ok", "rejected"} and len(outcomes) == 6 + len(BROKEN)
    told = said.getvalue()
    assert all(one.item_id in told for one in outcomes) and "report.html" in told
    assert (tmp_path / "output" / "report.html").is_file()
