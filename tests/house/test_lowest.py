"""Every range of pyproject.toml has a lower end, which `make test-lowest` installs."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from infra.lowest import lowest

PROJECT = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def test_each_library_is_pinned_to_the_lower_end_of_its_range() -> None:
    found = [Requirement(line) for line in lowest(PROJECT)]
    pins = {requirement.name: str(requirement.specifier) for requirement in found}
    assert len(pins) == len(found), "no library has two lower ends"
    extras = PROJECT["optional-dependencies"]
    lines = [*PROJECT["dependencies"], *(line for name, lines in extras.items() if name != "dev" for line in lines)]
    asked = {requirement.name: requirement.specifier for requirement in map(Requirement, lines)}
    assert pins.keys() == asked.keys() - {"atelier"}
    assert pins["ray"] == "==2.60" and asked["torch"].contains(pins["torch"].removeprefix("=="))


def test_a_range_without_a_lower_end_is_named() -> None:
    project = {"name": "shop", "dependencies": ["pillow<14"], "optional-dependencies": {"dev": ["ruff"]}}
    with pytest.raises(ValueError, match="pillow<14: has no lower end"):
        lowest(project)
