"""A set of pictures: their names, where they lie, and the digest that says which they were."""

from __future__ import annotations

import hashlib
import posixpath
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Self

from atelier import storage
from atelier.errors import MismatchError
from atelier.evaluation.sets import catalogs
from atelier.evaluation.sets.catalogs import Missing, Named
from atelier.evaluation.sets.ledger import read_missing

SUFFIXES = (".avif", ".jpeg", ".jpg", ".png", ".webp")


@dataclass(frozen=True, kw_only=True)
class PictureSet:
    """Pictures by name.

    Args:
        address: as it was given.
        pictures: name → address, sorted by name.
        tasks: name → task and recipe, of pictures whose table says.
        missing: name → why a listed row or unit has no picture.
    """

    address: str
    pictures: Mapping[str, str]
    tasks: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    missing: Mapping[str, Missing] = field(default_factory=dict)

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
        published = None
        if catalogs.is_table(root):
            named = catalogs.read_table(root)
        else:
            published = catalogs.read_published(root)
            named = list(_in_folder(root)) if published is None else published
        found: dict[str, str] = {}
        twice = []
        for row in named:
            if not row.address:
                continue
            if row.name in found:
                twice.append(row.name)
            found[row.name] = row.address
        if not found and not _is_there(root):
            raise MismatchError(f"{address}: there is no such folder")
        if not found:
            raise MismatchError(f"{address}: holds no picture ({', '.join(SUFFIXES)})")
        if twice:
            raise MismatchError(f"{address}: holds more than one picture of these names", sorted(twice))
        missing = {
            row.name: Missing(status="unnamed", reason="no picture is named", task=row.task, recipe=row.recipe)
            for row in named
            if row.name not in found
        }
        return cls(
            address=address,
            pictures=dict(sorted(found.items())),
            tasks={row.name: (row.task, row.recipe) for row in named if row.task},
            missing=missing if published is None else read_missing(root, found),
        )

    def told(self, name: str) -> tuple[str, str]:
        """Task and recipe of a name, as a table or ledger has them; "" is what neither says."""
        if name in self.missing:
            return self.missing[name].task, self.missing[name].recipe
        return self.tasks.get(name, ("", ""))

    def where(self, is_kept: Callable[[str], bool]) -> Self:
        """The set of some names alone, those without a picture among them."""
        return replace(
            self,
            pictures={name: where for name, where in self.pictures.items() if is_kept(name)},
            missing={name: why for name, why in self.missing.items() if is_kept(name)},
        )

    def without(self, names: Collection[str]) -> Self:
        """The set without some of its pictures."""
        return replace(self, pictures={name: where for name, where in self.pictures.items() if name not in names})


def _in_folder(root: str) -> Iterator[Named]:
    for entry in storage.list(root):
        stem, suffix = posixpath.splitext(entry.address)
        if suffix.lower() in SUFFIXES:
            yield Named(name=stem.removeprefix(root).lstrip("/"), address=entry.address)


def _is_there(root: str) -> bool:
    """Whether a folder is there; a prefix of a store is, where anything lies below it."""
    return next(storage.list(root), None) is not None if storage.is_s3(root) else Path(root).is_dir()


def digest(contents: Iterable[tuple[str, str]]) -> str:
    """The sha256 (hex) of a set: of each picture's name and its file's sha256, by name."""
    total = hashlib.sha256()
    for name, content in sorted(contents):
        total.update(f"{name} {content}\n".encode())
    return total.hexdigest()
