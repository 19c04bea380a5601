"""VITON-HD's segmentation generator: lay out the person in the garment (§3.2 of the paper)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from atelier.models.layers.pixels import mask_from_bytes, one_hot, picture_from_bytes
from atelier.models.viton_hd import VitonHDConfig
from atelier.models.viton_hd.layout import NUM_AGNOSTIC_CLASSES
from atelier.models.viton_hd.networks_segmentation import SegGenerator
from atelier.weights import write_folder
from training.steps.base import Batch, Moment, Player, StepConfig, StepLoss, TrainStep


@dataclass(frozen=True, kw_only=True)
class SegmentationStepConfig(StepConfig):
    """Cross entropy, plus the same per class: inference reads each class's own sigmoid, which the softmax of cross
    entropy leaves free to drift by a common offset.

    Args:
        dropout: in the two deepest levels; the published 0.5 starves a network as narrow as the closet's.
    """

    model: VitonHDConfig
    learning_rate: float = 2e-3
    cross_entropy_weight: float = 10.0
    per_class_weight: float = 10.0
    dropout: float = 0.5

    def build(self, runs: Path) -> SegmentationStep:
        return SegmentationStep(self)


class SegmentationStep(TrainStep):
    """Reads `garment`, `garment_mask`, `agnostic_parse`, `pose_image`, `classes`."""

    methods: ClassVar[Mapping[str, tuple[str, ...]]] = {"segmentation": ("logits",)}

    def __init__(self, config: SegmentationStepConfig) -> None:
        self.config = config
        self.generator = SegGenerator(config.model)
        self.generator.dropout.p = config.dropout
        self.networks = nn.ModuleDict({"segmentation": self.generator})
        self.players = (Player(name="segmentation", networks=("segmentation",), learning_rate=config.learning_rate),)

    def loss(self, player: str, batch: Batch, moment: Moment) -> StepLoss:
        size = self.config.model.segmentation_size
        inputs = segmentation_inputs(batch, size, moment)
        logits = self.generator.logits(inputs).float()
        # Shares of each class in a cell, not its nearest pixel: the boundary survives the smaller map.
        target = F.interpolate(one_hot(batch["classes"], NUM_AGNOSTIC_CLASSES), size=size, mode="area")
        terms = {
            "cross_entropy": self.config.cross_entropy_weight * F.cross_entropy(logits, target),
            "per_class": self.config.per_class_weight * F.binary_cross_entropy_with_logits(logits, target),
        }
        total = torch.stack(list(terms.values())).sum()
        return StepLoss(total=total, terms=terms, left_out={"adversarial": "trained without a critic"})

    def export(self, networks: nn.ModuleDict, folder: Path, dtype: torch.dtype | None) -> str:
        states = {"segmentation": networks["segmentation"].state_dict()}
        return write_folder(folder, self.config.model.to_json(), states, dtype=dtype)


def segmentation_inputs(batch: Batch, size: tuple[int, int], moment: Moment) -> Tensor:
    """What the segmentation generator reads, float [B, 21, *size], with the noise of the moment's rows."""
    garment_mask = mask_from_bytes(batch["garment_mask"])
    parts = (
        garment_mask,
        picture_from_bytes(batch["garment"]) * garment_mask,
        one_hot(batch["agnostic_parse"], NUM_AGNOSTIC_CLASSES),
        picture_from_bytes(batch["pose_image"]),
    )
    small = F.interpolate(torch.cat(parts, 1), size=size, mode="bilinear")
    noise = (moment.normal("segmentation_noise", (1, *size)) > 1).float().to(small.device)
    return torch.cat([small, noise], 1)
