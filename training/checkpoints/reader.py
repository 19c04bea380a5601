"""How torch.distributed.checkpoint reads a checkpoint's folder back, every file held against its sha256."""

from __future__ import annotations

import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load
from torch import Tensor
from torch.distributed.checkpoint.metadata import (
    ChunkStorageMetadata,
    Metadata,
    MetadataIndex,
    TensorProperties,
    TensorStorageMetadata,
)
from torch.distributed.checkpoint.planner import LoadPlan, LoadPlanner, ReadItem
from torch.distributed.checkpoint.storage import StorageReader
from torch.futures import Future

from training.checkpoints.manifest import DamagedCheckpoint, Index, Manifest, Piece, read_file

_NUM_THREADS = 4


class FolderReader(StorageReader):
    """Reads the files that hold what this rank asks for, each once and whole.

    Args:
        folder: of a whole checkpoint.
        manifest, index: read from it.
    """

    def __init__(self, folder: str, manifest: Manifest, index: Index) -> None:
        super().__init__()
        self._folder, self._index = folder, index
        self._files = {file.name: file for file in manifest.files}
        self._pieces: dict[MetadataIndex, Piece] = {
            MetadataIndex(name, piece.offsets): piece
            for name, tensor in index.tensors.items()
            for piece in tensor.pieces
        }

    def reset(self, checkpoint_id: str | os.PathLike[str] | None = None) -> None:
        """A reader is of one checkpoint."""

    def read_metadata(self, *args: Any, **kwargs: Any) -> Metadata:
        return Metadata(
            state_dict_metadata={
                name: TensorStorageMetadata(
                    properties=TensorProperties(dtype=getattr(torch, tensor.dtype)),
                    size=torch.Size(tensor.shape),
                    chunks=[
                        ChunkStorageMetadata(offsets=torch.Size(piece.offsets), sizes=torch.Size(piece.sizes))
                        for piece in tensor.pieces
                    ],
                )
                for name, tensor in self._index.tensors.items()
            }
        )

    def set_up_storage_reader(self, metadata: Metadata, is_coordinator: bool, *args: Any, **kwargs: Any) -> None:
        """All is known since the index was read."""

    def prepare_local_plan(self, plan: LoadPlan) -> LoadPlan:
        return plan

    def prepare_global_plan(self, plans: list[LoadPlan]) -> list[LoadPlan]:
        return plans

    def read_data(self, plan: LoadPlan, planner: LoadPlanner) -> Future[None]:
        wanted: dict[str, list[ReadItem]] = {}
        for item in plan.items:
            wanted.setdefault(self._pieces[item.storage_index].file, []).append(item)
        with ThreadPoolExecutor(max_workers=_NUM_THREADS) as pool:
            # A few at a time: all files at once may be more than there is memory for.
            names = sorted(wanted)
            for start in range(0, len(names), _NUM_THREADS):
                some = names[start : start + _NUM_THREADS]
                for name, tensors in zip(some, pool.map(self._read, some), strict=True):
                    for item in wanted[name]:
                        _copy(item, tensors[self._pieces[item.storage_index].key], planner)
        done: Future[None] = Future()
        done.set_result(None)
        return done

    @classmethod
    def validate_checkpoint_id(cls, checkpoint_id: str | os.PathLike[str]) -> bool:
        return True

    def _read(self, name: str) -> Mapping[str, Tensor]:
        data = read_file(self._folder, self._files[name])
        try:
            return load(data)
        except SafetensorError as error:
            raise DamagedCheckpoint(f"{self._folder}/{name}", f"is not a safetensors file: {error}") from error


def _copy(item: ReadItem, stored: Tensor, planner: LoadPlanner) -> None:
    for dimension, (offset, length) in enumerate(zip(item.storage_offsets, item.lengths, strict=True)):
        stored = stored.narrow(dimension, offset, length)
    target = planner.resolve_tensor(item).detach()
    target.copy_(stored)
    planner.commit_tensor(item, target)
