"""Held-out rows go along with prepared data, and validations on shards are of that data set's own test split."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path

import numpy as np
import pytest

from atelier.closet.layouts import Layout, write_dataset
from atelier.errors import CatalogError
from tests.training.tiny_models import SIZE
from training.__main__ import main
from training.data.config import DataConfig
from training.data.pose_transfer import PoseTransferColumns
from training.data.sources.finding import LayoutSettings
from training.data.try_on import TryOnColumns
from training.run import TrainRun
from training.runs.pidm import pidm_256
from training.runs.viton_hd import viton_hd_segmentation
from training.watch.validation import rows
from training.watch.validation.held_out_pairs import held_out_pairs
from training.watch.validation.parts import LayoutValidation
from training.watch.validation.pose_transfer import PidmValidation
from training.watch.validation.rows import TryOnRowsValidation


def tries() -> TrainRun:
    """A published run at a few pixels: a run of one's own, by module and function."""
    data = DataConfig(layout=LayoutSettings(size=SIZE), columns=TryOnColumns(mirror=False, largest_gap=0.0))
    held_out = LayoutValidation(size=SIZE, num_rows=2)
    return dataclasses.replace(viton_hd_segmentation(), name="tries", data=data, validation=held_out)


def poses() -> TrainRun:
    data = DataConfig(layout=LayoutSettings(size=SIZE), columns=PoseTransferColumns())
    return dataclasses.replace(pidm_256(), name="poses", data=data, validation=PidmValidation(size=SIZE, num_rows=2))


def folder(root: Path, layout: Layout, *splits: str) -> str:
    for split in splits:
        write_dataset(layout, str(root), items=3, seed=0, size=SIZE, split="test" if split == "test" else "train")
    return str(root)


def prepared(run: str, data: str, output: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    words = ["prepare", f"{__name__}:{run}", "--data", data, "--output", str(output), "--no-ray"]
    monkeypatch.setattr(sys, "argv", ["training", *words])
    assert main() == 0
    return str(output)


def test_try_ons_are_validated_on_the_test_split_that_was_prepared_along(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    root = folder(tmp_path / "data", "viton_hd", "train", "test")
    shards = prepared("tries", root, tmp_path / "shards", monkeypatch)
    assert "held out beside them, for validations: 3 rows of the test split" in capsys.readouterr().out
    validation = tries().validation
    assert isinstance(validation, TryOnRowsValidation)
    beside = validation.beside(shards)
    assert beside.source == f"the first 2 rows of {shards}/held_out, test split, paired"
    for mine, theirs in zip(beside.rows(), rows.test_set_rows(root, 2, SIZE), strict=True):
        assert mine.item_id == theirs.item_id and mine.files == theirs.files
    prepared("tries", root, tmp_path / "shards", monkeypatch)


def test_poses_are_validated_on_the_test_split_that_was_prepared_along(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = folder(tmp_path / "data", "deepfashion", "train", "test")
    shards = prepared("poses", root, tmp_path / "shards", monkeypatch)
    validation = poses().validation
    assert isinstance(validation, PidmValidation)
    beside = validation.beside(shards)
    assert beside.test_set == f"{shards}/held_out"
    mine, theirs = (held_out_pairs(where, 2, SIZE, None) for where in (beside.test_set, root))
    assert [row.row for row in mine] == [row.row for row in theirs]
    assert np.array_equal(mine[1].truth, theirs[1].truth)


@pytest.mark.parametrize(("run", "layout"), [("tries", "viton_hd"), ("poses", "deepfashion")])
def test_list_of_the_test_split_that_names_what_is_not_there_is_refused_before_anything_is_prepared(
    run: str, layout: Layout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    root = folder(tmp_path / "data", layout, "train", "test")
    [listed] = [path for path in Path(root).iterdir() if "pairs" in path.name and "test" in path.name]
    listed.write_text(listed.read_text().replace(".jpg", "-ghost.jpg", 1))
    words = ["prepare", f"{__name__}:{run}", "--data", root, "--output", str(tmp_path / "shards"), "--no-ray"]
    monkeypatch.setattr(sys, "argv", ["training", *words])
    assert main() == 1
    assert "-ghost.jpg" in capsys.readouterr().err
    assert not (tmp_path / "shards").exists()


@pytest.mark.parametrize("layout", ["viton_hd", "deepfashion"])
def test_validation_passes_over_a_broken_row_of_the_test_split_and_says_so(
    layout: Layout, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    root = folder(tmp_path / "data", layout, "test")

    def read(num_rows: int) -> tuple[object, ...]:
        if layout == "viton_hd":
            return rows.test_set_rows(root, num_rows, SIZE)
        return held_out_pairs(root, num_rows, SIZE, None)

    whole = read(2)
    [first] = sorted(Path(root).glob("test/image/*" if layout == "viton_hd" else "test/*"))[:1]
    first.write_bytes(first.read_bytes()[:300])
    left = read(32)
    assert 0 < len(left) < 32 and len(whole) == 2
    told = [record.getMessage() for record in caplog.records]
    assert all(f"{root}: validations pass over {first.stem}" in line or first.stem in line for line in told)
    assert any("picture_truncated" in line for line in told)
    for picture in Path(root).glob("test/image/*" if layout == "viton_hd" else "test/*"):
        picture.write_bytes(b"")
    with pytest.raises(CatalogError, match=r"none of the \d+ rows of its test split can be read"):
        read(31)


def test_data_without_a_test_split_are_said_to_have_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    shards = prepared("tries", folder(tmp_path / "data", "viton_hd", "train"), tmp_path / "shards", monkeypatch)
    validation = tries().validation
    assert validation is not None
    with caplog.at_level("WARNING", logger="training"):
        assert validation.beside(shards) == validation and validation.beside(None) == validation
    [told] = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert f"{shards}: there is no test split (test_pairs.txt) beside the data" in told
