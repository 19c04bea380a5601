"""Stages run one after another in one process: device tensors handed on, failed rows carried along, seconds taken.

A chain is what an actor, a replica or a direct call holds. Its batch shape is constant: a short batch is padded with
copies of its last row, so that a picture's bits do not depend on how many neighbours it had.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import torch

from atelier.errors import RowError
from atelier.stages.base import (
    ERROR_COLUMNS,
    ROW_COLUMNS,
    STATE_COLUMNS,
    Batch,
    Faults,
    LoopStage,
    RowStage,
    Stage,
    TensorStage,
    alive,
    check_reads,
    check_writes,
    num_rows,
)
from atelier.stages.watch import Watch


class StageChain:
    """Ready stages in order.

    Args:
        stages: built stages.
        batch_size: rows that tensor stages always see at once; a batch may not be larger.
    """

    def __init__(self, stages: Sequence[Stage], *, batch_size: int) -> None:
        self.stages, self.batch_size = tuple(stages), batch_size

    def run(self, batch: Batch, *, keep: Collection[str] | None = None, watch: Watch | None = None) -> Batch:
        """All stages over at most `batch_size` rows.

        Args:
            keep: the columns that someone after this chain reads; the rest are dropped. Row, error, seconds
                and score columns always stay. None keeps everything.
            watch: looks on while a stage's loop runs.

        Raises:
            SamplingStopped: the watch said so.
        """
        rows = num_rows(batch)
        if not 0 < rows <= self.batch_size:
            raise ValueError(f"a batch has 1 to {self.batch_size} rows, got {rows}")
        batch = dict(batch)
        resident: dict[str, torch.Tensor] = {}  # on the device; a column that is in the batch too is the same there
        for stage in self.stages:
            started = time.perf_counter()
            if isinstance(stage, RowStage):
                reads = [name for name in (*stage.reads, *stage.optional) if name not in batch]
                batch.update(_to_numpy(resident, reads, rows))
                _run_rows(stage, batch)
                for name in stage.writes:
                    resident.pop(name, None)
            elif isinstance(stage, TensorStage):
                self._run_tensors(stage, batch, resident, watch)
            seconds = (time.perf_counter() - started) / rows
            batch[f"seconds_{stage.name}"] = np.full(rows, seconds, dtype=np.float32)
        wanted = [name for name in resident if name not in batch and (keep is None or _stays(name, keep))]
        batch.update(_to_numpy(resident, wanted, rows))
        return batch if keep is None else {name: batch[name] for name in batch if _stays(name, keep)}

    def _run_tensors(
        self, stage: TensorStage, batch: Batch, resident: dict[str, torch.Tensor], watch: Watch | None
    ) -> None:
        check_reads(stage, batch | resident)
        rows = num_rows(batch)
        fine = alive(batch)
        if not fine.any():
            for name, value in stage.blank().items():
                batch[name] = column([value] * rows)
                resident.pop(name, None)
            return
        present = [name for name in (*stage.reads, *stage.optional) if name in batch or name in resident]
        columns: dict[str, Any] = {}
        for name in present:
            if name not in resident:
                columns[name] = _padded(batch[name], self.batch_size, stage.device)
                if isinstance(columns[name], torch.Tensor):
                    resident[name] = columns[name]  # it crosses once, however many stages read it
            else:
                columns[name] = resident[name].to(stage.device)
        faults = Faults()
        try:
            outputs = dict(_run_one(stage, columns, faults, watch))
        except RowError:
            outputs, faults = _replay(stage, columns, np.flatnonzero(fine), watch)
        check_writes(stage, outputs)
        for row, error in faults.by_row.items():
            if row < rows and fine[row]:
                fail_row(batch, row, stage.name, error)
        dead = torch.as_tensor(np.append(~alive(batch), np.zeros(self.batch_size - rows, dtype=bool)))
        for name, value in outputs.items():
            if isinstance(value, np.ndarray):  # text, which has no tensors
                batch[name] = np.where(alive(batch), value[:rows], stage.blank()[name]).astype(object)
                continue
            # Not in place: a model may have run in inference mode, whose tensors can't be written to.
            resident[name] = value.masked_fill(dead.to(value.device).view(-1, *[1] * (value.ndim - 1)), 0)
            # A column another stage wrote before lives on the device now: the host copy would be stale.
            batch.pop(name, None)


def _run_rows(stage: RowStage, batch: Batch) -> None:
    check_reads(stage, batch)
    blank = stage.blank()
    present = [name for name in (*ROW_COLUMNS, *stage.reads, *stage.optional) if name in batch]
    rows = [{name: batch[name][row] for name in present} if fine else None for row, fine in enumerate(alive(batch))]

    def attempt(row: Mapping[str, Any] | None) -> Mapping[str, Any] | RowError:
        if row is None:
            return blank
        try:
            return stage.run_row(row)
        except RowError as error:
            return error

    if stage.num_threads > 1:
        with ThreadPoolExecutor(stage.num_threads) as threads:
            outcomes = list(threads.map(attempt, rows))
    else:
        outcomes = [attempt(row) for row in rows]
    for row, outcome in enumerate(outcomes):
        if isinstance(outcome, RowError):
            fail_row(batch, row, stage.name, outcome)
            outcomes[row] = blank
        else:
            check_writes(stage, outcome)
    for name in stage.writes:
        batch[name] = column([outcome[name] for outcome in outcomes if not isinstance(outcome, RowError)])


def column(values: Sequence[Any]) -> np.ndarray:
    """One column out of its rows' values: text and bytes as objects, numbers and pictures stacked."""
    if isinstance(values[0], str | bytes):
        stacked = np.empty(len(values), dtype=object)
        stacked[:] = values
        return stacked
    return np.stack([np.asarray(value) for value in values])


