"""What the repository promises of itself: sizes of files and weights, names of modules, commands that infra calls."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def tracked() -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout
    return [path for name in listed.decode().split("\0") if name and (path := ROOT / name).is_file()]


def test_no_tracked_file_is_larger_than_16_mb(tracked: list[Path]) -> None:
    assert [path.name for path in tracked if path.stat().st_size > 16 * 2**20] == []


def test_modules_are_named_for_nouns(tracked: list[Path]) -> None:
    vague = {"util.py", "utils.py", "common.py", "helper.py", "helpers.py", "misc.py", "manager.py"}
    assert [str(path) for path in tracked if path.name in vague] == []


def test_weights_are_safetensors_with_a_card_and_small(tracked: list[Path]) -> None:
    pretrained = ROOT / "atelier" / "pretrained"
    files = [path for path in tracked if pretrained in path.parents]
    folders = {path.parent for path in files if path.suffix == ".safetensors"}

    assert sum(path.stat().st_size for path in files) <= 40 * 2**20
    try_on = {"viton_hd_closet", "parser_closet", "pose_closet"}
    assert sum(path.stat().st_size for path in files if path.parent.name in try_on) <= 10 * 10**6
    assert [folder.name for folder in folders if not (folder / "README.md").is_file()] == []
    pickled = {".pt", ".pth", ".bin", ".pkl", ".ckpt"}
    assert [path.name for path in tracked if path.suffix in pickled] == []
