"""Synthesize: the person of a picture in another pose, by PIDM."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from weakref import WeakValueDictionary

import numpy as np
import torch
from torch import Tensor

from atelier.geometry.faces import face_notes
from atelier.models import registry
from atelier.models.layers.pixels import bytes_from_picture, picture_from_bytes, squeezed
from atelier.models.pidm import Pidm
from atelier.models.pidm.config import Guidance, PidmConfig
from atelier.models.pidm.sampling import sample
from atelier.seeds import generators
from atelier.stages.base import Columns, Faults, LoopStage
from atelier.stages.chain import column
from atelier.stages.sampled import SampledConfig
from atelier.stages.watch import Watch, sampler_hooks


@dataclass(frozen=True, kw_only=True)
class SynthesizePidm(SampledConfig):
    """PIDM; the source's textures are encoded once a sampling run.

    Args:
        size: working size (H, W).
        weights: a shipped name or a folder; the digest, not the path, is part of what the stage is.
        network_size: what the network sees, where that is another: the released weights of 256x256 were trained on
            pictures of 256x176 squeezed to a square. Pose maps come at this size, the person at `size`.
        guidance: None is what the weights were trained for.
        pose_scale, style_scale: of guidance, see `sampling.rule`.
    """

    name = "synthesize"
    version = 2

    size: tuple[int, int]
    weights: str = field(metadata={"identity": False})
    network_size: tuple[int, int] | None = None
    guidance: Guidance | None = None
    pose_scale: float = 2.0
    style_scale: float = 2.0

    def check(self) -> None:
        PidmConfig.from_folder(registry.folder(self.weights)).check_size(self.network_size or self.size)

    def columns(self) -> Columns:
        return Columns.of(SynthesizePidmStage)

    def digests(self) -> Mapping[str, str]:
        """The sha256 of the weights."""
        return {"pidm": registry.digest(self.weights)}

    def build(self, device: torch.device) -> SynthesizePidmStage:
        """The stage, its model shared with the other stages of the same weights in this process.

        Raises:
            WeightsError: no such weights, or weights that do not fit.
            ConfigError: a size that the model cannot make, found here rather than in the first batch.
        """
        return SynthesizePidmStage(self, device)


class SynthesizePidmStage(LoopStage):
    """Writes `image` uint8 RGB [H, W, 3] and `notes`.

    Reads `person` uint8 RGB [H, W, 3], the source, and `pose_map` uint8 [H, W, 20]. The source's `parse` (CIHP ids) is
    read where it is there: a source that shows no face gets the note `face_not_visible`.
    """

    name = "synthesize"
    reads = ("person", "pose_map", "seed")
    optional = ("parse",)
    writes = ("image", "notes")

    def __init__(self, config: SynthesizePidm, device: torch.device) -> None:
        self.device, self._config = device, config
        self._model = _model(config, device)
        self._network_size = config.network_size or config.size
        self._model.config.check_size(self._network_size)

    def blank(self) -> dict[str, Any]:
        return {"image": np.zeros((*self._config.size, 3), np.uint8), "notes": ""}

    @torch.no_grad()
    def run_loop(self, columns: Mapping[str, Any], faults: Faults, watch: Watch | None) -> Mapping[str, Any]:
        callback, stop = sampler_hooks(watch, lambda x0: x0, size=self._config.size)
        source = squeezed(picture_from_bytes(columns["person"]), self._network_size)
        made = sample(
            self._model,
            self._model.encode(source),
            columns["pose_map"].permute(0, 3, 1, 2).float() / 255,
            mode=self._config.mode,
            guidance=self._config.guidance,
            pose_scale=self._config.pose_scale,
            style_scale=self._config.style_scale,
            generator=generators(columns["seed"].tolist(), "pidm_noise"),
            callback=callback,
            stop=stop,
        )
        image = bytes_from_picture(squeezed(made, self._config.size))
        return {"image": image, "notes": column(_notes(columns.get("parse"), len(image)))}


def _notes(parse: Tensor | None, num_rows: int) -> list[str]:
    return [""] * num_rows if parse is None else face_notes(parse.cpu().numpy())


def _model(config: SynthesizePidm, device: torch.device) -> Pidm:
    key = (registry.digest(config.weights), str(device), config.compile)
    with _LOCK:
        model = _LOADED.get(key)
        if model is None:
            model = Pidm.from_pretrained(registry.folder(config.weights)).to(device).requires_grad_(False)
            if config.compile:
                model.unet.compile()
            _LOADED[key] = model
        return model


_LOADED: WeakValueDictionary[tuple[str, str, bool], Pidm] = WeakValueDictionary()
"""Freed when the last stage that holds it goes."""
_LOCK = threading.Lock()
