"""The closet as a source: every sample drawn from its number."""

from __future__ import annotations

import dataclasses
import hashlib
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from training.data.closet_source import ClosetConfig, draw_sample
from training.data.dataset import Sample
from training.data.sources.source import LeftOut, Maker, Row, Source

_NUM_PROBES = 4
"""Samples whose pixels say which closet drew them; the fourth is a negative where there are any."""


@dataclass(frozen=True, kw_only=True)
class ClosetSource(Source):
    """Drawn samples."""

    config: ClosetConfig

    def identity(self) -> Mapping[str, Any]:
        """The settings and the pixels of a few samples: a closet that draws otherwise is another source."""
        probes = hashlib.sha256()
        for index in range(min(_NUM_PROBES, self.config.num_samples)):
            for value in draw_sample(self.config, index).values():
                probes.update(value.tobytes())
        settings = dataclasses.asdict(self.config) | {"size": list(self.config.size)}
        return {"kind": "closet", "settings": settings, "drawn": probes.hexdigest()}

    def rows(self) -> list[Row]:
        return [{"id": self.config.sample_id(index), "index": index} for index in range(self.config.num_samples)]

    def build(self) -> Maker:
        return self._draw

    @property
    def pixels(self) -> int:
        return (8 if self.config.kind in ("try_on", "pose_transfer") else 4) * math.prod(self.config.size)

    def _draw(self, rows: Sequence[Row]) -> Iterator[tuple[str, Sample] | LeftOut]:
        for row in rows:
            yield row["id"], draw_sample(self.config, row["index"])
