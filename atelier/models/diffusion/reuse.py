"""Coarse features, kept from one step for later ones: they change slowly (DeepCache, Ma et al. 2024)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from atelier.models.diffusion.denoisers import Condition


@dataclass
class DeepFeatures:
    """What a network kept of its coarse levels; empty where all is to be computed."""

    features: Tensor | None = None


@dataclass(frozen=True)
class Reuse:
    """Which steps of a run take coarse features from one before them.

    Args:
        every: of this many steps one computes all; 1 reuses nothing.
        whole_from: the steps at this timestep and below compute all. Of a run that ends above timestep 0 that is the
            last: its estimate is the picture, and there is noise enough left for what was kept to be wrong.
    """

    every: int = 1
    whole_from: float = -1.0


WHOLE = Reuse()
"""Every step computes all."""


class Reusing:
    """A `Network` that computes its coarse levels in some steps only, for one sampling run.

    Args:
        predict: the network; it fills or takes what is handed to it last, None computes all and keeps nothing.
    """

    def __init__(
        self, predict: Callable[[Tensor, Tensor, Condition, DeepFeatures | None], Tensor], reuse: Reuse
    ) -> None:
        self._predict, self._reuse = predict, reuse
        self._deep, self._age = DeepFeatures(), 0

    def __call__(self, x_t: Tensor, t: Tensor, condition: Condition) -> Tensor:
        every, whole_from = self._reuse.every, self._reuse.whole_from
        if every == 1 or (whole_from >= 0 and float(t[0]) <= whole_from):
            return self._predict(x_t, t, condition, None)
        kept = self._deep.features
        # Where guidance begins or ends there are other branches, and what was kept is not theirs.
        if kept is None or len(kept) != len(x_t) or self._age == every:
            self._deep.features, self._age = None, 0
        self._age += 1
        return self._predict(x_t, t, condition, self._deep)
