"""The oldest libraries that pyproject.toml admits, as pip's constraints: `python -m infra.lowest > lowest.txt`.

`make test-lowest` installs them and runs the unit tests: a range says what has been tried, at both of its ends.
"""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement

TOOLS = frozenset({"dev"})
"""Extras of those who work on Atelier: nothing that a user runs depends on them."""


def lowest(project: dict[str, Any]) -> list[str]:
    """A line `name==version` for each library that a user may install.

    Args:
        project: the table `[project]`.

    Raises:
        ValueError: a requirement has no lower end.
    """
    extras: dict[str, list[str]] = project["optional-dependencies"]
    lines = [*project["dependencies"], *(line for name in extras.keys() - TOOLS for line in extras[name])]
    pins: set[str] = set()
    for requirement in map(Requirement, lines):
        ends = [each.version for each in requirement.specifier if each.operator in (">=", "==", "~=")]
        if requirement.name != project["name"]:
            if not ends:
                raise ValueError(f"{requirement}: has no lower end; must say >=, == or ~=")
            pins.add(f"{requirement.name}=={ends[0]}")
    return sorted(pins)


if __name__ == "__main__":
    table = tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8"))["project"]
    sys.stdout.writelines(f"{line}\n" for line in lowest(table))
