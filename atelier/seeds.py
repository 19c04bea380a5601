"""Where every picture's randomness comes from: one seed a unit, one generator a unit and purpose, drawn on the CPU."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import torch

MAX_SEED = 2**63 - 1


def unit_seed(item_id: str, variant: int, job_seed: int, *, given: int | None = None) -> int:
    """The seed of one unit in [0, 2**63): the catalog's value moved on by the variant, else a hash.

    It never depends on an address, a store or a worker, so none of them changes a picture.

    Args:
        given: the catalog's `seed`; variant 0 takes it as it is.
    """
    if given is not None:
        return given if variant == 0 else _hash("given", given, variant)
    return _hash("unit", item_id, variant, job_seed)


def generator(seed: int, purpose: str) -> torch.Generator:
    """A CPU generator for one unit and one use, so that a stage that draws more never moves another stage's noise.

    Args:
        seed: the unit's seed.
        purpose: what the numbers are for, e.g. `segmentation_noise`.
    """
    return torch.Generator().manual_seed(_hash("purpose", seed, purpose))


def generators(seeds: Iterable[int], purpose: str) -> list[torch.Generator]:
    """One generator a row, in the rows' order."""
    return [generator(int(seed), purpose) for seed in seeds]


def _hash(*parts: object) -> int:
    text = "\x1f".join(f"{type(part).__name__}:{part}" for part in parts)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") & MAX_SEED
