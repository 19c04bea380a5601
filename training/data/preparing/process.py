"""What a process that makes parts holds. It imports no torch by itself: a source that only draws starts in a second."""

from __future__ import annotations

from training.data.preparing.part import Part, PartRecord, make_part
from training.data.sources.source import Maker, Source


class PartProcess:
    """One process: the maker, built once, and a part at a time."""

    maker: Maker

    @classmethod
    def start(cls, source: Source) -> None:
        """Builds the maker; to be called once, first."""
        cls.maker = source.build()

    @classmethod
    def make(cls, part: Part) -> PartRecord:
        """A part's shard and record."""
        return make_part(cls.maker, part)
