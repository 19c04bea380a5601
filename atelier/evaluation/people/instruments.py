"""What our own networks see in a picture: the parts of the person, their joints, and features to tell sets apart."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import torch

from atelier.evaluation.sets.features import FeatureNetwork, load_features
from atelier.models import registry
from atelier.models.parsing.parser import HumanParser
from atelier.models.pose.estimator import KeypointEstimator
from atelier.models.pose.loading import load_estimator


@dataclass(frozen=True, kw_only=True)
class Reading:
    """Of pictures [B, ...]: `parse` CIHP ids uint8 [B, H, W], `keypoints` [B, 25, 3], `features` float64 [B, n]."""

    parse: np.ndarray
    keypoints: np.ndarray
    features: np.ndarray


@dataclass(frozen=True, kw_only=True)
class Instruments:
    """The networks that read what was made, and which they are."""

    parser: HumanParser
    estimator: KeypointEstimator
    features: FeatureNetwork
    digests: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def load(cls, *, parser: str, pose: str) -> Instruments:
        """Those of shipped names or folders.

        Raises:
            WeightsError: no such weights, or weights that do not fit.
        """
        return cls(
            parser=HumanParser.from_pretrained(registry.folder(parser)),
            estimator=load_estimator(registry.folder(pose)),
            features=load_features(parser),
            digests={"parser": registry.digest(parser), "pose": registry.digest(pose)},
        )

    @torch.inference_mode()
    def read(self, pictures: np.ndarray) -> Reading:
        """A batch of pictures, uint8 RGB [B, H, W, 3]."""
        given = torch.from_numpy(np.ascontiguousarray(pictures))
        return Reading(
            parse=self.parser(given).numpy(),
            keypoints=self.estimator.estimate(given).numpy(),
            features=self.features.features(given.permute(0, 3, 1, 2).float() / 255).double().numpy(),
        )
