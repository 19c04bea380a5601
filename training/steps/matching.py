"""VITON-HD's geometric matching module: bend the flat garment onto the person (§3.3 of the paper)."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from atelier.models.geometry.tps import warp
from atelier.models.layers.pixels import mask_from_bytes, picture_from_bytes
from atelier.models.viton_hd import VitonHDConfig
from atelier.models.viton_hd.losses import MatchingWeights, matching_objective
from atelier.models.viton_hd.networks_matching import GMM
from atelier.weights import write_folder
from training.steps.base import Batch, Moment, Player, StepConfig, StepLoss, TrainStep
from training.steps.initial import load_initial

STEM = "matching"

UPPER_CLASS = 3
"""The garment among the 13 classes."""


@dataclass(frozen=True, kw_only=True)
class MatchingStepConfig(StepConfig):
    """L1 of picture and mask and the second-order grid constraint, with the paper's weights.

    Args:
        halvings: of the pictures that are bent and compared; one makes a CPU step half as long, and the grid still
            moves by fractions of a pixel.
        initial: weights to start from: an earlier run, a shipped name or a folder; None starts from nothing.
    """

    model: VitonHDConfig
    learning_rate: float = 1e-3
    betas: tuple[float, float] = (0.9, 0.99)
    weights: MatchingWeights = field(default_factory=MatchingWeights)
    halvings: int = 0
    initial: str | None = None

    def build(self, runs: Path) -> MatchingStep:
        return MatchingStep(self, runs)


class MatchingStep(TrainStep):
    """Reads `garment`, `garment_mask`, `agnostic_person`, `pose_image`, `classes`, `person`."""

    def __init__(self, config: MatchingStepConfig, runs: Path) -> None:
        self.config = config
        self.module = GMM(config.model)
        # From zero offsets: the tanh behind a default start bends the garment past what the losses can find back.
        nn.init.normal_(self.module.regression.linear.weight, std=1e-3)
        nn.init.zeros_(self.module.regression.linear.bias)
        if config.initial is not None:
            load_initial(self.module, STEM, config.initial, runs)
        self.networks = nn.ModuleDict({STEM: self.module})
        self.players = (Player(name=STEM, networks=(STEM,), learning_rate=config.learning_rate, betas=config.betas),)

    def loss(self, player: str, batch: Batch, moment: Moment) -> StepLoss:
        worn_mask = mask_from_bytes((batch["classes"] == UPPER_CLASS).to(torch.uint8))
        garment, garment_mask = picture_from_bytes(batch["garment"]), mask_from_bytes(batch["garment_mask"])
        person = torch.cat(
            [worn_mask, picture_from_bytes(batch["pose_image"]), picture_from_bytes(batch["agnostic_person"])], 1
        )
        theta = self.module(person, garment).float()
        # Both masks' outside white: there the pictures agree, and the mask alone says where the garment ends.
        flat = self._shrunk(torch.cat([_on_white(garment, garment_mask), garment_mask], 1))
        worn = self._shrunk(torch.cat([_on_white(picture_from_bytes(batch["person"]), worn_mask), worn_mask], 1))
        warped = warp(flat, self.module.grid(theta, (flat.shape[2], flat.shape[3])))
        objective = matching_objective(
            warped[:, :3],
            worn[:, :3],
            warped[:, 3:],
            worn[:, 3:],
            self.module.tps.control_points(theta),
            self.config.weights,
        )
        return StepLoss(total=objective.total, terms=objective.terms, left_out=objective.left_out)

    def _shrunk(self, pictures: Tensor) -> Tensor:
        return F.avg_pool2d(pictures, 2**self.config.halvings) if self.config.halvings else pictures

    def export(self, networks: nn.ModuleDict, folder: Path, dtype: torch.dtype | None) -> str:
        states = {"matching": networks["matching"].state_dict()}
        return write_folder(folder, self.config.model.to_json(), states, dtype=dtype)


def _on_white(picture: Tensor, mask: Tensor) -> Tensor:
    return picture * mask + (1 - mask)
