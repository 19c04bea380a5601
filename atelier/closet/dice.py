"""Random numbers of the closet: one generator per thing drawn, so that no thing depends on another."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TypeVar

import numpy as np

T = TypeVar("T")


def dice(kind: str, seed: int) -> np.random.Generator:
    """A generator that depends on `kind` and `seed` alone; every integer is a seed, negative ones too."""
    digest = hashlib.sha256(f"{kind}:{int(seed)}".encode()).digest()
    return np.random.Generator(np.random.PCG64(int.from_bytes(digest[:16], "big")))


def pick(rng: np.random.Generator, options: Sequence[T]) -> T:
    """One of `options`, each as likely as it is often listed."""
    return options[int(rng.integers(len(options)))]


def between(rng: np.random.Generator, low: float, high: float) -> float:
    """A uniform draw from [low, high), rounded so that the last bits of a platform's libm can't show."""
    return round(low + (high - low) * float(rng.random()), 5)
