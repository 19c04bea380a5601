"""Stylized memory: how the garments, hair and shoes of a catalog look, crop by crop, found by words.

A memory is a folder like weights': `config.json`, Arrow rows in `rows.arrow`, vectors in `vectors.safetensors`. The
config holds the rows' sha256, so that the folder's digest covers them, and the digest of the encoders whose vectors
these are. Its name or path is found by `atelier.models.registry`, as weights are.

Search is exact, by region; equally similar rows come in the order of their row ids. An approximate index would pay past
a million entries.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import torch
from jaxtyping import Float, Int
from torch import Tensor

from atelier import weights
from atelier.errors import ConfigError, WeightsError
from atelier.models import registry

MODEL_NAME = "stylized_memory"
ROWS_NAME = "rows.arrow"
VECTORS = "vectors"
"""Stem of the vectors' file."""

SCHEMA = pa.schema(
    [
        pa.field("row_id", pa.int32(), nullable=False),
        pa.field("item_id", pa.string(), nullable=False),
        pa.field("region", pa.uint8(), nullable=False),
        pa.field("phrase", pa.string(), nullable=False),
    ]
)
"""One row a crop; row ids are 0, 1, 2, ... and index the vectors. Regions are DeepFashion-MultiModal's label ids."""

_DECIMALS = 6
"""Similarities are rounded to so many: below, they are the machine's, and equal keys would not tie."""
_NAMES = ("text_keys", "image_keys", "values")


@dataclass(frozen=True, kw_only=True, eq=False)
class Memory:
    """A memory in use.

    Args:
        rows: of `SCHEMA`.
        text_keys, image_keys: unit vectors of the crops' words and pictures, in one space.
        values: each crop as tokens.
        encoders_digest: of the encoders that made the vectors.
    """

    rows: pa.Table
    text_keys: Float[Tensor, "rows key_width"]
    image_keys: Float[Tensor, "rows key_width"]
    values: Float[Tensor, "rows num_values value_width"]
    encoders_digest: str
    _of_region: dict[int, Tensor] = field(init=False, repr=False)
    _items: Tensor = field(init=False, repr=False)
    _item_numbers: dict[str, int] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        lengths = {name: len(getattr(self, name)) for name in _NAMES}
        if set(lengths.values()) != {self.rows.num_rows}:
            raise ConfigError(f"memory: {self.rows.num_rows} rows with {lengths}; must be as many")
        if self.rows.column("row_id").to_pylist() != list(range(self.rows.num_rows)):
            raise ConfigError("memory: row_id must be 0, 1, 2, ... in the rows' order")
        device = self.text_keys.device
        regions = torch.tensor(self.rows.column("region").to_pylist(), dtype=torch.int64, device=device)
        numbers: dict[str, int] = {}
        items = [numbers.setdefault(item, len(numbers)) for item in self.rows.column("item_id").to_pylist()]
        of_region = {int(region): (regions == region).nonzero().squeeze(1) for region in regions.unique()}
        object.__setattr__(self, "_of_region", of_region)
        object.__setattr__(self, "_items", torch.tensor(items, dtype=torch.int64, device=device))
        object.__setattr__(self, "_item_numbers", numbers)

    @property
    def num_rows(self) -> int:
        """How many crops it holds."""
        return self.rows.num_rows

    def search(
        self,
        queries: Float[Tensor, "queries key_width"],
        regions: Sequence[int],
        top_k: int,
        *,
        image_share: float = 0.5,
        excluded: Sequence[str] | None = None,
    ) -> tuple[Int[Tensor, "queries top_k"], Float[Tensor, "queries top_k"]]:
        """The rows most similar to each query among those of its region, and their similarities, falling.

        Where a region holds fewer rows than `top_k`, the rest are row -1 with similarity -inf.

        Args:
            queries: unit vectors.
            regions: a label id a query.
            image_share: of the picture key's cosine in a similarity; the rest is the words' key's.
            excluded: an item id a query, whose rows are passed over; an item that the memory does not hold excludes
                nothing.
        """
        device = self.text_keys.device
        rows = torch.full((len(queries), top_k), -1, dtype=torch.int64, device=device)
        scores = torch.full((len(queries), top_k), float("-inf"), dtype=torch.float32, device=device)
        wanted = torch.tensor(list(regions), dtype=torch.int64, device=device)
        passed_over = None
        if excluded is not None:
            passed_over = torch.tensor([self._item_numbers.get(item, -1) for item in excluded], device=device)
        for region in wanted.unique().tolist():
            candidates = self._of_region.get(region)
            if candidates is None:
                continue
            asking = (wanted == region).nonzero().squeeze(1)
            similar = self._similarities(queries[asking.to(queries.device)], candidates, image_share)
            if passed_over is not None:
                own = self._items[candidates][None, :] == passed_over[asking][:, None]
                similar = similar.masked_fill(own, float("-inf"))
            # Stable, and the candidates are in the order of their ids: equals come by id. `topk` promises no order.
            ranked, order = torch.sort(similar, dim=1, descending=True, stable=True)
            num = min(top_k, len(candidates))
            found = torch.where(ranked[:, :num].isinf(), -1, candidates[order[:, :num]])
            rows[asking, :num] = found
            scores[asking, :num] = ranked[:, :num].float()
        return rows, scores

    def _similarities(self, queries: Tensor, candidates: Tensor, image_share: float) -> Tensor:
        """In float64, so that rounding hides in which order a machine adds."""
        queries = queries.to(self.text_keys.device).double()
        by_words = queries @ self.text_keys[candidates].double().T
        by_picture = queries @ self.image_keys[candidates].double().T
        return torch.round((1 - image_share) * by_words + image_share * by_picture, decimals=_DECIMALS)

    def to(self, device: torch.device | str) -> Memory:
        """The same with its vectors on a device."""
        vectors = {name: getattr(self, name).to(device) for name in _NAMES}
        return Memory(rows=self.rows, encoders_digest=self.encoders_digest, **vectors)

    def save(self, folder: str | Path, *, source: str = "") -> str:
        """Writes the folder, vectors at half precision, and gives its sha256.

        Args:
            source: which catalog it is of, for people.
        """
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        sink = pa.BufferOutputStream()
        with pa.ipc.new_file(sink, SCHEMA) as writer:
            writer.write_table(self.rows.combine_chunks())
        content = sink.getvalue().to_pybytes()
        partial = folder / f"{ROWS_NAME}.partial"
        partial.write_bytes(content)
        partial.replace(folder / ROWS_NAME)
        config = {
            "model": MODEL_NAME,
            "encoders": self.encoders_digest,
            "rows_sha256": hashlib.sha256(content).hexdigest(),
            "num_rows": self.num_rows,
            "source": source,
        }
        vectors = {name: getattr(self, name) for name in _NAMES}
        return weights.write_folder(folder, config, {VECTORS: vectors}, dtype=torch.float16)


