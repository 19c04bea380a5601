"""A drawn request of each task: what a model is warmed up with, and what the page has at hand."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache

from atelier import poses
from atelier.closet import draw_flat, draw_look
from atelier.closet.casting import Casting, cast
from atelier.closet.files import jpeg, labels_png, mask_png
from atelier.recipe import Recipe
from atelier.skeletons import write_openpose

_POSE = poses.address("standing")
_SEED = 20
"""Of the drawn wardrobe at hand."""
PROMPTS: Mapping[str, str] = {
    "": "a person with a black bob wears a red striped T-shirt with navy trousers",
    "dress": "a person with a black bob wears a red striped dress",
    "jacket": "a person with a black bob wears an open navy jacket over a red striped T-shirt with grey trousers",
    "shorts": "a person with a black bob wears a red striped T-shirt with navy shorts",
    "skirt": "a person with a black bob wears a red striped T-shirt with a navy skirt",
}
"""A sentence for each outfit of the pose pack, of nothing but what its maps show."""


@dataclass(frozen=True, kw_only=True)
class DrawnRequest:
    """Inputs that a model of the closet can do something with."""

    inputs: Mapping[str, bytes]
    prompt: str = ""


@lru_cache(maxsize=64)
def drawn_person(index: int, size: tuple[int, int]) -> bytes:
    """A person, as JPEG of (H, W) pixels."""
    role = _role(index)
    return jpeg(draw_look(person=role.person, outfit=role.worn, pose=role.pose, size=size).image)


@lru_cache(maxsize=64)
def drawn_garment(index: int, size: tuple[int, int]) -> bytes:
    """A top laid flat, as JPEG of (H, W) pixels."""
    return jpeg(draw_flat(garment=_role(index).garment, size=size).image)


def drawn_request(recipe: Recipe) -> DrawnRequest | None:
    """A request that the recipe can make, with all that it may be given; None for a task that nothing is drawn for."""
    draw = _DRAWN.get(recipe.task)
    return draw(recipe.size) if draw is not None else None


def _role(index: int) -> Casting:
    return cast(_SEED, index, held_out=True)


def _try_on(size: tuple[int, int]) -> DrawnRequest:
    role = _role(0)
    look = draw_look(person=role.person, outfit=role.worn, pose=role.pose, size=size)
    flat = draw_flat(garment=role.garment, size=size)
    return DrawnRequest(
        inputs={
            "person": jpeg(look.image),
            "garment": jpeg(flat.image),
            "garment_mask": mask_png(flat.mask),
            "parse": labels_png(look.parse_cihp),
            "keypoints": write_openpose(look.keypoints),
        }
    )


def _pose_transfer(size: tuple[int, int]) -> DrawnRequest:
    return DrawnRequest(inputs={"person": drawn_person(0, size), "pose": poses.read(_POSE, "pose")})


def _text_to_person(_size: tuple[int, int]) -> DrawnRequest:
    return DrawnRequest(inputs={"pose_map": poses.read(_POSE, "pose_map")}, prompt=PROMPTS[""])


_DRAWN: Mapping[str, Callable[[tuple[int, int]], DrawnRequest]] = {
    "try_on": _try_on,
    "pose_transfer": _pose_transfer,
    "text_to_person": _text_to_person,
}
