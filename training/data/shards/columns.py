"""What a column of prepared data holds, and the Arrow type that says so in the file itself."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from atelier.errors import CatalogError
from training.data.dataset import Sample

TEXT = "str"


@dataclass(frozen=True, kw_only=True)
class Column:
    """A column: its numpy dtype by name (`str` for text) and the shape of one row."""

    name: str
    dtype: str
    shape: tuple[int, ...]

    @classmethod
    def of(cls, name: str, value: np.ndarray) -> Column:
        """The column that a sample's value belongs to."""
        return cls(name=name, dtype=TEXT if value.dtype.kind == "U" else value.dtype.name, shape=value.shape)

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> Column:
        """What `to_json` wrote."""
        return cls(name=fields["name"], dtype=fields["dtype"], shape=tuple(fields["shape"]))

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self) | {"shape": list(self.shape)}

    @property
    def arrow_type(self) -> pa.DataType:
        """Pictures are fixed-shape tensors, which any reader of Arrow understands without the index."""
        if self.dtype == TEXT:
            return pa.string()
        value_type = pa.from_numpy_dtype(np.dtype(self.dtype))
        return pa.fixed_shape_tensor(value_type, self.shape) if self.shape else value_type

    def to_arrow(self, value: np.ndarray) -> pa.Array:
        """One row as an Arrow array of length one."""
        if self.dtype == TEXT or not self.shape:
            return pa.array([value.item()], type=self.arrow_type)
        flat = pa.array(np.ascontiguousarray(value).reshape(-1))
        tensors = pa.FixedSizeListArray.from_arrays(flat, math.prod(self.shape))
        return pa.ExtensionArray.from_storage(self.arrow_type, tensors)

    def from_arrow(self, array: pa.Array) -> np.ndarray:
        """The row that `to_arrow` took; writable."""
        if self.dtype == TEXT:
            return np.array(array[0].as_py(), dtype=np.str_)
        if not self.shape:
            return np.array(array[0].as_py(), dtype=self.dtype)
        assert isinstance(array, pa.ExtensionArray)
        # Copied: what Arrow hands out may not be written to, and augmentations write.
        return np.array(array.storage.flatten().to_numpy(zero_copy_only=False)).reshape(self.shape)


def check_alike(columns: Sequence[Column], sample: Sample, sample_id: str) -> None:
    """Raises `CatalogError` where a sample has other columns than those before it; names what differs."""
    found = {name: Column.of(name, value) for name, value in sample.items()}
    wanted = {column.name: column for column in columns}
    if found == wanted:
        return
    for name in sorted(found.keys() | wanted.keys()):
        if found.get(name) != wanted.get(name):
            raise CatalogError(
                f"sample {sample_id}: column {name!r}: is {_said(found.get(name))}, "
                f"must be {_said(wanted.get(name))}, as in the samples before it"
            )


def _said(column: Column | None) -> str:
    return "absent" if column is None else f"{column.dtype} {list(column.shape)}"
