"""How near made people are to the true ones, item by item and over all."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from atelier.evaluation.agreement import confusion, correct_keypoints, mean_iou
from atelier.evaluation.people.held_out import HeldOutPerson
from atelier.evaluation.people.instruments import Reading
from atelier.evaluation.people.resampling import NUM_DRAWS, Interval, Resampled, Statistic, resampled
from atelier.evaluation.pictures import PictureScores, compare
from atelier.models.parsing.labels import CIHP

PCK_SHARE = 0.05
"""Of the person's height: how near to its true place a joint must be found."""
_DISTANCE_DRAWS = 200
"""Of a Fréchet distance: each takes the roots of a matrix."""
_DISTANCES = frozenset({"closet_fd"})
_PICTURE = ("ssim", "psnr", "ciede2000")


@dataclass(frozen=True, kw_only=True)
class ItemScores:
    """One picture of one item.

    Args:
        person, garment: inside of the true person and the true clothes; None for an item without any.
        joints: how many lie where they should, and how many there should be.
        labels: pixel counts [20, 20], true CIHP label by row.
        features: of the picture, and of the true one.
    """

    person: PictureScores
    garment: PictureScores | None
    joints: tuple[int, int]
    labels: np.ndarray
    features: np.ndarray
    true_features: np.ndarray


def scored(
    items: Sequence[HeldOutPerson], pictures: np.ndarray, read: Reading, true_features: np.ndarray
) -> list[ItemScores]:
    """The scores of a batch of pictures, uint8 RGB [B, H, W, 3], and of what the instruments read in them."""
    scores = []
    for row, item in enumerate(items):
        comparison = compare(pictures[row], item.truth)
        correct, total = correct_keypoints(read.keypoints[row : row + 1], item.true_keypoints[None], share=PCK_SHARE)
        scores.append(
            ItemScores(
                person=comparison.scores(item.person),
                garment=comparison.scores(item.garment) if item.garment.any() else None,
                joints=(int(correct.sum()), int(total.sum())),
                labels=confusion(read.parse[row], item.true_parse, len(CIHP)),
                features=read.features[row],
                true_features=true_features[row],
            )
        )
    return scores


METRICS: Mapping[str, bool] = {
    **{f"{where}_{name}": name != "ciede2000" for where in ("person", "garment") for name in _PICTURE},
    "keypoint_agreement": True,
    "parse_agreement": True,
    "closet_fd": False,
}
"""Every figure by name, and whether more of it is better."""


def measured(scores: Sequence[ItemScores]) -> dict[str, Resampled]:
    """Every metric over all items and over items drawn anew."""
    return {
        name: resampled(build(scores), len(scores), _DISTANCE_DRAWS if name in _DISTANCES else NUM_DRAWS)
        for name, build in _STATISTICS.items()
    }


def figures(measures: Mapping[str, Resampled]) -> dict[str, Interval]:
    """Every metric with its interval."""
    return {name: one.spread() if name in _DISTANCES else one.interval() for name, one in measures.items()}


def differences(ours: Mapping[str, Resampled], others: Mapping[str, Resampled]) -> dict[str, Interval]:
    """Ours minus another's on the same items, with the interval of the difference."""
    return figures({name: one.minus(others[name]) for name, one in ours.items()})


def _mean_of(where: str, name: str) -> Callable[[Sequence[ItemScores]], Statistic]:
    def build(scores: Sequence[ItemScores]) -> Statistic:
        regions: list[PictureScores | None] = [getattr(one, where) for one in scores]
        values = np.array([np.nan if one is None else getattr(one, name) for one in regions])
        there = ~np.isnan(values)
        return lambda weights: float(np.average(values[there], weights=weights[there]))

    return build


def _keypoints(scores: Sequence[ItemScores]) -> Statistic:
    correct, total = np.array([one.joints for one in scores], np.float64).T
    return lambda weights: float(weights @ correct / (weights @ total))


def _parse(scores: Sequence[ItemScores]) -> Statistic:
    counts = np.stack([one.labels for one in scores]).reshape(len(scores), -1).astype(np.float64)
    return lambda weights: mean_iou((weights @ counts).reshape(len(CIHP), len(CIHP)))


def _distance(scores: Sequence[ItemScores]) -> Statistic:
    made, true = (np.stack([getattr(one, name) for one in scores]) for name in ("features", "true_features"))
    return lambda weights: frechet(made, true, weights)


def frechet(made: np.ndarray, true: np.ndarray, weights: np.ndarray) -> float:
    """The Fréchet distance of two sets' features [items, n], each item as often as its weight says."""
    means, covariances = [], []
    for features in (made, true):
        mean = weights @ features / weights.sum()
        centred = features - mean
        means.append(mean)
        covariances.append((centred * weights[:, None]).T @ centred / (weights.sum() - 1))
    values, vectors = np.linalg.eigh(covariances[0])
    root = (vectors * np.sqrt(values.clip(0))) @ vectors.T
    # As those of the product itself, but of a symmetric matrix: five times as fast. What is below zero is rounding.
    roots = np.sqrt(np.linalg.eigvalsh(root @ covariances[1] @ root).clip(0)).sum()
    distance = np.square(means[0] - means[1]).sum() + np.trace(covariances[0]) + np.trace(covariances[1]) - 2 * roots
    return float(max(distance, 0.0))


_STATISTICS: Mapping[str, Callable[[Sequence[ItemScores]], Statistic]] = {
    **{f"{where}_{name}": _mean_of(where, name) for where in ("person", "garment") for name in _PICTURE},
    "keypoint_agreement": _keypoints,
    "parse_agreement": _parse,
    "closet_fd": _distance,
}
