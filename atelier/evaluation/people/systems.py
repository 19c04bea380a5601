"""Each system's recipe around any weights of it, as it is judged: at the size that the recipe delivers."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from atelier.errors import ConfigError
from atelier.models import registry
from atelier.models.human_diffusion import HumanDiffusionConfig
from atelier.models.pidm import PidmConfig
from atelier.models.truepose import TruePoseConfig
from atelier.recipe import Recipe
from atelier.recipes import CLOSET_SIZE, pose_transfer_by_pidm, pose_transfer_by_truepose, text_to_person


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


def _human_diffusion(*, weights: str, mode: str) -> Recipe:
    config = HumanDiffusionConfig.from_folder(registry.folder(weights))
    return text_to_person(
        name="judged",
        size=config.working_size,
        weights=weights,
        memory="human_diffusion_memory_closet" if config.stylized_memory else None,
        mode=mode,
        batch_size=8,
    )


SYSTEMS: Mapping[str, Callable[..., Recipe]] = {
    "pidm": _pidm,
    "truepose": _truepose,
    "human_diffusion": _human_diffusion,
}
