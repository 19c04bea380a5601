"""Held-out rows, drawn once and kept for every later validation of the process."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Self, TypeVar

import numpy as np
import torch

from atelier import storage
from atelier.closet import Look, Outfit, bottom_seed, draw_look, outfit_for
from atelier.closet.casting import HELD_OUT
from atelier.closet.catalog import draw_item
from atelier.datasets import viton_hd
from atelier.datasets.samples import TryOnSample
from atelier.errors import CatalogError, RowError
from atelier.evaluation.held_out import HeldOutTryOn, held_out_try_ons
from atelier.seeds import unit_seed
from atelier.stages.base import Batch, alive
from atelier.stages.chain import StageChain, new_batch
from atelier.stages.decode import Decode
from training.data.held_out import held_out_root
from training.watch.validation.base import Validation

Size = tuple[int, int]
_Sample = TypeVar("_Sample")
_Row = TypeVar("_Row")
_LOG = logging.getLogger(__name__)
_INPUTS = ("person", "garment", "garment_mask", "parse", "keypoints")


@dataclass(frozen=True, kw_only=True)
class TryOnRow:
    """A row of a catalog: the item that the judge sees, and the files that the stages get, by input."""

    item_id: str
    item: HeldOutTryOn
    files: Mapping[str, bytes]


@lru_cache(maxsize=4)
def try_on_rows(num_rows: int, seed: int, size: Size, all_described: bool) -> tuple[TryOnRow, ...]:
    """The first rows of `python -m atelier closet catalog --seed SEED`, file for file, under that catalog's ids.

    Args:
        all_described: every row brings its parse and keypoints, and not every second one only.
    """
    rows = []
    for index, item in enumerate(held_out_try_ons(num_rows, seed=seed, size=size)):
        # Its files are JPEG as a catalog's are, the judge's pictures are not. The first of a task's rows are described.
        drawn = draw_item("try_on", seed, index, f"item-{index:05d}", size=size, turn=0 if all_described else index)
        given = {name: drawn.files[path] if (path := drawn.row[name]) else b"" for name in _INPUTS}
        rows.append(TryOnRow(item_id=drawn.row["item_id"], item=item, files=given))
    return tuple(rows)


@lru_cache(maxsize=4)
def held_out_looks(num_rows: int, seed: int, size: Size) -> tuple[Look, ...]:
    """People in all that the closet has, from held-out seeds alone."""
    looks = []
    for index in range(num_rows):
        rng = np.random.default_rng([seed, index])
        person, pose, clothes, bottom = (HELD_OUT + int(rng.integers(HELD_OUT // 10)) for _ in range(4))
        outfit = outfit_for(clothes)
        if outfit.bottom is not None:
            outfit = Outfit(top=outfit.top, outer=outfit.outer, bottom=bottom_seed(bottom))
        looks.append(draw_look(person=person, outfit=outfit, pose=pose, size=size))
    return tuple(looks)


@lru_cache(maxsize=4)
def test_set_rows(root: str, num_rows: int, size: Size) -> tuple[TryOnRow, ...]:
    """The first rows of a VITON-HD folder's test split, paired: each person in the garment they wear, maps given.

    Raises:
        CatalogError: the folder is not of that layout, or has no row that can be read.
    """
    decode = Decode(size=size).build(torch.device("cpu"))

    def read(sample: TryOnSample) -> TryOnRow:
        files = {name: storage.get(getattr(sample, name)) for name in _INPUTS}
        shown = decode.run_row({f"{name}_bytes": content for name, content in files.items()})
        item = HeldOutTryOn(
            item_id=sample.person_id,
            kind="photograph",
            person=shown["person"],
            parse=shown["given_parse"],
            keypoints=shown["given_keypoints"],
            garment=shown["garment"],
            garment_mask=shown["garment_mask"],
            truth=shown["person"],
            true_parse=shown["given_parse"],
        )
        return TryOnRow(item_id=sample.person_id, item=item, files=files)

    samples = ((sample.person_id, sample) for sample in viton_hd.read(root, "test", paired=True))
    return whole_rows(root, samples, read, num_rows)


def whole_rows(
    root: str, samples: Iterable[tuple[str, _Sample]], read: Callable[[_Sample], _Row], num_rows: int
) -> tuple[_Row, ...]:
    """The first rows that can be read; a broken one is said, and the next takes its place.

    Args:
        samples: each with its name.

    Raises:
        CatalogError: none can be.
    """
    rows: list[_Row] = []
    broken = 0
    for name, sample in samples:
        if len(rows) == num_rows:
            break
        try:
            rows.append(read(sample))
        except RowError as error:
            broken += 1
            _LOG.warning("%s: validations pass over %s of the test split: %s", root, name, error)
    if not rows:
        raise CatalogError(f"{root}: none of the {broken} rows of its test split can be read; must have one that can")
    return tuple(rows)


@dataclass(frozen=True, kw_only=True)
class TryOnRowsValidation(Validation):
    """A validation of try-ons, or of a part of one.

    Args:
        size: working size (H, W).
        batch_size: rows a stage sees at once.
        test_set: a VITON-HD folder, from whose test split the rows come; None draws them.
    """

    size: Size = (256, 192)
    batch_size: int = 4
    test_set: str | None = None

    @property
    def source(self) -> str:
        if self.test_set is None:
            return f"{self.num_rows} drawn rows, seed {self.seed}"
        return f"the first {self.num_rows} rows of {self.test_set}, test split, paired"

    def beside(self, data: str | None) -> Self:
        """With the test split that lies beside a run's training data, where there is one."""
        if self.test_set is not None or (root := held_out_root(data, "viton_hd")) is None:
            return self
        return dataclasses.replace(self, test_set=root)

    def rows(self, *, all_described: bool = True) -> tuple[TryOnRow, ...]:
        """Those to draw; `all_described` says whether every drawn row brings its maps."""
        if self.test_set is not None:
            return test_set_rows(self.test_set, self.num_rows, self.size)
        return try_on_rows(self.num_rows, self.seed, self.size, all_described)


def run_rows(
    chain: StageChain, ids: Sequence[str], columns: Mapping[str, Sequence[Any]], *, task: str = "try_on"
) -> Batch:
    """All rows through a chain, in batches of its size, each with the seed that a catalog's row of that id has."""
    batches = []
    for start in range(0, len(ids), chain.batch_size):
        part = slice(start, start + chain.batch_size)
        rows = {
            "item_id": list(ids[part]),
            "variant": [np.int32(0) for _ in ids[part]],
            "task": [task for _ in ids[part]],
            "seed": [np.int64(unit_seed(item_id, 0, job_seed=0)) for item_id in ids[part]],
        }
        batches.append(chain.run(new_batch(rows | {name: list(values[part]) for name, values in columns.items()})))
    return {name: np.concatenate([batch[name] for batch in batches]) for name in batches[0]}


def num_failed(batch: Batch) -> int:
    """Rows that a stage gave up."""
    return int((~alive(batch)).sum())


def failure(batch: Batch, row: int) -> str:
    """What to say of a row that a stage gave up; empty for a fine one."""
    code = str(batch["error_code"][row])
    return f"failed in {batch['error_stage'][row]}: {code}" if code else ""
