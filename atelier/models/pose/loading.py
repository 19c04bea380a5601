"""Which estimator a weight folder holds."""

from __future__ import annotations

from pathlib import Path

import torch

from atelier.errors import WeightsError
from atelier.models.pose.blazepose import BlazePose
from atelier.models.pose.blazepose_files import MODEL_NAME
from atelier.models.pose.config import PoseNetConfig
from atelier.models.pose.estimator import KeypointEstimator
from atelier.models.pose.heatmaps import HeatmapEstimator
from atelier.weights import read_config


def load_estimator(folder: str | Path, device: torch.device | str = "cpu") -> KeypointEstimator:
    """The estimator in a weight folder, `PoseNet` or BlazePose; `config.json` says which.

    Raises:
        WeightsError: another model, or weights that do not fit.
        ConfigError: BlazePose without its extra installed.
    """
    check_estimator(folder)
    if read_config(folder)["model"] == MODEL_NAME:
        return BlazePose.from_pretrained(folder)
    return HeatmapEstimator.from_pretrained(folder, device)


def check_estimator(folder: str | Path) -> None:
    """Refuses weights that are no estimator's, by their config alone.

    Raises:
        WeightsError: another model.
        ConfigError: a config that does not fit.
    """
    model = read_config(folder).get("model")
    if model == PoseNetConfig.model:
        PoseNetConfig.from_folder(folder)
    elif model != MODEL_NAME:
        wanted = f"must be {PoseNetConfig.model!r} or {MODEL_NAME!r}"
        raise WeightsError(str(folder), reason=f"config.json: model is {model!r}; {wanted}")
