"""Distances between sets by their features: Fréchet (FID) and kernel (KID), both computed by torchmetrics.

The one module that needs torchmetrics, which an evaluation without distances does without.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torchmetrics.image.fid import FrechetInceptionDistance
from torchmetrics.image.kid import KernelInceptionDistance

from atelier.errors import MismatchError
from atelier.evaluation.sets.features import FeatureNetwork
from atelier.evaluation.sets.protocol import DistanceRule
from atelier.evaluation.sets.resizing import resized_levels

KERNEL_SUBSETS, KERNEL_SUBSET_SIZE, KERNEL_SEED = 100, 1000, 0
"""Of the published KID: means over random subsets; here their drawing is seeded."""


def fewest(num_features: int) -> int:
    """The least pictures a set may have: half as many as features.

    A Fréchet distance falls with the number of pictures, steeply where they don't span the features' space. VITON-HD's
    2,032 test pictures against Inception's 2,048 features are what papers print; far fewer say nothing.
    """
    return max(num_features // 2, 2)


def check_counts(network: FeatureNetwork, counts: Mapping[str, int]) -> None:
    """Refuses sets too small for a distance.

    Raises:
        MismatchError: names the set, its count and the least.
    """
    least = fewest(network.num_features)
    for name, count in counts.items():
        if count < least:
            raise MismatchError(
                f"the {name} set has {count} pictures, must have at least {least} for distances on {network.name} "
                f"({network.num_features} features); leave the features out, or take ones of fewer"
            )


class SetDistances:
    """Collects features of two sets, batch by batch, and gives their distances.

    The Fréchet distance keeps sums alone; the kernel distance keeps every picture's features (16 KB each of 2,048).
    """

    def __init__(self, network: FeatureNetwork, rule: DistanceRule, device: torch.device) -> None:
        self.network, self.rule, self.device = network, rule, device
        network.module.to(device)
        self._frechet = FrechetInceptionDistance(feature=_PassedOn(network.num_features))
        self._kept: dict[bool, list[Tensor]] = {True: [], False: []}
        self.counts = {True: 0, False: 0}

    @torch.inference_mode()
    def add(self, pictures: np.ndarray, *, real: bool) -> None:
        """Takes a batch uint8 [B, H, W, 3] into the true set or the made one."""
        levels = resized_levels(pictures, self.rule.resize).to(self.device)
        features = self.network.features(levels / 255).double().cpu()
        self._frechet.update(features, real=real)
        if self.rule.kernel:
            self._kept[real].append(features)
        self.counts[real] += len(pictures)

    def scores(self) -> dict[str, Any]:
        """What the sets score, under names that only Inception's features make FID and KID."""
        names = ("fid", "kid") if self.network.is_fid else ("frechet_distance", "kernel_distance")
        scores: dict[str, Any] = {names[0]: {"value": float(self._frechet.compute()), "features": self.network.name}}
        if self.rule.kernel:
            scores[names[1]] = self._kernel()
        return scores

    def _kernel(self) -> dict[str, Any]:
        size = min(KERNEL_SUBSET_SIZE, *self.counts.values())
        with warnings.catch_warnings():  # it warns of the features it keeps, which the class says
            warnings.simplefilter("ignore", UserWarning)
            kernel = KernelInceptionDistance(
                feature=_PassedOn(self.network.num_features), subsets=KERNEL_SUBSETS, subset_size=size
            )
        for real, features in self._kept.items():
            kernel.update(torch.cat(features), real=real)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(KERNEL_SEED)
            mean, deviation = kernel.compute()
        spread = {} if size == max(self.counts.values()) else {"std": float(deviation)}  # each subset is the whole set
        return {
            "mean": float(mean),
            **spread,
            "features": self.network.name,
            "subsets": KERNEL_SUBSETS,
            "subset_size": size,
            "seed": KERNEL_SEED,
        }


class _PassedOn(nn.Module):
    """Features that are already there: both distances see one pass of the network."""

    def __init__(self, num_features: int) -> None:
        super().__init__()
        self.num_features = num_features

    def forward(self, features: Tensor) -> Tensor:
        return features
