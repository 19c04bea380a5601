"""Judging a try-on recipe against true answers: unpaired, on people, garments and poses that nothing was trained on."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from atelier.errors import ConfigError
from atelier.evaluation.baselines import BASELINES
from atelier.evaluation.held_out import HeldOutTryOn
from atelier.evaluation.pictures import PictureScores, compare, psnr
from atelier.recipe import Recipe
from atelier.stages.base import Batch
from atelier.stages.chain import StageChain, new_batch
from atelier.stages.repaint import repaint
from atelier.stages.synthesize import Synthesize

AS_PAINTED, REPAINTED = "as painted", "repainted"
"""The generator's own picture, and the same with the person's untouched pixels laid back over it."""
_BACKGROUND, _FACE = 0, 13


@dataclass(frozen=True, kw_only=True)
class KeptScores:
    """PSNR in dB to the input picture where a try-on should change nothing: the face, and the background.

    Each over the pixels that the parse calls so before and after; None where there are none.
    """

    face: float | None
    background: float | None


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """One picture of one item: `method` is a baseline's name, `AS_PAINTED` or `REPAINTED`."""

    item_id: str
    kind: str
    method: str
    changed: PictureScores
    whole: PictureScores
    kept: KeptScores


@dataclass(frozen=True, kw_only=True)
class JudgedItem:
    """An item, its pictures by method and what they score."""

    item: HeldOutTryOn
    pictures: dict[str, np.ndarray]
    judgements: tuple[Judgement, ...]


def judge(
    recipe: Recipe, items: Iterable[HeldOutTryOn], *, maps_given: bool, baselines: bool = True
) -> Iterator[JudgedItem]:
    """Runs a try-on recipe's own stages on held-out items and scores its pictures and the baselines'.

    Args:
        recipe: whose stages between `decode` and `inspect` are run, `synthesize` without its repainting, which is
            then done apart, so that both are scored.
        maps_given: parse and keypoints come with the item; False leaves them to the recipe's parser and pose network.
        baselines: False leaves them out.

    Raises:
        ConfigError: an item that a stage gave up, with its reason: a judge leaves nothing out.
    """
    chain = _chain(recipe)
    for number, group in enumerate(_grouped(items, recipe.batch_size)):
        batch = chain.run(_batch(group, number * recipe.batch_size, maps_given))
        for row, item in enumerate(group):
            if batch["error_code"][row]:
                raise ConfigError(f"{item.item_id}: {batch['error_code'][row]}: {batch['error_detail'][row]}")
        repainted = repaint(
            *(torch.from_numpy(batch[name]) for name in ("image", "person", "agnostic_person", "parse", "layout"))
        ).numpy()
        for row, item in enumerate(group):
            pictures = {name: paint(item.given()) for name, paint in BASELINES.items()} if baselines else {}
            pictures |= {AS_PAINTED: batch["image"][row], REPAINTED: repainted[row]}
            judgements = tuple(judged(item, name, picture) for name, picture in pictures.items())
            yield JudgedItem(item=item, pictures=pictures, judgements=judgements)


def judged(item: HeldOutTryOn, method: str, picture: np.ndarray) -> Judgement:
    """The scores of one picture."""
    comparison = compare(picture, item.truth)
    return Judgement(
        item_id=item.item_id,
        kind=item.kind,
        method=method,
        changed=comparison.scores(item.changed),
        whole=comparison.scores(),
        kept=KeptScores(face=_kept(item, picture, _FACE), background=_kept(item, picture, _BACKGROUND)),
    )


def _kept(item: HeldOutTryOn, picture: np.ndarray, label: int) -> float | None:
    region = (item.parse == label) & (item.true_parse == label)
    return psnr(picture, item.person, region) if region.any() else None


def _chain(recipe: Recipe) -> StageChain:
    judged_part = recipe.after("decode").before("inspect")
    stages = tuple(
        dataclasses.replace(stage, repaint=False) if isinstance(stage, Synthesize) else stage
        for stage in judged_part.stages
    )
    return dataclasses.replace(judged_part, stages=stages).build()


def _grouped(items: Iterable[HeldOutTryOn], size: int) -> Iterator[Sequence[HeldOutTryOn]]:
    iterator = iter(items)
    while group := list(itertools.islice(iterator, size)):
        yield group


def _batch(group: Sequence[HeldOutTryOn], first: int, maps_given: bool) -> Batch:
    rows = len(group)
    return new_batch(
        {
            "item_id": [item.item_id for item in group],
            "variant": [np.int32(0)] * rows,
            "task": ["try_on"] * rows,
            "seed": [np.int64(first + row) for row in range(rows)],
            "person": [item.person for item in group],
            "garment": [item.garment for item in group],
            "garment_mask": [item.garment_mask for item in group],
            "given_parse": [item.parse for item in group],
            "given_keypoints": [item.keypoints for item in group],
            "has_parse": [maps_given] * rows,
            "has_keypoints": [maps_given] * rows,
        }
    )
