"""HumanDiffusion: first the encoders of words and crops, then, with these fixed, the denoiser."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor, nn

from atelier.errors import ConfigError
from atelier.memory import read_memory
from atelier.models.diffusion.denoisers import target
from atelier.models.human_diffusion import HumanDiffusion, HumanDiffusionConfig
from atelier.models.human_diffusion.crops import region_crops
from atelier.models.human_diffusion.encoders import Encoders, SmallEncoders
from atelier.models.human_diffusion.losses import contrastive_loss, denoising_loss, reconstruction_loss
from atelier.models.human_diffusion.networks import ENCODERS, read_encoders
from atelier.models.human_diffusion.networks_alignment import Alignment
from atelier.models.human_diffusion.networks_blocks import ResidualBlock
from atelier.models.human_diffusion.networks_clip import ClipEncoders
from atelier.models.human_diffusion.networks_crops import CropDecoder
from atelier.models.human_diffusion.networks_unet import trimmed
from atelier.models.human_diffusion.tokens import Words
from atelier.models.layers.autoencoder import Autoencoder
from atelier.models.layers.pixels import picture_from_bytes
from atelier.weights import write_folder
from training.data.described import item_number, phrases_from
from training.steps.base import Batch, Moment, Player, StepConfig, StepLoss, TrainStep
from training.steps.initial import load_initial, memory_of, part_of, weights_of

_DECODER = "decoder"
_UNET = "unet"


@dataclass(frozen=True, kw_only=True)
class EncodersStepConfig(StepConfig):
    """Words against crops of their own region, and crops kept well enough to be drawn again.

    Args:
        reconstruction_weight: of the second against the first.
    """

    model: HumanDiffusionConfig
    learning_rate: float = 1e-3
    reconstruction_weight: float = 1.0

    def build(self, runs: Path) -> EncodersStep:
        return EncodersStep(self)


class EncodersStep(TrainStep):
    """Reads all that `DescribedColumns` writes; exports a folder that `memory build` and `DenoiserStep` read."""

    methods: ClassVar = {ENCODERS: ("read", "see")}

    def __init__(self, config: EncodersStepConfig) -> None:
        self.config = config
        self.encoders, self.decoder = SmallEncoders(config.model), CropDecoder(config.model)
        self.networks = nn.ModuleDict({ENCODERS: self.encoders, _DECODER: self.decoder})
        self.players = (
            Player(name=ENCODERS, networks=(ENCODERS, _DECODER), learning_rate=config.learning_rate, weight_decay=1e-4),
        )

    def loss(self, player: str, batch: Batch, moment: Moment) -> StepLoss:
        crops = region_crops(picture_from_bytes(batch["person"]), batch["pose_map"], self.config.model.crop_size)
        regions = torch.tensor(crops.regions, device=crops.pictures.device)
        rows = torch.tensor(crops.rows, device=crops.pictures.device)
        described = batch["said"][rows, regions]
        ids = batch["words"][rows, regions][described].long()
        _, phrases = ids.flatten(1).unique(dim=0, return_inverse=True)
        pictures, masks = crops.pictures[described], crops.masks[described]
        keys, values = self.encoders.see(pictures, masks)
        found = contrastive_loss(self.encoders.read(ids), keys, phrases, regions[described])
        kept = reconstruction_loss(self.decoder(values), pictures, masks)
        total = found + self.config.reconstruction_weight * kept
        return StepLoss(total=total, terms={"contrastive": found, "reconstruction": kept})

    def export(self, networks: nn.ModuleDict, folder: Path, dtype: torch.dtype | None) -> str:
        states = {ENCODERS: networks[ENCODERS].state_dict()}
        return write_folder(folder, self.config.model.to_json(), states, dtype=dtype)


@dataclass(frozen=True, kw_only=True)
class DenoiserStepConfig(StepConfig):
    """Squared error of what the model predicts.

    Args:
        encoders: an earlier run of `EncodersStep`, a shipped name or a folder; "" where the model has CLIP.
        clip, vae: folders of CLIP and of an autoencoder of diffusers, in the folder of runs, or paths, for a model that
            has them; they stay as they are, and their digests are exported in place of them.
        memory: that `python -m atelier memory build` made with these encoders, in the folder of runs, a shipped name or
            a folder; "" trains without, as the ablation of SMR must.
        text_dropped, memory_dropped: share of the rows that are told no words, or nothing retrieved, each by itself.
        person_weight: of positions on the person against the background's.
        initial: weights to start from: an earlier run, a shipped name or a folder; None starts from nothing.
    """

    model: HumanDiffusionConfig
    encoders: str = ""
    clip: str = ""
    vae: str = ""
    memory: str = ""
    learning_rate: float = 4e-4
    betas: tuple[float, float] = (0.9, 0.99)
    text_dropped: float = 0.1
    memory_dropped: float = 0.1
    person_weight: float = 2.0
    initial: str | None = None

    def __post_init__(self) -> None:
        if bool(self.memory) != self.model.stylized_memory:
            raise ConfigError(
                f"memory: is {self.memory!r} with stylized_memory={self.model.stylized_memory}; a model with SMR is"
                " trained with a memory, one without it without"
            )
        told = {"encoders": self.model.encoder == "small", "clip": self.model.encoder == "clip"}
        for name, needed in (told | {"vae": self.model.latent_stride > 1}).items():
            if bool(getattr(self, name)) != needed:
                has = f"encoder={self.model.encoder!r} and latent_stride={self.model.latent_stride}"
                wanted = "must be given" if needed else "must be empty"
                raise ConfigError(f"{name}: is {getattr(self, name)!r}, {wanted} for a model of {has}")

    def build(self, runs: Path) -> DenoiserStep:
        return DenoiserStep(self, runs)


class DenoiserStep(TrainStep):
    """Reads all that `DescribedColumns` writes."""

    blocks: ClassVar[tuple[type[nn.Module], ...]] = (ResidualBlock, Alignment)
    methods: ClassVar = {_UNET: ("tell",)}

    def __init__(self, config: DenoiserStepConfig, runs: Path) -> None:
        self.config = config
        # The model is built around its encoders: they are read, not learned.
        encoders, vae = _encoders(config, runs), None
        if config.vae:
            vae = Autoencoder.from_folder(part_of(config.vae, runs))
        self.model = HumanDiffusion(config.model, encoders=encoders.requires_grad_(False), vae=vae)
        if config.initial is not None:
            load_initial(self.model.unet, _UNET, config.initial, runs)
        self.networks = nn.ModuleDict({_UNET: self.model.unet})
        self.players = (Player(name=_UNET, networks=(_UNET,), learning_rate=config.learning_rate, betas=config.betas),)
        self.schedule = self.model.schedule()
        self.memory = read_memory(memory_of(config.memory, runs)) if config.memory else None
        items = [] if self.memory is None else self.memory.rows.column("item_id").unique().to_pylist()
        self._item_ids = {item_number(item): item for item in items}

    def loss(self, player: str, batch: Batch, moment: Moment) -> StepLoss:
        config, pose_map = self.config, batch["pose_map"]
        picture = picture_from_bytes(batch["person"])
        device = picture.device
        words = Words(ids=self._ids(batch["words"]), said=batch["said"])
        excluded = None
        if self.memory is not None:
            self.memory = self.memory.to(device) if self.memory.text_keys.device != device else self.memory
            excluded = [self._item_ids.get(number, "") for number in batch["item"].tolist()]
        tokens = self.model.encode_words(words, self.memory, excluded=excluded).without(
            text=(moment.uniform("text", ()) < config.text_dropped).to(device),
            memory=(moment.uniform("memory", ()) < config.memory_dropped).to(device),
        )
        latents = self.model.to_latents(picture)
        timestep = moment.integers("timestep", self.schedule.num_timesteps).to(device)
        noise = moment.normal("noise", latents.shape[1:]).to(device)
        level = self.schedule.rows(self.schedule.alpha_bars, timestep, latents).float()
        alpha, sigma = level.sqrt(), (1 - level).sqrt()
        x_t = alpha * latents + sigma * noise
        told = trimmed(self.model.tell(pose_map, tokens))
        predicted = self.model.predict(x_t, timestep, told).float()
        wanted = target(config.model.prediction, latents, noise, alpha, sigma)
        total = denoising_loss(predicted, wanted, pose_map, person_weight=config.person_weight).mean()
        return StepLoss(total=total, terms={"denoising": total})

    def export(self, networks: nn.ModuleDict, folder: Path, dtype: torch.dtype | None) -> str:
        states = {_UNET: networks[_UNET].state_dict()}
        if ENCODERS in self.model.own_networks:
            states[ENCODERS] = self.model.encoders.state_dict()
        return write_folder(folder, self.model.described(), states, dtype=dtype)

    def _ids(self, words: Tensor) -> Tensor:
        if self.config.model.encoder == "small":
            return words.long()
        ids = self.model.encoders.tokenize(phrases_from(words.cpu().numpy()))
        return ids.unflatten(0, (words.shape[0], words.shape[1])).to(words.device)


def _encoders(config: DenoiserStepConfig, runs: Path) -> Encoders:
    if config.clip:
        return ClipEncoders.from_folder(part_of(config.clip, runs), config.model)
    folder = weights_of(config.encoders, runs)
    trained, encoders = read_encoders(folder)
    if _space(trained) != _space(config.model):
        raise ConfigError(f"encoders: {folder} has other sizes than the model: {_space(trained)}")
    return encoders


def _space(config: HumanDiffusionConfig) -> dict[str, object]:
    """What encoders and denoiser must agree on."""
    names = ("encoder", "crop_size", "key_width", "value_width", "num_values", "max_words", "num_buckets", "text_width")
    return {name: getattr(config, name) for name in names}
