"""HumanDiffusion (Zhang et al. 2022): a person from a free sentence and a pose map, region by region."""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Real
from torch import Tensor, nn

from atelier import weights
from atelier.errors import ConfigError, WeightsError
from atelier.models.diffusion import schedules
from atelier.models.diffusion.reuse import DeepFeatures
from atelier.models.diffusion.schedules import Schedule
from atelier.models.human_diffusion import tokens as token_features
from atelier.models.human_diffusion.config import HumanDiffusionConfig
from atelier.models.human_diffusion.encoders import Encoders, SmallEncoders
from atelier.models.human_diffusion.networks_clip import ClipEncoders
from atelier.models.human_diffusion.networks_unet import Told, UNet
from atelier.models.human_diffusion.phrases import Description, parse
from atelier.models.human_diffusion.regions import NUM_REGIONS
from atelier.models.human_diffusion.retrieval import Retrieval, StyleMemory, nothing
from atelier.models.human_diffusion.tokens import Tokens, Words
from atelier.models.layers.autoencoder import Autoencoder, Latents
from atelier.models.layers.config import DIGESTS
from atelier.models.layers.noise import Generators
from atelier.models.tensors import LabelIds, Picture

ENCODERS = "encoders"
_UNET = "unet"
"""Children of `HumanDiffusion` and the stems of their files."""
_CLIP, _VAE = "clip", "vae"
"""Folders inside the model's own, in the formats of transformers and diffusers."""


