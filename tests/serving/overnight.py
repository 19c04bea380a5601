"""What the batch plane's worker and sink make of some inputs: what online pictures are held to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from atelier.recipe import Recipe
from atelier.rows import Outcome
from atelier.stages.base import Batch
from atelier.stages.chain import new_batch
from pipelines.job import CatalogJob
from pipelines.outcomes import from_table
from pipelines.placement import Machine, place
from pipelines.pools import Work, Worker
from pipelines.records import Facts
from pipelines.sink import Sink


def units(recipe: Recipe, files: Mapping[str, bytes], seeds: Sequence[int], folder: Path, prompt: str = "") -> Batch:
    """Rows as a plan hands them over: the same inputs, a seed each."""
    for name, data in files.items():
        (folder / name).write_bytes(data)
    rows = len(seeds)
    columns: dict[str, Any] = {
        "item_id": [f"item-{row}" for row in range(rows)],
        "variant": np.arange(rows, dtype=np.int32),
        "task": [recipe.task] * rows,
        "plan_key": ["plan"] * rows,
        "seed": np.asarray(seeds, np.int64),
        "prompt": [prompt] * rows,
        **{f"{name}_address": [str(folder / name)] * rows for name in files},
    }
    return new_batch(columns)


def made_overnight(
    recipe: Recipe, files: Mapping[str, bytes], seeds: Sequence[int], folder: Path, prompt: str = ""
) -> tuple[list[Outcome], list[bytes]]:
    """Outcomes as the ledger has them, and the files that were stored."""
    facts, output = Facts.of(recipe, "run"), folder / "output"
    sink = Sink(output=str(output), format=facts.format, source_type=facts.source_type, keep_masters=False)
    (pool,) = place(recipe, CatalogJob(name="closet", recipes=(recipe,)), Machine(num_cpus=4)).pools
    worker = Worker(Work(pool=pool, is_first=True, is_last=True, facts=facts, sink=sink, deadline_s=600))
    outcomes = from_table(worker(units(recipe, files, seeds, folder, prompt)))
    assert [outcome.status for outcome in outcomes] == ["ok"] * len(seeds), outcomes
    return outcomes, [(output / outcome.picture).read_bytes() for outcome in outcomes]
