"""How torch.distributed.checkpoint writes into a checkpoint's folder, on disk or in an object store."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor
from torch.distributed.checkpoint.metadata import Metadata, TensorStorageMetadata
from torch.distributed.checkpoint.planner import SavePlan, SavePlanner, WriteItem
from torch.distributed.checkpoint.storage import StorageWriter, WriteResult
from torch.futures import Future

from training.checkpoints.manifest import Piece, StoredFile, StoredTensor, write_file

FILE_BYTES = 128 * 2**20
"""Of tensors in one file. An S3 PUT ends at 5 GiB; smaller files go up side by side and are fetched only as needed."""
_NUM_THREADS = 4


@dataclass(frozen=True, kw_only=True)
class _Place:
    file: StoredFile
    key: str


class FolderWriter(StorageWriter):
    """Writes this rank's pieces as `rank-<rank>-<n>.safetensors`; the first rank then publishes what all have written.

    Args:
        folder: of this checkpoint; no whole one may lie there.
        publish: called on the first rank, in the thread that saves, with all tensors and all files once every rank is
            done; it writes what makes the checkpoint whole. What it raises fails the save on every rank.
    """

    def __init__(
        self, folder: str, publish: Callable[[dict[str, StoredTensor], Sequence[StoredFile]], None], rank: int
    ) -> None:
        super().__init__()
        self._folder, self._publish, self._rank = folder, publish, rank

    def reset(self, checkpoint_id: str | os.PathLike[str] | None = None) -> None:
        """Nothing is carried from one save to the next: each has a writer of its own."""

    def set_up_storage_writer(self, is_coordinator: bool, *args: Any, **kwargs: Any) -> None:
        """Folders are made as files are put."""

    def prepare_local_plan(self, plan: SavePlan) -> SavePlan:
        return plan

    def prepare_global_plan(self, plans: list[SavePlan]) -> list[SavePlan]:
        return plans

    def write_data(self, plan: SavePlan, planner: SavePlanner) -> Future[list[WriteResult]]:
        batches = list(_batches(plan.items))
        with ThreadPoolExecutor(max_workers=max(1, min(_NUM_THREADS, len(batches)))) as pool:
            written = pool.map(lambda number, items: self._write(number, items, planner), range(len(batches)), batches)
            results = [result for file_results in written for result in file_results]
        done: Future[list[WriteResult]] = Future()
        done.set_result(results)
        return done

    def finish(self, metadata: Metadata, results: list[list[WriteResult]]) -> None:
        placed = {result.index: result.storage_data for of_rank in results for result in of_rank}
        pieces: dict[str, list[Piece]] = {}
        files: dict[str, StoredFile] = {}
        for index, place in placed.items():
            stored: TensorStorageMetadata = metadata.state_dict_metadata[index.fqn]  # type: ignore[assignment]
            chunk = next(chunk for chunk in stored.chunks if chunk.offsets == index.offset)
            files[place.file.name] = place.file
            pieces.setdefault(index.fqn, []).append(
                Piece(offsets=tuple(chunk.offsets), sizes=tuple(chunk.sizes), file=place.file.name, key=place.key)
            )
        tensors = {}
        for name, boxes in pieces.items():
            stored = metadata.state_dict_metadata[name]  # type: ignore[assignment]
            dtype = str(stored.properties.dtype).removeprefix("torch.")
            tensors[name] = StoredTensor(dtype=dtype, shape=tuple(stored.size), pieces=tuple(boxes))
        self._publish(tensors, sorted(files.values(), key=lambda file: file.name))

    @classmethod
    def validate_checkpoint_id(cls, checkpoint_id: str | os.PathLike[str]) -> bool:
        return True

    def _write(self, number: int, items: Sequence[WriteItem], planner: SavePlanner) -> list[WriteResult]:
        keys = [str(position) for position in range(len(items))]
        tensors = {key: _tensor(planner, item) for key, item in zip(keys, items, strict=True)}
        file = write_file(self._folder, f"rank-{self._rank}-{number}.safetensors", save(tensors))
        return [
            WriteResult(index=item.index, size_in_bytes=tensors[key].nbytes, storage_data=_Place(file=file, key=key))
            for key, item in zip(keys, items, strict=True)
        ]


def _batches(items: Sequence[WriteItem]) -> Iterator[list[WriteItem]]:
    """The items in their order, cut wherever a file is full."""
    batch: list[WriteItem] = []
    room = FILE_BYTES
    for item in items:
        size = item.tensor_storage_size() or 0
        if batch and size > room:
            yield batch
            batch, room = [], FILE_BYTES
        batch.append(item)
        room -= size
    if batch:
        yield batch


def _tensor(planner: SavePlanner, item: WriteItem) -> Tensor:
    tensor = planner.resolve_data(item)
    if not isinstance(tensor, torch.Tensor):
        raise TypeError(f"{item.index.fqn}: only tensors are stored here; plain values go into the index")
    return tensor.detach().cpu().contiguous()
