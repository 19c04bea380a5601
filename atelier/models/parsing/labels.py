"""CIHP's 20 labels, and what the label sets of published parsers are in them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import torch

from atelier.errors import WeightsError
from atelier.models.tensors import LabelIds

CIHP = (
    *("background", "hat", "hair", "glove", "sunglasses", "upper", "dress", "coat", "socks", "pants", "torso_skin"),
    *("scarf", "skirt", "face", "left_arm", "right_arm", "left_leg", "right_leg", "left_shoe", "right_shoe"),
)
"""By id; left is the person's left."""

IN_MULTIMODAL = (0, 7, 13, 19, 8, 1, 4, 2, 18, 5, 15, 9, 3, 14, 15, 15, 15, 15, 11, 11)
"""DeepFashion-MultiModal's id of each of these labels; it has one skin for all limbs, and finer labels for the rest."""

BACKGROUND = CIHP.index("background")
TORSO = tuple(CIHP.index(name) for name in ("hair", "upper", "dress", "coat", "torso_skin", "face"))
"""What lies on a person's middle line."""
BODY = tuple(
    CIHP.index(name) for name in ("hair", "torso_skin", "face", "left_arm", "right_arm", "left_leg", "right_leg")
)
"""What is the person and no clothes."""


class Sides(NamedTuple):
    """The id that a label is on the person's left, and on the right."""

    left: int
    right: int


# Keys are lower case with single spaces. Comments name the set a synonym comes from.
_SYNONYMS = {
    "upper clothes": "upper",  # ATR, LIP, CIHP
    "upperclothes": "upper",
    "upper body": "upper",
    "top": "upper",  # fashn
    "jumpsuits": "dress",  # LIP; CIHP has torso skin in its place
    "jumpsuit": "dress",
    "torso skin": "torso_skin",  # CIHP
    "torsoskin": "torso_skin",
    "torso": "torso_skin",  # fashn
    "neck": "torso_skin",
    "skin": "torso_skin",
    "jewelry": "torso_skin",  # fashn: what lies on the neck
    "glasses": "sunglasses",  # fashn
    "gloves": "glove",
    "sock": "socks",
    "trousers": "pants",
    "belt": "pants",  # ATR, fashn: at the waist
    "bag": "background",  # ATR, fashn: no part of the person
}
_SIDELESS = {
    **dict.fromkeys(("arms", "arm", "hands", "hand"), Sides(CIHP.index("left_arm"), CIHP.index("right_arm"))),  # fashn
    **dict.fromkeys(("legs", "leg"), Sides(CIHP.index("left_leg"), CIHP.index("right_leg"))),
    **dict.fromkeys(("feet", "shoes", "shoe", "foot"), Sides(CIHP.index("left_shoe"), CIHP.index("right_shoe"))),
}


def cihp_ids(id2label: Mapping[int, str], source: str) -> list[Sides]:
    """What each class of a parser is in CIHP, by class id; both sides are the same where the name tells the side.

    Args:
        id2label: class id → name, of ATR, LIP, CIHP, fashn or alike; case, `-`, `_` and spaces don't matter.
        source: where the names come from, for the message.

    Raises:
        WeightsError: names that are in no known set (lists them), or ids that are not 0, 1, 2, ...
    """
    if sorted(id2label) != list(range(len(id2label))):
        raise WeightsError(source, reason=f"id2label: ids are {sorted(id2label)}, must be 0 to {len(id2label) - 1}")
    known = {_plain(name): Sides(index, index) for index, name in enumerate(CIHP)}
    known |= {name: known[_plain(label)] for name, label in _SYNONYMS.items()} | _SIDELESS
    names = [id2label[index] for index in range(len(id2label))]
    if strangers := [name for name in names if _plain(name) not in known]:
        raise WeightsError(
            source, reason=f"id2label: {strangers} are no known part of a person; known are {sorted(known)}"
        )
    return [known[_plain(name)] for name in names]


def mirrored_parse(parse: LabelIds) -> LabelIds:
    """The map of the mirrored picture: flipped, left and right exchanged."""
    swapped = [CIHP.index(_other_side(name)) for name in CIHP]
    return torch.tensor(swapped, dtype=torch.uint8, device=parse.device)[parse.flip(2).long()]


def _other_side(name: str) -> str:
    if name.startswith("left_"):
        return name.replace("left_", "right_")
    return name.replace("right_", "left_")


def _plain(name: str) -> str:
    return " ".join(name.lower().replace("-", " ").replace("_", " ").split())
