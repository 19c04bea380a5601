"""Where a run stands, kept so that it can go on as if it had never stopped: sharded, asynchronous, whole or not at all.

A checkpoint is a folder `step-00001234/` of safetensors files, each written by the rank that holds its tensors, an
`index.json` that says where every piece lies, and a `manifest.json` with every file's sha256, written last: without it
the folder is torn and is never loaded. torch.distributed.checkpoint plans who writes what and reshards on the way back;
nothing in a checkpoint is pickled.
"""

from training.checkpoints.info import CheckpointInfo
from training.checkpoints.retention import Retention
from training.checkpoints.saving import Saved
from training.checkpoints.settings import settings_of
from training.checkpoints.state import TrainState
from training.checkpoints.store import CheckpointStore

__all__ = ["CheckpointInfo", "CheckpointStore", "Retention", "Saved", "TrainState", "settings_of"]
