"""What a stage is: a picklable config that builds a ready object, which turns columns into columns.

A stage never sees a row that has failed before it: such rows carry zeros, are skipped, and go on to the sink, which
records them. `RowError` fails one row; any other exception ends the run.
"""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch

from atelier.errors import RowError, StageContractError
from atelier.stages.watch import Watch

Batch = dict[str, np.ndarray]
"""Column name → `[B, ...]`; pictures `uint8`, label maps `uint8` ids, text and bytes as object columns."""

ROW_COLUMNS = ("item_id", "variant", "task", "seed", "prompt")
"""Who a row is; every batch has them and no stage writes them."""

ERROR_COLUMNS = ("error_code", "error_stage", "error_detail", "error_rejected")
"""What became of a row: `error_code == ""` means that it is fine."""

STATE_COLUMNS = (*ERROR_COLUMNS, "kept")
"""`kept`: the picture is stored already; later stages skip the row as they skip a failed one, and it ends ok."""


@dataclass(frozen=True, kw_only=True)
class Columns:
    """The columns a stage touches; `optional` are those it reads where they are there."""

    reads: tuple[str, ...]
    writes: tuple[str, ...]
    optional: tuple[str, ...] = ()

    @classmethod
    def of(cls, stage: type[Stage]) -> Columns:
        """Those that a stage's class declares."""
        return cls(reads=tuple(stage.reads), writes=tuple(stage.writes), optional=tuple(stage.optional))


@dataclass(frozen=True, kw_only=True)
class StageConfig(ABC):
    """What it takes to build a stage; the only part that crosses to another process.

    A field whose value doesn't change a picture (a folder's path, a thread count) says so by
    `field(metadata={"identity": False})`, and the weights behind it speak through `digests`.
    """

    name: ClassVar[str]
    """The verb, one a recipe; names the pool, the seconds and the stage of an error."""
    version: ClassVar[int] = 1
    """Raised when the code changes what comes out, so that what was made before is made again."""
    makes_pixels: ClassVar[bool] = True
    """False for a stage after the picture is done (`encode`): it has a rendition key of its own."""

    @abstractmethod
    def columns(self) -> Columns:
        """The columns of the stage, known without building it: placement runs where no weights are."""

    @abstractmethod
    def build(self, device: torch.device) -> Stage:
        """The ready stage, weights loaded, on `device`."""

    def check(self) -> None:  # noqa: B027  most stages have no weights to refuse
        """Refuses weights of another kind than the stage's, before any worker is started for it.

        Raises:
            ConfigError, WeightsError: naming the folder.
        """

    def digests(self) -> Mapping[str, str]:
        """sha256 of every weight or memory that the stage reads, by name."""
        return {}

    def compiled(self) -> StageConfig:
        """The same, its networks run through `torch.compile` when it is built; itself where it has none worth it."""
        return self

    def identity(self) -> dict[str, Any]:
        """All that decides what the stage makes, as plain values that JSON can hold."""
        kept = [f for f in dataclasses.fields(self) if f.metadata.get("identity", True)]
        settings = {f.name: _plain(getattr(self, f.name)) for f in kept}
        return {"stage": self.name, "version": self.version, "settings": settings, "digests": dict(self.digests())}


class Faults:
    """The rows of one batch that failed in one stage, and why."""

    def __init__(self) -> None:
        self.by_row: dict[int, RowError] = {}

    def add(self, row: int, error: RowError) -> None:
        """Records why a row failed; the first reason stays."""
        self.by_row.setdefault(row, error)


class Stage(ABC):
    """A built stage: always ready, never pickled.

    `reads` and `writes` are all the columns it touches; `optional` are columns it reads where they are there.
    """

    name: str
    reads: Sequence[str]
    writes: Sequence[str]
    optional: Sequence[str] = ()

    @abstractmethod
    def blank(self) -> dict[str, Any]:
        """One row of every written column as a failed row carries it: zeros of the working shape, `""`, `b""`."""


class RowStage(Stage):
    """A stage that takes one row at a time, on the CPU: fetch, decode, encode."""

    num_threads: int = 1
    """Rows worked on at once; above 1 where a row mostly waits."""

    @abstractmethod
    def run_row(self, row: Mapping[str, Any]) -> Mapping[str, Any]:
        """The written columns of one row; raises `RowError`."""


class TensorStage(Stage):
    """A stage that takes a whole batch of constant shape on a device.

    `run_tensors` gets the columns it reads: numbers as tensors on `device`, in the columns' own dtype, text as it is.
    """

    device: torch.device

    @abstractmethod
    def run_tensors(self, columns: Mapping[str, Any], faults: Faults) -> Mapping[str, Any]:
        """The written columns: tensors `[B, ...]` on `device`, text as object arrays `[B]`; a single row's failure goes
        to `faults`.

        Raising `RowError` says that some row of the batch can't be done: the batch is replayed row by row.
        """


class LoopStage(TensorStage):
    """A tensor stage whose work is a long loop: whoever runs it may look on, and end it between two steps.

    A watch changes nothing of what the loop makes.
    """

    @abstractmethod
    def run_loop(self, columns: Mapping[str, Any], faults: Faults, watch: Watch | None) -> Mapping[str, Any]:
        """As `run_tensors`.

        Raises:
            SamplingStopped: the watch said so.
        """

    def run_tensors(self, columns: Mapping[str, Any], faults: Faults) -> Mapping[str, Any]:
        return self.run_loop(columns, faults, None)


def alive(batch: Mapping[str, np.ndarray]) -> np.ndarray:
    """Which rows are still to be worked on, bool [B]: neither failed nor kept."""
    fine = np.asarray([code == "" for code in batch["error_code"]], dtype=bool)
    return fine & ~batch["kept"]


def num_rows(batch: Mapping[str, Any]) -> int:
    """How many rows a batch has."""
    return len(batch["item_id"])


def check_reads(stage: Stage, columns: Mapping[str, Any]) -> None:
    """Raises `StageContractError` where a column that the stage reads isn't there."""
    if absent := [name for name in stage.reads if name not in columns]:
        raise StageContractError(f"stage {stage.name}: reads {absent}, but the batch has only {sorted(columns)}")


def check_writes(stage: Stage, columns: Mapping[str, Any]) -> None:
    """Raises `StageContractError` where a stage wrote other columns than it declares."""
    if set(columns) != set(stage.writes):
        raise StageContractError(
            f"stage {stage.name}: wrote {sorted(columns)}, but declares that it writes {sorted(stage.writes)}"
        )


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: _plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in sorted(value.items())}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, str | int | float | bool) or value is None:
        return value
    return str(value)
