"""Pictures by a recipe's own stages, and by methods that need no network, on the same held-out items."""

from __future__ import annotations

import dataclasses
import itertools
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from atelier.errors import ConfigError
from atelier.evaluation.people.held_out import HeldOutDescription, HeldOutPerson, HeldOutTransfer
from atelier.evaluation.people.instruments import Instruments
from atelier.evaluation.people.scores import ItemScores, scored
from atelier.recipe import Recipe
from atelier.seeds import unit_seed
from atelier.stages.chain import StageChain, new_batch

Pictures = np.ndarray
"""Of all items, uint8 RGB [items, H, W, 3]."""
_READ_AT_ONCE = 8
_GIVEN = frozenset({"target"})
"""Stages that find out what the items bring."""


def made_by(recipe: Recipe, items: Sequence[HeldOutPerson]) -> tuple[Pictures, float]:
    """What the recipe's stages between `decode` and `encode` make of the items, and the seconds a picture took.

    A target pose is given, not found: what is judged is the picture, not who read the pose.

    Raises:
        ConfigError: an item that a stage gave up, with its reason: a judge leaves nothing out.
    """
    chain = _chain(recipe)
    pictures = []
    started = time.perf_counter()
    for group in batched(items, recipe.batch_size):
        batch = chain.run(new_batch(_columns(group, recipe.task)), keep={"image"})
        for row, item in enumerate(group):
            if batch["error_code"][row]:
                raise ConfigError(f"{item.item_id}: {batch['error_code'][row]}: {batch['error_detail'][row]}")
        pictures.append(batch["image"])
    return np.concatenate(pictures), (time.perf_counter() - started) / len(items)


def baselines(items: Sequence[HeldOutPerson]) -> dict[str, Pictures]:
    """What anyone can make of the items without a network."""
    if all(isinstance(item, HeldOutTransfer) for item in items):
        return {"source copied": np.stack([item.source for item in items if isinstance(item, HeldOutTransfer)])}
    described = [item for item in items if isinstance(item, HeldOutDescription)]
    return {"true regions, mean colours": _in_mean_colours(described)}


def scored_by(instruments: Instruments, items: Sequence[HeldOutPerson]) -> Callable[[Pictures], list[ItemScores]]:
    """What scores one method's pictures after another's; the true pictures are read once."""
    truths = np.stack([item.truth for item in items])
    features = np.concatenate([instruments.read(part).features for part in _parts(truths)])

    def score(pictures: Pictures) -> list[ItemScores]:
        scores: list[ItemScores] = []
        for part in _parts(pictures):
            those = slice(len(scores), len(scores) + len(part))
            scores += scored(items[those], part, instruments.read(part), features[those])
        return scores

    return score


def batched(items: Sequence[HeldOutPerson], size: int) -> Iterator[Sequence[HeldOutPerson]]:
    """The items in groups of at most `size`."""
    iterator = iter(items)
    while group := list(itertools.islice(iterator, size)):
        yield group


def _chain(recipe: Recipe) -> StageChain:
    judged = recipe.after("decode").before("encode")
    stages = tuple(stage for stage in judged.stages if stage.name not in _GIVEN)
    return dataclasses.replace(judged, stages=stages).build()


def _columns(group: Sequence[HeldOutPerson], task: str) -> dict[str, Any]:
    given = [item.columns() for item in group]
    return {
        "item_id": [item.item_id for item in group],
        "variant": [np.int32(0) for _ in group],
        "task": [task for _ in group],
        "seed": [np.int64(unit_seed(item.item_id, 0, job_seed=0)) for item in group],
        **{name: [columns[name] for columns in given] for name in given[0]},
    }


def _in_mean_colours(items: Sequence[HeldOutDescription]) -> Pictures:
    """Each region in the mean colour that it has in the other items' true pictures, else in its own."""
    labels = 24
    sums, counts = np.zeros((len(items), labels, 3)), np.zeros((len(items), labels, 1))
    for row, item in enumerate(items):
        ids = item.regions.ravel()
        counts[row, :, 0] = np.bincount(ids, minlength=labels)
        for channel in range(3):
            sums[row, :, channel] = np.bincount(ids, item.truth[..., channel].ravel(), minlength=labels)
    others_sums, others_counts = sums.sum(0) - sums, counts.sum(0) - counts
    alone = others_counts == 0
    colours = np.where(alone, sums, others_sums) / np.maximum(np.where(alone, counts, others_counts), 1)
    return np.stack([np.rint(colours[row][item.regions]).astype(np.uint8) for row, item in enumerate(items)])


def _parts(pictures: Pictures) -> Iterator[Pictures]:
    return (pictures[start : start + _READ_AT_ONCE] for start in range(0, len(pictures), _READ_AT_ONCE))


Scores = Mapping[str, Sequence[ItemScores]]
"""By method, of the same items in the same order."""