class HumanDiffusion(nn.Module):
    """The encoders of words and crops, and the denoiser that is told of them region by region.

    `encode` once a run, `tell` once a pose map, `predict` at every step; `denoise` is the last two in one.
    `sampling.sample` makes pictures of it, `editing.edit` changes some of one.

    Args:
        encoders: must be given where the config says `clip`; the small ones are part of the model.
        vae: must be given where the config has latents.

    Raises:
        ConfigError: a part that the config asks for is not given, or does not fit it.
    """

    def __init__(
        self, config: HumanDiffusionConfig, *, encoders: Encoders | None = None, vae: Autoencoder | None = None
    ) -> None:
        super().__init__()
        self.config = config
        if encoders is None and config.encoder == "clip":
            raise ConfigError("encoders: the config says 'clip'; give ClipEncoders.from_folder(...)")
        if (vae is None) != (config.latent_stride == 1):
            raise ConfigError(f"vae: given {vae is not None}, with latent_stride {config.latent_stride}; 1 has none")
        self.unet = UNet(config)
        self.encoders = SmallEncoders(config) if encoders is None else encoders
        self.vae = None if vae is None else _fitting(vae, config)
        self.retrieval = Retrieval(top_k=config.top_k, temperature=config.temperature, image_share=config.image_share)
        self._checked: weakref.ref[object] | None = None

    def encode(
        self,
        descriptions: Sequence[Description | str],
        memory: StyleMemory | None = None,
        *,
        excluded: Sequence[str] | None = None,
    ) -> Tokens:
        """What the denoiser is told of each person; sentences are parsed.

        Args:
            memory: None tells of words alone.
            excluded: an item id a row whose own crops are not retrieved; for training.

        Raises:
            ConfigError: a memory for a model without SMR, or of other encoders than this model's.
        """
        parsed = [parse(description) if isinstance(description, str) else description for description in descriptions]
        return self.encode_words(token_features.words(self.encoders, parsed), memory, excluded=excluded)

    @torch.no_grad()
    def encode_words(
        self, words: Words, memory: StyleMemory | None = None, *, excluded: Sequence[str] | None = None
    ) -> Tokens:
        """As `encode`, from ids that travelled in a batch. The encoders learn nothing here: they are what they are."""
        text = token_features.read(self.encoders, words)
        said = words.said.to(text.device)
        regions, named = text[:, :NUM_REGIONS], said[:, :NUM_REGIONS]
        if memory is None:
            found = nothing(regions, self.config.num_retrieved, self.config.value_width)
        else:
            self._check(memory)
            found = self.retrieval(memory, regions, named, excluded)
        return Tokens(
            text=text,
            said=said,
            style=found.style,
            remembered=found.remembered,
            values=found.values,
            log_weights=found.log_weights,
        )

    def warnings(self, description: Description | str) -> tuple[str, ...]:
        """What whoever wrote the sentence should know: words never trained on, and others that no list has."""
        parsed = parse(description) if isinstance(description, str) else description
        unseen: dict[str, list[str]] = {}
        for region, phrase in (*parsed.phrases.items(), ("the person", parsed.person)):
            for word in self.encoders.unseen(phrase):
                unseen.setdefault(word, []).append(region)
        told = (
            f"{word!r}, said of {' and '.join(dict.fromkeys(regions))}, is a word that the model never saw"
            for word, regions in unseen.items()
        )
        return (*told, *(sentence for word, sentence in parsed.told if word not in unseen))

    def tell(self, pose_map: LabelIds, tokens: Tokens) -> Told:
        """Tokens in their places: all that knows neither the noisy picture nor the time.

        Args:
            pose_map: DeepFashion-MultiModal's label ids, at the picture's size.

        Raises:
            ConfigError: a size that the levels cannot halve.
        """
        self.config.check_size((pose_map.shape[1], pose_map.shape[2]))
        return self.unet.tell(pose_map, tokens)

    def predict(self, x_t: Latents, t: Real[Tensor, " batch"], told: Told, deep: DeepFeatures | None = None) -> Latents:
        """What the config's `prediction` says, of the shape of `x_t`.

        Args:
            t: in [0, num_timesteps); fractions are allowed.
            told: from `tell`.
            deep: coarse features of an earlier step, or where to keep this one's; see `UNet`.
        """
        return self.unet(x_t, t, told, deep)

    def denoise(self, x_t: Latents, t: Real[Tensor, " batch"], pose_map: LabelIds, tokens: Tokens) -> Latents:
        """`predict` straight from what `encode` gives."""
        return self.predict(x_t, t, self.tell(pose_map, tokens))

    def schedule(self) -> Schedule:
        """The noise that the model is trained on."""
        make = {"linear": schedules.linear, "scaled_linear": schedules.scaled_linear, "cosine": schedules.cosine}
        return make[self.config.noise_schedule](self.config.num_timesteps).ending_at(self.config.last_timestep)

    @torch.no_grad()
    def to_latents(self, picture: Picture, generator: Generators | None = None) -> Latents:
        """What is denoised, of a picture: itself, or the autoencoder's latents, drawn where a generator is given."""
        return picture if self.vae is None else self.vae.encode(picture, generator)

    @torch.no_grad()
    def to_picture(self, latents: Latents) -> Picture:
        """The picture of denoised latents, clipped to [-1, 1]."""
        picture = latents if self.vae is None else self.vae.decode(latents)
        return picture.float().clamp(-1, 1)

    @classmethod
    def from_pretrained(
        cls, folder: str | Path, *, clip: str | Path | None = None, vae: str | Path | None = None
    ) -> HumanDiffusion:
        """The model in a folder that `save_pretrained` wrote, in evaluation mode, on the CPU.

        Args:
            clip, vae: local folders of these parts; None are the folders of these names inside.

        Raises:
            WeightsError: a missing file, keys that do not fit, or a part that is not the one the model was trained on.
            ConfigError: the config is another model's.
        """
        folder = Path(folder)
        config = HumanDiffusionConfig.from_folder(folder)
        digests = weights.read_config(folder).get(DIGESTS, {})
        encoders = _encoders(config, folder, clip)
        autoencoder = Autoencoder.from_folder(vae or folder / _VAE) if config.latent_stride > 1 else None
        model = cls(config, encoders=encoders, vae=autoencoder)
        for part, wanted in digests.items():
            if (held := weights.state_digest(model.get_submodule(part))) != wanted:
                reason = f"{part}: the weights are {held[:12]}, the model was trained on {wanted[:12]}"
                raise WeightsError(str(folder), reason=reason)
        state = weights.read_state(folder, _UNET)
        weights.load_into(model.unet, state, folder / f"{_UNET}{weights.SUFFIX}")
        return model.eval()

    def save_pretrained(self, folder: str | Path, *, dtype: torch.dtype | None = None) -> str:
        """Writes config and weights, CLIP and autoencoder in folders of their own; gives the folder's sha256."""
        folder = Path(folder)
        if isinstance(self.encoders, ClipEncoders):
            self.encoders.save(folder / _CLIP)
        if self.vae is not None:
            self.vae.save(folder / _VAE)
        states = {name: self.get_submodule(name).state_dict() for name in self.own_networks}
        return weights.write_folder(folder, self.described(), states, dtype=dtype)

    def described(self) -> dict[str, Any]:
        """Plain values for `config.json`: the config, and which CLIP and autoencoder the model belongs to."""
        parts = {ENCODERS: self.encoders} if isinstance(self.encoders, ClipEncoders) else {}
        parts |= {} if self.vae is None else {_VAE: self.vae}
        return {**self.config.to_json(), DIGESTS: {name: weights.state_digest(part) for name, part in parts.items()}}

    @property
    def own_networks(self) -> tuple[str, ...]:
        """The children whose weights are this model's alone, and the stems of their files."""
        return (_UNET,) if isinstance(self.encoders, ClipEncoders) else (_UNET, ENCODERS)

    def _check(self, memory: StyleMemory) -> None:
        """Once a memory: hashing the encoders takes a while."""
        if not self.config.stylized_memory:
            raise ConfigError("memory: given to a model with stylized_memory=False; give none")
        if self._checked is not None and self._checked() is memory:
            return
        if (own := weights.state_digest(self.encoders)) != memory.encoders_digest:
            raise ConfigError(
                f"memory: was made by encoders {memory.encoders_digest[:12]}, this model has {own[:12]};"
                " build it again with `python -m atelier memory build`"
            )
        self._checked = weakref.ref(memory)


def read_encoders(folder: str | Path, *, clip: str | Path | None = None) -> tuple[HumanDiffusionConfig, Encoders]:
    """The encoders in a model's folder, or in one that holds them alone, and the config; in evaluation mode.

    Raises:
        WeightsError, ConfigError: as `HumanDiffusion.from_pretrained`.
    """
    config = HumanDiffusionConfig.from_folder(folder)
    return config, _encoders(config, Path(folder), clip).eval()


def _encoders(config: HumanDiffusionConfig, folder: Path, clip: str | Path | None) -> Encoders:
    if config.encoder == "clip":
        return ClipEncoders.from_folder(clip or folder / _CLIP, config)
    encoders = SmallEncoders(config)
    weights.load_into(encoders, weights.read_state(folder, ENCODERS), folder / f"{ENCODERS}{weights.SUFFIX}")
    return encoders


def _fitting(vae: Autoencoder, config: HumanDiffusionConfig) -> Autoencoder:
    if (vae.stride, vae.channels) != (config.latent_stride, config.latent_channels):
        wanted = f"latent_stride {config.latent_stride} and latent_channels {config.latent_channels}"
        raise ConfigError(f"vae: has stride {vae.stride} and {vae.channels} channels, must have {wanted}")
    return vae
