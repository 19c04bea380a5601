"""TruePose's small autoencoder: pictures as latents of a stride of 4, and back."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from atelier.models.layers.pixels import picture_from_bytes
from atelier.models.truepose import TruePoseConfig
from atelier.models.truepose.losses import divergence_loss, moments_loss, reconstruction_loss
from atelier.models.truepose.networks_autoencoder import build_autoencoder
from atelier.weights import write_folder
from training.steps.base import Batch, Moment, Player, StepConfig, StepLoss, TrainStep
from training.steps.initial import load_initial

STEM = "vae"
_FIRST_LOG_VARIANCE = -5.0


@dataclass(frozen=True, kw_only=True)
class AutoencoderStepConfig(StepConfig):
    """Pixels and edges of what comes back, with latents near a standard normal.

    Args:
        divergence_weight: small: latents are to be smooth, not to forget.
        moments_weight: of each channel's mean and deviation over a batch.
    """

    model: TruePoseConfig
    learning_rate: float = 2e-3
    divergence_weight: float = 2e-4
    moments_weight: float = 1e-2

    def build(self, runs: Path) -> AutoencoderStep:
        return AutoencoderStep(self)


class AutoencoderStep(TrainStep):
    """Reads `picture`; exports a folder that `TruePoseStep` takes its autoencoder from."""

    def __init__(self, config: AutoencoderStepConfig | DecoderStepConfig) -> None:
        self.config = config
        self.vae = build_autoencoder(config.model)
        with torch.no_grad():  # a posterior as wide as the latents would let nothing through for hundreds of steps
            self.vae.quant_conv.bias[config.model.latent_channels :] = _FIRST_LOG_VARIANCE
        self.networks = nn.ModuleDict({STEM: self.vae})
        self.players = (Player(name=STEM, networks=(STEM,), learning_rate=config.learning_rate),)

    def loss(self, player: str, batch: Batch, moment: Moment) -> StepLoss:
        picture = picture_from_bytes(batch["picture"])
        posterior = self.vae.encode(picture).latent_dist
        mean, log_variance = posterior.mean.float(), posterior.logvar.float()
        noise = moment.normal("posterior", mean.shape[1:]).to(mean.device)
        decoded = self.vae.decode(mean + (log_variance / 2).exp() * noise).sample.float()
        terms = {
            "reconstruction": reconstruction_loss(decoded, picture),
            "divergence": divergence_loss(mean, log_variance),
            "moments": moments_loss(mean),
        }
        config = self.config
        total = terms["reconstruction"] + config.divergence_weight * terms["divergence"]
        return StepLoss(total=total + config.moments_weight * terms["moments"], terms=terms)

    def export(self, networks: nn.ModuleDict, folder: Path, dtype: torch.dtype | None) -> str:
        return write_folder(folder, self.config.model.to_json(), {STEM: networks[STEM].state_dict()}, dtype=dtype)


@dataclass(frozen=True, kw_only=True)
class DecoderStepConfig(StepConfig):
    """The way back alone: latents stay what they are, so that it may learn while a denoiser learns on them.

    Args:
        initial: the autoencoder whose decoder goes on: an earlier run, a shipped name or a folder; None where a
            checkpoint brings all weights.
    """

    model: TruePoseConfig
    initial: str | None
    learning_rate: float = 1e-3
    divergence_weight: float = 0.0
    moments_weight: float = 0.0

    def build(self, runs: Path) -> DecoderStep:
        return DecoderStep(self, runs)


class DecoderStep(AutoencoderStep):
    """Reads `picture`; exports the whole autoencoder."""

    def __init__(self, config: DecoderStepConfig, runs: Path) -> None:
        super().__init__(config)
        if config.initial is not None:
            load_initial(self.vae, STEM, config.initial, runs)
        for part in (self.vae.encoder, self.vae.quant_conv):
            part.requires_grad_(False)
