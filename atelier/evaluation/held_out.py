"""Try-ons that no weights were trained on, with their true answers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from atelier.closet import draw_flat, draw_look
from atelier.closet.casting import cast
from atelier.closet.garments import garment_from
from atelier.evaluation.baselines import TryOnInput

GARMENT_LABELS = (5, 6, 7)
"""CIHP ids of what an upper garment can be labelled: upper clothes, dress, coat."""
_KIND = {"gradient": "gradients", "logo": "print"}
KINDS = ("solid", "stripes", "checks", "dots", "gradients", "print", "fabric")
"""Patterns as they are reported; letters and logos are both prints."""


@dataclass(frozen=True, kw_only=True)
class HeldOutTryOn:
    """An unpaired try-on: a person who wears one top, another top, and that person in that other top.

    `person`, `garment`, `truth` uint8 RGB [H, W, 3]; `garment_mask` uint8 {0, 1}; `parse`, `true_parse` CIHP ids;
    `keypoints` BODY_25 [25, 3]; `kind` the tried-on top's pattern, one of `KINDS`.
    """

    item_id: str
    kind: str
    person: np.ndarray
    parse: np.ndarray
    keypoints: np.ndarray
    garment: np.ndarray
    garment_mask: np.ndarray
    truth: np.ndarray
    true_parse: np.ndarray

    @property
    def true_silhouette(self) -> np.ndarray:
        """Where the tried-on top is worn, bool [H, W]."""
        return np.isin(self.true_parse, GARMENT_LABELS)

    @property
    def changed(self) -> np.ndarray:
        """The union of the tried-on and the original top, bool [H, W]: where a try-on shows what it can."""
        return self.true_silhouette | np.isin(self.parse, GARMENT_LABELS)

    def given(self) -> TryOnInput:
        """What the baselines get."""
        return TryOnInput(
            person=self.person,
            garment=self.garment,
            garment_mask=self.garment_mask,
            keypoints=self.keypoints,
            true_silhouette=self.true_silhouette,
        )


def held_out_try_ons(num_items: int, *, seed: int, size: tuple[int, int]) -> Iterator[HeldOutTryOn]:
    """Items drawn from held-out people, garments and poses alone; `size` is (H, W) in pixels."""
    for index in range(num_items):
        casting = cast(seed, index, held_out=True)
        look = draw_look(person=casting.person, outfit=casting.worn, pose=casting.pose, size=size)
        answer = draw_look(person=casting.person, outfit=casting.dressed, pose=casting.pose, size=size)
        flat = draw_flat(garment=casting.garment, size=size)
        pattern = garment_from(casting.garment).pattern
        yield HeldOutTryOn(
            item_id=f"held-out-{seed}-{index}",
            kind=_KIND.get(pattern, pattern),
            person=look.image,
            parse=look.parse_cihp,
            keypoints=look.keypoints,
            garment=flat.image,
            garment_mask=flat.mask,
            truth=answer.image,
            true_parse=answer.parse_cihp,
        )
