"""From a source to shards: rows are cut into parts, a part becomes a shard anywhere, the index is written last."""
