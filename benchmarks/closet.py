"""How fast the closet draws: `python -m benchmarks.closet`.

Seconds are those of this process's CPU, so that a busy machine does not change what is said of a core.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from atelier.closet import draw_flat, draw_look
from atelier.closet.casting import cast
from atelier.closet.catalog import write_catalog
from benchmarks.machine import describe
from benchmarks.page import add_output_options, conclude, markdown_table

AIM = 10.0
"""Items a second a core that the closet has to reach at 256x192, maps included."""
SIZES = ((256, 192), (512, 384), (1024, 768))
SEED = 11


def per_core_second(draw: Callable[[int], object], items: int) -> float:
    """Calls of `draw` (given 0, 1, ...) that one core does in a second."""
    draw(items)  # swatches and fonts are read once
    started = time.process_time()
    for index in range(items):
        draw(index)
    return items / (time.process_time() - started)


def _look(index: int, size: tuple[int, int]) -> object:
    role = cast(SEED, index, held_out=False)
    return draw_look(person=role.person, outfit=role.worn, pose=role.pose, size=size)


def _pair(index: int, size: tuple[int, int]) -> object:
    role = cast(SEED, index, held_out=False)
    look = draw_look(person=role.person, outfit=role.dressed, pose=role.pose, size=size)
    return look, draw_flat(garment=role.garment, size=size)


def measure(size: tuple[int, int], items: int) -> dict[str, Any]:
    """What a core does in a second: looks with both parse maps, keypoints and sentence; the same with a garment laid
    flat and its mask; whole catalog items (two looks, a flat) in their six files."""
    with tempfile.TemporaryDirectory() as folder:
        started = time.process_time()
        write_catalog(str(Path(folder) / "catalog"), items=items, seed=SEED, size=size)
        catalog_rate = items / (time.process_time() - started)
    return {
        "size": list(size),
        "looks": per_core_second(lambda index: _look(index, size), items),
        "looks_and_flats": per_core_second(lambda index: _pair(index, size), items),
        "catalog_items": catalog_rate,
    }


def main() -> None:
    """Measures, prints, writes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=int, default=60, help="at 256x192; larger sizes take a quarter")
    add_output_options(parser, "closet")
    options = parser.parse_args()
    machine = describe()
    rows = [measure(size, options.items if size == SIZES[0] else max(8, options.items // 4)) for size in SIZES]
    conclude(options, "closet", {"machine": machine, "aim": AIM, "rates": rows}, [_table(rows)], console=Console())


def _table(rows: list[dict[str, Any]]) -> Table:
    table = markdown_table("a second a core", "looks", "looks + flats", "catalog items", f"aim {AIM:g}")
    for row in rows:
        rates = [f"{row[name]:.1f}" for name in ("looks", "looks_and_flats", "catalog_items")]
        met = ("met" if row["catalog_items"] >= AIM else "missed") if tuple(row["size"]) == SIZES[0] else ""
        table.add_row("{}x{}".format(*row["size"]), *rates, met)
    return table


if __name__ == "__main__":
    main()
