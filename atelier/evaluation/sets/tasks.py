"""Of which task and recipe pictures are, and the sets of one task alone."""

from __future__ import annotations

from collections.abc import Collection

from atelier.errors import ConfigError, MismatchError
from atelier.evaluation.sets.listing import PictureSet

UNTOLD = ("", "")
"""The task and recipe of a picture of which nothing says them."""


def several_recipes(made: PictureSet) -> frozenset[str]:
    """The tasks whose made pictures are of several recipes, by which they are judged apart."""
    recipes: dict[str, set[str]] = {}
    for task, recipe in made.tasks.values():
        recipes.setdefault(task, set()).add(recipe)
    return frozenset(task for task, names in recipes.items() if len(names) > 1)


def called(task: str, recipe: str, several: Collection[str]) -> str:
    """What is judged apart, as it is named: `task`, or `task:recipe` where several recipes made that."""
    return f"{task}:{recipe}" if task in several and recipe else task


def is_of(told: tuple[str, str], wanted: str) -> bool:
    """Whether a picture is of `task` or `task:recipe`; where its recipe is not told, the task says it."""
    task, recipe = told
    return wanted in (task, f"{task}:{recipe}") or (not recipe and wanted.partition(":")[0] == task)


def of_task(made: PictureSet, truth: PictureSet, wanted: str | None, *, paired: bool) -> tuple[PictureSet, PictureSet]:
    """Both sets without what is of other tasks.

    Args:
        wanted: `task`, or `task:recipe`; None leaves the sets as they are.
        paired: pictures of one name are partners, so that either set tells of which task both are, the made one first.
            Else a set that tells nothing of itself is taken whole.

    Raises:
        ConfigError: no made picture is of that task, or nothing tells of tasks; lists those there are.
        MismatchError: no true picture is of that task.
    """
    if wanted is None:
        return made, truth
    refuse_unknown(made, truth, wanted)

    def is_kept(those: PictureSet, name: str) -> bool:
        told = next((told for one in ((made, truth) if paired else (those,)) if any(told := one.told(name))), UNTOLD)
        return is_of(told, wanted) if any(told) else paired or not those.tasks

    kept = tuple(those.where(lambda name, those=those: is_kept(those, name)) for those in (made, truth))
    for those in kept:
        if not those.pictures:
            raise MismatchError(f"{those.address}: holds no picture of the task {wanted}")
    return kept[0], kept[1]


def refuse_unknown(made: PictureSet, truth: PictureSet, wanted: str) -> None:
    """Holds a task against those that the made set's table tells of, else the true set's.

    Raises:
        ConfigError: it is none of them, or there are none; lists them.
    """
    there = set((made.tasks or truth.tasks).values())
    if not there:
        told = f"neither {made.address} nor {truth.address} tells of which tasks its pictures are"
        raise ConfigError(f"task: is {wanted!r}, and {told}; must be left out")
    if not any(is_of(told, wanted) for told in there):
        several = several_recipes(made)
        names = sorted({task for task, _ in there} | {called(*told, several) for told in there})
        raise ConfigError(f"task: is {wanted!r}, must be one of {', '.join(names)}")
