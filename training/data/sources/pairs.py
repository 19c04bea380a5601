"""Pairs of pictures, either of which may be the source: each conditioned as inference conditions a source."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from training.data.dataset import Sample
from training.data.sources.conditioning import Conditioning
from training.data.sources.source import LeftOut, Maker, Row

SIDES = ("source", "target")


@dataclass(frozen=True, kw_only=True)
class PairConditioning:
    """Makes one sample of a row's two pictures.

    Args:
        picture: of one picture; a pair's row names its columns behind the side, e.g. `source_person_address`.
        names: column of a picture → what is added to the side for the sample's, e.g. `parse` → `_parse`.
    """

    picture: Conditioning
    names: Mapping[str, str]

    def identity(self) -> Mapping[str, Any]:
        """What the stages make, weights included."""
        return self.picture.identity()

    def build(self) -> Maker:
        """The stages, ready."""
        make_pictures = self.picture.build()

        def make(rows: Sequence[Row]) -> Iterator[tuple[str, Sample] | LeftOut]:
            made = make_pictures([_picture(row, side) for row in rows for side in SIDES])
            for row, source, target in zip(rows, made, made, strict=True):
                yield self._joined(row["id"], source, target)

        return make

    def _joined(self, pair_id: str, *pictures: tuple[str, Sample] | LeftOut) -> tuple[str, Sample] | LeftOut:
        columns: dict[str, Sample] = {}
        for side, picture in zip(SIDES, pictures, strict=True):
            if isinstance(picture, LeftOut):
                return LeftOut(id=pair_id, stage=picture.stage, code=picture.code, detail=f"{side}: {picture.detail}")
            columns[side] = picture[1]
        return pair_id, {
            f"{side}{ending}": columns[side][name] for name, ending in self.names.items() for side in SIDES
        }


def _picture(row: Row, side: str) -> Row:
    prefix = f"{side}_"
    named = {name.removeprefix(prefix): value for name, value in row.items() if name.startswith(prefix)}
    return {"id": f"{row['id']}: {side}", **named}
