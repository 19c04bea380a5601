"""One load: a checkpoint's tensors into a state that lies ready, whoever wrote it and whoever reads it."""

from __future__ import annotations

from typing import Any

from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.default_planner import DefaultLoadPlanner
from torch.distributed.checkpoint.state_dict_loader import load

from training.checkpoints.manifest import INDEX_NAME, DamagedCheckpoint, Index, Manifest, read_file, read_manifest
from training.checkpoints.model import refuse_other_model
from training.checkpoints.ranks import Ranks
from training.checkpoints.reader import FolderReader
from training.checkpoints.state import TrainState


def load_checkpoint(folder: str, state: TrainState, ranks: Ranks) -> None:
    """Fills the parts that `state` has; every rank reads what it holds of them.

    Raises:
        ConfigError: it is another model's; `state` is as it was.
        DamagedCheckpoint: some rank met a file that is not as it was written; `state` may be half filled.
        StorageError: the store does not answer.
    """

    def read() -> tuple[Manifest, Index]:
        manifest = read_manifest(folder)
        file = next((file for file in manifest.files if file.name == INDEX_NAME), None)
        if file is None:
            raise DamagedCheckpoint(folder, f"its manifest does not name {INDEX_NAME}")
        return manifest, Index.from_bytes(read_file(folder, file))

    manifest, index = ranks.agreed(read)
    state.make_room(frozenset(index.tensors))
    tensors: dict[str, Any] = dict(state.tensors())
    refuse_other_model(folder, state.parts, tensors, index)
    try:
        load(
            tensors,
            storage_reader=FolderReader(folder, manifest, index),
            planner=DefaultLoadPlanner(flatten_state_dict=False, flatten_sharded_tensors=False),
            process_group=ranks.group,
            no_dist=ranks.group is None,
        )
    except CheckpointException as failure:
        # The same failures on every rank, so that all of them turn to the checkpoint before together. A store that does
        # not answer is no damage.
        causes = [cause for _, (cause, _) in sorted(failure.failures.items())]
        raise next((one for one in causes if not isinstance(one, DamagedCheckpoint)), causes[0]) from failure
    state.take(index.values)
