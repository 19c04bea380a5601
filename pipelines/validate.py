"""What is wrong with a catalog for a job, told without a look at any object."""

from __future__ import annotations

import dataclasses
import json
from collections import Counter
from collections.abc import Iterable, Iterator

from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from atelier.recipe import Recipe
from atelier.rows import INPUTS, Item
from pipelines.catalog import BadRow, Catalog, Fault
from pipelines.job import CatalogJob

MAX_SHOWN = 200
"""Rows of the table for people; the JSON lines hold all of them."""


def checked_item(item: Item, job: CatalogJob) -> tuple[Item, Recipe] | BadRow:
    """An item with the recipe that makes it, or why the job can't plan it."""
    recipe = job.recipe_for(item.task, item.model)
    if recipe is None and (models := job.models_for(item.task)):
        reason = f"job {job.name} has no such model for {item.task}; must be empty or one of {', '.join(models)}"
        faults = [Fault(field="model", value=item.model, code="unknown_model", reason=reason)]
    elif recipe is None:
        known = ", ".join(sorted({recipe.task for recipe in job.recipes}))
        reason = f"job {job.name} doesn't know this task; must be one of {known}"
        faults = [Fault(field="task", value=item.task, code="unknown_task", reason=reason)]
    else:
        reason = f"is empty; task {item.task} must have it"
        absent = (name for name in recipe.inputs if not _given(item, name))
        faults = [Fault(field=name, value="", code="missing_input", reason=reason) for name in absent]
    if recipe is None or faults:
        return BadRow(line=item.line, item_id=item.item_id, task=item.task, faults=tuple(faults), inputs=item.inputs)
    return item, recipe


def inputs_for(item: Item, recipe: Recipe) -> dict[str, str]:
    """The addresses that a recipe takes from an item; another column's address never changes its pictures."""
    wanted = (*recipe.inputs, *recipe.optional)
    return {name: item.inputs[name] for name in INPUTS if name in wanted and name in item.inputs}


def validate(catalog: Catalog, job: CatalogJob) -> Iterator[BadRow]:
    """Every row of the catalog that the job can't plan, in order, with all its faults.

    Raises:
        CatalogError: the catalog can't be read to its end.
    """
    for batch in catalog.batches():
        for row in batch:
            checked = row if isinstance(row, BadRow) else checked_item(row, job)
            if isinstance(checked, BadRow):
                yield checked


def json_lines(rows: Iterable[BadRow]) -> Iterator[str]:
    """One JSON object a fault: line, item_id, field, value, code, reason."""
    for row in rows:
        for fault in row.faults:
            line = {"line": row.line, "item_id": row.item_id, **dataclasses.asdict(fault)}
            yield json.dumps(line, ensure_ascii=False)


def print_table(rows: Iterable[BadRow], console: Console, *, title: str = "") -> int:
    """Shows the first faults as a table and the count of every code, and gives the number of bad rows."""
    # Folded, never cut: a reason's last word may be the limit itself. Item and value leave it most of the room.
    given = max(8, console.width // 6)
    widths = {"line": None, "item": given, "field": None, "value": given, "reason": None}
    columns = (Column(name, overflow="fold", max_width=width) for name, width in widths.items())
    table = Table(*columns, title=title or None, title_justify="left")
    codes: Counter[str] = Counter()
    bad = 0
    for row in rows:
        bad += 1
        for fault in row.faults:
            codes[fault.code] += 1
            if table.row_count < MAX_SHOWN:
                cells = (str(row.line), row.item_id, fault.field, fault.value, fault.reason)
                table.add_row(*(Text(cell) for cell in cells))  # Text: a cell's [brackets] are no markup
    if bad:
        console.print(table)
        counted = ", ".join(f"{count:,} {code}" for code, count in codes.most_common())
        hidden = codes.total() - table.row_count
        more = f"; {hidden:,} more than the table shows, all of them with --json" if hidden else ""
        console.print(Text(f"{bad:,} bad row{'' if bad == 1 else 's'}; faults: {counted}{more}"))
    return bad


def _given(item: Item, name: str) -> bool:
    return bool(item.prompt) if name == "prompt" else name in item.inputs
