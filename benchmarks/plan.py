"""How long a plan of a million rows takes and in how much memory: `python -m benchmarks.plan`.

Two plans, each in a process of its own: into an empty output, where every unit is to be made, and into one whose ledger
holds them all, where nothing is.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from rich.console import Console
from rich.table import Table

from atelier.keys import rendition_key
from atelier.rows import Outcome
from benchmarks.machine import describe
from benchmarks.page import add_output_options, conclude, markdown_table
from benchmarks.stand_in import stand_in_recipe
from pipelines.job import CatalogJob
from pipelines.ledger import Ledger
from pipelines.outcomes import to_table
from pipelines.planner import plan_catalog
from pipelines.records import Facts
from pipelines.spool import read_spool

NUM_FILES = 10_000
"""Distinct pictures of each input; rows share them. Each is looked up once in every chunk that names it."""
ROWS_A_SEGMENT = 50_000


def main() -> None:
    """Measures, prints, writes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--child", nargs=3, metavar=("CATALOG", "OUTPUT", "FOLDER"), help=argparse.SUPPRESS)
    add_output_options(parser, "plan")
    options = parser.parse_args()
    if options.child:
        sys.stdout.write(json.dumps(_plan(*options.child)))
        return
    machine = describe()
    with tempfile.TemporaryDirectory() as folder:
        catalog = generate(Path(folder), options.rows)
        output = f"{folder}/output"
        results = {}
        for name in ("nothing made", "all made"):
            if results:
                _enter_all(output, f"{folder}/plan-0")
            results[name] = _apart(catalog, output, f"{folder}/plan-{len(results)}")
    figures = {"machine": machine, "rows": options.rows, "plans": results}
    conclude(options, "plan", figures, [_table(options.rows, results)], console=Console())


def generate(folder: Path, rows: int) -> str:
    """A Parquet catalog of try-on rows on local disk; gives its address. The files it names hold a byte each."""
    for name in ("person", "garment"):
        (folder / name).mkdir()
        for index in range(min(rows, NUM_FILES)):
            (folder / name / f"{index:07d}.jpg").write_bytes(b"x")
    index = np.arange(rows)
    # Strides that no two rows of a chunk share a picture by.
    persons, garments = index * 7 % NUM_FILES % rows, index * 13 % NUM_FILES % rows
    table = pa.table({
        "item_id": [f"sku-{i:08d}" for i in index],
        "task": ["try_on"] * rows,
        "person": [f"person/{i:07d}.jpg" for i in persons],
        "garment": [f"garment/{i:07d}.jpg" for i in garments],
    })  # fmt: skip
    pq.write_table(table, folder / "catalog.parquet", row_group_size=ROWS_A_SEGMENT)
    return str(folder / "catalog.parquet")


def _job() -> CatalogJob:
    recipe = stand_in_recipe(size=(512, 384), batch_size=4, seconds_per_row=0.0, log="")
    return CatalogJob(name="benchmark", recipes=(recipe,))


def _apart(catalog: str, output: str, folder: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.plan", "--child", catalog, output, folder]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)


def _plan(catalog: str, output: str, folder: str) -> dict[str, Any]:
    before = _peak_bytes()
    started, busy = time.monotonic(), time.process_time()
    plan = plan_catalog(_job(), catalog, output, folder=folder)
    seconds, cpu_s = time.monotonic() - started, time.process_time() - busy
    counts = {"units": plan.counts.units, "to_make": plan.counts.to_make, "ok": plan.counts.ok}
    return {"seconds": seconds, "cpu_s": cpu_s, "bytes_before": before, "peak_bytes": _peak_bytes(), **counts}


def _enter_all(output: str, folder: str) -> None:
    """Enters every unit of a plan in the ledger as made."""
    recipe = _job().recipes[0]
    ledger, facts = Ledger(output), Facts.of(recipe, "before")
    for units in read_spool(f"{folder}/todo/{recipe.name}"):
        for start in range(0, units.num_rows, ROWS_A_SEGMENT):
            rows = units.slice(start, ROWS_A_SEGMENT).to_pylist()
            ledger.append(to_table([_made(row, facts) for row in rows]))


def _made(unit: dict[str, Any], facts: Facts) -> Outcome:
    name = unit["plan_key"]  # no bytes were read: any digest serves
    rendition = rendition_key(picture=name, rendition=facts.rendition)
    return facts.outcome(unit, status="ok", made=True, picture_key=name, rendition_key=rendition, picture=f"{name}.jpg")


def _peak_bytes() -> int:
    status = Path("/proc/self/status")
    if status.is_file():
        # getrusage's peak would be the parent's, from before this program was loaded.
        (line,) = (line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # bytes on macOS


def _table(rows: int, results: dict[str, dict[str, Any]]) -> Table:
    title = f"plan of {rows:,} rows"
    table = markdown_table(title, "to make", "seconds", "CPU seconds", "rows a second", "peak memory", "of it imports")
    for name, found in results.items():
        memory = [f"{found[key] / 2**20:,.0f} MiB" for key in ("peak_bytes", "bytes_before")]
        rate = f"{rows / found['seconds']:,.0f}"
        table.add_row(name, f"{found['to_make']:,}", f"{found['seconds']:.1f}", f"{found['cpu_s']:.1f}", rate, *memory)
    return table


if __name__ == "__main__":
    main()