def read_memory(name: str | Path) -> Memory:
    """The memory of a shipped name or a folder, on the CPU in float32.

    Raises:
        WeightsError: no such memory, something else, or rows that are not the ones its vectors are of.
    """
    folder, config = check_memory(name)
    path = folder / ROWS_NAME
    if not path.is_file():
        raise WeightsError(str(folder), reason=f"{ROWS_NAME} is missing")
    content = path.read_bytes()
    if (held := hashlib.sha256(content).hexdigest()) != config.get("rows_sha256"):
        reason = f"sha256 is {held[:12]}, {weights.CONFIG_NAME} says {str(config.get('rows_sha256'))[:12]}"
        raise WeightsError(str(path), reason=reason)
    rows = pa.ipc.open_file(pa.BufferReader(content)).read_all()
    if not rows.schema.equals(SCHEMA):
        raise WeightsError(str(path), reason=f"has columns {rows.schema.names}, must have {SCHEMA.names}")
    state = weights.read_state(folder, VECTORS)
    if missing := sorted(set(_NAMES) - set(state)):
        raise WeightsError(str(folder / f"{VECTORS}{weights.SUFFIX}"), missing=missing)
    vectors: dict[str, Any] = {key: state[key].float() for key in _NAMES}
    return Memory(rows=rows, encoders_digest=str(config.get("encoders", "")), **vectors)


def check_memory(name: str | Path) -> tuple[Path, dict[str, Any]]:
    """The folder of a memory and its config; nothing else of it is read.

    Raises:
        WeightsError: no such memory, or something else.
    """
    folder = registry.folder(str(name))
    config = weights.read_config(folder)
    if config.get("model") != MODEL_NAME:
        raise WeightsError(str(folder), reason=f"model: is {config.get('model')!r}, must be {MODEL_NAME!r}")
    return folder, config


def memory_from(
    entries: Sequence[tuple[str, int, str]],
    *,
    text_keys: Float[Tensor, "rows key_width"],
    image_keys: Float[Tensor, "rows key_width"],
    values: Float[Tensor, "rows num_values value_width"],
    encoders_digest: str,
) -> Memory:
    """A memory of crops in the order of their row ids: (item id, region's label id, phrase) and vectors of each."""
    items, regions, phrases = (list(column) for column in zip(*entries, strict=True)) if entries else ([], [], [])
    columns = [list(range(len(entries))), items, regions, phrases]
    arrays = [pa.array(column, field.type) for column, field in zip(columns, SCHEMA, strict=True)]
    return Memory(
        rows=pa.Table.from_arrays(arrays, schema=SCHEMA),
        text_keys=text_keys,
        image_keys=image_keys,
        values=values,
        encoders_digest=encoders_digest,
    )
