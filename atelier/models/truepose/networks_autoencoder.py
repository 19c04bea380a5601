"""The autoencoder between pictures and latents: diffusers' `AutoencoderKL`, of the published size or small."""

from __future__ import annotations

from typing import Any

from torch import nn

from atelier.models.truepose.config import TruePoseConfig


def build_autoencoder(config: TruePoseConfig) -> Any:
    """An `AutoencoderKL` with fresh weights."""
    from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL  # takes seconds: only who builds one pays

    vae = AutoencoderKL(**config.autoencoder_settings())
    assert isinstance(vae, nn.Module)
    return vae
