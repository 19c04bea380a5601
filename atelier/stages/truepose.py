"""Synthesize: the person of a picture in another pose, by TruePose."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from weakref import WeakValueDictionary

import numpy as np
import torch

from atelier.errors import RowError
from atelier.geometry.faces import face_notes
from atelier.geometry.pose_drawing import drawn_pose
from atelier.models import registry
from atelier.models.layers.pixels import bytes_from_picture, picture_from_bytes
from atelier.models.truepose import TruePose
from atelier.models.truepose.config import TruePoseConfig
from atelier.models.truepose.sampling import SOURCE_SCALE, sample
from atelier.seeds import generators
from atelier.stages.base import Columns, Faults, LoopStage
from atelier.stages.chain import column
from atelier.stages.sampled import SampledConfig
from atelier.stages.watch import Watch, sampler_hooks


@dataclass(frozen=True, kw_only=True)
class SynthesizeTruePose(SampledConfig):
    """TruePose; SourceNet reads a source once a sampling run.

    Args:
        size: working size (H, W).
        weights: a shipped name or a folder; the digest, not the path, is part of what the stage is.
        clip: folder of CLIP, for weights that do not bring it; their config holds the digest of the one they were
            trained on, and no other is taken.
        source_scale: of guidance, see `sampling.rule`.
    """

    name = "synthesize"
    version = 2

    size: tuple[int, int]
    weights: str = field(metadata={"identity": False})
    clip: str | None = field(default=None, metadata={"identity": False})
    source_scale: float = SOURCE_SCALE

    def check(self) -> None:
        TruePoseConfig.from_folder(registry.folder(self.weights)).check_size(self.size)

    def columns(self) -> Columns:
        return Columns.of(SynthesizeTruePoseStage)

    def digests(self) -> Mapping[str, str]:
        """The sha256 of the weights."""
        return {"truepose": registry.digest(self.weights)}

    def build(self, device: torch.device) -> SynthesizeTruePoseStage:
        """The stage, its model shared with the other stages of the same weights in this process.

        Raises:
            WeightsError: no such weights, or weights that do not fit.
            ConfigError: a size that the model cannot make, found here rather than in the first batch.
        """
        return SynthesizeTruePoseStage(self, device)


class SynthesizeTruePoseStage(LoopStage):
    """Writes `image` uint8 RGB [H, W, 3] and `notes`.

    Reads the source as `person` uint8 RGB [H, W, 3] with its `parse`, CIHP ids, and `target_keypoints`, BODY_25
    [25, 3] in working pixels. A source that shows no face gets the note `face_not_visible`.

    Error: `no_pose` where no joint of the pose lies in the picture.
    """

    name = "synthesize"
    reads = ("person", "parse", "target_keypoints", "seed")
    writes = ("image", "notes")

    def __init__(self, config: SynthesizeTruePose, device: torch.device) -> None:
        self.device, self._config = device, config
        self._model = _model(config, device)
        self._model.config.check_size(config.size)

    def blank(self) -> dict[str, Any]:
        return {"image": np.zeros((*self._config.size, 3), np.uint8), "notes": ""}

    @torch.no_grad()
    def run_loop(self, columns: Mapping[str, Any], faults: Faults, watch: Watch | None) -> Mapping[str, Any]:
        stride = self._model.config.latent_stride
        callback, stop = sampler_hooks(watch, self._model.to_picture, size=self._config.size, latent_stride=stride)
        keypoints = columns["target_keypoints"].cpu().numpy()
        for row in np.flatnonzero(~self._seen(keypoints).any(1)):
            faults.add(int(row), RowError("no_pose", "target_keypoints: no joint of the pose lies in the picture"))
        kind, size = self._model.config.pose, self._config.size
        pose = torch.from_numpy(np.stack([drawn_pose(kind, joints, size) for joints in keypoints])).to(self.device)
        made = sample(
            self._model,
            self._model.encode(picture_from_bytes(columns["person"]), columns["parse"]),
            pose.permute(0, 3, 1, 2).float() / 255,
            mode=self._config.mode,
            source_scale=self._config.source_scale,
            generator=generators(columns["seed"].tolist(), "truepose_noise"),
            callback=callback,
            stop=stop,
        )
        return {"image": bytes_from_picture(made), "notes": column(face_notes(columns["parse"].cpu().numpy()))}

    def _seen(self, keypoints: np.ndarray) -> np.ndarray:
        """Joints that were found and lie in the picture, bool [B, 25]."""
        height, width = self._config.size
        x, y, confidence = np.moveaxis(keypoints, 2, 0)
        return (confidence > 0) & (x >= 0) & (x < width) & (y >= 0) & (y < height)


def _model(config: SynthesizeTruePose, device: torch.device) -> TruePose:
    key = (registry.digest(config.weights), config.clip or "", str(device), config.compile)
    with _LOCK:
        model = _LOADED.get(key)
        if model is None:
            folder = registry.folder(config.weights)
            model = TruePose.from_pretrained(folder, clip=config.clip).to(device).requires_grad_(False)
            if config.compile:
                model.siamese.compile()
            _LOADED[key] = model
        return model


_LOADED: WeakValueDictionary[tuple[str, str, str, bool], TruePose] = WeakValueDictionary()
"""Freed when the last stage that holds it goes."""
_LOCK = threading.Lock()
