"""Rows of a closet catalog for a validation: the very files that a job fetches, and the true pictures beside them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import torch

from atelier import poses
from atelier.closet import Look, draw_look, outfit_for
from atelier.closet.casting import cast
from atelier.closet.catalog import draw_item
from atelier.closet.pose_pack import POSES, pose_seed
from atelier.recipe import Recipe
from atelier.recipes.tasks import POSE_TRANSFER, TEXT_TO_PERSON
from atelier.stages.base import Batch
from training.watch.validation.rows import Size, run_rows

_NAMED = ("pose", "pose_map")
_INPUTS = {POSE_TRANSFER: ("person", "parse", "pose"), TEXT_TO_PERSON: ("pose_map",)}


@dataclass(frozen=True, kw_only=True)
class CatalogRow:
    """A row as `fetch` leaves it, and its true answer; None where the catalog does not know it.

    Args:
        files: by input; `b""` is one that the row does not name.
    """

    item_id: str
    files: Mapping[str, bytes]
    prompt: str
    truth: Look | None


@lru_cache(maxsize=4)
def catalog_rows(task: str, num_rows: int, seed: int, size: Size) -> tuple[CatalogRow, ...]:
    """The first rows of `python -m atelier closet catalog --tasks TASK --seed SEED --size SIZE`, file for file."""
    rows = []
    for index in range(num_rows):
        item = draw_item(task, seed, index, f"item-{index:05d}", size=size, turn=index)
        files = {name: _file(name, item.row[name], item.files) for name in _INPUTS[task]}
        truth = _truth(task, seed, index, item.row, size) if item.row["truth"] else None
        rows.append(CatalogRow(item_id=item.row["item_id"], files=files, prompt=item.row["prompt"], truth=truth))
    return tuple(rows)


def made_rows(recipe: Recipe, rows: Sequence[CatalogRow], device: torch.device) -> Batch:
    """What a recipe makes of rows, from `decode` up to the encoding."""
    files = {f"{name}_bytes": [row.files[name] for row in rows] for name in rows[0].files}
    chain = recipe.after("fetch").before("encode").build(device)
    columns = files | {"prompt": [row.prompt for row in rows]}
    return run_rows(chain, [row.item_id for row in rows], columns, task=recipe.task)


def _file(name: str, cell: str, files: Mapping[str, bytes]) -> bytes:
    if name in _NAMED and cell in POSES:
        return poses.read(cell, name)
    return files[cell] if cell else b""


def _truth(task: str, seed: int, index: int, row: Mapping[str, str], size: Size) -> Look:
    role = cast(seed, index, held_out=True)
    if task == TEXT_TO_PERSON:
        return draw_look(person=role.person, outfit=outfit_for(role.garment), pose=role.pose, size=size)
    pose = pose_seed(row["pose"]) if row["pose"] in POSES else role.other_pose
    return draw_look(person=role.person, outfit=role.worn, pose=pose, size=size)