def _run_one(stage: TensorStage, columns: Mapping[str, Any], faults: Faults, watch: Watch | None) -> Mapping[str, Any]:
    if isinstance(stage, LoopStage):
        return stage.run_loop(columns, faults, watch)
    return stage.run_tensors(columns, faults)


def _replay(
    stage: TensorStage, columns: Mapping[str, Any], rows: np.ndarray, watch: Watch | None
) -> tuple[dict[str, Any], Faults]:
    """Each row on its own, repeated to the batch's shape, so that its bits are those of an untroubled batch."""
    faults = Faults()
    outputs: dict[str, Any] = {}
    for row in (int(r) for r in rows):
        alone = Faults()
        repeated = {
            name: value[row : row + 1].expand_as(value).contiguous()
            if isinstance(value, torch.Tensor)
            else np.repeat(value[row : row + 1], len(value), axis=0)
            for name, value in columns.items()
        }
        try:
            result = _run_one(stage, repeated, alone, watch)
        except RowError as error:
            faults.add(row, error)
            continue
        if alone.by_row:
            faults.add(row, next(iter(alone.by_row.values())))
            continue
        for name, value in result.items():
            outputs.setdefault(name, _blanks(stage, name, len(value)))[row] = value[0]
    if not outputs:
        size = len(next(iter(columns.values())))
        outputs = {name: _blanks(stage, name, size) for name in stage.blank()}
    return outputs, faults


def _blanks(stage: TensorStage, name: str, size: int) -> torch.Tensor | np.ndarray:
    blank = stage.blank()[name]
    if isinstance(blank, str):
        return column([blank] * size)
    value = torch.as_tensor(np.asarray(blank), device=stage.device)
    return value.expand(size, *value.shape).clone()


def _padded(values: np.ndarray, size: int, device: torch.device) -> Any:
    if len(values) < size:
        values = np.concatenate([values, np.repeat(values[-1:], size - len(values), axis=0)])
    if values.dtype == object or values.dtype.kind in "US":
        return values
    return torch.from_numpy(np.ascontiguousarray(values)).to(device)


def _to_numpy(resident: Mapping[str, torch.Tensor], names: Collection[str], rows: int) -> Batch:
    return {name: resident[name][:rows].cpu().numpy() for name in names if name in resident}


def fail_row(batch: Batch, row: int, stage: str, error: RowError) -> None:
    """Records on a row of a batch where and why it failed."""
    for name, value in zip(ERROR_COLUMNS, (error.code, stage, error.detail, error.rejected), strict=True):
        batch[name] = batch[name].copy()
        batch[name][row] = value


def _stays(name: str, keep: Collection[str]) -> bool:
    return name in keep or name in ROW_COLUMNS or name in STATE_COLUMNS or name.startswith(("seconds_", "score_"))


def new_batch(columns: Mapping[str, Sequence[Any]]) -> Batch:
    """A batch of fine rows from columns that hold at least `item_id`, `variant`, `task`, `seed`.

    Text goes to object columns, which take any length; numbers keep their kind.
    """
    rows = len(columns["item_id"])
    batch = {name: values if isinstance(values, np.ndarray) else column(values) for name, values in columns.items()}
    texts = {"prompt", *ERROR_COLUMNS[:3]}
    for name in texts - set(batch):
        batch[name] = column([""] * rows)
    for name in ("error_rejected", "kept"):
        batch.setdefault(name, np.zeros(rows, dtype=bool))
    return batch
