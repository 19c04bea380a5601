"""A drawn catalog with true answers, and rows broken on purpose."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from atelier import storage
from atelier.closet.broken import BROKEN, broken_task
from atelier.closet.casting import cast
from atelier.closet.files import picture_file
from atelier.closet.flat import draw_flat
from atelier.closet.items import COLUMNS, TASKS, CatalogItem, asking
from atelier.closet.look import draw_look
from atelier.closet.sheet import contact_sheet
from atelier.errors import ConfigError


def write_catalog(
    out: str,
    *,
    items: int,
    seed: int,
    size: tuple[int, int],
    tasks: Sequence[str] = ("try_on",),
    broken: int = 0,
    kinds: Iterable[str] | None = None,
) -> str:
    """Draws a catalog and writes it: people, garments and looks from held-out seeds, some poses from the shipped pack.

    Args:
        out: folder or `s3://` prefix.
        items: good rows, of the tasks by turns.
        tasks: words of `TASKS`, each with `:MODEL` behind it where its rows are to ask for one.
        broken: rows of each kind in `kinds`, after the good ones; by default all of `BROKEN` that break such tasks.

    Returns:
        The address of `catalog.csv`.

    Raises:
        ConfigError: no such task.
    """
    asked = [task.partition(":")[::2] for task in tasks]
    if strangers := sorted({task for task, _ in asked} - set(TASKS)):
        raise ConfigError(f"tasks: {', '.join(strangers)}: is none of {', '.join(TASKS)}")
    rows: list[Mapping[str, str]] = []
    for index in range(items):
        task, model = asked[index % len(asked)]
        item = draw_item(task, seed, index, f"item-{index:05d}", size=size, turn=index // len(asked))
        rows.append(asking(item, model).row)
        _put(out, item.files)
    if kinds is None:
        kinds = [kind for kind in BROKEN if broken_task(kind) in {task for task, _ in asked}]
    for position, kind in enumerate(kinds):
        for copy in range(broken):
            number = items + position * broken + copy
            item = draw_item(broken_task(kind), seed, number, f"{kind.replace('_', '-')}-{copy}", size=size)
            row, files = dict(item.row), dict(item.files)
            BROKEN[kind](row, files)
            rows.append(row)
            _put(out, files)
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    address = storage.join(out, "catalog.csv")
    storage.put(address, text.getvalue().encode(), content_type="text/csv")
    return address


def draw_item(task: str, seed: int, index: int, item_id: str, *, size: tuple[int, int], turn: int = 0) -> CatalogItem:
    """The item of a catalog's seed and a position in it.

    Args:
        task: a word of `TASKS`.
        size: (H, W) of all its pictures.
        turn: which of its task's rows it is: they differ by turns in what they bring along.
    """
    return TASKS[task](cast(seed, index, held_out=True), item_id, size=size, index=turn)


def write_sheet(out: str, *, items: int, seed: int, size: tuple[int, int]) -> str:
    """Writes a contact sheet of items: each person, the garment to try on, and the true answer.

    Args:
        out: address of a .png or .jpg file.

    Returns:
        That address.

    Raises:
        ConfigError: an address that ends otherwise.
    """
    picture_file(np.zeros((1, 1, 3), np.uint8), out)  # refused before the drawing, not after
    pictures = []
    for index in range(items):
        role = cast(seed, index, held_out=True)
        pictures += [
            draw_look(person=role.person, outfit=role.worn, pose=role.pose, size=size).image,
            draw_flat(garment=role.garment, size=size).image,
            draw_look(person=role.person, outfit=role.dressed, pose=role.pose, size=size).image,
        ]
    sheet = contact_sheet(pictures, columns=3 * min(4, items))
    storage.put(out, picture_file(np.asarray(sheet), out))
    return out


def _put(out: str, files: Mapping[str, bytes]) -> None:
    for path, data in files.items():
        storage.put(storage.join(out, path), data)
