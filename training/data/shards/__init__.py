"""Prepared data: Arrow IPC files of whole samples, and an index, written last, that says what lies in each."""

from training.data.shards.dataset import ShardDataset
from training.data.shards.index import INDEX_NAME, ShardIndex

__all__ = ["INDEX_NAME", "ShardDataset", "ShardIndex"]
