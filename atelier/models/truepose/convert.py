"""From a folder of Stable Diffusion's, as diffusers lays it out, to a TruePose that a training begins with.

No weights of TruePose are public: what is converted are the ones that its two UNets start from.
"""

from __future__ import annotations

from pathlib import Path

import torch

from atelier import weights
from atelier.errors import WeightsError
from atelier.models.layers.autoencoder import Autoencoder
from atelier.models.truepose.config import TruePoseConfig, truepose
from atelier.models.truepose.networks import TruePose
from atelier.models.truepose.networks_clip import ClipImageEncoder
from atelier.models.truepose.networks_siamese import Siamese
from atelier.models.truepose.networks_unet import read_unet

_UNET, _VAE = "unet", "vae"
"""Folders of Stable Diffusion's."""


def convert(
    *,
    stable_diffusion: str | Path,
    clip: str | Path,
    out: str | Path,
    config: TruePoseConfig | None = None,
    dtype: torch.dtype | None = None,
) -> str:
    """Writes a TruePose whose TargetNet and SourceNet are both the folder's UNet; gives the new folder's sha256.

    At that beginning it is plain reference attention: gates and pose guider add nothing yet.

    Args:
        stable_diffusion: a folder with `unet` and `vae`, as `save_pretrained` of diffusers writes them.
        clip: a folder with CLIP's picture tower; its weights are not copied, the config holds their digest.
        config: None is the published size.
        dtype: what weights are stored in; None keeps theirs.

    Raises:
        WeightsError: a missing folder, or networks that are built otherwise than the config says, or not finite.
    """
    config, source = config or truepose(), Path(stable_diffusion)
    unet, vae = read_unet(source / _UNET, config), Autoencoder.from_folder(source / _VAE)
    _check_autoencoder(vae, config, source / _VAE)
    encoder = ClipImageEncoder.from_folder(clip, config)
    model = TruePose(config, encoder=encoder, siamese=Siamese(config, unet=unet), vae=vae)
    states = {name: part.state_dict() for name, part in model.parts().items()}
    for name, state in states.items():
        weights.check_finite(name, state, source)
    return weights.write_folder(out, model.described(), states, dtype=dtype)


def _check_autoencoder(vae: Autoencoder, config: TruePoseConfig, folder: Path) -> None:
    wanted = config.autoencoder_settings()
    held = {name: vae.vae.config[name] for name in wanted}
    off = [f"{name} is {held[name]}, must be {wanted[name]}" for name in wanted if _plain(held[name]) != wanted[name]]
    if off:
        raise WeightsError(str(folder), reason="; ".join(off))


def _plain(value: object) -> object:
    return list(value) if isinstance(value, tuple) else value
