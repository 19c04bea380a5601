"""A batch job's output is judged against its own catalog: what was rejected is told and left out, each task apart."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import shutil
import sys
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


def evaluated(night: Night, monkeypatch: pytest.MonkeyPatch, *more: str) -> int:
    """The command as README has it."""
    sets = ["--made", night.output, "--true", night.catalog, "--out", f"{night.root}/judged"]
    monkeypatch.setattr(sys, "argv", ["training", "evaluate", *sets, *more])
    return main()


def test_each_task_is_judged_apart_and_what_is_left_out_is_told(
    night: Night, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    night.run(night.fate)
    assert evaluated(night, monkeypatch) == 0
    record = json.loads(storage.get(f"{night.root}/judged/eval.json"))
    schema = json.loads(resources.files("atelier.evaluation.sets").joinpath("eval.schema.json").read_text())
    jsonschema.Draft202012Validator(schema).validate(record)

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
