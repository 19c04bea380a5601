"""VITON-HD's folders: `train|test/{image,cloth,cloth-mask,…}` and `<split>_pairs.txt`.

Two releases name the folders differently (`image-parse` or `image-parse-v3`, `openpose-json` or `openpose_json`); both
are read, the currently distributed names are written.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from atelier import storage
from atelier.datasets.samples import TryOnSample
from atelier.datasets.texts import read_text
from atelier.errors import CatalogError

Split = Literal["train", "test"]
PAIRS = "{split}_pairs.txt"
"""The list of a split's pairs, in the folder's root."""

_PARSE = ("image-parse-v3", "image-parse")
_KEYPOINTS = ("openpose_json", "openpose-json")
_POSE_IMAGE = ("openpose_img", "openpose-img")


@dataclass(frozen=True, kw_only=True)
class TryOnFiles:
    """Encoded files of one person and the garment worn, as `write` puts them down."""

    name: str
    person_jpeg: bytes
    garment_jpeg: bytes
    garment_mask_jpeg: bytes
    parse_png: bytes
    keypoints_json: bytes
    pose_image_png: bytes


def read(root: str, split: Split, *, paired: bool) -> Iterator[TryOnSample]:
    """The samples of a split, in the pair list's order.

    Args:
        root: folder or `s3://` prefix that holds `train/`, `test/` and the pair lists.
        paired: each person with the garment it wears (training, paired metrics); else as the pair list says.

    Raises:
        CatalogError: a folder of the layout is absent, the list is empty or no text, or a pair names a picture that
            isn't there.
    """
    listing = storage.join(root, f"{split}_pairs.txt")
    lines = read_text(listing, root=root, layout="VITON-HD").splitlines()
    if not any(line.strip() for line in lines):
        raise CatalogError(f"{listing}: is empty; each line must be 'PERSON.jpg GARMENT.jpg'")
    base = storage.join(root, split)
    folders = _Folders(base)
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        names = line.split()
        if len(names) != 2:
            raise CatalogError(f"{listing}, line {number}: {line!r} must be 'PERSON.jpg GARMENT.jpg'")
        person, garment = names[0], names[0] if paired else names[1]
        stem = person.rsplit(".", 1)[0]
        yield TryOnSample(
            person_id=stem,
            garment_id=garment.rsplit(".", 1)[0],
            person=folders.file(("image",), person, f"{listing}, line {number}"),
            garment=folders.file(("cloth",), garment, f"{listing}, line {number}"),
            garment_mask=folders.file(("cloth-mask",), garment, f"{listing}, line {number}"),
            parse=folders.file(_PARSE, f"{stem}.png", f"{listing}, line {number}"),
            keypoints=folders.file(_KEYPOINTS, f"{stem}_keypoints.json", f"{listing}, line {number}"),
            pose_image=folders.file(_POSE_IMAGE, f"{stem}_rendered.png", f"{listing}, line {number}"),
            paired=person == garment,
        )


def write(root: str, split: Split, people: Iterable[TryOnFiles], *, shift: int = 1) -> int:
    """Puts down a split: each person's files, and a pair list in which person `i` tries the garment of `i + shift`.

    Returns:
        How many people were written.
    """
    names = []
    base = storage.join(root, split)
    for files in people:
        parts = {
            f"image/{files.name}.jpg": files.person_jpeg,
            f"cloth/{files.name}.jpg": files.garment_jpeg,
            f"cloth-mask/{files.name}.jpg": files.garment_mask_jpeg,
            f"{_PARSE[0]}/{files.name}.png": files.parse_png,
            f"{_KEYPOINTS[0]}/{files.name}_keypoints.json": files.keypoints_json,
            f"{_POSE_IMAGE[0]}/{files.name}_rendered.png": files.pose_image_png,
        }
        for path, data in parts.items():
            storage.put(storage.join(base, path), data)
        names.append(f"{files.name}.jpg")
    pairs = [f"{name} {names[(i + shift) % len(names)]}" for i, name in enumerate(names)]
    storage.put(storage.join(root, f"{split}_pairs.txt"), ("\n".join(pairs) + "\n").encode())
    return len(names)


class _Folders:
    """The files of each folder, listed once: a pair list of thousands must not ask the store for each."""

    def __init__(self, base: str) -> None:
        self.base = base
        self.listed: dict[str, dict[str, str]] = {}

    def file(self, folders: tuple[str, ...], name: str, where: str) -> str:
        for folder in folders:
            if name in (listed := self._list(folder)):
                return listed[name]
        tried = " or ".join(f"{self.base}/{folder}/{name}" for folder in folders)
        raise CatalogError(f"{where}: names {name!r}, but there is no {tried}")

    def _list(self, folder: str) -> dict[str, str]:
        if folder not in self.listed:
            entries = storage.list(storage.join(self.base, folder) + "/")
            self.listed[folder] = {entry.address.rsplit("/", 1)[1]: entry.address for entry in entries}
        return self.listed[folder]
