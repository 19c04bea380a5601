from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING

import pytest
from rich.console import Console

from pipelines.catalog import Catalog
from pipelines.validate import json_lines, print_table, validate

if TYPE_CHECKING:
    from tests.pipelines.conftest import Studio

ROWS = [
    {"item_id": "good", "task": "try_on", "person": "a.png", "garment": "b.png"},
    {"item_id": "[red]", "task": "levitate", "person": "a.png", "garment": "b.png"},
    {"item_id": "bare", "task": "try_on", "person": "", "garment": ""},
    {"item_id": "odd", "task": "try_on", "person": "a.png", "garment": "b.png", "variants": "many"},
]


def test_every_bad_row_is_told_without_a_look_at_any_object(studio: Studio) -> None:
    studio.write_catalog(ROWS)
    lines = [json.loads(line) for line in json_lines(validate(Catalog(studio.catalog), studio.job))]
    assert [(line["line"], line["item_id"], line["field"], line["value"], line["code"]) for line in lines] == [
        (3, "[red]", "task", "levitate", "unknown_task"),
        (4, "bare", "person", "", "missing_input"),
        (4, "bare", "garment", "", "missing_input"),
        (5, "odd", "variants", "many", "bad_value"),
    ]
    assert lines[0]["reason"].endswith("must be one of try_on")


def test_the_table_shows_cells_as_they_are_and_counts_rows(studio: Studio) -> None:
    studio.write_catalog(ROWS)
    text = io.StringIO()
    bad = print_table(validate(Catalog(studio.catalog), studio.job), Console(file=text, width=120))
    assert bad == 3
    assert "[red]" in text.getvalue() and "3 bad rows; faults: 2 missing_input" in text.getvalue()


@pytest.mark.parametrize("width", [40, 80, 200])
def test_no_cell_of_the_table_is_cut_however_narrow_it_is(studio: Studio, width: int) -> None:
    row = {"item_id": "a-long-name-of-one-item-" * 5, "task": "try_on", "person": "a.png", "garment": "b.png"}
    studio.write_catalog([row | {"seed": "9" * 60}])
    (bad,) = validate(Catalog(studio.catalog), studio.job)
    text = io.StringIO()
    print_table([bad], Console(file=text, width=width))
    lines = [line.strip("│").split("│") for line in text.getvalue().splitlines() if line.startswith("│")]
    shown = ["".join("".join(cells).split()) for cells in zip(*lines, strict=True)]
    (fault,) = bad.faults
    assert shown == ["2", bad.item_id, "seed", fault.value, "".join(fault.reason.split())]
    assert shown[-1].endswith("9,223,372,036,854,775,807")
    assert max(map(len, text.getvalue().splitlines())) <= width


def test_a_clean_catalog_shows_nothing(studio: Studio) -> None:
    studio.write_catalog(ROWS[:1])
    text = io.StringIO()
    assert print_table(validate(Catalog(studio.catalog), studio.job), Console(file=text)) == 0
    assert text.getvalue() == ""
