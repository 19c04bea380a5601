"""A set of pictures: their names, where they lie, and the digest that says which they were."""

from __future__ import annotations

import hashlib
import posixpath
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from atelier import storage
from atelier.errors import MismatchError
from atelier.evaluation.sets import catalogs

SUFFIXES = (".avif", ".jpeg", ".jpg", ".png", ".webp")


@dataclass(frozen=True, kw_only=True)
class PictureSet:
    """Pictures by name.

    Args:
        address: as it was given.
        pictures: name → address, sorted by name.
    """

    address: str
    pictures: Mapping[str, str]

    @classmethod
    def of(cls, address: str) -> Self:
        """The pictures at an address, a path or `s3://bucket/...`.

        Args:
            address: a folder, whose pictures go by their path inside it without the ending, other files passed over;
                the output of a batch job, whose published pictures go by their item; or a catalog (`.csv`, `.tsv`,
                `.parquet`) with a column `picture` or `truth`.

        Raises:
            MismatchError: no such folder, no picture there, or two of one name.
            CatalogError: a catalog that cannot be read.
            StorageError: an address that cannot be read.
        """
        root = storage.resolve(address)
        if catalogs.is_table(root):
            named = catalogs.read_table(root)
        else:
            published = catalogs.read_published(root)
            named = list(_in_folder(root)) if published is None else published
        found: dict[str, str] = {}
        twice = []
        for name, picture in named:
            if name in found:
                twice.append(name)
            found[name] = picture
        if not found and not _is_there(root):
            raise MismatchError(f"{address}: there is no such folder")
        if not found:
            raise MismatchError(f"{address}: holds no picture ({', '.join(SUFFIXES)})")
        if twice:
            raise MismatchError(f"{address}: holds more than one picture of these names", sorted(twice))
        return cls(address=address, pictures=dict(sorted(found.items())))


def _in_folder(root: str) -> Iterator[tuple[str, str]]:
    for entry in storage.list(root):
        stem, suffix = posixpath.splitext(entry.address)
        if suffix.lower() in SUFFIXES:
            yield stem.removeprefix(root).lstrip("/"), entry.address


def _is_there(root: str) -> bool:
    """Whether a folder is there; a prefix of a store is, where anything lies below it."""
    return next(storage.list(root), None) is not None if storage.is_s3(root) else Path(root).is_dir()


def digest(contents: Iterable[tuple[str, str]]) -> str:
    """The sha256 (hex) of a set: of each picture's name and its file's sha256, by name."""
    total = hashlib.sha256()
    for name, content in sorted(contents):
        total.update(f"{name} {content}\n".encode())
    return total.hexdigest()
