"""The recipes by name: how each task's pictures are made. A variant is a function that changes two fields."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from atelier.errors import ConfigError
from atelier.recipe import Recipe
from atelier.recipes.descriptions import human_diffusion, human_diffusion_closet, text_to_person
from atelier.recipes.pose_transfers import (
    CLOSET_SIZE,
    pidm,
    pidm_closet,
    pose_transfer_by_pidm,
    pose_transfer_by_truepose,
    truepose,
    truepose_closet,
)
from atelier.recipes.tasks import POSE_TRANSFER, TEXT_TO_PERSON, TRY_ON
from atelier.recipes.try_ons import try_on, viton_hd, viton_hd_closet

__all__ = [
    "CLOSET_SIZE",
    "POSE_TRANSFER",
    "RECIPES",
    "TEXT_TO_PERSON",
    "TRY_ON",
    "human_diffusion",
    "human_diffusion_closet",
    "named",
    "pidm",
    "pidm_closet",
    "pose_transfer_by_pidm",
    "pose_transfer_by_truepose",
    "text_to_person",
    "truepose",
    "truepose_closet",
    "try_on",
    "viton_hd",
    "viton_hd_closet",
]

RECIPES: Mapping[str, Callable[[], Recipe]] = {
    "viton_hd_closet": viton_hd_closet,
    "truepose_closet": truepose_closet,
    "pidm_closet": pidm_closet,
    "human_diffusion_closet": human_diffusion_closet,
}
"""Recipes that need nothing but what comes with Atelier."""


def named(name: str) -> Recipe:
    """The recipe of a name.

    Raises:
        ConfigError: no such recipe; lists those there are.
    """
    if name not in RECIPES:
        raise ConfigError(f"recipe {name!r}: there is none of that name; there are {sorted(RECIPES)}")
    return RECIPES[name]()
