"""`python -m atelier closet …` as it is typed, and pictures that are those of every other machine."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from atelier.__main__ import main
from atelier.closet import CATEGORIES, draw_flat, draw_look, garment_seed, outfit_for
from atelier.closet.catalog import BROKEN
from atelier.datasets import deepfashion, multimodal, viton_hd

SIZE = (64, 48)
DRAWN_ELSEWHERE = Path(__file__).parent / "data" / "drawn.png"


def test_a_catalog_of_every_task_and_broken_rows(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tasks = "try_on,pose_transfer:truepose,text_to_person"
    command = ["closet", "catalog", "--items", "6", "--seed", "3", "--size", "64x48", "--broken", "1"]
    assert main([*command, "--tasks", tasks, "--out", str(tmp_path)]) == 0
    assert capsys.readouterr().out.strip().endswith("catalog.csv")
    rows = list(csv.DictReader((tmp_path / "catalog.csv").open()))
    good, broken = rows[:6], rows[6:]
    assert [row["task"] for row in good] == ["try_on", "pose_transfer", "text_to_person"] * 2
    assert {row["model"] for row in good if row["task"] == "pose_transfer"} == {"truepose"}
    assert len(broken) == len(BROKEN)
    assert all((tmp_path / row["truth"]).is_file() for row in good)


READERS: dict[str, Callable[[str], Iterator[object]]] = {
    "viton_hd": lambda root: viton_hd.read(root, "test", paired=True),
    "deepfashion": lambda root: deepfashion.read(root, "test"),
    "multimodal": multimodal.read,
}


@pytest.mark.parametrize("layout", READERS)
def test_a_data_set_in_every_layout_is_read_back(layout: str, tmp_path: Path) -> None:
    command = ["closet", "dataset", "--layout", layout, "--items", "4", "--size", "64x48", "--out", str(tmp_path)]
    assert main([*command, "--split", "test"]) == 0
    assert len(list(READERS[layout](str(tmp_path)))) >= 4


def test_a_sheet_is_one_picture(tmp_path: Path) -> None:
    assert main(["closet", "sheet", "--items", "6", "--size", "64x48", "--out", str(tmp_path / "sheet.png")]) == 0
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert min(sheet.size) >= 64


@pytest.mark.parametrize(
    ("said", "command"),
    [
        ("argument --items: is '0', must be a whole number from 1 up", ["catalog", "--items", "0"]),
        ("argument --broken: is '-1', must be a whole number from 0 up", ["catalog", "--broken=-1"]),
        ("64by48", ["sheet", "--size", "64by48"]),
        ("tasks: dance: is none of try_on, ", ["catalog", "--tasks", "try_on,dance"]),
    ],
)
def test_wrong_words_are_refused(
    said: str, command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        status = main(["closet", *command, "--out", str(tmp_path / "out")])
    except SystemExit as ended:  # argparse's own way
        status = ended.code
    assert status == 2 and said in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def drawn() -> np.ndarray:
    """Looks above, flat lays below: every category's cloth, patterns and folds are in it."""
    looks = [draw_look(person=n, outfit=outfit_for(n), pose=n, size=SIZE).image for n in range(len(CATEGORIES))]
    flats = [draw_flat(garment=garment_seed(category, n), size=SIZE).image for n, category in enumerate(CATEGORIES)]
    return np.concatenate([np.concatenate(looks, 1), np.concatenate(flats, 1)], 0)


def test_pictures_are_those_of_every_other_machine() -> None:
    with Image.open(DRAWN_ELSEWHERE) as picture:
        elsewhere = np.asarray(picture.convert("RGB"))
    difference = np.abs(drawn().astype(int) - elsewhere)
    # Processors round sines and roots differently in the last place, which can turn a pixel by one level, not more.
    assert difference.max() <= 1 and (difference > 0).mean() < 1e-3
