"""Where a run's random numbers come from: the run's seed and a row's place in the order, never a worker."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import torch


def draw_weights_from(seed: int) -> None:
    """Sets torch's global generators for first weights: every worker draws the same."""
    torch.manual_seed(_hash(seed, "weights", 0))


def draw_dropout_from(seed: int, first_row: int) -> None:
    """Sets torch's global generators for a part of a batch, of which layers like dropout draw.

    Args:
        first_row: global index of the first row of the whole batch: all of its parts begin alike, and each layer takes
            its rows' share (`training.dropout`).
    """
    torch.manual_seed(_hash(seed, "dropout", first_row))


def row_seeds(seed: int, global_indexes: Sequence[int]) -> tuple[int, ...]:
    """The seed of each row, for the noise that belongs to it.

    Args:
        global_indexes: the rows' places in the run's order, counted over all epochs, so that a sample has other noise
            each time it is seen.
    """
    return tuple(_hash(seed, "row", index) for index in global_indexes)


def _hash(seed: int, purpose: str, index: int) -> int:
    digest = hashlib.sha256(f"{seed}:{purpose}:{index}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1
