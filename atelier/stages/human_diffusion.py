"""Synthesize: a person out of a sentence and a map of regions, by HumanDiffusion."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from weakref import WeakValueDictionary

import numpy as np
import torch

from atelier.memory import Memory, check_memory, read_memory
from atelier.models import registry
from atelier.models.human_diffusion import Description, HumanDiffusion, HumanDiffusionConfig, parse
from atelier.models.human_diffusion.regions import REGIONS
from atelier.models.human_diffusion.sampling import MEMORY_SCALE, TEXT_SCALE, sample
from atelier.models.layers.pixels import bytes_from_picture
from atelier.seeds import generators
from atelier.stages.base import Columns, Faults, LoopStage
from atelier.stages.chain import column
from atelier.stages.sampled import SampledConfig
from atelier.stages.watch import Watch, sampler_hooks

_NOT_IDENTITY: Mapping[str, Any] = {"identity": False}


@dataclass(frozen=True, kw_only=True)
class SynthesizeHumanDiffusion(SampledConfig):
    """HumanDiffusion, its tokens computed once a sampling run.

    Args:
        size: working size (H, W).
        weights, memory: shipped names or folders; without a memory, words alone tell of a region. Their digests, not
            their paths, are part of what the stage is.
        clip, vae: folders of the parts that the weights do not bring themselves; the weights' config holds the digests
            of the ones they were trained on, and no others are taken.
        text_scale, memory_scale: of guidance, see `sampling.rule`.
    """

    name = "synthesize"
    version = 2

    size: tuple[int, int]
    weights: str = field(metadata=_NOT_IDENTITY)
    memory: str | None = field(default=None, metadata=_NOT_IDENTITY)
    clip: str | None = field(default=None, metadata=_NOT_IDENTITY)
    vae: str | None = field(default=None, metadata=_NOT_IDENTITY)
    mode: str = "balanced"
    text_scale: float = TEXT_SCALE
    memory_scale: float = MEMORY_SCALE

    def check(self) -> None:
        HumanDiffusionConfig.from_folder(registry.folder(self.weights)).check_size(self.size)
        if self.memory is not None:
            check_memory(self.memory)

    def columns(self) -> Columns:
        return Columns.of(SynthesizeHumanDiffusionStage)

    def digests(self) -> Mapping[str, str]:
        """The sha256 of the weights and of the memory."""
        digests = {"human_diffusion": registry.digest(self.weights)}
        return digests if self.memory is None else digests | {"stylized_memory": registry.digest(self.memory)}

    def build(self, device: torch.device) -> SynthesizeHumanDiffusionStage:
        """The stage, its model shared with the other stages of the same weights in this process.

        Raises:
            WeightsError: no such weights or memory, or ones that do not fit.
            ConfigError: a size that the model cannot make, or a memory of other encoders, found here rather than in the
                first batch.
        """
        return SynthesizeHumanDiffusionStage(self, device)


class SynthesizeHumanDiffusionStage(LoopStage):
    """Writes `image` uint8 RGB [H, W, 3] and `notes`: a line for each word that the model does not know, and for each
    phrase whose region the map lacks, so that it changes nothing.

    Reads `regions`, the 24 labels [H, W], and the row's `prompt`.
    """

    name = "synthesize"
    reads = ("regions", "prompt", "seed")
    writes = ("image", "notes")

    def __init__(self, config: SynthesizeHumanDiffusion, device: torch.device) -> None:
        self.device, self._config = device, config
        self._model = _model(config, device)
        self._model.config.check_size(config.size)
        self._memory = _memory(config.memory, device)
        self._model.encode([parse("")], self._memory)

    def blank(self) -> dict[str, Any]:
        return {"image": np.zeros((*self._config.size, 3), np.uint8), "notes": ""}

    def run_loop(self, columns: Mapping[str, Any], faults: Faults, watch: Watch | None) -> Mapping[str, Any]:
        stride = self._model.config.latent_stride
        callback, stop = sampler_hooks(watch, self._model.to_picture, size=self._config.size, latent_stride=stride)
        described = [parse(str(prompt)) for prompt in columns["prompt"]]
        picture = sample(
            self._model,
            self._model.encode(described, self._memory),
            columns["regions"],
            mode=self._config.mode,
            text_scale=self._config.text_scale,
            memory_scale=self._config.memory_scale,
            generator=generators(columns["seed"].tolist(), "human_diffusion_noise"),
            callback=callback,
            stop=stop,
        )
        return {"image": bytes_from_picture(picture), "notes": column(self._notes(described, columns["regions"]))}

    def _notes(self, described: Sequence[Description], regions: torch.Tensor) -> list[str]:
        notes = []
        for row, labels in zip(described, regions, strict=True):
            shown = {REGIONS[label] for label in labels.unique().tolist()}
            unknown = (f"unknown_words: {told}" for told in self._model.warnings(row))
            unshown = (f"words_without_region: {told}" for told in row.unshown(shown))
            notes.append("\n".join((*unknown, *unshown)))
        return notes


def _model(config: SynthesizeHumanDiffusion, device: torch.device) -> HumanDiffusion:
    key = (registry.digest(config.weights), config.clip or "", config.vae or "", str(device), config.compile)
    with _LOCK:
        model = _MODELS.get(key)
        if model is None:
            folder = registry.folder(config.weights)
            model = HumanDiffusion.from_pretrained(folder, clip=config.clip, vae=config.vae).to(device)
            if config.compile:
                model.unet.compile()
            _MODELS[key] = model
        return model


def _memory(name: str | None, device: torch.device) -> Memory | None:
    if name is None:
        return None
    key = (registry.digest(name), str(device))
    with _LOCK:
        memory = _MEMORIES.get(key)
        if memory is None:
            _MEMORIES[key] = memory = read_memory(name).to(device)
        return memory


_MEMORIES: WeakValueDictionary[tuple[str, str], Memory] = WeakValueDictionary()
_MODELS: WeakValueDictionary[tuple[str, str, str, str, bool], HumanDiffusion] = WeakValueDictionary()
"""Both freed when the last stage that holds one goes."""
_LOCK = threading.Lock()
