"""The networks that a job judges with, and the reasons for those that it goes without."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import torch

from atelier.errors import ConfigError
from atelier.evaluation.sets.features import FeatureNetwork, load_features
from atelier.evaluation.sets.job import Job
from atelier.evaluation.sets.perceptual import PerceptualJudge

if TYPE_CHECKING:
    from atelier.evaluation.sets.distances import SetDistances


@dataclass(frozen=True, kw_only=True)
class Instruments:
    """LPIPS and distances where they can be had; `left_out` says of each score that is missing why."""

    lpips: PerceptualJudge | None
    features: FeatureNetwork | None
    distances: SetDistances | None
    left_out: Mapping[str, str]

    @classmethod
    def of(cls, job: Job, counts: Mapping[str, int]) -> Self:
        """Loads a job's weights.

        Args:
            job: whose weights.
            counts: pictures of the sets that distances would compare, by the set's name.

        Raises:
            WeightsError, ConfigError: weights that do not fit, or torchmetrics is absent.
            MismatchError: too few pictures for a distance.
        """
        device, rule = torch.device(job.device), job.protocol.distance
        left_out: dict[str, str] = {}
        lpips = features = distances = None
        if not job.paired:
            left_out["ssim, psnr, lpips"] = "pictures without partners have none"
        elif job.lpips is None:
            left_out["lpips"] = "no weights were given: --lpips FOLDER"
        else:
            lpips = PerceptualJudge(job.lpips, job.protocol.lpips, device)
        names = "fid, kid" if rule.kernel else "fid"
        if job.features is None:
            left_out[names] = "no feature weights were given: --features FILE"
        elif job.paired and rule.against == "training" and job.training is None:
            left_out[names] = "the protocol's is against the training pictures: --training FOLDER"
        else:
            features = load_features(job.features)
            distances = _distances(features, job, counts, device)
            if not features.is_fid:
                left_out[names] = f"defined on Inception's features; those given are {features.name}"
        return cls(lpips=lpips, features=features, distances=distances, left_out=left_out)

    def weights(self) -> Mapping[str, Mapping[str, Any]]:
        """Name and sha256 of every network in use."""
        used: dict[str, Mapping[str, Any]] = {}
        if self.lpips is not None:
            used["lpips"] = {"name": f"lpips_{self.lpips.network.net}_0.1", "sha256": self.lpips.digest}
        if self.features is not None:
            used["features"] = {
                "name": self.features.name,
                "num_features": self.features.num_features,
                "sha256": self.features.digest,
            }
        return used


def _distances(features: FeatureNetwork, job: Job, counts: Mapping[str, int], device: torch.device) -> SetDistances:
    try:
        from atelier.evaluation.sets import distances
    except ModuleNotFoundError as error:
        raise ConfigError(f"features: distances need {error.name}: pip install 'atelier[evaluate]'") from error
    distances.check_counts(features, counts)
    return distances.SetDistances(features, job.protocol.distance, device)
