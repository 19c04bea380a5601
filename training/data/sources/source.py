"""What a source is: rows that are cheap to list, and a maker that turns them into samples wherever it is built."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from training.data.dataset import Sample

Row = Mapping[str, Any]
"""Plain values that JSON can hold: `id`, and addresses or numbers."""


@dataclass(frozen=True, kw_only=True)
class LeftOut:
    """A row that no sample could be made of: which one, in which stage, and why."""

    id: str
    stage: str
    code: str
    detail: str


Maker = Callable[[Sequence[Row]], Iterator[tuple[str, Sample] | LeftOut]]
"""Rows to samples with their ids, in order; each row gives exactly one of the two."""


class Source(ABC):
    """A frozen, picklable dataclass for each kind of source."""

    @abstractmethod
    def identity(self) -> Mapping[str, Any]:
        """What it is and how its samples are made, as plain values; the rows themselves are counted in elsewhere."""

    @abstractmethod
    def rows(self) -> list[Row]:
        """All rows in their order, the same every time as long as nothing changes.

        Raises:
            CatalogError: the folder does not have the layout, or a list in it names a file that is not there.
        """

    def passed_over(self) -> str:
        """What of the folder is no row by the layout's own rule, in words; "" where that is nothing."""
        return ""

    @abstractmethod
    def build(self) -> Maker:
        """The maker, ready, its networks loaded."""

    @property
    @abstractmethod
    def pixels(self) -> int:
        """Bytes of a sample's pictures and maps, about: how many go into a shard."""
