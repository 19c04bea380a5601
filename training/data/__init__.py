"""What a run learns from: indexed shards, handed out in an order that is a function of seed, epoch and index."""
