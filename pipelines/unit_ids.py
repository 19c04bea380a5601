"""64-bit names of units and keys, for tables of a million in numpy: two alike with probability 3e-8."""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b

import numpy as np


def text_id(text: str) -> int:
    """The name of one text, in [0, 2**64)."""
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "little")


def text_ids(texts: Iterable[str]) -> np.ndarray:
    """The names of texts, uint64, in order."""
    joined = b"".join([blake2b(text.encode(), digest_size=8).digest() for text in texts])
    return np.frombuffer(joined, "<u8")


def unit_ids(item_ids: Iterable[str], variants: Iterable[int]) -> np.ndarray:
    """The names of units, uint64, in order."""
    return text_ids(f"{variant}/{item_id}" for item_id, variant in zip(item_ids, variants, strict=True))
