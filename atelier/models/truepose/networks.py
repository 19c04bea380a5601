"""TruePose (Xu et al. 2025): a person's picture in another pose, by two UNets that know where face and garment are."""

from __future__ import annotations

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
from atelier.models.layers.autoencoder import Autoencoder, Latents
from atelier.models.layers.config import DIGESTS
from atelier.models.tensors import LabelIds, Picture
from atelier.models.truepose.config import TruePoseConfig
from atelier.models.truepose.networks_autoencoder import build_autoencoder
from atelier.models.truepose.networks_clip import ClipImageEncoder
from atelier.models.truepose.networks_encoder import ImageEncoder, SmallImageEncoder
from atelier.models.truepose.networks_fusion import Told
from atelier.models.truepose.networks_guider import DrawnPose
from atelier.models.truepose.networks_siamese import CONDITIONS, SOURCE_NET, TARGET_NET, Siamese, Source
from atelier.models.truepose.regions import region_masks
from atelier.models.truepose.views import views

ENCODER, VAE = "encoder", "vae"
"""Children of `TruePose` and the stems of their files."""
_CLIP = "clip"
"""A folder inside the model's own, in the format of transformers."""


class TruePose(nn.Module):
    """Source and parse in, the person in another pose out.

    `encode` once a source, `tell` once a pose, `predict` at every step. `sampling.sample` makes pictures of it.

    Args:
        encoder: must be given where the config says `clip`; the small one is part of the model.
        siamese, vae: with weights; None draws fresh ones.

    Raises:
        ConfigError: an encoder that the config asks for is not given.
    """

    def __init__(
        self,
        config: TruePoseConfig,
        *,
        encoder: ImageEncoder | None = None,
        siamese: Siamese | None = None,
        vae: Autoencoder | None = None,
    ) -> None:
        super().__init__()
        self.config = config
        if encoder is None and config.encoder == "clip":
            raise ConfigError("encoder: the config says 'clip'; give ClipImageEncoder.from_folder(...)")
        self.siamese = Siamese(config) if siamese is None else siamese
        self.encoder = SmallImageEncoder(config) if encoder is None else encoder
        self.vae = Autoencoder(build_autoencoder(config)) if vae is None else vae

    def encode(self, source: Picture, parse: LabelIds) -> Source:
        """What is read of each source; SourceNet runs here and nowhere else.

        Args:
            parse: CIHP ids of the source. Without a face or a garment in it, that region tells nothing.

        Raises:
            ConfigError: a size that does not come out even.
        """
        self.config.check_size((source.shape[2], source.shape[3]))
        return self.see(source, self.to_latents(source), parse)

    def see(self, source: Picture, latents: Latents, parse: LabelIds) -> Source:
        """As `encode`, of latents that are there already."""
        masks = region_masks(parse)
        seen, present = views(source, masks, self.config.crop_size, crops=self.config.alignment)
        dtype = self.siamese.target_net.dtype
        tokens = self.encoder(seen.flatten(0, 1).to(dtype))
        return self.siamese.see(latents.to(dtype), masks, tokens, present.to(dtype))

    def tell(self, source: Source, pose: DrawnPose) -> Told:
        """The source and the pose it is to take: all that knows neither the noisy picture nor the time."""
        return self.siamese.tell(source, pose.to(self.siamese.target_net.dtype))

    def predict(self, x_t: Latents, t: Real[Tensor, " batch"], told: Told, deep: DeepFeatures | None = None) -> Latents:
        """What the config's `prediction` says, of the shape of `x_t`.

        Args:
            t: in [0, num_timesteps); fractions are allowed.
            told: from `tell`.
            deep: coarse features of an earlier step, or where to keep this one's.
        """
        return self.siamese(x_t, t, told, deep)

    def schedule(self) -> Schedule:
        """The noise that the model is trained on."""
        make = {"linear": schedules.linear, "scaled_linear": schedules.scaled_linear, "cosine": schedules.cosine}
        noise = make[self.config.noise_schedule](
            self.config.num_timesteps, zero_terminal_snr=self.config.zero_terminal_snr
        )
        return noise.ending_at(self.config.last_timestep)

    @torch.no_grad()
    def to_latents(self, picture: Picture) -> Latents:
        """The latents' mean."""
        return self.vae.encode(picture.to(self.vae.vae.dtype))

    @torch.no_grad()
    def to_picture(self, latents: Latents) -> Picture:
        """The picture of denoised latents, clipped to [-1, 1]."""
        return self.vae.decode(latents.to(self.vae.vae.dtype)).float().clamp(-1, 1)

    @classmethod
    def from_pretrained(cls, folder: str | Path, *, clip: str | Path | None = None) -> TruePose:
        """The model in a folder that `save_pretrained` or `convert` wrote, in evaluation mode, on the CPU.

        Args:
            clip: local folder of CLIP, for a model with it; None is the folder of this name inside.

        Raises:
            WeightsError: a missing file, keys that do not fit, or another CLIP than the model was trained on.
            ConfigError: the config is another model's.
        """
        folder = Path(folder)
        config = TruePoseConfig.from_folder(folder)
        wanted = weights.read_config(folder).get(DIGESTS, {}).get(_CLIP)
        encoder = None
        if config.encoder == "clip":
            encoder = ClipImageEncoder.from_folder(clip or folder / _CLIP, config)
            if wanted not in (None, held := weights.state_digest(encoder)):
                reason = f"clip: the weights are {held[:12]}, the model was trained on {wanted[:12]}"
                raise WeightsError(str(folder), reason=reason)
        with torch.device("meta"):  # every value comes from the files: none is drawn before
            model = cls(config, encoder=encoder)
        for name, part in model.parts().items():
            part.to_empty(device="cpu")
            weights.load_into(part, weights.read_state(folder, name), folder / f"{name}{weights.SUFFIX}")
        return model.eval()

    def save_pretrained(self, folder: str | Path, *, dtype: torch.dtype | None = None) -> str:
        """Writes config and weights, CLIP in a folder of its own; gives the folder's sha256."""
        if isinstance(self.encoder, ClipImageEncoder):
            self.encoder.save(Path(folder) / _CLIP)
        states = {name: part.state_dict() for name, part in self.parts().items()}
        return weights.write_folder(folder, self.described(), states, dtype=dtype)

    def described(self) -> dict[str, Any]:
        """Plain values for `config.json`: the config, and which CLIP the model belongs to."""
        clip = isinstance(self.encoder, ClipImageEncoder)
        return {**self.config.to_json(), DIGESTS: {_CLIP: weights.state_digest(self.encoder)} if clip else {}}

    def parts(self) -> dict[str, nn.Module]:
        """The networks whose weights are this model's alone, by the stems of their files."""
        siamese = {name: self.siamese.get_submodule(name) for name in (TARGET_NET, SOURCE_NET, CONDITIONS)}
        own = {} if isinstance(self.encoder, ClipImageEncoder) else {ENCODER: self.encoder}
        return {**siamese, **own, VAE: self.vae.vae}
