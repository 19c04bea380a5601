"""Pictures as latents and back, by an autoencoder of diffusers from a local folder, frozen."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from jaxtyping import Float
from torch import Tensor, nn

from atelier.errors import WeightsError
from atelier.models.layers.noise import Generators, draw_normal
from atelier.models.tensors import Picture

Latents = Float[Tensor, "batch channels latent_height latent_width"]
"""What is denoised: pixels in [-1, 1], or an autoencoder's latents, scaled so that their deviation is about 1."""


class Autoencoder(nn.Module):
    """A variational autoencoder between pictures and what is denoised.

    Args:
        vae: an `AutoencoderKL` of diffusers; frozen here.
    """

    def __init__(self, vae: nn.Module) -> None:
        super().__init__()
        self.vae: Any = vae.eval().requires_grad_(False)

    @classmethod
    def from_folder(cls, folder: str | Path) -> Autoencoder:
        """From a folder that `AutoencoderKL.save_pretrained` wrote.

        Raises:
            WeightsError: there is none.
        """
        from diffusers.models.autoencoders.autoencoder_kl import (
            AutoencoderKL,
        )  # takes seconds: only who loads one pays for it

        try:
            vae = AutoencoderKL.from_pretrained(
                str(folder), local_files_only=True, use_safetensors=True, low_cpu_mem_usage=False
            )
        except (OSError, ValueError) as error:
            raise WeightsError(str(folder), reason=f"is no folder with an AutoencoderKL: {error}") from error
        assert isinstance(vae, nn.Module)
        return cls(vae)

    def save(self, folder: str | Path) -> None:
        """Writes it so that `from_folder` reads it."""
        self.vae.save_pretrained(str(folder))

    @property
    def stride(self) -> int:
        """Pixels of the picture per latent on a side."""
        return 2 ** (len(self.vae.config.block_out_channels) - 1)

    @property
    def channels(self) -> int:
        """Of the latents."""
        return self.vae.config.latent_channels

    def encode(self, picture: Picture, generator: Generators | None = None) -> Latents:
        """The latents' mean, or a draw about it where a generator is given."""
        latents = self.vae.encode(picture).latent_dist
        drawn = latents.mean
        if generator is not None:
            drawn = drawn + latents.std * draw_normal(len(drawn), drawn.shape[1:], generator).to(drawn)
        return drawn * self.vae.config.scaling_factor

    def decode(self, latents: Latents) -> Picture:
        """The picture, not clipped."""
        return self.vae.decode(latents / self.vae.config.scaling_factor).sample
