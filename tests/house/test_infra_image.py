"""The image holds what is there, in versions that the project takes."""

from __future__ import annotations

import shlex
import tomllib
from pathlib import Path

from packaging.requirements import Requirement

from tests.house.image import FOLDER, instructions

ROOT = Path(__file__).resolve().parents[2]


def test_the_image_copies_what_is_there_and_runs_as_no_root() -> None:
    lines = instructions()
    copied = [shlex.split(line)[1:-1] for line in lines if line.startswith("COPY ") and "--from" not in line]
    sources = {source for words in copied for source in words}
    ignored = (FOLDER / "Dockerfile.dockerignore").read_text().splitlines()

    assert [source for source in sources if not (ROOT / source).exists()] == []
    assert {f"!{source}" for source in sources} == {line for line in ignored if line.startswith("!")}
    assert "*" in ignored
    assert [line for line in lines if line.startswith("USER ")] == ["USER 10001"]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    [extras] = [line.partition("=")[2].split(",") for line in lines if line.startswith("ARG EXTRAS=")]
    assert set(extras) <= set(project["optional-dependencies"])


def test_the_images_versions_are_within_the_projects_bounds() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    text = (FOLDER / "constraints.txt").read_text()
    pinned = dict(line.split("==") for line in text.splitlines() if not line.startswith("#"))
    extras = ("ray", "train", "serve", "postgres")
    chosen = [project["dependencies"], *(project["optional-dependencies"][one] for one in extras)]
    wanted = [Requirement(line) for lines in chosen for line in lines]
    wanted = [one for one in wanted if one.name != project["name"]]

    assert len(wanted) > 15
    for one in wanted:
        assert one.specifier.contains(pinned[one.name.lower()]), f"{one} is pinned to {pinned[one.name.lower()]}"
