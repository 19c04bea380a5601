"""The pose pack: poses by name, for rows that bring neither keypoints nor a map of regions of their own.

Each is `NAME.json`, an OpenPose JSON with its canvas, and `NAME.png`, the 24-label map of a figure in a T-shirt and
trousers who takes the pose; `NAME_OUTFIT.png` are maps of the same figure in other clothes, since words of a dress
need a map that has one. `atelier.closet.pose_pack` draws them all. A row's address for a pose is `pose:NAME`.
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
def names(input_name: str = "pose") -> tuple[str, ...]:
    """What an input may name, sorted: the poses for `pose`; for `pose_map` those and each in other outfits."""
    return tuple(sorted(path.stem for path in _FOLDER.glob(f"*{_SUFFIXES[input_name]}")))


@cache
def outfits() -> tuple[str, ...]:
    """The outfits there are beside a T-shirt and trousers; a pose's map in one is `NAME_OUTFIT`."""
    first = names()[0]
    return tuple(name.removeprefix(f"{first}_") for name in names("pose_map") if name.startswith(f"{first}_"))


def listed(input_name: str) -> str:
    """The names for a sentence that tells somebody who gave another."""
    poses = ", ".join(names())
    return poses if input_name == "pose" else f"{poses}, each also in other clothes as NAME_{', NAME_'.join(outfits())}"


def address(name: str) -> str:
    """Under which a row names a pose of the pack."""
    return f"{_SCHEME}{name}"


def is_named(address: str) -> bool:
    """Whether an address names a pose of the pack, and no file of the user's."""
    return address.startswith(_SCHEME)


def read(address: str, input_name: str) -> bytes:
    """What a pose is to an input: keypoints as OpenPose JSON for `pose`, labels as PNG for `pose_map`.

    Raises:
        NotFound: the pack has no such pose for it; lists those there are.
    """
    name = address.removeprefix(_SCHEME)
    if name not in names(input_name):
        raise NotFound(address, f"is no pose of the pack, which has {listed(input_name)}")
    return (_FOLDER / f"{name}{_SUFFIXES[input_name]}").read_bytes()


@cache
def digest(address: str) -> str:
    """sha256 over the files of a name: its version token in a plan; "" for one that is not there."""
    name = address.removeprefix(_SCHEME)
    if name not in names("pose_map"):
        return ""
    files = [path.read_bytes() for suffix in _SUFFIXES.values() if (path := _FOLDER / f"{name}{suffix}").is_file()]
    return hashlib.sha256(b"\0".join(files)).hexdigest()
