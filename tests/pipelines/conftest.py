"""A catalog, a job and an output, with runs that end as a test says: the data side of the batch plane without Ray."""

from __future__ import annotations

import csv
import dataclasses
import io
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from atelier import storage
from atelier.keys import digest, rendition_key
from atelier.recipe import Recipe
from atelier.rows import INPUTS, Outcome
from atelier.stages.decode import Decode
from atelier.stages.encode import Encode
from atelier.stages.fetch import Fetch
from pipelines.job import CatalogJob
from pipelines.ledger import Ledger
from pipelines.plan import Plan
from pipelines.planner import plan_catalog
from pipelines.publish import publish
from pipelines.runs import RunRecord, new_run_id, plan_folder, write_record
from pipelines.summary import Summary, summarize

Fate = Callable[[Mapping[str, Any]], str]


def small_job(*, quality: int = 90, size: tuple[int, int] = (64, 48), **settings: Any) -> CatalogJob:
    recipe = Recipe(
        name="small_try_on",
        task="try_on",
        size=size,
        inputs=("person", "garment"),
        optional=("parse",),
        stages=(Fetch(required=("person", "garment"), optional=("parse",)), Decode(size=size), Encode(quality=quality)),
    )
    return CatalogJob(name="small", recipes=(recipe,), **settings)


class Studio:
    """A catalog's folder and an output below one root, on disk or in a store."""

    def __init__(self, root: str) -> None:
        self.root, self.output = root, f"{root}/output"
        self.catalog = f"{root}/in/catalog.csv"
        self.job = small_job()
        self.scores: dict[str, dict[str, float]] = {}

    def object(self, name: str, content: bytes = b"picture") -> str:
        """Uploads a file to the catalog's folder."""
        storage.put(f"{self.root}/in/{name}", content)
        return name

    def _given(self, name: str, content: bytes) -> str:
        # Not written again: on disk that would be another version.
        return name if storage.exists(f"{self.root}/in/{name}") else self.object(name, content)

    def write_catalog(self, rows: Iterable[Mapping[str, Any]]) -> None:
        rows = [dict(row) for row in rows]
        columns = list(dict.fromkeys(["item_id", "task", *(name for row in rows for name in row)]))
        lines = [columns, *([row.get(name, "") for name in columns] for row in rows)]
        text = io.StringIO(newline="")
        csv.writer(text).writerows(lines)
        storage.put(self.catalog, text.getvalue().encode())

    def write_items(self, *item_ids: str, **cells: Any) -> None:
        """A catalog of good items, each with a person of its own and one garment."""
        self._given("garment.png", b"garment")
        rows = []
        for item_id in item_ids:
            person = self._given(f"{item_id}.png", item_id.encode())
            rows.append({"item_id": item_id, "task": "try_on", "person": person, "garment": "garment.png", **cells})
        self.write_catalog(rows)

    def plan(self, **settings: Any) -> Plan:
        """A plan for looking at."""
        return plan_catalog(self.job, self.catalog, self.output, folder=f"{self.root}/look-{new_run_id()}", **settings)

    def run(self, fate: Fate = lambda unit: "ok", *, limit: int | None = None) -> Summary:
        """A run in which each unit ends as `fate` says; `""`: it was killed before the unit."""
        run_id = new_run_id()
        ledger = Ledger(self.output)
        folder = plan_folder(self.output, run_id)
        plan = plan_catalog(self.job, self.catalog, self.output, folder=folder, run_id=run_id, limit=limit)
        counts = dataclasses.asdict(plan.counts)
        record = RunRecord(
            run_id=run_id, state="running", catalog=plan.catalog, job=self.job.name, started_at_s=time.time(),
            limit=limit, counts=counts, recipes=plan.facts(),
        )  # fmt: skip
        write_record(self.output, record)
        plan.record_rejections(ledger)
        fates = [(unit, fate(unit)) for unit in units_of(plan)]
        ledger.append([self.outcome(unit, status, run_id) for unit, status in fates if status])
        if all(status for _, status in fates):
            ledger.compact()
            publish(self.output, run_id)
            write_record(self.output, dataclasses.replace(record, state="finished", finished_at_s=time.time()))
        return summarize(self.output)

    def outcome(self, unit: Mapping[str, Any], status: Any, run_id: str) -> Outcome:
        recipe = self.job.recipes[0]
        picture = digest(["picture", unit["item_id"], unit["variant"]])
        rendition = rendition_key(picture=picture, rendition=recipe.rendition())
        how: dict[str, Any] = {"stage": "decode", "code": f"was_{status}", "detail": "as the test says"}
        if status == "ok":
            how = {"made": True, "picture": f"pictures/{rendition}.jpg", "seconds": {"fetch": 0.25, "decode": 0.5}}
            how["scores"] = self.scores.get(unit["item_id"], {})
        return Outcome(
            item_id=unit["item_id"], variant=unit["variant"], task=unit["task"], recipe=recipe.name, status=status,
            plan_key=unit["plan_key"], picture_key=picture, rendition_key=rendition, seed=unit["seed"],
            fingerprint=recipe.fingerprint(), run_id=run_id, finished_at_s=time.time(),
            inputs={name: unit[f"{name}_address"] for name in INPUTS if unit[f"{name}_address"]}, **how,
        )  # fmt: skip


def units_of(plan: Plan) -> list[dict[str, Any]]:
    """What a plan has to make, in order."""
    units = []
    for partition in plan.partitions:
        for address in partition.files:
            filesystem, path = storage.arrow_filesystem(address)
            units += pq.read_table(path, filesystem=filesystem).to_pylist()
    return units


@pytest.fixture
def studio(tmp_path: Path) -> Studio:
    return Studio(str(tmp_path))
