"""Weights by name: where a weight folder lies and which weights they are.

What Atelier ships lies in `atelier/pretrained/` and goes by its folder's name; other weights go by their folder's path.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from atelier import weights
from atelier.errors import WeightsError

PRETRAINED = Path(__file__).parent.parent / "pretrained"


def names() -> list[str]:
    """The weights that Atelier ships."""
    return sorted(path.parent.name for path in PRETRAINED.glob(f"*/{weights.CONFIG_NAME}"))


def folder(name: str) -> Path:
    """The weight folder behind a shipped name or a path.

    Raises:
        WeightsError: neither; lists the names there are.
    """
    for candidate in (PRETRAINED / name, Path(name)):
        if (candidate / weights.CONFIG_NAME).is_file():
            return candidate
    reason = f"is neither a folder with a {weights.CONFIG_NAME} nor one of the shipped weights {names()}"
    raise WeightsError(name, reason=reason)


def digest(name: str) -> str:
    """The sha256 of the weights behind a name or a path; read again only when a file has changed."""
    path = folder(name)
    stats = [(file.name, file.stat()) for file in sorted(path.iterdir()) if file.is_file()]
    return _digest(path, tuple((file, stat.st_size, stat.st_mtime_ns) for file, stat in stats))


@lru_cache(maxsize=32)
def _digest(path: Path, _versions: tuple[tuple[str, int, int], ...]) -> str:
    return weights.folder_digest(path)
