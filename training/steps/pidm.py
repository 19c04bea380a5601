"""PIDM: the noise that a picture was hidden under, told by its pose and by the same person in another."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import torch
from torch import nn

from atelier.models.layers.pixels import picture_from_bytes, squeezed
from atelier.models.pidm.config import PidmConfig
from atelier.models.pidm.losses import dropped, objective
from atelier.models.pidm.networks import NETWORKS, Pidm
from atelier.models.pidm.networks_blocks import ResBlock
from atelier.models.pidm.sampling import schedule_of
from atelier.weights import write_folder
from training.steps.base import Batch, Moment, Player, StepConfig, StepLoss, TrainStep
from training.steps.initial import weights_of
from training.steps.pidm_growing import grow

STEM = "pidm"


@dataclass(frozen=True, kw_only=True)
class PidmStepConfig(StepConfig):
    """Squared error of the prediction, and the learned range's variational term.

    Args:
        style_dropped, pose_dropped: share of the rows whose source or pose is at null, each by itself: Eq. 6 asks for
            either without the other. The released code drops the style alone.
        initial: weights to start from, as `grow` does: an earlier run, a shipped name or a folder; None is nothing.
    """

    model: PidmConfig
    learning_rate: float = 2e-4
    betas: tuple[float, float] = (0.9, 0.999)
    style_dropped: float = 0.1
    pose_dropped: float = 0.1
    initial: str | None = None

    def build(self, runs: Path) -> PidmStep:
        return PidmStep(self, runs)


class PidmStep(TrainStep):
    """Reads all that `PoseTransferColumns` writes; pictures of another size than the network's are squeezed to it."""

    blocks: ClassVar[tuple[type[nn.Module], ...]] = (ResBlock,)

    def __init__(self, config: PidmStepConfig, runs: Path) -> None:
        self.config = config
        self.network = Pidm(config.model)
        if config.initial is not None:
            grow(self.network, weights_of(config.initial, runs))
        self.networks = nn.ModuleDict({STEM: self.network})
        self.players = (Player(name=STEM, networks=(STEM,), learning_rate=config.learning_rate, betas=config.betas),)
        self.schedule = schedule_of(self.network)

    def loss(self, player: str, batch: Batch, moment: Moment) -> StepLoss:
        size = self.config.model.working_size
        target = squeezed(picture_from_bytes(batch["target"]), size)
        source = squeezed(picture_from_bytes(batch["source"]), size)
        pose_map = batch["pose_map"].permute(0, 3, 1, 2).float() / 255
        device = target.device
        timestep = moment.integers("timestep", self.schedule.num_timesteps).to(device)
        noise = moment.normal("noise", target.shape[1:]).to(device)
        source = dropped(source, (moment.uniform("style", ()) < self.config.style_dropped).to(device))
        pose_map = dropped(pose_map, (moment.uniform("pose", ()) < self.config.pose_dropped).to(device))
        x_t = self.schedule.add_noise(target, noise, timestep)
        output = self.network(x_t, timestep, pose_map, source).float()
        made = objective(output, target, x_t, noise, timestep, self.schedule, self.config.model.prediction)
        return StepLoss(total=made.total, terms=made.terms)

    def export(self, networks: nn.ModuleDict, folder: Path, dtype: torch.dtype | None) -> str:
        states = {name: networks[STEM].get_submodule(name).state_dict() for name in NETWORKS}
        return write_folder(folder, self.config.model.to_json(), states, dtype=dtype)
