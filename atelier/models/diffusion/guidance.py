"""Guidance: how the predictions under several conditions make one.

Every rule is a weighted sum whose weights add to 1. Predictions of eps, v and x0 are affine in each other at one level,
so a rule means the same whichever of them a network makes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from atelier.errors import ConfigError
from atelier.models.diffusion.schedules import Level

NULL = "null"
"""No condition at all."""
FULL = "full"
"""Every condition."""
POSE = "pose"
"""The pose alone: style at null."""
STYLE = "style"
"""The style alone: pose at null."""


@dataclass(frozen=True, kw_only=True)
class Guidance:
    """A rule, and the timesteps that it holds for.

    Args:
        weights: branch → weight; a branch that is not named, or whose weight vanishes, is not computed.
        first, last: timesteps between which (inclusive) the rule holds; beyond them the prediction is `FULL`'s alone
            (Kynkäänniemi et al. 2024). `first` is the lower.
    """

    weights: Mapping[str, float]
    first: float = 0.0
    last: float = float("inf")
    _at_work: Mapping[str, float] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        total = sum(self.weights.values())
        if abs(total - 1) > 1e-6:
            raise ConfigError(f"guidance: the weights {dict(self.weights)} add to {total:g}, must add to 1")
        # 1 - 0.7 - 0.3 is 6e-17 in floats: no weight to run a network for.
        at_work = {name: weight for name, weight in self.weights.items() if abs(weight) > 1e-9}
        object.__setattr__(self, "_at_work", at_work)

    def at(self, level: Level) -> Mapping[str, float]:
        """The branches to compute at a level, with their weights."""
        return self._at_work if self.first <= level.timestep <= self.last else _UNGUIDED

    @property
    def branches(self) -> frozenset[str]:
        """Every branch that some timestep may ask for."""
        everywhere = self.first <= 0 and self.last == float("inf")
        return frozenset(self._at_work if everywhere else {*self._at_work, *_UNGUIDED})

    def between(self, first: float, last: float) -> Guidance:
        """The same rule on an interval of timesteps only."""
        return Guidance(weights=self.weights, first=first, last=last)


_UNGUIDED: Mapping[str, float] = {FULL: 1.0}


def unguided() -> Guidance:
    """One pass under every condition."""
    return Guidance(weights=_UNGUIDED)


def classifier_free(scale: float) -> Guidance:
    """`null + scale (full - null)` (Ho and Salimans 2022, with `scale = 1 + w`)."""
    return Guidance(weights={NULL: 1 - scale, FULL: scale})


def disentangled(pose_scale: float = 2.0, style_scale: float = 2.0) -> Guidance:
    """`null + pose_scale (pose - null) + style_scale (style - null)`: PIDM's Eq. 6."""
    return Guidance(weights={NULL: 1 - pose_scale - style_scale, POSE: pose_scale, STYLE: style_scale})


def released(style_scale: float = 2.0) -> Guidance:
    """`pose + style_scale (full - pose)`: what PIDM's released code does in place of its Eq. 6."""
    return Guidance(weights={POSE: 1 - style_scale, FULL: style_scale})


def nested(pose_scale: float = 2.0, style_scale: float = 2.0) -> Guidance:
    """`null + pose_scale (pose - null) + style_scale (full - pose)`: the style's part measured in the pose."""
    return Guidance(weights={NULL: 1 - pose_scale, POSE: pose_scale - style_scale, FULL: style_scale})
