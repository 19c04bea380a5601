"""The small parser: every pixel of a dressed person to one of CIHP's 20 labels."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from atelier.models.layers.pixels import picture_from_bytes
from atelier.models.parsing.config import ParsingNetConfig
from atelier.models.parsing.losses import class_weights, parsing_loss
from atelier.models.parsing.networks import STEM, ParsingNet
from atelier.weights import write_folder
from training.steps.base import Batch, Moment, Player, StepConfig, StepLoss, TrainStep
from training.steps.initial import load_initial

_DICE = 0.3


@dataclass(frozen=True, kw_only=True)
class ParserStepConfig(StepConfig):
    """Weighted cross entropy and dice.

    Args:
        pixel_shares: of the 20 labels in the data, for the weights; None weighs all labels alike.
        coarse_until: share of the run on maps of the logits' own size, which saves a third of a CPU step; sharp edges
            come after.
        initial: weights to start from: an earlier run, a shipped name or a folder; None starts from nothing.
    """

    model: ParsingNetConfig
    learning_rate: float = 2e-3
    pixel_shares: tuple[float, ...] | None = None
    coarse_until: float = 0.6
    initial: str | None = None

    def build(self, runs: Path) -> ParserStep:
        return ParserStep(self, runs)


class ParserStep(TrainStep):
    """Reads `person`, `parse`."""

    def __init__(self, config: ParserStepConfig, runs: Path) -> None:
        self.config = config
        self.network = ParsingNet(config.model)
        if config.initial is not None:
            load_initial(self.network, STEM, config.initial, runs)
        self.networks = nn.ModuleDict({STEM: self.network})
        self.players = (Player(name="parser", networks=(STEM,), learning_rate=config.learning_rate, weight_decay=1e-4),)
        shares = config.pixel_shares
        self._class_weights = None if shares is None else class_weights(torch.tensor(shares))

    def loss(self, player: str, batch: Batch, moment: Moment) -> StepLoss:
        parse = batch["parse"]
        if moment.progress < self.config.coarse_until:
            parse = parse[:, ::2, ::2].contiguous()
        logits = self.network(picture_from_bytes(batch["person"])).float()
        total = parsing_loss(logits, parse, class_weights=self._class_weights, dice_weight=_DICE)
        return StepLoss(total=total, terms={"parsing": total})

    def export(self, networks: nn.ModuleDict, folder: Path, dtype: torch.dtype | None) -> str:
        return write_folder(folder, self.config.model.to_json(), {STEM: networks[STEM].state_dict()}, dtype=dtype)
