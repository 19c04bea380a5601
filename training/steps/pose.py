"""The small keypoint network: BODY_25 joints of a dressed person."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from atelier.models.layers.pixels import picture_from_bytes
from atelier.models.pose.config import PoseNetConfig
from atelier.models.pose.losses import pose_loss
from atelier.models.pose.networks import STEM, PoseMaps, PoseNet
from atelier.weights import write_folder
from training.steps.base import Batch, Moment, Player, StepConfig, StepLoss, TrainStep
from training.steps.initial import load_initial


@dataclass(frozen=True, kw_only=True)
class PoseStepConfig(StepConfig):
    """Heatmap divergence and presence.

    Args:
        initial: weights to start from: an earlier run, a shipped name or a folder; None starts from nothing.
    """

    model: PoseNetConfig
    learning_rate: float = 2e-3
    initial: str | None = None

    def build(self, runs: Path) -> PoseStep:
        return PoseStep(self, runs)


class PoseStep(TrainStep):
    """Reads `person`, `keypoints`."""

    def __init__(self, config: PoseStepConfig, runs: Path) -> None:
        self.config = config
        self.network = PoseNet(config.model)
        if config.initial is not None:
            load_initial(self.network, STEM, config.initial, runs)
        self.networks = nn.ModuleDict({STEM: self.network})
        self.players = (Player(name="pose", networks=(STEM,), learning_rate=config.learning_rate, weight_decay=1e-4),)

    def loss(self, player: str, batch: Batch, moment: Moment) -> StepLoss:
        height, width = batch["person"].shape[1:3]
        maps = self.network(picture_from_bytes(batch["person"]))
        maps = PoseMaps(maps.heatmaps.float(), maps.presence.float())
        loss = pose_loss(maps, batch["keypoints"], (height, width))
        return StepLoss(total=loss.total, terms={"heatmap": loss.heatmap, "presence": loss.total - loss.heatmap})

    def export(self, networks: nn.ModuleDict, folder: Path, dtype: torch.dtype | None) -> str:
        return write_folder(folder, self.config.model.to_json(), {STEM: networks[STEM].state_dict()}, dtype=dtype)
