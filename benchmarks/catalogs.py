"""Catalogs to measure with: a few drawn items, named by as many rows as a trial has."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from itertools import cycle, islice
from pathlib import Path

from atelier import storage
from atelier.closet.catalog import write_catalog
from atelier.rows import INPUTS
from atelier.seeds import unit_seed
from atelier.stages.base import Batch
from atelier.stages.chain import new_batch

SEED = 7


def draw(folder: Path, *, size: tuple[int, int], items: int) -> str:
    """Draws `items` items; gives the address of their catalog."""
    return write_catalog(str(folder), items=items, seed=SEED, size=size)


def lengthen(catalog: str, rows: int) -> str:
    """A catalog of `rows` rows over the pictures of another, beside it; gives its address.

    Every row has an id, thus a seed, of its own, so that each is a picture to make.
    """
    with Path(catalog).open(newline="") as file:
        reader = csv.DictReader(file)
        names, drawn = list(reader.fieldnames or ()), list(reader)
    address = Path(catalog).with_name(f"rows-{rows}.csv")
    with address.open("w", newline="") as file:
        writer = csv.DictWriter(file, names, lineterminator="\n")
        writer.writeheader()
        for index, row in enumerate(islice(cycle(drawn), rows)):
            writer.writerow(row | {"item_id": f"row-{index:06d}"})
    return str(address)


def batches(catalog: str, batch_size: int) -> Iterator[Batch]:
    """A catalog's rows as an engineer's script reads them: no checks, no plan."""
    with Path(catalog).open(newline="") as file:
        rows = list(csv.DictReader(file))
    folder = storage.parent(catalog)
    for start in range(0, len(rows), batch_size):
        taken = rows[start : start + batch_size]
        given = {
            f"{name}_address": [storage.join(folder, row[name]) if row[name] else "" for row in taken]
            for name in INPUTS
        }
        yield new_batch({
            "item_id": [row["item_id"] for row in taken],
            "task": [row["task"] for row in taken],
            "variant": [0] * len(taken),
            "seed": [unit_seed(row["item_id"], 0, 0) for row in taken],
            **given,
        })  # fmt: skip
