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
from atelier.models.viton_hd.losses import least_squares_critic, least_squares_generator
from atelier.models.viton_hd.networks_discriminators import DiscriminatorConfig, MultiscaleDiscriminator
from atelier.models.viton_hd.networks_segmentation import SegGenerator
from atelier.weights import write_folder
from training.steps.base import Batch, Moment, Player, StepConfig, StepLoss, TrainStep
from training.steps.critics import CRITIC, critic_player, split_scores
from training.steps.initial import load_initial

STEM = "segmentation"


@dataclass(frozen=True, kw_only=True)
class SegmentationStepConfig(StepConfig):
    """Cross entropy and, against a critic, the least-squares GAN loss.

    Args:
        per_class_weight: of binary cross entropy beside the other: inference reads each class's own sigmoid, which the
            softmax of cross entropy leaves free to drift by a common offset. A critic, which sees the sigmoids, holds
            them too.
        dropout: in the two deepest levels; the published 0.5 starves a network as narrow as the closet's.
        critic: scores what the generator reads together with a segmentation; None trains without.
        initial: weights to start from: an earlier run, a shipped name or a folder; None starts from nothing.
    """

    model: VitonHDConfig
    learning_rate: float = 2e-3
    betas: tuple[float, float] = (0.9, 0.99)
    cross_entropy_weight: float = 10.0
    per_class_weight: float = 10.0
    adversarial_weight: float = 1.0
    dropout: float = 0.5
    critic: DiscriminatorConfig | None = None
    critic_learning_rate: float = 4e-4
    initial: str | None = None

    def build(self, runs: Path) -> SegmentationStep:
        return SegmentationStep(self, runs)


class SegmentationStep(TrainStep):
    """Reads `garment`, `garment_mask`, `agnostic_parse`, `pose_image`, `classes`."""

    blocks: ClassVar[tuple[type[nn.Module], ...]] = (nn.Sequential,)
    methods: ClassVar[Mapping[str, tuple[str, ...]]] = {"segmentation": ("logits",)}

    def __init__(self, config: SegmentationStepConfig, runs: Path) -> None:
        self.config = config
        self.generator = SegGenerator(config.model)
        self.generator.dropout.p = config.dropout
        if config.initial is not None:
            load_initial(self.generator, STEM, config.initial, runs)
        self.networks = nn.ModuleDict({STEM: self.generator})
        self.players = (Player(name=STEM, networks=(STEM,), learning_rate=config.learning_rate, betas=config.betas),)
        self.critic: MultiscaleDiscriminator | None = None
        if config.critic is not None:
            self.critic = MultiscaleDiscriminator(config.critic)
            self.networks[CRITIC] = self.critic
            self.players += (critic_player(learning_rate=config.critic_learning_rate, betas=config.betas),)

    def loss(self, player: str, batch: Batch, moment: Moment) -> StepLoss:
        size = self.config.model.segmentation_size
        inputs = segmentation_inputs(batch, size, moment)
        # Shares of each class in a cell, not its nearest pixel: the boundary survives the smaller map.
        target = F.interpolate(one_hot(batch["classes"], NUM_AGNOSTIC_CLASSES), size=size, mode="area")
        if player == CRITIC:
            return self._critic_loss(inputs, target)
        logits = self.generator.logits(inputs).float()
        terms = {"cross_entropy": self.config.cross_entropy_weight * F.cross_entropy(logits, target)}
        left_out = {}
        if self.config.per_class_weight:
            per_class = F.binary_cross_entropy_with_logits(logits, target)
            terms["per_class"] = self.config.per_class_weight * per_class
        if self.critic is None:
            left_out["adversarial"] = "trained without a critic"
        else:
            scores = self.critic(torch.cat([inputs, logits.sigmoid()], 1))
            terms["adversarial"] = self.config.adversarial_weight * least_squares_generator(scores)
        return StepLoss(total=torch.stack(list(terms.values())).sum(), terms=terms, left_out=left_out)

    def _critic_loss(self, inputs: Tensor, target: Tensor) -> StepLoss:
        assert self.critic is not None
        with torch.no_grad():
            made = self.generator.logits(inputs).float().sigmoid()
        # One pass for both: spectral norm's power iteration then moves once, for the same weights.
        scores = self.critic(torch.cat([torch.cat([inputs, made], 1), torch.cat([inputs, target], 1)]))
        on_made, on_true = split_scores(scores)
        total = least_squares_critic(on_made, on_true)
        return StepLoss(total=total, terms={"scores": total})

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
