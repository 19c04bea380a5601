"""Every unit of a planned catalog, in the catalog's order."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from pipelines.runs import plan_folder
from pipelines.spool import read_spool
from pipelines.unit_ids import text_ids, unit_ids

CENSUS_SCHEMA = pa.schema(
    [
        ("item_id", pa.string()),
        ("variant", pa.int32()),
        ("task", pa.string()),
        ("recipe", pa.string()),
        ("plan_key", pa.string()),
    ]
)
"""`recipe` is `""` for a unit that can't be planned."""


class Census:
    """The units that a run planned, to make or not: 24 bytes a unit.

    Args:
        run_id: the run whose catalog it is.
    """

    def __init__(self, output: str, run_id: str) -> None:
        self._folder = f"{plan_folder(output, run_id)}/census"
        units, keys = [np.zeros(0, np.uint64)], [np.zeros(0, np.uint64)]
        for table in read_spool(self._folder):
            units.append(unit_ids(table.column("item_id").to_pylist(), table.column("variant").to_pylist()))
            keys.append(text_ids(table.column("plan_key").to_pylist()))
        self.units, self.plan_keys = np.concatenate(units), np.concatenate(keys)
        self._order = np.argsort(self.units)

    def __len__(self) -> int:
        return len(self.units)

    def find(self, units: np.ndarray) -> np.ndarray:
        """The place of each unit in the catalog, -1 for one that isn't in it, int64."""
        if not len(self):
            return np.full(len(units), -1)
        at = self._order[np.minimum(np.searchsorted(self.units, units, sorter=self._order), len(self) - 1)]
        return np.where(self.units[at] == units, at, -1)

    def find_planned(self, units: np.ndarray, plan_keys: np.ndarray) -> np.ndarray:
        """As `find`, and -1 as well for a unit that is planned under another key by now."""
        at = self.find(units)
        if not len(self):
            return at
        return np.where(self.plan_keys[at] == plan_keys, at, -1)

    def names(self, places: np.ndarray) -> list[tuple[str, int, str]]:
        """item_id, variant and task of the units at these places, in the catalog's order."""
        names: list[tuple[str, int, str]] = []
        start = 0
        for table in read_spool(self._folder):
            here = np.sort(places[(places >= start) & (places < start + table.num_rows)]) - start
            start += table.num_rows
            rows = table.select(["item_id", "variant", "task"]).take(pa.array(here)).to_pylist()
            names.extend((row["item_id"], row["variant"], row["task"]) for row in rows)
        return names
