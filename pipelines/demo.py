"""The demo: a drawn catalog with a few broken rows, run on this computer, and what became of each item."""

from __future__ import annotations

import dataclasses

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from atelier import storage
from atelier.closet.broken import broken_task
from atelier.closet.catalog import write_catalog
from pipelines import jobs
from pipelines.exits import Exit
from pipelines.job import CatalogJob
from pipelines.ledger import Ledger
from pipelines.outcomes import from_table
from pipelines.run import run

NUM_ITEMS = 24
BROKEN = (
    *("missing_object", "truncated_jpeg", "no_person", "unknown_task"),
    *("no_source", "unknown_pose", "bad_pose_map", "missing_prompt"),
)
"""Kinds of broken rows, of which those of the job's tasks are drawn."""
SEED = 7


def demo(out: str, console: Console, *, num_items: int = NUM_ITEMS) -> Exit:
    """Draws the catalog below `out` where it isn't there yet, runs the job `closet` on it, and shows every item."""
    out = storage.resolve(out)
    job = jobs.closet()
    known = {recipe.task for recipe in job.recipes}
    kinds = [kind for kind in BROKEN if broken_task(kind) in known]
    # As many as are broken on purpose, and not one more.
    job = dataclasses.replace(job, failure_budget=len(kinds) / (num_items + len(kinds)))
    catalog, output = f"{out}/catalog/catalog.csv", f"{out}/output"
    if not storage.exists(catalog):
        console.print(f"drawing {num_items} items, and {len(kinds)} that are broken on purpose", highlight=False)
        size = max(recipe.size for recipe in job.recipes)
        catalog = write_catalog(
            f"{out}/catalog", items=num_items, seed=SEED, size=size, tasks=turns(job), broken=1, kinds=kinds
        )
    status = run(job, catalog, output, console=console)
    console.print(outcomes_table(output, below=out))
    console.print(f"the pictures: open {output}/report.html in a browser", highlight=False, soft_wrap=True)
    return status


def turns(job: CatalogJob) -> list[str]:
    """The drawn catalog's tasks, by turns, so that each recipe gets rows: every other one the first recipe's, a row of
    which is what most catalogs consist of. The first of a task is not asked for, the others are by their model."""
    first, *others = [
        recipe.task if recipe == job.recipe_for(recipe.task) else f"{recipe.task}:{recipe.model}"
        for recipe in job.recipes
    ]
    return [task for other in others for task in (first, other)] or [first]


def outcomes_table(output: str, *, below: str) -> Table:
    """What became of every item, most of them in a line; addresses are told from `below` on. Pictures are named by
    their keys, 64 letters long: the report shows them."""
    names = ("item", "recipe", "what became of it")
    table = Table(*(Column(name, overflow="fold") for name in names), box=SIMPLE_HEAD)
    outcomes = [outcome for batch in Ledger(output).latest() for outcome in from_table(batch)]
    for outcome in sorted(outcomes, key=lambda outcome: (outcome.item_id, outcome.variant)):
        detail = outcome.detail.replace(f"{below}/", "")
        took = f"made in {sum(outcome.seconds.values()):.1f} s" if outcome.made else "kept, as it was made before"
        became = (f"ok: {took}", *outcome.notes)
        if outcome.status != "ok":
            became = (f"{outcome.status} at {outcome.stage}: {outcome.code}", detail)
        cells = (outcome.item_id, outcome.recipe, "\n".join(became))
        table.add_row(*(Text(cell) for cell in cells), style=_STYLES[outcome.status])
    return table


_STYLES = {"ok": "green", "rejected": "yellow", "failed": "red"}
