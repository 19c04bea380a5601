"""What the three stages of VITON-HD have in common: which weights, run how, loaded once a process."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from weakref import WeakValueDictionary

import torch

from atelier.models import registry
from atelier.models.viton_hd import InferenceOptions, VitonHD, VitonHDConfig
from atelier.stages.base import StageConfig


@dataclass(frozen=True, kw_only=True)
class VitonHDStageConfig(StageConfig):
    """A stage that runs a part of VITON-HD.

    Args:
        size: working size (H, W).
        weights: a shipped name or a folder; the digest, not the path, is part of what the stage is.
        options: how the model is run.
    """

    size: tuple[int, int]
    weights: str = field(metadata={"identity": False})
    options: InferenceOptions = field(default_factory=InferenceOptions)

    def check(self) -> None:
        VitonHDConfig.from_folder(registry.folder(self.weights)).check_size(self.size)

    def digests(self) -> Mapping[str, str]:
        """The sha256 of the VITON-HD weights."""
        return {"viton_hd": registry.digest(self.weights)}

    def compiled(self) -> VitonHDStageConfig:
        return dataclasses.replace(self, options=dataclasses.replace(self.options, compile=True))

    def load(self, device: torch.device) -> VitonHD:
        """The model on `device`, the same one for every stage of this process that has these weights and options.

        Raises:
            WeightsError: no such weights, or weights that do not fit.
            ConfigError: a size that the model cannot make, found here rather than in the first batch.
        """
        key = (registry.digest(self.weights), str(device), self.options)
        with _LOCK:
            model = _LOADED.get(key)
            if model is None:
                model = VitonHD.from_pretrained(registry.folder(self.weights), self.options).to(device)
                _LOADED[key] = model
        model.config.check_size(self.size)
        return model


_LOADED: WeakValueDictionary[tuple[str, str, InferenceOptions], VitonHD] = WeakValueDictionary()
"""Freed when the last stage that holds it goes."""
_LOCK = threading.Lock()
