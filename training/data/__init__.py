"""What a run learns from: samples drawn once, handed out in an order that is a function of seed, epoch and index."""
