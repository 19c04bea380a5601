"""Where a command is to write is looked at before it begins, and in one way for all."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from atelier.__main__ import main

INTO_FOLDERS = {
    "convert viton_hd": ["--segmentation", "s.pth", "--matching", "m.pth", "--alias", "a.pth"],
    "convert pidm": ["--checkpoint", "last.pt"],
    "convert truepose": ["--stable-diffusion", "sd", "--clip", "clip"],
    "convert lpips": ["--net", "alex", "--flax", "alexnet.ckpt"],
    "evaluate try_on": ["--items", "4"],
    "evaluate pose_transfer": [],
    "evaluate text_to_person": [],
    "evaluate pictures": ["--made", "made", "--true", "true"],
    "closet catalog": ["--items", "1"],
    "closet dataset": ["--items", "1", "--layout", "viton_hd"],
    "memory build": ["--data", "data"],
}


def _refused(command: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit) as ended:
        main(command)
    assert ended.value.code == 2
    return capsys.readouterr().err.splitlines()[-1]


@pytest.mark.parametrize("command", INTO_FOLDERS)
def test_a_file_is_no_folder(command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    taken = tmp_path / "afile"
    taken.write_text("a file")
    words = [*command.split(), *INTO_FOLDERS[command], "--out"]
    assert _refused([*words, str(taken)], capsys).endswith(f"--out: {taken}: is a file, must be a folder")
    below = f"--out: {taken}/below: {taken} is a file, must be a folder"
    assert _refused([*words, f"{taken}/below"], capsys).endswith(below)
    assert taken.read_text() == "a file" and list(tmp_path.iterdir()) == [taken]


@pytest.mark.parametrize("command", INTO_FOLDERS)
def test_no_name_is_no_place(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    said = _refused([*command.split(), *INTO_FOLDERS[command], "--out", ""], capsys)
    assert "argument --out: is '', must be a folder" in said


@pytest.mark.parametrize("command", [["closet", "sheet", "--items", "1", "--out"], ["poses", "--sheet"]])
def test_a_folder_is_no_file(command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "sheet.png").mkdir()
    said = _refused([*command, str(tmp_path / "sheet.png")], capsys)
    assert said.endswith(f"{tmp_path}/sheet.png: is a folder, must be a file")


@pytest.mark.skipif(sys.platform != "linux", reason="/proc takes no files, not from root either")
@pytest.mark.parametrize("command", [["closet", "catalog", "--items", "1"], ["evaluate", "try_on"]])
def test_a_place_that_takes_nothing_is_named(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    said = _refused([*command, "--out", "/proc/x/y"], capsys)
    assert "argument --out: /proc/x/y: nothing can be written into /proc (" in said


def test_what_is_of_this_computer_alone_takes_no_store(capsys: pytest.CaptureFixture[str]) -> None:
    said = _refused(["evaluate", "try_on", "--out", "s3://bucket/x"], capsys)
    assert said.endswith("s3://bucket/x: must be a folder of this computer")
    said = _refused(["closet", "catalog", "--out", "gs://bucket/x"], capsys)
    assert "gs://bucket/x: its scheme is unknown" in said
