"""A set of pictures: a folder, its names, and the digest that says which pictures it held."""

from __future__ import annotations

import hashlib
import posixpath
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Self

from atelier import storage
from atelier.errors import MismatchError

SUFFIXES = (".avif", ".jpeg", ".jpg", ".png", ".webp")


@dataclass(frozen=True, kw_only=True)
class PictureSet:
    """Pictures below a folder.

    Args:
        address: the folder, a path or `s3://bucket/folder`.
        pictures: name → address, sorted by name. A name is the path inside the folder, without the file ending.
    """

    address: str
    pictures: Mapping[str, str]

    @classmethod
    def of(cls, address: str) -> Self:
        """The pictures below a folder, in folders below it too; other files are passed over.

        Raises:
            MismatchError: no picture there, or two of one name.
            StorageError: an address that cannot be read.
        """
        root = storage.resolve(address)
        found: dict[str, str] = {}
        twice = []
        for entry in storage.list(root):
            stem, suffix = posixpath.splitext(entry.address)
            if suffix.lower() not in SUFFIXES:
                continue
            name = stem.removeprefix(root).lstrip("/")
            if name in found:
                twice.append(name)
            found[name] = entry.address
        if not found:
            raise MismatchError(f"{address}: holds no picture ({', '.join(SUFFIXES)})")
        if twice:
            raise MismatchError(f"{address}: two pictures of one name, told apart by their endings only", sorted(twice))
        return cls(address=address, pictures=dict(sorted(found.items())))


def digest(contents: Iterable[tuple[str, str]]) -> str:
    """The sha256 (hex) of a set: of each picture's name and its file's sha256, by name."""
    total = hashlib.sha256()
    for name, content in sorted(contents):
        total.update(f"{name} {content}\n".encode())
    return total.hexdigest()
