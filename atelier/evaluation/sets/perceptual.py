"""LPIPS of pairs, by a protocol's rule."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from atelier import weights
from atelier.errors import ConfigError
from atelier.evaluation.sets.protocol import LpipsRule
from atelier.evaluation.sets.resizing import resized_levels
from atelier.models import registry
from atelier.models.lpips import LPIPS


class PerceptualJudge:
    """LPIPS from a weight folder.

    Raises:
        WeightsError: no such folder, or another model's.
        ConfigError: another backbone than the protocol's.
    """

    def __init__(self, folder: str | Path, rule: LpipsRule, device: torch.device) -> None:
        path = registry.folder(str(folder))
        self.network = LPIPS.from_pretrained(path)
        if rule.net not in (None, self.network.net):
            raise ConfigError(f"lpips: {folder} is of net {self.network.net!r}, the protocol's is {rule.net!r}")
        self.network.to(device)
        self.rule, self.device = rule, device
        self.digest = weights.folder_digest(path)

    @torch.inference_mode()
    def distances(self, made: np.ndarray, truth: np.ndarray) -> Sequence[float]:
        """One a pair, of pictures uint8 [B, H, W, 3]."""
        pictures = (resized_levels(side, self.rule.resize).to(self.device) / 127.5 - 1 for side in (made, truth))
        return self.network(*pictures).tolist()
