"""Latents of a pair's pictures by a frozen autoencoder: computed once where a run shows pictures as they are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from atelier.models import registry
from atelier.models.layers.pixels import picture_from_bytes
from atelier.models.truepose import TruePose, TruePoseConfig
from atelier.stages.base import Columns, Faults, StageConfig, TensorStage

LATENTS = ("source_latents", "target_latents")


@dataclass(frozen=True, kw_only=True)
class PairLatents(StageConfig):
    """TruePose's autoencoder on both pictures of a pair.

    Args:
        size: (H, W) of the pictures.
        weights: a shipped name or a folder, the same that the step's `autoencoder` is; its digest is part of what the
            features are.
    """

    name = "latents"

    size: tuple[int, int]
    weights: str = field(metadata={"identity": False})

    def columns(self) -> Columns:
        return Columns.of(PairLatentsStage)

    def digests(self) -> Mapping[str, str]:
        """The sha256 of the weights."""
        return {"truepose": registry.digest(self.weights)}

    def build(self, device: torch.device) -> PairLatentsStage:
        """The stage, its weights loaded.

        Raises:
            WeightsError: no such weights, or weights that do not fit.
            ConfigError: a size that the latents do not come out even for.
        """
        return PairLatentsStage(self, device)


class PairLatentsStage(TensorStage):
    """Reads `source` and `target` uint8 RGB [H, W, 3]; writes `source_latents` and `target_latents`, float32 [C, h, w]:
    the latents' means, scaled as the UNets take them."""

    name = "latents"
    reads = ("source", "target")
    writes = LATENTS

    def __init__(self, config: PairLatents, device: torch.device) -> None:
        self.device = device
        folder = registry.folder(config.weights)
        self._shape = TruePoseConfig.from_folder(folder).latent_shape(config.size)
        self._model = TruePose.from_pretrained(folder).to(device).requires_grad_(False)

    def blank(self) -> dict[str, Any]:
        return {name: np.zeros(self._shape, np.float32) for name in LATENTS}

    @torch.no_grad()
    def run_tensors(self, columns: Mapping[str, Any], faults: Faults) -> Mapping[str, torch.Tensor]:
        pictures = torch.cat([columns["source"], columns["target"]])
        latents = self._model.to_latents(picture_from_bytes(pictures)).float()
        return dict(zip(LATENTS, latents.chunk(2), strict=True))
