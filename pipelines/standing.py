"""How every unit of a ledger last ended, small enough to hold for a whole catalog."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pyarrow as pa

from atelier.keys import rendition_key
from pipelines.ledger import Ledger
from pipelines.unit_ids import text_ids

STATUSES = ("", "ok", "rejected", "failed")
"""A status by its number; 0 is a unit without an outcome."""

OK, REJECTED, FAILED = 1, 2, 3

_COLUMNS = (
    "item_id",
    "variant",
    "recipe",
    "status",
    "code",
    "plan_key",
    "picture_key",
    "rendition_key",
    "made",
    "run_id",
)


class Standing:
    """The latest outcome of each unit, as columns sorted by unit; about 24 bytes a unit.

    Args:
        renditions: `Recipe.rendition()` by recipe, to find the pictures that are encoded in another way by now.
        run_id: the run whose made pictures are marked.
    """

    def __init__(self, ledger: Ledger, *, renditions: Mapping[str, str] | None = None, run_id: str = "") -> None:
        self.codes: list[str] = []
        known: dict[str, int] = {}
        parts: list[tuple[np.ndarray, ...]] = []
        for units, batch in ledger.latest_units(_COLUMNS):
            texts = {name: batch.column(name).to_pylist() for name in _COLUMNS}
            status = np.array([STATUSES.index(name) for name in texts["status"]])
            code = _numbers(texts["code"], known)
            made = np.array([run == run_id for run in texts["run_id"]]) & np.array(texts["made"], bool)
            parts.append((
                units,
                text_ids(texts["plan_key"]),
                status.astype(np.uint8),
                code.astype(np.int32),
                made,
                _other_rendition(batch, renditions or {}),
            ))  # fmt: skip
        self.codes = list(known)
        empty = (np.uint64, np.uint64, np.uint8, np.int32, bool, bool)
        columns = [np.concatenate(column) for column in zip(*parts, strict=True)] or [np.zeros(0, t) for t in empty]
        order = np.argsort(columns[0])
        self._unit, self.plan_key, self.status, self.code, self.made, self.other_rendition = (c[order] for c in columns)

    def __len__(self) -> int:
        return len(self._unit)

    def find(self, units: np.ndarray, plan_keys: np.ndarray) -> np.ndarray:
        """Where each unit's outcome under this very plan key stands, -1 where there is none, int64."""
        if not len(self):
            return np.full(len(units), -1)
        at = np.minimum(np.searchsorted(self._unit, units), len(self) - 1)
        return np.where((self._unit[at] == units) & (self.plan_key[at] == plan_keys), at, -1)


def _numbers(texts: list[str], known: dict[str, int]) -> np.ndarray:
    return np.array([known.setdefault(text, len(known)) for text in texts])


def _other_rendition(batch: pa.RecordBatch, renditions: Mapping[str, str]) -> np.ndarray:
    if not renditions:
        return np.zeros(batch.num_rows, bool)
    names = ("recipe", "status", "picture_key", "rendition_key")
    return np.array([
        status == "ok" and recipe in renditions and held != rendition_key(picture=picture, rendition=renditions[recipe])
        for recipe, status, picture, held in zip(*(batch.column(name).to_pylist() for name in names), strict=True)
    ])  # fmt: skip
