"""Ablations: a system with all its parts, and without one, trained alike."""

from __future__ import annotations

from dataclasses import replace

from training.run import TrainRun

NUM_PICTURES = 120_000
"""That each is trained on, at 64x48."""


def alike(run: TrainRun) -> TrainRun:
    """A run as long as all that it is held against, whose rate decays to its end."""
    return replace(run, num_steps=NUM_PICTURES // run.batch_size, decay="cosine")
