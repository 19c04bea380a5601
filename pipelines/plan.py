"""What a run has to make: each item becomes units, and those that the ledger holds leave here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from atelier.recipe import Recipe
from pipelines.ledger import Ledger
from pipelines.spool import read_spool


@dataclass(frozen=True, kw_only=True)
class Partition:
    """The units of one recipe, and so of one working size, that are to be made: one Ray Data execution.

    Args:
        files: addresses of Parquet files of `UNIT_SCHEMA`.
    """

    recipe: Recipe
    files: tuple[str, ...]
    num_units: int


@dataclass(frozen=True, kw_only=True)
class PlanCounts:
    """How the units of a catalog divide: `units = ok + rejected + to_make`.

    Args:
        ok: the ledger holds their pictures.
        rejected: the ledger holds why, or the plan has just found it; `rejected_now` of them the latter.
        to_encode: those of `to_make` whose picture is there in another rendition.
        by_recipe: units, ok, rejected, to_make and to_encode of each recipe; `""`: what can't be planned.
    """

    items: int
    units: int
    ok: int
    rejected: int
    rejected_now: int
    to_make: int
    to_encode: int
    by_recipe: Mapping[str, Mapping[str, int]]


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A planned run: what there is to make, in tables below `folder`, and the count of all the rest.

    Args:
        partitions: only those that have something to make.
        limit: only the first so many items of the catalog were looked at.
        ignored_columns: the catalog's columns that nothing reads; a misspelt one is among them.
    """

    catalog: str
    output: str
    run_id: str
    folder: str
    limit: int | None
    partitions: tuple[Partition, ...]
    counts: PlanCounts
    ignored_columns: tuple[str, ...] = ()

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to make."""
        return not self.partitions

    def record_rejections(self, ledger: Ledger) -> int:
        """Enters the newly unplannable units in the ledger, and gives their number."""
        rejected = 0
        for table in read_spool(f"{self.folder}/rejected"):
            ledger.append(table)
            rejected += table.num_rows
        return rejected

    def describe(self) -> str:
        """What a person wants to know before the run, a line a recipe."""
        counts = self.counts
        first = f"{counts.to_make:,} of {counts.units:,} units to make"
        if self.limit is not None:
            first += f" (only the first {self.limit:,} items are looked at)"
        lines = [first]
        sizes = {part.recipe.name: "{}x{}".format(*part.recipe.size) for part in self.partitions}
        for name, of in sorted(counts.by_recipe.items()):
            if not name:
                lines.append(f"  rejected at plan: {of['rejected']:,}, {counts.rejected_now:,} of them new")
                continue
            title = f"{name} at {sizes[name]}" if name in sizes else name
            again = f" ({of['to_encode']:,} only to encode)" if of["to_encode"] else ""
            lines.append(
                f"  {title}: {of['to_make']:,} of {of['units']:,} to make{again}, "
                f"{of['ok']:,} ok before, {of['rejected']:,} rejected before"
            )
        if self.ignored_columns:
            lines.append(f"  columns that nothing reads: {', '.join(self.ignored_columns)}")
        return "\n".join(lines)

    def facts(self) -> dict[str, Any]:
        """Fingerprint, size and weight digests of each recipe with something to make, as plain values."""
        return {
            part.recipe.name: {
                "fingerprint": part.recipe.fingerprint(),
                "size": list(part.recipe.size),
                "digests": dict(part.recipe.digests()),
            }
            for part in self.partitions
        }
