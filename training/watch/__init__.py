"""A run as people and machines see it: what it costs, what it learns, what it draws, and why it stopped."""
