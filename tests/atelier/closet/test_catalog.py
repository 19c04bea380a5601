"""The drawn catalog is what it says: held out, half described, with a true answer, broken only where asked."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from atelier import poses
from atelier.closet.broken import BROKEN, broken_task
from atelier.closet.casting import HELD_OUT, cast
from atelier.closet.catalog import draw_item, write_catalog, write_sheet
from atelier.closet.layouts import write_dataset
from atelier.datasets import deepfashion, multimodal, viton_hd
from atelier.errors import ConfigError, RowError
from atelier.images import decode_picture
from atelier.skeletons import read_openpose

SIZE = (96, 72)


def rows_of(address: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(Path(address).read_text())))


def test_every_second_item_is_described_and_every_file_named_is_there(tmp_path: Path) -> None:
    rows = rows_of(write_catalog(str(tmp_path), items=4, seed=3, size=SIZE))

    assert [bool(row["parse"]) for row in rows] == [True, False, True, False]
    assert [bool(row["keypoints"]) for row in rows] == [True, False, True, False]
    for row in rows:
        for column in ("person", "garment", "garment_mask", "parse", "keypoints", "truth"):
            assert not row[column] or (tmp_path / row[column]).is_file()
    assert np.asarray(Image.open(tmp_path / rows[0]["parse"])).max() < 20
    assert read_openpose((tmp_path / rows[0]["keypoints"]).read_bytes()) is not None


def test_the_same_seed_draws_the_same_bytes(tmp_path: Path) -> None:
    first = draw_item("try_on", 5, 1, "a", size=SIZE)
    again = draw_item("try_on", 5, 1, "a", size=SIZE)

    assert first == again


def test_catalogs_are_held_out_and_training_is_not() -> None:
    for index in range(50):
        judged, trained = cast(0, index, held_out=True), cast(0, index, held_out=False)
        for role, inside in ((judged, lambda n: n >= HELD_OUT), (trained, lambda n: n < HELD_OUT)):
            seeds = (role.person, role.pose, role.other_pose, role.garment, role.worn.top, role.worn.bottom)
            assert all(inside(seed) for seed in seeds), role
        assert judged.garment != judged.worn.top


@pytest.mark.parametrize("kind", sorted(BROKEN))
def test_a_broken_row_is_broken_in_its_own_way_only(kind: str) -> None:
    item = draw_item(broken_task(kind), 0, 0, "x", size=SIZE)
    row, files = dict(item.row), dict(item.files)

    BROKEN[kind](row, files)

    changed = {name for name in set(files) | set(item.files) if files.get(name) != item.files.get(name)}
    fields = {name for name in row if row[name] != item.row[name]}
    assert changed or fields
    assert len(changed) <= 1
    for path in changed & set(files):
        if path.startswith(("person/", "garment/")) and kind not in ("no_person", "no_source", "several_people"):
            with pytest.raises(RowError):
                decode_picture(files[path])


def test_tasks_take_turns_and_bring_poses_by_file_picture_and_name(tmp_path: Path) -> None:
    tasks = ("pose_transfer:truepose", "text_to_person")
    rows = rows_of(write_catalog(str(tmp_path), items=6, seed=0, size=SIZE, tasks=tasks))

    transfers, told = rows[::2], rows[1::2]
    assert {(row["task"], row["model"]) for row in transfers} == {("pose_transfer", "truepose")}
    assert [row["pose"].rpartition(".")[2] for row in transfers[:2]] == ["json", "jpg"]
    assert transfers[2]["pose"] in poses.names()
    assert all(row["prompt"] for row in told)
    assert told[2]["pose_map"] in poses.names("pose_map") and not told[2]["truth"]
    for row in (*transfers, *told[:2]):
        for column in ("person", "parse", "pose_map", "truth"):
            assert not row[column] or (tmp_path / row[column]).is_file()
    with pytest.raises(ConfigError, match="tasks: paint: is none of try_on, pose_transfer, text_to_person"):
        write_catalog(str(tmp_path), items=1, seed=0, size=SIZE, tasks=("paint",))


def test_broken_rows_come_after_the_good_ones(tmp_path: Path) -> None:
    kinds = ("missing_object", "unknown_task")
    rows = rows_of(write_catalog(str(tmp_path), items=1, seed=0, size=SIZE, broken=2, kinds=kinds))

    assert [row["item_id"] for row in rows] == [
        "item-00000",
        "missing-object-0",
        "missing-object-1",
        "unknown-task-0",
        "unknown-task-1",
    ]
    assert len({row["item_id"] for row in rows}) == len(rows)
    assert not (tmp_path / rows[1]["person"]).exists()


def test_a_sheet_shows_person_garment_and_truth(tmp_path: Path) -> None:
    sheet = write_sheet(str(tmp_path / "sheet.png"), items=2, seed=0, size=SIZE)

    assert Image.open(sheet).size == (6 * (SIZE[1] + 4) + 4, SIZE[0] + 8)


def test_a_sheet_that_is_no_picture_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"must end in .png, .jpg or .jpeg"):
        write_sheet(str(tmp_path / "sheet"), items=1, seed=0, size=SIZE)


def test_drawn_data_sets_are_read_by_the_layouts_readers(tmp_path: Path) -> None:
    roots = {
        layout: write_dataset(layout, str(tmp_path / layout), items=2, seed=1, size=SIZE, split="test")
        for layout in ("viton_hd", "deepfashion", "multimodal")
    }

    tried = list(viton_hd.read(roots["viton_hd"], "test", paired=False))
    posed = list(deepfashion.read(roots["deepfashion"], "test"))
    told = list(multimodal.read(roots["multimodal"]))

    assert [len(tried), len(posed), len(told)] == [2, 2, 2]
    assert decode_picture(Path(tried[0].person).read_bytes()).shape == (*SIZE, 3)
    assert posed[0].source_keypoints.shape == (18, 3)
    assert posed[0].source_keypoints[:, 0].max() < SIZE[1]
    assert np.asarray(Image.open(told[0].parse)).max() < 24
    assert told[0].caption.endswith(".")
