"""Which pictures the parse and pose stages refuse: all that show no single person, and none that does."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from atelier.closet import draw_flat, draw_look, outfit_for
from atelier.closet.casting import HELD_OUT, cast
from atelier.closet.negatives import KINDS, draw_negative
from atelier.stages.chain import StageChain, new_batch
from atelier.stages.parse import Parse
from atelier.stages.pose import Pose

PEOPLE = ("worn for try-on", "worn in any way")
"""Pictures of one person: as the closet's try-on catalogs have them, and in dresses and jackets too."""
SWAPPED = "swapped columns"
"""Product pictures of tops, as they lie in the person's column where two columns were swapped."""


@dataclass(frozen=True, kw_only=True)
class Refused:
    """Of one kind of picture: how many there were, and how many ended in each error code."""

    num_pictures: int
    by_code: Mapping[str, int]

    @property
    def share(self) -> float:
        """Refused at all, 0..1."""
        return sum(self.by_code.values()) / self.num_pictures


def judge_refusals(
    *, parser: str, pose: str, num_people: int, num_others: int, size: tuple[int, int], batch_size: int = 4
) -> dict[str, Refused]:
    """What becomes of `num_people` held-out people of either kind, and of `num_others` of each kind of anything else.

    Args:
        parser, pose: shipped names or folders.
        size: (H, W) of the pictures.

    Raises:
        WeightsError: no such weights, or weights that do not fit.
    """
    device = torch.device("cpu")
    stages = (Parse(size=size, weights=parser).build(device), Pose(weights=pose).build(device))
    chain = StageChain(stages, batch_size=batch_size)
    kinds = dict.fromkeys(PEOPLE, num_people) | dict.fromkeys((SWAPPED, *KINDS), num_others)
    judged = {}
    for kind, count in kinds.items():
        codes = Counter(code for batch in _batches(kind, count, size, batch_size) for code in _codes(chain, batch))
        found = {code: codes[code] for code in sorted(codes) if code}
        judged[kind] = Refused(num_pictures=count, by_code=found)
    return judged


def refusals_table(judged: Mapping[str, Refused]) -> str:
    """What was judged, in Markdown."""
    lines = ["| picture | judged | refused | as |", "| --- | --- | --- | --- |"]
    for kind, refused in judged.items():
        codes = ", ".join(f"{code} {count}" for code, count in refused.by_code.items()) or "–"
        lines.append(f"| {kind.replace('_', ' ')} | {refused.num_pictures} | {refused.share:.1%} | {codes} |")
    return "\n".join(lines) + "\n"


def picture(kind: str, index: int, size: tuple[int, int]) -> np.ndarray:
    """The held-out picture of a kind at a position, uint8 RGB [H, W, 3]."""
    seed = HELD_OUT + index
    if kind == "worn for try-on":
        casting = cast(0, index, held_out=True)
        return draw_look(person=casting.person, outfit=casting.worn, pose=casting.pose, size=size).image
    if kind == "worn in any way":
        return draw_look(person=seed, outfit=outfit_for(seed), pose=seed, size=size).image
    if kind == SWAPPED:
        return draw_flat(garment=cast(0, index, held_out=True).garment, size=size).image
    return draw_negative(seed, size=size, kind=kind).image


def _batches(kind: str, count: int, size: tuple[int, int], batch_size: int) -> Iterator[np.ndarray]:
    pictures = (picture(kind, index, size) for index in range(count))
    while batch := list(itertools.islice(pictures, batch_size)):
        yield np.stack(batch)


def _codes(chain: StageChain, pictures: np.ndarray) -> list[str]:
    rows, height, width = pictures.shape[:3]
    columns: dict[str, Any] = {
        "item_id": [str(row) for row in range(rows)],
        "variant": np.zeros(rows, np.int32),
        "task": ["try_on"] * rows,
        "seed": np.zeros(rows, np.int64),
        "person": pictures,
        "given_parse": np.zeros((rows, height, width), np.uint8),
        "has_parse": np.zeros(rows, bool),
        "given_keypoints": np.zeros((rows, 25, 3), np.float32),
        "has_keypoints": np.zeros(rows, bool),
    }
    return chain.run(new_batch(columns))["error_code"].tolist()
