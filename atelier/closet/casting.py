"""Who wears what in which pose: the seeds of a catalog's or data set's items, from one seed and a position."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from atelier.closet.outfits import Outfit, bottom_seed, top_seed

HELD_OUT = 1_000_000
"""People, garments and poses with seeds from here up are never trained on."""


@dataclass(frozen=True, kw_only=True)
class Casting:
    """One person in one pose who wears an outfit, and the top they are to try on.

    Args:
        garment: seed of that top. other_pose: a second pose, for pose transfer.
    """

    person: int
    pose: int
    other_pose: int
    worn: Outfit
    garment: int

    @property
    def dressed(self) -> Outfit:
        """The outfit of the true answer: the same bottom, the tried-on top."""
        return replace(self.worn, top=self.garment)


def cast(seed: int, index: int, *, held_out: bool) -> Casting:
    """The casting at a position; positions are independent, so any slice can be drawn alone.

    Args:
        seed: of the whole catalog. held_out: draw from the seeds that no weights were trained on.
    """
    rng = np.random.default_rng([seed, index])
    start = HELD_OUT if held_out else 0

    def number() -> int:
        return start + int(rng.integers(HELD_OUT // 10))

    worn, tried, bottom = top_seed(number()), top_seed(number()), bottom_seed(number())
    return Casting(
        person=number(),
        pose=number(),
        other_pose=number(),
        worn=Outfit(top=worn, bottom=bottom),
        garment=tried if tried != worn else top_seed(number()),
    )
