"""How a plan is made: a catalog in its order, chunk by chunk, against what the ledger holds."""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import astuple
from itertools import islice
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from atelier import poses, storage
from atelier.keys import digest, plan_key
from atelier.recipe import Recipe
from atelier.rows import INPUTS, UNIT_SCHEMA, Item, Outcome, Unit
from atelier.seeds import unit_seed
from pipelines.catalog import BadRow, Catalog
from pipelines.census import CENSUS_SCHEMA
from pipelines.job import CatalogJob
from pipelines.ledger import Ledger
from pipelines.outcomes import to_table
from pipelines.plan import Partition, Plan, PlanCounts
from pipelines.spool import Spool
from pipelines.standing import OK, REJECTED, Standing
from pipelines.unit_ids import text_ids, unit_ids
from pipelines.validate import checked_item, inputs_for

UNITS_A_CHUNK = 8192


def plan_catalog(
    job: CatalogJob, catalog: str, output: str, *, folder: str, run_id: str = "", limit: int | None = None
) -> Plan:
    """What a job has to make of a catalog, given what the output's ledger holds.

    No object is read, and nothing but the plan's own tables is written. Memory: the catalog's ids (about 60 bytes an
    item), the ledger's standing (24 bytes a unit) and one chunk; on `s3://` also the listings of the folders that
    inputs lie in, up to 80 bytes an object.

    Args:
        folder: an address; the plan's tables lie below it for as long as the plan is of use.
        limit: look at the first so many items only.

    Raises:
        CatalogError: the catalog can't be read.
    """
    planner = _Planner(job, output, folder=folder, run_id=run_id)
    table = Catalog(catalog)
    rows = islice((row for batch in table.batches() for row in batch), limit)
    prospects = planner.prospects(rows)
    while chunk := list(islice(prospects, UNITS_A_CHUNK)):
        planner.take(chunk)
    return planner.plan(table, limit)


class _Prospect(NamedTuple):
    """A unit to be."""

    item: Item
    variant: int
    recipe: Recipe


