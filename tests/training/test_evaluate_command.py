"""`python -m training evaluate`, as it is typed."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from atelier.__main__ import main as atelier_main
from training.__main__ import main


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    random = np.random.default_rng(1)
    for side in ("made", "true"):
        (tmp_path / side).mkdir()
        for number in range(3):
            Image.fromarray(random.integers(0, 256, (16, 12, 3), dtype=np.uint8)).save(
                tmp_path / side / f"{number}.png"
            )
    return tmp_path


def test_table_and_record_come_from_one_command(
    pictures: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    sets = ["--made", str(pictures / "made"), "--true", str(pictures / "true"), "--out", str(pictures / "out")]
    monkeypatch.setattr(sys, "argv", ["training", "evaluate", *sets])
    assert main() == 0
    printed = capsys.readouterr().out
    assert "3 made, 3 truth; paired, 16x12" in printed and "SSIM ↑" in printed
    trained = (pictures / "out" / "eval.json").read_bytes()
    assert json.loads(trained)["scores"]["psnr"]["mean"] > 0

    assert atelier_main(["evaluate", "pictures", *sets]) == 0
    assert (pictures / "out" / "eval.json").read_bytes() == trained


@pytest.mark.parametrize("name", ["--made", "--true", "--pairs", "--training", "--lpips", "--features"])
def test_an_unset_variable_of_a_shell_is_no_folder(
    name: str, pictures: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sets = ["--made", str(pictures / "made"), "--true", str(pictures / "true"), "--out", str(pictures / "out")]
    with pytest.raises(SystemExit) as error:
        atelier_main(["evaluate", "pictures", *sets, name, ""])
    assert error.value.code == 2
    assert f"argument {name}: is '', must not be empty" in capsys.readouterr().err


def test_refusals_give_a_reason_and_write_nothing(
    pictures: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (pictures / "made" / "2.png").unlink()
    sets = ["--made", str(pictures / "made"), "--true", str(pictures / "true"), "--out", str(pictures / "out")]
    monkeypatch.setattr(sys, "argv", ["training", "evaluate", *sets])
    assert main() == 1
    assert "1 of 3 true pictures have no partner" in capsys.readouterr().err
    assert not (pictures / "out").exists()
    assert atelier_main(["convert", "lpips", "--net", "alex", "--out", str(pictures / "weights")]) == 2
    assert "give --flax alone, or --backbone and --heads together" in capsys.readouterr().err


@pytest.mark.parametrize("device", ["nonsense", "meta", "cuda:-1", "cuda:99"])
def test_a_device_that_is_none(
    device: str, pictures: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    sets = ["--made", str(pictures / "made"), "--true", str(pictures / "true"), "--out", str(pictures / "out")]
    monkeypatch.setattr(sys, "argv", ["training", "evaluate", *sets, "--device", device])
    assert main() == 1
    assert f"ConfigError: device: is {device!r}" in (refused := capsys.readouterr().err) and "must be cpu" in refused
