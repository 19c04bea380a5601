"""Judging the systems that make whole people: in another pose, or out of words. All three by one protocol."""