class _Planner:
    def __init__(self, job: CatalogJob, output: str, *, folder: str, run_id: str) -> None:
        self._job, self._output, self._folder, self._run_id = job, storage.resolve(output), folder, run_id
        # Digests of weights may be costly: once a plan, not once a unit.
        self._fingerprints = {recipe.name: recipe.fingerprint() for recipe in job.recipes}
        renditions = {recipe.name: recipe.rendition() for recipe in job.recipes}
        self._standing = Standing(Ledger(output), renditions=renditions)
        self._index = storage.TokenIndex()
        self._census, self._rejected = Spool(f"{folder}/census"), Spool(f"{folder}/rejected")
        self._todo = {recipe.name: Spool(f"{folder}/todo/{recipe.name}") for recipe in job.recipes}
        self._counts: defaultdict[str, Counter[str]] = defaultdict(Counter)
        self._num_items = 0

    def prospects(self, rows: Iterable[Item | BadRow]) -> Iterator[_Prospect | BadRow]:
        """An item's units, one after the other; a row that can't be planned is one."""
        for row in rows:
            self._num_items += 1
            checked = row if isinstance(row, BadRow) else checked_item(row, self._job)
            if isinstance(checked, BadRow):
                yield checked
            else:
                item, recipe = checked
                yield from (_Prospect(item, variant, recipe) for variant in range(item.variants))

    def take(self, chunk: Sequence[_Prospect | BadRow]) -> None:
        """Plans one chunk, in order."""
        tokens = self._tokens_of(chunk)
        units = [self._unit(prospect, tokens) for prospect in chunk]
        names = ["" if isinstance(prospect, BadRow) else prospect.recipe.name for prospect in chunk]
        census = _columns(units, CENSUS_SCHEMA.names, recipe=names)
        self._census.add(pa.table(census, schema=CENSUS_SCHEMA))
        done, again = self._verdicts(units)
        todo: dict[str, list[Unit]] = defaultdict(list)
        rejected: list[Outcome] = []
        for prospect, unit, name, status, encode in zip(chunk, units, names, done, again, strict=True):
            counts = self._counts[name]
            counts["units"] += 1
            if isinstance(prospect, BadRow):
                counts["rejected"] += 1
                if status != REJECTED:
                    rejected.append(self._rejection(prospect, unit))
            elif status:
                counts["ok" if status == OK else "rejected"] += 1
            else:
                counts["to_make"] += 1
                counts["to_encode"] += int(encode)
                todo[name].append(unit)
        for name, those in todo.items():
            self._todo[name].add(_unit_table(those))
        if rejected:
            self._rejected.add(to_table(rejected))

    def plan(self, catalog: Catalog, limit: int | None) -> Plan:
        """The plan, once every row was taken."""
        for spool in (self._census, self._rejected, *self._todo.values()):
            spool.close()
        partitions = (
            Partition(recipe=recipe, files=tuple(spool.files), num_units=spool.num_rows)
            for recipe in self._job.recipes
            if (spool := self._todo[recipe.name]).num_rows
        )
        total = sum(self._counts.values(), Counter())
        counts = PlanCounts(
            items=self._num_items,
            rejected_now=self._rejected.num_rows,
            by_recipe={name: _counted(of) for name, of in self._counts.items()},
            **_counted(total),
        )
        return Plan(
            catalog=catalog.address,
            ignored_columns=catalog.ignored_columns,
            output=self._output,
            run_id=self._run_id,
            folder=self._folder,
            limit=limit,
            partitions=tuple(partitions),
            counts=counts,
        )

    def _tokens_of(self, chunk: Sequence[_Prospect | BadRow]) -> Mapping[str, str]:
        """The version token by address; `""` where nothing can be read: fetch will say why."""
        addresses = {
            address: None
            for prospect in chunk
            if not isinstance(prospect, BadRow)
            for address in inputs_for(prospect.item, prospect.recipe).values()
        }
        named = {address: poses.digest(address) for address in addresses if poses.is_named(address)}
        stored = [address for address in addresses if address not in named]
        found = self._index.tokens(stored)
        return named | {address: token or "" for address, token in zip(stored, found, strict=True)}

    def _unit(self, prospect: _Prospect | BadRow, tokens: Mapping[str, str]) -> Unit:
        if isinstance(prospect, BadRow):
            # The line is no part of it: a row that only moved is the same rejection, and is not recorded again.
            key = digest(["rejected", prospect.task, [astuple(fault) for fault in prospect.faults]])
            return Unit(
                item_id=prospect.item_id, variant=0, task=prospect.task, seed=0, inputs={}, tokens={}, plan_key=key
            )
        item, variant, recipe = prospect
        inputs = inputs_for(item, recipe)
        own = {name: tokens[address] for name, address in inputs.items()}
        seed = unit_seed(item.item_id, variant, self._job.seed, given=item.seed)
        key = plan_key(fingerprint=self._fingerprints[recipe.name], prompt=item.prompt, seed=seed, tokens=own)
        return Unit(
            item_id=item.item_id,
            variant=variant,
            task=item.task,
            seed=seed,
            inputs=inputs,
            tokens=own,
            prompt=item.prompt,
            plan_key=key,
        )

    def _verdicts(self, units: Sequence[Unit]) -> tuple[list[int], list[bool]]:
        """For each unit OK or REJECTED if it is done with, else 0; and whether it only wants another encoding."""
        ids = unit_ids((unit.item_id for unit in units), (unit.variant for unit in units))
        at = self._standing.find(ids, text_ids(unit.plan_key for unit in units))
        if not len(self._standing):
            return [0] * len(units), [False] * len(units)
        status = np.where(at >= 0, self._standing.status[at], 0)
        # A picture of inputs whose version is unknown may be out of date.
        known = np.array([all(unit.tokens.values()) for unit in units])
        again = (status == OK) & known & self._standing.other_rendition[at]
        done = (status == REJECTED) | ((status == OK) & known & ~again)
        return np.where(done, status, 0).tolist(), again.tolist()

    def _rejection(self, row: BadRow, unit: Unit) -> Outcome:
        return Outcome(
            item_id=unit.item_id, variant=0, task=unit.task, recipe="", status="rejected", stage="plan",
            code=row.code, detail=f"line {row.line}: {row.detail}", plan_key=unit.plan_key, run_id=self._run_id,
            inputs=dict(row.inputs), finished_at_s=time.time(),
        )  # fmt: skip


def _unit_table(units: Sequence[Unit]) -> pa.Table:
    addresses = {f"{name}_address": [unit.inputs.get(name, "") for unit in units] for name in INPUTS}
    tokens = {f"{name}_token": [unit.tokens.get(name, "") for unit in units] for name in INPUTS}
    return pa.table(_columns(units, UNIT_SCHEMA.names, **addresses, **tokens), schema=UNIT_SCHEMA)


def _columns(units: Sequence[Unit], names: Sequence[str], **given: list[str]) -> dict[str, list]:
    return {name: given[name] if name in given else [getattr(unit, name) for unit in units] for name in names}


def _counted(counts: Counter[str]) -> dict[str, int]:
    return {name: counts[name] for name in ("units", "ok", "rejected", "to_make", "to_encode")}
