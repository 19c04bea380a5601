"""A task as data: which fields a request has, from what its recipe takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from atelier.recipe import Recipe

InputKind = Literal["picture", "document", "pose"]
"""`picture`: its header is looked at before it goes anywhere. `document`: JSON, only its length is. `pose`: either."""

PROMPT = "prompt"
"""The one input that is a text and no file."""


@dataclass(frozen=True, kw_only=True)
class InputField:
    """One input of a request.

    Args:
        has_names: it may also be a name in the pose pack, see `atelier.poses`.
    """

    kind: InputKind
    says: str
    has_names: bool = False


INPUT_FIELDS: Mapping[str, InputField] = {
    "person": InputField(kind="picture", says="The person, alone in the picture."),
    "garment": InputField(kind="picture", says="The garment, laid flat on a plain ground."),
    "garment_mask": InputField(kind="picture", says="White where the garment is; found by itself if absent."),
    "parse": InputField(kind="picture", says="CIHP label ids of the person as a PNG; a model finds them if absent."),
    "keypoints": InputField(kind="document", says="The person's OpenPose JSON (BODY_25); a model finds it if absent."),
    "pose": InputField(
        kind="pose", says="The pose to take: an OpenPose JSON, a picture of somebody in it, or a name.", has_names=True
    ),
    "pose_map": InputField(
        kind="picture",
        says="Where the person is: DeepFashion-MultiModal ids as a PNG, or a pose's name.",
        has_names=True,
    ),
}
"""By input name, as catalogs call them."""

_SUMMARIES: Mapping[str, str] = {
    "try_on": "Put a garment on a person",
    "pose_transfer": "Put a person into another pose",
    "text_to_person": "Make a person out of a sentence",
}


@dataclass(frozen=True, kw_only=True)
class Task:
    """What callers may ask for at one path.

    Args:
        name: the catalog's word.
        recipes: that make it; the first is the one of a request that names none.
        has_prompt: one of them reads a text. has_modes: one of them can be run in several.
    """

    name: str
    recipes: tuple[Recipe, ...]
    has_prompt: bool
    has_modes: bool

    @property
    def path(self) -> str:
        """Of the endpoint that answers at once."""
        return f"/v1/{self.name.replace('_', '-')}"

    @property
    def summary(self) -> str:
        """In a few words."""
        return _SUMMARIES.get(self.name, self.name.replace("_", " "))

    @property
    def fields(self) -> Mapping[str, InputField]:
        """The files that at least one of its recipes takes."""
        names = [name for recipe in self.recipes for name in (*recipe.inputs, *recipe.optional)]
        return {name: INPUT_FIELDS[name] for name in dict.fromkeys(names) if name != PROMPT}

    def recipe(self, name: str | None) -> Recipe | None:
        """The recipe of a name, or of a model's as catalogs say it; the first where none is given, None for no such."""
        if name is None:
            return self.recipes[0]
        return next((recipe for recipe in self.recipes if name in (recipe.name, recipe.model)), None)


def tasks_of(recipes: Sequence[Recipe]) -> dict[str, Task]:
    """The tasks that recipes make, by name."""
    by_name: dict[str, list[Recipe]] = {}
    for recipe in recipes:
        by_name.setdefault(recipe.task, []).append(recipe)
    return {
        name: Task(
            name=name,
            recipes=tuple(of),
            has_prompt=any(PROMPT in (*recipe.inputs, *recipe.optional) for recipe in of),
            has_modes=any(recipe.modes for recipe in of),
        )
        for name, of in by_name.items()
    }
