"""Each system's recipe around any weights of it, as it is judged: at the size that the recipe delivers."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from atelier.errors import ConfigError
from atelier.memory import check_memory
from atelier.models import registry
from atelier.models.human_diffusion import HumanDiffusionConfig
from atelier.models.human_diffusion.networks import read_encoders
from atelier.models.pidm import PidmConfig
from atelier.models.truepose import TruePoseConfig
from atelier.recipe import Recipe
from atelier.recipes import CLOSET_SIZE, pose_transfer_by_pidm, pose_transfer_by_truepose, text_to_person
from atelier.weights import state_digest

_SHIPPED_MEMORY = "human_diffusion_memory_closet"


def recipe_of(model: str, *, weights: str, mode: str, memory: str = "") -> Recipe:
    """The recipe of a system.

    Args:
        weights: a shipped name or a folder.
        mode: of sampling.
        memory: of weights that are told by one: a shipped name or a folder; "" is the shipped one, where it was built
            with these weights' encoders.

    Raises:
        ConfigError: no such system, no such mode, or a memory that is missing or that no weights read.
        WeightsError: no such weights.
    """
    if model not in SYSTEMS:
        raise ConfigError(f"model: is {model!r}, must be one of {sorted(SYSTEMS)}")
    if memory and model != "human_diffusion":
        raise ConfigError(f"memory: is {memory!r}, {model} reads none")
    return SYSTEMS[model](weights=weights, mode=mode, **({"memory": memory} if memory else {}))


def _pidm(*, weights: str, mode: str) -> Recipe:
    """Weights that see less than the small recipe delivers are judged as it delivers them: enlarged."""
    trained_for = PidmConfig.from_folder(registry.folder(weights)).working_size
    return pose_transfer_by_pidm(
        name="judged",
        size=max(trained_for, CLOSET_SIZE),
        network_size=trained_for,
        weights=weights,
        parser=None,
        pose=None,
        mode=mode,
        batch_size=8,
    )


def _truepose(*, weights: str, mode: str) -> Recipe:
    """With the true parses of the sources: a parser's faults are not the system's."""
    size = TruePoseConfig.from_folder(registry.folder(weights)).working_size
    return pose_transfer_by_truepose(
        name="judged", size=size, weights=weights, parser=None, pose=None, mode=mode, batch_size=8
    )


def _human_diffusion(*, weights: str, mode: str, memory: str = "") -> Recipe:
    config = HumanDiffusionConfig.from_folder(registry.folder(weights))
    if config.stylized_memory and not memory:
        _, held = check_memory(_SHIPPED_MEMORY)
        if state_digest(read_encoders(registry.folder(weights))[1]) != held["encoders"]:
            raise ConfigError(f"memory: must be given, built with the encoders of {weights}: the shipped one was not")
    return text_to_person(
        name="judged",
        size=config.working_size,
        weights=weights,
        memory=(memory or _SHIPPED_MEMORY) if config.stylized_memory else None,
        mode=mode,
        batch_size=8,
    )


SYSTEMS: Mapping[str, Callable[..., Recipe]] = {
    "pidm": _pidm,
    "truepose": _truepose,
    "human_diffusion": _human_diffusion,
}
