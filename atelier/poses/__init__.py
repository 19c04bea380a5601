"""The pose pack: poses by name, for rows that bring neither keypoints nor a map of regions of their own.

Each is `NAME.json`, an OpenPose JSON with its canvas, and `NAME.png`, the 24-label map of a figure in a T-shirt and
trousers who takes the pose; `atelier.closet.pose_pack` draws both. A row's address for a pose is `pose:NAME`.
"""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

from atelier.errors import NotFound

_FOLDER = Path(__file__).parent
_SCHEME = "pose:"
_SUFFIXES = {"pose": ".json", "pose_map": ".png"}
"""Of a pose's file, by the input that takes it."""


@cache
def names() -> tuple[str, ...]:
    """The poses there are, sorted."""
    return tuple(sorted(path.stem for path in _FOLDER.glob("*.json")))


def address(name: str) -> str:
    """Under which a row names a pose of the pack."""
    return f"{_SCHEME}{name}"


def is_named(address: str) -> bool:
    """Whether an address names a pose of the pack, and no file of the user's."""
    return address.startswith(_SCHEME)


def read(address: str, input_name: str) -> bytes:
    """What a pose is to an input: keypoints as OpenPose JSON for `pose`, labels as PNG for `pose_map`.

    Raises:
        NotFound: the pack has no such pose; lists those there are.
    """
    name = address.removeprefix(_SCHEME)
    if name not in names():
        raise NotFound(address, f"is no pose of the pack, which has {', '.join(names())}")
    return (_FOLDER / f"{name}{_SUFFIXES[input_name]}").read_bytes()


@cache
def digest(address: str) -> str:
    """sha256 over both files of a pose: its version token in a plan; "" for one that is not there."""
    name = address.removeprefix(_SCHEME)
    if name not in names():
        return ""
    files = [(_FOLDER / f"{name}{suffix}").read_bytes() for suffix in _SUFFIXES.values()]
    return hashlib.sha256(b"\0".join(files)).hexdigest()
