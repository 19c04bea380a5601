"""One save: the state is copied at once and stored by a thread."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import cast

from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.default_planner import DefaultSavePlanner
from torch.distributed.checkpoint.metadata import STATE_DICT_TYPE, Metadata, StorageMeta, TensorStorageMetadata
from torch.distributed.checkpoint.state_dict_saver import async_save

from atelier import storage
from training.checkpoints.info import CheckpointInfo
from training.checkpoints.manifest import (
    INDEX_NAME,
    MANIFEST_NAME,
    Index,
    Manifest,
    StoredFile,
    StoredTensor,
    write_file,
)
from training.checkpoints.ranks import Ranks
from training.checkpoints.staging import Stager
from training.checkpoints.state import TrainState
from training.checkpoints.writer import FolderWriter

_STATE = "state"


@dataclass(frozen=True, kw_only=True)
class Saved:
    """How a save ended.

    Args:
        info: what was saved.
        address: of its folder.
        num_bytes: of its tensors, of all ranks; 0 where it failed.
        blocked_s: how long the step was held up: for the copy, and for the save before where that was still going on.
        seconds: from the call until the checkpoint was whole.
        error: why it failed, with the rank; empty where it is whole.
    """

    info: CheckpointInfo
    address: str
    num_bytes: int
    blocked_s: float
    seconds: float
    error: str = ""


class _Planner(DefaultSavePlanner):
    """Plans the tensors of a state that is handed over as one element: DCP writes a log record for each it is given."""

    def set_up_planner(
        self, state_dict: STATE_DICT_TYPE, storage_meta: StorageMeta | None = None, is_coordinator: bool = False
    ) -> None:
        super().set_up_planner(state_dict[_STATE], storage_meta, is_coordinator)


class Save:
    """A save that is under way from the moment it is made.

    Args:
        folder: of this checkpoint.
        state, info: what is saved.
        ranks: all of which make one of these.
        stager: copies the state; the save before must have ended.
        started: the clock's reading (`time.monotonic`) when the step was first held up.
        after: called on the first rank, in the thread that saves, once the checkpoint is whole.
    """

    def __init__(
        self,
        folder: str,
        state: TrainState,
        info: CheckpointInfo,
        ranks: Ranks,
        stager: Stager,
        *,
        started: float,
        after: Callable[[], None],
    ) -> None:
        self._folder, self._info, self._started = folder, info, started
        self._ended: float | None = None
        values = state.values()

        def publish(tensors: dict[str, StoredTensor], files: Sequence[StoredFile]) -> None:
            index = write_file(folder, INDEX_NAME, Index(tensors=tensors, values=values).to_bytes())
            manifest = Manifest(info=info, files=(*files, index))
            storage.put(storage.join(folder, MANIFEST_NAME), manifest.to_bytes())
            after()

        future = async_save(
            {_STATE: state.owned(ranks.world.rank, ranks.world.num_workers)},
            storage_writer=FolderWriter(folder, publish, ranks.world.rank),
            planner=_Planner(flatten_state_dict=False, flatten_sharded_tensors=False),
            process_group=ranks.group,
            async_stager=stager,
            no_dist=ranks.group is None,
        )
        self._future = cast("Future[Metadata]", future)  # the other kind of answer is that of asynchronous staging
        self._future.add_done_callback(self._stop_clock)
        self._blocked_s = time.monotonic() - started

    @property
    def is_done(self) -> bool:
        """Whether it has ended, well or not."""
        return self._future.done()

    def result(self) -> Saved:
        """How it ended, waiting for it. Every rank is told of the same failures."""
        num_bytes, error = 0, ""
        try:
            num_bytes = _num_bytes(self._future.result())
        except CheckpointException as failure:
            error = "; ".join(f"rank {rank}: {cause}" for rank, (cause, _) in sorted(failure.failures.items()))
        except (OSError, RuntimeError, ValueError) as failure:  # a rank is gone: the words of its process group
            error = f"{type(failure).__name__}: {failure}"
        return Saved(
            info=self._info,
            address=self._folder,
            num_bytes=num_bytes,
            blocked_s=self._blocked_s,
            seconds=(self._ended or time.monotonic()) - self._started,
            error=error,
        )

    def _stop_clock(self, _: Future[Metadata]) -> None:
        self._ended = time.monotonic()


def _num_bytes(metadata: Metadata) -> int:
    return sum(
        math.prod(tensor.size) * tensor.properties.dtype.itemsize
        for tensor in metadata.state_dict_metadata.values()
        if isinstance(tensor, TensorStorageMetadata)
    )
