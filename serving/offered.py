"""The recipes that a service can be told to serve, by name: those that come whole, and those that want weights."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Mapping
from typing import Any

from atelier import recipes
from atelier.errors import ConfigError
from atelier.recipe import Recipe

OFFERED: Mapping[str, Callable[..., Recipe]] = {
    **recipes.RECIPES,
    "viton_hd": recipes.viton_hd,
    "pidm": recipes.pidm,
    "truepose": recipes.truepose,
    "human_diffusion": recipes.human_diffusion,
}
"""Each makes a recipe that goes by the same name."""


def offered(name: str, choices: Mapping[str, Any], *, batch_size: int | None = None, compiled: bool = False) -> Recipe:
    """The recipe of a name.

    Args:
        choices: weights by the recipe's own argument names, and its other choices.
        batch_size: rows its stages see at once; the recipe's own where None.
        compiled: its networks through `torch.compile`.

    Raises:
        ConfigError: choices that it doesn't take, or lacks.
    """
    taken = inspect.signature(OFFERED[name]).parameters
    needed = {one for one, parameter in taken.items() if parameter.default is inspect.Parameter.empty}
    if not needed <= set(choices) <= set(taken):
        wanted = f"it takes {sorted(taken)}{f', and needs {sorted(needed)}' if needed else ''}"
        raise ConfigError(f"model {name}: was given the weights {sorted(choices)}; {wanted}")
    try:
        recipe = OFFERED[name](**choices)
    except ConfigError as error:
        raise ConfigError(f"model {name}: {error}") from error
    recipe = recipe.compiled() if compiled else recipe
    return recipe if batch_size is None else dataclasses.replace(recipe, batch_size=batch_size)


def told(name: str, choices: Mapping[str, Any]) -> dict[str, str]:
    """All that a recipe was told in words, its defaults included."""
    taken = inspect.signature(OFFERED[name]).parameters.values()
    values = {one.name: choices.get(one.name, one.default) for one in taken}
    return {one: value for one, value in values.items() if isinstance(value, str)}
