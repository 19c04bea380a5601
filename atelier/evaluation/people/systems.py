"""Each system's recipe around any weights of it, as it is judged: at the weights' own working size."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from atelier.errors import ConfigError
from atelier.models import registry
from atelier.models.pidm import PidmConfig
from atelier.recipe import Recipe
from atelier.stages.decode import Decode
from atelier.stages.encode import Encode
from atelier.stages.pidm import SynthesizePidm
from atelier.stages.pose_map import PoseMap
from atelier.weights import read_config


class System(Protocol):
    """What builds a system's recipe."""

    def __call__(self, *, weights: str, mode: str) -> Recipe: ...


def recipe_of(model: str, *, weights: str, mode: str) -> Recipe:
    """The recipe of a system.

    Args:
        weights: a shipped name or a folder.
        mode: of sampling.

    Raises:
        ConfigError: no such system, or no such mode.
        WeightsError: no such weights.
    """
    if model not in SYSTEMS:
        raise ConfigError(f"model: is {model!r}, must be one of {sorted(SYSTEMS)}")
    return SYSTEMS[model](weights=weights, mode=mode)


def _pidm(*, weights: str, mode: str) -> Recipe:
    size = PidmConfig.from_json(read_config(registry.folder(weights))).working_size
    return Recipe(
        name="judged",
        task="pose_transfer",
        size=size,
        inputs=("person", "pose"),
        batch_size=8,
        stages=(Decode(size=size), PoseMap(size=size), SynthesizePidm(size=size, weights=weights, mode=mode), Encode()),
    )


SYSTEMS: Mapping[str, Callable[..., Recipe]] = {"pidm": _pidm}
