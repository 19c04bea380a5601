"""Work that nobody waits for: kept in a store, taken up by whoever has room, ended exactly once."""
