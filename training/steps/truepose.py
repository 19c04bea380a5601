"""TruePose: both UNets and all that joins them, on pairs of one person in two poses."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import torch
from torch import nn

from atelier.models.diffusion.denoisers import target
from atelier.models.layers.pixels import picture_from_bytes
from atelier.models.truepose.config import TruePoseConfig
from atelier.models.truepose.losses import alignment_loss, denoising_loss
from atelier.models.truepose.networks import ENCODER, VAE, TruePose
from atelier.models.truepose.networks_clip import ClipImageEncoder
from atelier.models.truepose.networks_siamese import without
from atelier.models.truepose.networks_unet import attention_grids
from atelier.models.truepose.regions import region_masks
from atelier.models.truepose.views import views
from atelier.weights import load_into, read_state, write_folder
from training.data.latents import LATENTS
from training.steps.base import Batch, Moment, Player, StepConfig, StepLoss, TrainStep
from training.steps.initial import part_of, weights_of

_SIAMESE = "siamese"


@dataclass(frozen=True, kw_only=True)
class TruePoseStepConfig(StepConfig):
    """Squared error of what the model predicts, and how target positions attend to the source's regions.

    Args:
        autoencoder: weights with a `vae`, which stays as it is: an earlier run, a shipped name or a folder.
        source_dropped, pose_dropped, both_dropped: shares of the rows that are not told the source, the pose, or
            either; they add.
        person_weight, face_weight: of positions there against the background's.
        alignment_weight: of CAA's term; nothing where the model has no CAA.
        clip: folder of CLIP, in the folder of runs or a path, for a model with it.
        initial: weights to start from: an earlier run, a shipped name or a folder; None starts from nothing.
    """

    model: TruePoseConfig
    autoencoder: str
    clip: str | None = None
    learning_rate: float = 1e-3
    betas: tuple[float, float] = (0.9, 0.99)
    source_dropped: float = 0.05
    pose_dropped: float = 0.05
    both_dropped: float = 0.05
    person_weight: float = 2.0
    face_weight: float = 4.0
    alignment_weight: float = 0.02
    initial: str | None = None

    def build(self, runs: Path) -> TruePoseStep:
        return TruePoseStep(self, runs)


class TruePoseStep(TrainStep):
    """Reads all that `TruePoseColumns` writes, and the latents of `PairLatents` where the data keep them."""

    methods: ClassVar = {_SIAMESE: ("see", "tell")}

    def __init__(self, config: TruePoseStepConfig, runs: Path) -> None:
        self.config = config
        encoder = (
            None if config.clip is None else ClipImageEncoder.from_folder(part_of(config.clip, runs), config.model)
        )
        self.model = TruePose(config.model, encoder=encoder)
        folder = weights_of(config.autoencoder, runs)
        load_into(self.model.vae.vae, read_state(folder, VAE), folder)
        self.model.vae.eval()
        if config.initial is not None:
            folder = weights_of(config.initial, runs)
            for name, part in self.model.parts().items():
                if name != VAE:
                    load_into(part, read_state(folder, name), folder)
        networks: dict[str, nn.Module] = {_SIAMESE: self.model.siamese}
        if encoder is None:
            networks[ENCODER] = self.model.encoder
        self.networks = nn.ModuleDict(networks)
        # SourceNet is read up to its last attention: what comes after takes no part.
        self.players = (
            Player(
                name="truepose",
                networks=tuple(networks),
                learning_rate=config.learning_rate,
                betas=config.betas,
                partly_used=True,
            ),
        )
        self.schedule = self.model.schedule()

    def loss(self, player: str, batch: Batch, moment: Moment) -> StepLoss:
        config, model = self.config, self.model
        source, wanted = picture_from_bytes(batch["source"]), picture_from_bytes(batch["target"])
        device = source.device
        if kept := [batch[name] for name in LATENTS if name in batch]:
            source_latents, x0 = kept
        else:
            source_latents, x0 = model.to_latents(torch.cat([source, wanted])).float().chunk(2)
        source_masks, target_masks = region_masks(batch["source_parse"]), region_masks(batch["target_parse"])
        seen, present = views(source, source_masks, config.model.crop_size, crops=config.model.alignment)
        read = model.siamese.see(source_latents, source_masks, model.encoder(seen.flatten(0, 1)), present)
        told = model.siamese.tell(read, batch["pose"].permute(0, 3, 1, 2).float() / 255)

        turn = moment.uniform("dropped", ()).to(device)
        no_source = turn < config.both_dropped + config.source_dropped
        no_pose = (turn < config.both_dropped) | (turn >= 1 - config.pose_dropped)
        told = without(told, source=no_source, pose=no_pose)

        timestep = moment.integers("timestep", self.schedule.num_timesteps).to(device)
        noise = moment.normal("noise", x0.shape[1:]).to(device)
        alpha_bar = self.schedule.rows(self.schedule.alpha_bars, timestep, x0).float()
        alpha, sigma = alpha_bar.sqrt(), (1 - alpha_bar).sqrt()
        shares: list[torch.Tensor] | None = [] if config.model.alignment else None
        predicted = model.siamese(alpha * x0 + sigma * noise, timestep, told, shares=shares).float()
        aim = target(config.model.prediction, x0, noise, alpha, sigma)
        error = denoising_loss(
            predicted,
            aim,
            batch["target_parse"],
            person_weight=config.person_weight,
            face_weight=config.face_weight,
        )
        terms = {"denoising": error.mean()}
        total = terms["denoising"]
        if shares is not None:
            grids = attention_grids(config.model, (x0.shape[2], x0.shape[3]))
            told_of = present * (~no_source).float()[:, None]
            terms["alignment"] = alignment_loss(shares, target_masks, grids, told_of)
            total = total + config.alignment_weight * terms["alignment"]
        return StepLoss(total=total, terms=terms)

    def export(self, networks: nn.ModuleDict, folder: Path, dtype: torch.dtype | None) -> str:
        states = {}
        for name, part in self.model.parts().items():
            if name == ENCODER:
                part = networks[ENCODER]
            elif name != VAE:
                part = networks[_SIAMESE].get_submodule(name)
            states[name] = part.state_dict()
        return write_folder(folder, self.model.described(), states, dtype=dtype)
