"""A catalog as items: what a row may say, what is wrong with a row that says something else, one after the other.

A row that cannot become an item never hides another: it comes out as a `BadRow`, in its place, with all its faults.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import count, islice
from typing import Annotated, Any

import pyarrow as pa
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from atelier import poses, storage
from atelier.errors import CatalogError, StorageError
from atelier.rows import INPUTS, Item
from atelier.seeds import MAX_SEED
from pipelines.formats import RawRow, open_format
from pipelines.unit_ids import text_id

REQUIRED_COLUMNS = ("item_id", "task")
MAX_VARIANTS = 1000

_Address = Annotated[str, Field(max_length=2000, description="An address, relative to the catalog's folder, or s3://…")]


class CatalogRow(BaseModel):
    """One row of a catalog; an empty cell is a cell that isn't there. Other columns are kept and not read."""

    model_config = ConfigDict(frozen=True, extra="allow", title="Atelier catalog row")

    item_id: str = Field(max_length=200, pattern=r"^[^\x00-\x1f\x7f]+$", description="Unique in its catalog")
    task: str = Field(max_length=100, description="What to make, e.g. `try_on`; the job says which it knows")
    person: _Address = ""
    garment: _Address = ""
    garment_mask: _Address = ""
    parse: _Address = ""
    keypoints: _Address = ""
    pose: str = Field("", max_length=2000, description="An OpenPose JSON, a picture of somebody in the pose, or a name")
    pose_map: str = Field("", max_length=2000, description="A PNG of DeepFashion-MultiModal's 24 labels, or a name")
    model: str = Field("", max_length=100, description="Which system makes it, where the job has several for the task")
    prompt: str = Field("", max_length=10_000)
    seed: int | None = Field(None, ge=0, le=MAX_SEED, description="Of variant 0; else drawn from the item_id")
    variants: int = Field(1, ge=1, le=MAX_VARIANTS, description="How many pictures to make")

    @model_validator(mode="before")
    @classmethod
    def _drop_empty_cells(cls, cells: Any) -> Any:
        if not isinstance(cells, Mapping):
            return cells
        return {name: value for name, cell in cells.items() if (value := _cell(name, cell)) is not None}


def json_schema() -> dict[str, Any]:
    """The JSON Schema of a catalog row."""
    return CatalogRow.model_json_schema()


@dataclass(frozen=True, kw_only=True, slots=True)
class Fault:
    """One thing that is wrong with a row: where, what was found, and what is allowed."""

    field: str
    value: str
    code: str
    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class BadRow:
    """A row that can't become an item.

    Args:
        line: line of the file (row number in Parquet), from 1.
        item_id: what the row says, made unique by its line where it says nothing usable.
        faults: at least one.
        inputs: address by input name, where they could be read: a person who mends the row wants to see them.
    """

    line: int
    item_id: str
    task: str
    faults: tuple[Fault, ...]
    inputs: Mapping[str, str] = field(default_factory=dict)

    @property
    def code(self) -> str:
        """The first fault's code."""
        return self.faults[0].code

    @property
    def detail(self) -> str:
        """All faults as a sentence."""
        return "; ".join(f"{fault.field} {fault.value!r}: {fault.reason}" for fault in self.faults)


