"""Side-by-side measurements: each plane against the loop that an engineer would write without it."""
