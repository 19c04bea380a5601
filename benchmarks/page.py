"""How a benchmark ends: tables on the console, figures in a JSON file, and on request its section of the page."""

from __future__ import annotations

import argparse
import io
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.box import MARKDOWN
from rich.console import Console
from rich.table import Table

PAGE = Path("docs/benchmarks.md")


def add_output_options(parser: argparse.ArgumentParser, name: str) -> None:
    """`--json PATH` and `--write`."""
    parser.add_argument("--json", type=Path, default=Path("out/bench") / f"{name}.json", help="where the figures go")
    parser.add_argument("--write", action="store_true", help=f"put the tables into {PAGE} as well")


def markdown_table(*columns: str) -> Table:
    """An empty table that reads as Markdown, the first column to the left and figures to the right."""
    table = Table(box=MARKDOWN)
    for index, column in enumerate(columns):
        table.add_column(column, justify="left" if index == 0 else "right", no_wrap=True)
    return table


def conclude(
    options: argparse.Namespace,
    name: str,
    figures: Mapping[str, Any],
    tables: Sequence[Table | str],
    *,
    console: Console,
) -> None:
    """Prints the tables, writes the JSON file, and the page's section where `--write` asks for it.

    Args:
        figures: with the `machine` they come from.
        tables: tables, and sentences between them.
    """
    machine = figures["machine"]
    tables = [*tables, _provenance(machine)]
    for part in tables:
        console.print(_text(part), "", sep="\n", markup=False, highlight=False, soft_wrap=True)
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps(figures, indent=1))
    console.print(f"figures: {options.json}", highlight=False)
    if options.write:
        PAGE.write_text(with_section(PAGE.read_text(), name, "\n\n".join(_text(part) for part in tables)))


def with_section(page: str, name: str, content: str) -> str:
    """A page with what stands between `<!-- NAME -->` and `<!-- /NAME -->` replaced.

    Raises:
        ValueError: the page has no such section.
    """
    opening, closing = f"<!-- {name} -->\n", f"<!-- /{name} -->"
    before, opened, rest = page.partition(opening)
    _, closed, after = rest.partition(closing)
    if not (opened and closed):
        raise ValueError(f"{PAGE}: has no section {name!r}; it must have the lines {opening.strip()} and {closing}")
    return f"{before}{opening}\n{content.strip()}\n\n{closing}{after}"


def _provenance(machine: Mapping[str, Any]) -> str:
    versions = ", ".join(f"{name} {machine[name]}" for name in ("python", "ray", "torch", "pyarrow", "pillow"))
    quiet = "" if machine["load_before"] <= machine["cores"] else " (others were working on this machine)"
    return (
        f"{datetime.now(UTC):%Y-%m-%d}, {machine['cores']} cores of {machine['processor']}, "
        f"{machine['memory_gib']:g} GiB, {machine['system']}; {versions}. "
        f"Load average before: {machine['load_before']:g}{quiet}."
    )


def _text(part: Table | str) -> str:
    if isinstance(part, str):
        return part
    console = Console(file=io.StringIO(), width=240)
    console.print(part)
    lines = console.file.getvalue().splitlines()  # type: ignore[attr-defined]
    return "\n".join(line.strip() for line in lines if line.strip())