class Catalog:
    """A catalog that has been opened: its columns are known, its rows are still to be read.

    Memory does not grow with the catalog but for 8 bytes of each `item_id` (a Python set: about 60 bytes a row).

    Raises:
        CatalogError: it can't be read at all, or lacks a required column.
    """

    def __init__(self, address: str) -> None:
        self.address = storage.resolve(address)
        self.folder = storage.parent(self.address)
        try:
            storage.head(self.address)
        except StorageError as error:
            raise CatalogError(f"catalog {address}: {error.reason}") from error
        self._format = open_format(self.address)
        self.columns = self._format.columns
        if any(not name.isprintable() for name in self.columns):
            raise CatalogError(f"catalog {address}: its header is no text in UTF-8; is it a CSV file?")
        absent = [name for name in REQUIRED_COLUMNS if name not in self.columns]
        if self.columns and absent:
            lacking = f"column{'s' * (len(absent) > 1)} {', '.join(absent)}"
            raise CatalogError(f"catalog {address}: lacks the {lacking}; it has {', '.join(self.columns)}")

    @property
    def ignored_columns(self) -> tuple[str, ...]:
        """Columns that are there and that no plane reads, such as `truth`."""
        return tuple(name for name in self.columns if name not in CatalogRow.model_fields)

    def batches(self, size: int = 4096) -> Iterator[list[Item | BadRow]]:
        """The rows in the catalog's order, at most `size` at once."""
        seen, line, found = _Seen(), 0, self._format.rows()
        try:
            while rows := list(islice(found, size)):
                line = rows[-1][0]
                yield [self._row(row, seen) for row in rows]
        except (OSError, EOFError, UnicodeError, pa.ArrowException) as error:
            raise CatalogError(f"catalog {self.address}: can't be read past line {line}: {error}") from error
        if not line:
            has = f"has the columns {list(self.columns)} and no rows" if self.columns else "is empty"
            raise CatalogError(f"catalog {self.address}: {has}; must have at least one row")

    def _row(self, raw: RawRow, seen: _Seen) -> Item | BadRow:
        line, cells, broken = raw
        if broken:
            return _bad(line, cells, seen, [Fault(field="row", value="", code="bad_row", reason=broken)])
        try:
            row = CatalogRow.model_validate(cells)
        except ValidationError as error:
            return _bad(line, cells, seen, [_fault(found) for found in error.errors(include_url=False)])
        inputs: dict[str, str] = {}
        faults: list[Fault] = []
        for name in INPUTS:
            if not (given := getattr(row, name)):
                continue
            if name in _POSES and _is_bare(given):
                if given not in poses.names(name):
                    reason = f"is no pose of the pack, nor an address; must be a file or one of {poses.listed(name)}"
                    faults.append(Fault(field=name, value=given, code="unknown_pose", reason=reason))
                inputs[name] = poses.address(given)
                continue
            try:
                inputs[name] = storage.join(self.folder, given)
            except StorageError as error:
                faults.append(Fault(field=name, value=given, code="bad_address", reason=error.reason))
        if faults:
            return _bad(line, cells, seen, faults)
        if not seen.claim(row.item_id):
            reason = "stands in the catalog before; must be unique"
            fault = Fault(field="item_id", value=row.item_id, code="duplicate_item", reason=reason)
            return _bad(line, cells, seen, [fault])
        return Item(item_id=row.item_id, task=row.task, inputs=inputs, model=row.model, prompt=row.prompt,
                    seed=row.seed, variants=row.variants, line=line)  # fmt: skip


_POSES = ("pose", "pose_map")


def _is_bare(given: str) -> bool:
    """Whether a cell is a name and no address: without a folder, a scheme or a suffix."""
    return not any(sign in given for sign in "/\\:.")


class _Seen:
    """The ids that have been given out."""

    def __init__(self) -> None:
        self._taken: set[int] = set()

    def claim(self, item_id: str) -> bool:
        name = text_id(item_id)
        if name in self._taken:
            return False
        self._taken.add(name)
        return True


def _bad(line: int, cells: Mapping[str, Any], seen: _Seen, faults: list[Fault]) -> BadRow:
    usable = all((fault.field, fault.code) != ("item_id", "bad_value") for fault in faults)
    given = _shown(cells.get("item_id")) if usable else ""
    names = (f"{given} (line {line}{'.' * again})" if given else f"line {line}{'.' * again}" for again in count())
    item_id = given if given and seen.claim(given) else next(name for name in names if seen.claim(name))
    return BadRow(line=line, item_id=item_id, task=_shown(cells.get("task")), faults=tuple(faults))


_ALLOWED = {
    "item_id": "must be text of 1 to 200 characters without control characters",
    "task": "must be text of 1 to 100 characters",
    "model": "must be text of at most 100 characters",
    "prompt": "must be text of at most 10,000 characters",
    "seed": f"must be a whole number from 0 to {MAX_SEED:,}",
    "variants": f"must be a whole number from 1 to {MAX_VARIANTS}",
}


def _fault(found: Any) -> Fault:
    field = str(found["loc"][0])
    allowed = _ALLOWED.get(field, "must be text of at most 2,000 characters")
    if any("\ud800" <= letter <= "\udfff" for letter in str(found["input"])):
        # Bytes that are no UTF-8 come as lone surrogates, so that the rest of the row can still be read.
        return Fault(
            field=field, value=_shown(found["input"]), code="bad_value", reason="is not UTF-8; save the table so"
        )
    if found["type"] == "missing":
        return Fault(field=field, value="", code="missing_value", reason=f"is empty; {allowed}")
    return Fault(field=field, value=_shown(found["input"]), code="bad_value", reason=allowed)


def _cell(name: str, cell: Any) -> Any:
    """A cell as its field takes it; None for an empty one."""
    if isinstance(cell, str):
        return cell.strip() or None
    if isinstance(cell, float) and math.isnan(cell):
        return None
    if isinstance(cell, bool):
        return str(cell).lower() if name in ("seed", "variants") else cell  # else it would pass for 0 or 1 there
    if isinstance(cell, int) and name in ("item_id", "prompt"):
        return str(cell)  # a table that types its columns: 1042, not "1042"
    return cell


def _shown(value: Any) -> str:
    """A value as a message may hold it: whole characters, not too many of them."""
    text = "" if value is None else str(value).strip()
    return text[:200].encode("utf-8", "backslashreplace").decode()
