"""Batches by step, made ahead of it by other processes: the same rows for a step, whoever loads them.

What a batch holds is a function of the data, the order and the step. It does not depend on the number of loading
processes or of training workers, nor on how often the run was stopped before.
"""

from __future__ import annotations

import dataclasses
import signal
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Sampler
from torch.utils.data import Dataset as MapDataset
from torch.utils.data.dataloader import _MultiProcessingDataLoaderIter

from atelier.errors import AtelierError, CatalogError, ConfigError, RowError
from training.data.dataset import Columns, Dataset, Sample
from training.data.order import SampleOrder
from training.world import World


@dataclass(frozen=True, kw_only=True)
class LoadedBatch:
    """This worker's part of a step's batch.

    Args:
        columns: column → [B, ...] in the columns' own dtype, on the CPU.
        global_indexes: positions counted from the run's first sample, over all workers and epochs: the key of all
            randomness of a row.
        ids: who the rows are, in the same order.
    """

    step: int
    columns: Mapping[str, Tensor]
    global_indexes: list[int]
    ids: list[str]

    def pin_memory(self) -> LoadedBatch:
        """The batch in page-locked memory; called by torch's DataLoader where an accelerator reads it."""
        return dataclasses.replace(self, columns={name: column.pin_memory() for name, column in self.columns.items()})


class Loader:
    """Samples in their order, `batch_size` a step over all workers, of which this one loads its own rows.

    Args:
        columns: augments one sample and draws what is conditioned on; run in the loading processes.
        batch_size: of the step, over all workers.
        num_workers: processes that load ahead of the step; 0 loads in this one when a batch is asked for.
        prefetch_factor: batches that each of them has ready.
        start_method: of the processes. `fork` starts at once; `spawn` where the program has threads that must not be
            forked.

    Raises:
        ConfigError: a column that `columns` reads and the data lacks; fewer rows a batch than workers.
    """

    def __init__(
        self,
        *,
        dataset: Dataset,
        columns: Columns,
        order: SampleOrder,
        batch_size: int,
        world: World,
        num_workers: int = 0,
        prefetch_factor: int = 2,
        start_method: Literal["fork", "spawn", "forkserver"] = "fork",
    ) -> None:
        if absent := sorted(set(columns.reads) - set(dataset.column_names)):
            raise ConfigError(
                f"data: lacks {absent}, which {type(columns).__name__} reads; it has {sorted(dataset.column_names)}"
            )
        if order.num_samples != dataset.num_samples:
            raise ConfigError(f"order: is over {order.num_samples} samples, the data has {dataset.num_samples}")
        self._steps = _Steps(batch_size=batch_size, rows=world.rows(batch_size))
        self._loader = DataLoader(
            _Turns(dataset, columns, order),
            batch_sampler=self._steps,
            num_workers=num_workers,
            collate_fn=_collated,
            pin_memory=world.device.type == "cuda",
            # Otherwise every start draws from torch's global generator, and a resumed run's dropout differs.
            generator=torch.Generator(),
            **(_processes(prefetch_factor, start_method) if num_workers else {}),
        )

    def iterate(self, first_step: int = 0) -> Iterator[LoadedBatch]:
        """The batches from a step on, without end.

        Raises:
            CatalogError: a sample from which the columns cannot be made; names it.
            StorageError: a sample that cannot be read.
        """
        self._steps.first_step = first_step
        for step, loaded in enumerate(self._loader, start=first_step):
            if isinstance(loaded, AtelierError):
                self.close()
                raise loaded
            yield dataclasses.replace(loaded, step=step)

    def close(self) -> None:
        """Ends the loading processes; batches are loaded anew after it."""
        iterator = self._loader._iterator
        if isinstance(iterator, _MultiProcessingDataLoaderIter):
            # Left to the garbage collector it may take 5 s: whoever iterates holds on to it.
            iterator._shutdown_workers()
        self._loader._iterator = None


def _processes(prefetch_factor: int, start_method: str) -> dict[str, Any]:
    return {
        "persistent_workers": True,
        "prefetch_factor": prefetch_factor,
        "multiprocessing_context": start_method,
        "worker_init_fn": _left_alone,
    }


def _left_alone(_worker: int) -> None:
    """Ctrl-C, Slurm and systemd send their signal to every process of a run. It is for the one that trains, which still
    makes a checkpoint and then ends these; they end by themselves where it is gone.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)


class _Steps(Sampler[list[int]]):
    """The global indexes of this worker's rows, a list a step, from `first_step` on without end."""

    def __init__(self, *, batch_size: int, rows: range) -> None:
        self.batch_size, self.rows, self.first_step = batch_size, rows, 0

    def __iter__(self) -> Iterator[list[int]]:
        step = self.first_step
        while True:
            yield [step * self.batch_size + row for row in self.rows]
            step += 1


@dataclass(frozen=True)
class _Row:
    global_index: int
    id: str
    columns: Sample


class _Turns(MapDataset["_Row | AtelierError"]):
    """A global index to the columns of its turn. Errors are handed over, since a process would garble them."""

    def __init__(self, dataset: Dataset, columns: Columns, order: SampleOrder) -> None:
        self._dataset, self._columns, self._order = dataset, columns, order

    def __getitem__(self, global_index: int) -> _Row | AtelierError:
        turn = self._order.turn(global_index)
        try:
            [row_id] = self._dataset.ids([turn.sample])
            sample = self._dataset[turn.sample]
        except AtelierError as error:
            return error
        try:
            return _Row(global_index, row_id, self._columns(sample, turn.dice()))
        except RowError as error:
            return CatalogError(f"sample {turn.sample}, {row_id}: {type(self._columns).__name__}: {error}")


def _collated(rows: Sequence[_Row | AtelierError]) -> LoadedBatch | AtelierError:
    fine: list[_Row] = []
    for row in rows:
        if isinstance(row, AtelierError):
            return row
        fine.append(row)
    try:
        columns = {name: _stacked([row.columns[name] for row in fine]) for name in fine[0].columns}
    except (TypeError, ValueError) as error:
        return CatalogError(f"samples {[row.id for row in fine]}: do not stack to a batch: {error}")
    indexes, ids = [row.global_index for row in fine], [row.id for row in fine]
    return LoadedBatch(step=-1, columns=columns, global_indexes=indexes, ids=ids)


def _stacked(values: Sequence[np.ndarray]) -> Tensor:
    # np.stack keeps the order in which augmentation left its rows' axes in memory; of channels-first pictures a CPU's
    # convolutions took half as long again as of those that inference decodes.
    return torch.from_numpy(np.ascontiguousarray(np.stack(values)))
