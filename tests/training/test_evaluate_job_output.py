"""A batch job's output is judged against its own catalog: what was rejected is told and left out, each task apart."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import shutil
import sys
from collections import Counter
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
from PIL import Image

from atelier import storage
from atelier.closet.catalog import write_catalog
from atelier.rows import Outcome
from pipelines import jobs
from tests.atelier.evaluation.sets.tiny_parser import write_tiny_parser
from tests.pipelines.conftest import Studio
from training.__main__ import main

SIZE, SMALL = (64, 48), (32, 24)
TASKS = ("try_on", "pose_transfer", "pose_transfer:pidm", "text_to_person")


class Night(Studio):
    """A job's night over a drawn catalog of all tasks and every kind of broken row; made pictures are the true ones,
    at half their size but for try-ons."""

    def __init__(self, root: str) -> None:
        super().__init__(root)
        self.job = jobs.named("closet")
        rows = csv.DictReader(io.StringIO(storage.get(self.catalog).decode()))
        self.rows = {row["item_id"]: row for row in rows}

    def fate(self, unit: Mapping[str, Any]) -> str:
        return "ok" if unit["item_id"].startswith("item-") else "rejected"

    def outcome(self, unit: Mapping[str, Any], status: Any, run_id: str) -> Outcome:
        row = self.rows[unit["item_id"]]
        recipe = {"try_on": "viton_hd_closet", "text_to_person": "human_diffusion_closet"}.get(
            row["task"], "pidm_closet" if row["model"] == "pidm" else "truepose_closet"
        )
        outcome = dataclasses.replace(super().outcome(unit, status, run_id), recipe=recipe)
        if status == "ok":
            size = SIZE if row["task"] == "try_on" else SMALL
            if row["truth"]:
                with Image.open(f"{self.root}/in/{row['truth']}") as truth:
                    picture = truth.resize((size[1], size[0]), Image.Resampling.BILINEAR)
            else:
                picture = Image.fromarray(np.zeros((*size, 3), np.uint8))
            file = io.BytesIO()
            picture.save(file, "PNG")
            storage.put(f"{self.output}/{outcome.picture}", file.getvalue())
        return outcome


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("drawn")
    write_catalog(str(folder), items=12, seed=0, size=SIZE, tasks=TASKS, broken=1)
    return folder


@pytest.fixture
def night(drawn: Path, tmp_path: Path) -> Night:
    shutil.copytree(drawn, tmp_path / "in")
    return Night(str(tmp_path))


@pytest.fixture(scope="module")
def parser(tmp_path_factory: pytest.TempPathFactory) -> str:
    """An untrained parser of 6 features, by which three pictures are enough for a distance."""
    return write_tiny_parser(tmp_path_factory.mktemp("weights") / "tiny_parser", num_features=6)


def evaluated(night: Night, monkeypatch: pytest.MonkeyPatch, *more: str) -> int:
    """The command as README has it."""
    sets = ["--made", night.output, "--true", night.catalog, "--out", f"{night.root}/judged"]
    monkeypatch.setattr(sys, "argv", ["training", "evaluate", *sets, *more])
    return main()


def judged(night: Night) -> Any:
    record = json.loads(storage.get(f"{night.root}/judged/eval.json"))
    schema = json.loads(resources.files("atelier.evaluation.sets").joinpath("eval.schema.json").read_text())
    jsonschema.Draft202012Validator(schema).validate(record)
    return record


def test_each_task_is_judged_apart_and_what_is_left_out_is_told(
    night: Night, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    night.run(night.fate)
    assert evaluated(night, monkeypatch) == 0
    record = judged(night)
    tasks = record["tasks"]
    assert {task: (one["num_pairs"], one["size"]) for task, one in tasks.items()} == {
        "pose_transfer:pidm_closet": (3, list(SMALL)),
        "pose_transfer:truepose_closet": (3, list(SMALL)),
        "text_to_person": (2, list(SMALL)),
        "try_on": (3, list(SIZE)),
    }
    assert all(one["scores"]["ssim"]["mean"] == pytest.approx(1.0) for one in tasks.values()), "the rule that is stated"
    assert tasks["text_to_person"]["protocol"]["truth_resize"] == {"rule": "pillow_bilinear", "size": list(SMALL)}
    [untold] = [one for one in tasks["text_to_person"]["excluded"] if one["reason"] == "no true picture is named"]
    assert untold["items"] == ["item-00011"]

    told = [*record["excluded"], *(one for task in tasks.values() for one in task["excluded"])]
    rejected = {name for one in told if one["reason"].startswith("rejected in ") for name in one["items"]}
    assert rejected == {name for name in night.rows if not name.startswith("item-")}
    assert sum(one["num_items"] for one in told) + 3 + 3 + 2 + 3 == len(night.rows)
    printed = capsys.readouterr().out
    assert "not judged" in printed and "rejected in plan: " in printed and "levitat" not in printed
    sheet = storage.get(f"{night.root}/judged/pairs.csv").decode().splitlines()
    assert sheet[0] == "task,made,true,ssim,psnr,lpips" and len(sheet) == 1 + 11


def test_what_failed_or_is_missing_is_refused_by_name(
    night: Night, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    night.run(lambda unit: "failed" if unit["item_id"] == "item-00004" else night.fate(unit))
    assert evaluated(night, monkeypatch) == 1
    assert "1 units of the true pictures failed there; run the job again" in capsys.readouterr().err
    night.run(night.fate)
    assert evaluated(night, monkeypatch) == 0, "it was tried anew: the latest outcome counts"
    capsys.readouterr()

    with Path(night.catalog).open("a") as catalog:
        catalog.write("stranger,try_on,,,,,,,,,,,truth/item-00000.png\n")
    assert evaluated(night, monkeypatch) == 1
    assert "true pictures have no partner" in (refused := capsys.readouterr().err) and "stranger" in refused
    lines = Path(night.catalog).read_text().splitlines()
    Path(night.catalog).write_text("\n".join(line for line in lines[:-1] if not line.startswith("item-00000")) + "\n")
    assert evaluated(night, monkeypatch) == 1
    assert "1 of 11 made pictures have no partner" in (refused := capsys.readouterr().err) and "item-00000" in refused


def test_true_pictures_of_another_aspect_are_refused(
    night: Night, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    night.run(night.fate)
    Image.new("RGB", (64, 64)).save(f"{night.root}/in/truth/item-00001.png")
    assert evaluated(night, monkeypatch) == 1
    assert "item-00001 (64x64, another aspect)" in capsys.readouterr().err
    assert evaluated(night, monkeypatch, "--protocol", "plain") == 1, "as stored, sizes differ"
    assert "are not 32x24" in capsys.readouterr().err


def test_one_task_can_be_judged_alone_by_any_protocol(
    night: Night, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    night.run(lambda unit: "failed" if unit["item_id"] == "item-00001" else night.fate(unit))
    assert night.rows["item-00001"]["task"] == "pose_transfer", "what failed in another task is no matter"
    assert evaluated(night, monkeypatch, "--task", "try_on", "--protocol", "plain") == 0
    record = judged(night)
    assert (record["num_pairs"], record["size"], record["protocol"]["name"]) == (3, list(SIZE), "plain")
    assert record["notes"] == ["pictures of the task try_on alone"]
    rejected = {name for one in record["excluded"] for name in one["items"]}
    assert rejected and all(night.rows[name]["task"] == "try_on" for name in rejected), "none of other tasks"

    night.run(night.fate)
    assert evaluated(night, monkeypatch, "--task", "pose_transfer") == 0
    recipes = ["pose_transfer:pidm_closet", "pose_transfer:truepose_closet"]
    assert sorted(judged(night)["tasks"]) == recipes
    assert evaluated(night, monkeypatch, "--task", recipes[0]) == 0
    assert (judged(night)["num_pairs"], judged(night)["notes"]) == (3, [f"pictures of the task {recipes[0]} alone"])

    pairs = tmp_path / "pairs.txt"
    pairs.write_text("".join(f"{name} {name}\n" for name in ("item-00000", "item-00001", "item-00004")))
    assert evaluated(night, monkeypatch, "--task", "try_on", "--pairs", str(pairs)) == 0
    assert judged(night)["num_pairs"] == 2

    capsys.readouterr()
    assert evaluated(night, monkeypatch, "--task", "levitation") == 1
    assert (
        "ConfigError: task: is 'levitation', must be one of pose_transfer, pose_transfer:pidm_closet, "
        "pose_transfer:truepose_closet, text_to_person, try_on" in capsys.readouterr().err
    )
    folders = ("--made", f"{night.root}/in/truth", "--true", f"{night.root}/in/truth", "--task", "try_on")
    assert evaluated(night, monkeypatch, *folders) == 1
    assert "task: is 'try_on', and neither" in (refused := capsys.readouterr().err) and "must be left out" in refused


def test_a_task_that_cannot_be_judged_is_named(
    night: Night, parser: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    night.run(night.fate)
    assert evaluated(night, monkeypatch, "--protocol", "plain") == 1
    tasks = "pose_transfer:pidm_closet, pose_transfer:truepose_closet, text_to_person, try_on"
    refused = capsys.readouterr().err
    assert f"task pose_transfer:pidm_closet, of {tasks} (--task NAME judges one alone): " in refused
    assert "3 pictures cannot be read or are not 32x24: item-" in refused
    assert evaluated(night, monkeypatch, "--features", parser) == 1
    refused = capsys.readouterr().err
    assert f"task text_to_person, of {tasks} (--task NAME judges one alone): the made set has 2 pictures" in refused


def test_sets_without_partners_are_judged_task_by_task(
    night: Night, parser: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    night.run(night.fate)
    unpaired = ("--unpaired", "--features", parser)
    assert evaluated(night, monkeypatch, *unpaired) == 0
    tasks = judged(night)["tasks"]
    counts = {task: {name: facts["num_pictures"] for name, facts in one["sets"].items()} for task, one in tasks.items()}
    truths = Counter(row["task"] for row in night.rows.values() if row["truth"])
    assert counts == {
        task: {"made": 3, "truth": truths[task.partition(":")[0]]}
        for task in ("pose_transfer:pidm_closet", "pose_transfer:truepose_closet", "text_to_person", "try_on")
    }
    assert all("frechet_distance" in one["scores"] for one in tasks.values())
    assert evaluated(night, monkeypatch, *unpaired, "--task", "try_on") == 0
    alone = judged(night)
    assert alone["scores"] == tasks["try_on"]["scores"] and alone["mode"] == "unpaired"

    folder = ("--true", f"{night.root}/in/truth")
    capsys.readouterr()
    assert evaluated(night, monkeypatch, *unpaired, *folder) == 1
    refused = capsys.readouterr().err
    assert "holds pictures of several tasks, and " in refused and "does not tell of which its own are" in refused
    assert "--task NAME takes one of pose_transfer:pidm_closet, " in refused
    assert evaluated(night, monkeypatch, *unpaired, *folder, "--task", "try_on") == 0
    assert judged(night)["sets"]["truth"]["num_pictures"] == len(list(Path(f"{night.root}/in/truth").iterdir()))
