"""PIDM (Bhunia et al., CVPR 2023): a person's picture in another pose, by diffusion that attends to their textures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from jaxtyping import Real
from torch import Tensor, nn

from atelier import weights
from atelier.models.diffusion.reuse import DeepFeatures
from atelier.models.pidm.config import PidmConfig
from atelier.models.pidm.networks_blocks import KeysValues
from atelier.models.pidm.networks_unet import Texture, TextureEncoder, UNet
from atelier.models.tensors import EpsVariance, NoisyPicture, Picture, PoseMap

NETWORKS = ("unet", "encoder")
"""The children of `Pidm` and the stems of their files."""


class Pidm(nn.Module):
    """A noise predictor for a person in a pose, and the encoder of the picture that they are taken from.

    `encode` once a source, `keys_values` once a sampling run, `predict` at every step; `denoise` is the last two in
    one. `sampling.sample` makes pictures of it.
    """

    def __init__(self, config: PidmConfig) -> None:
        super().__init__()
        self.config = config
        self.unet = UNet(config)
        self.encoder = TextureEncoder(config)

    def forward(self, x_t: NoisyPicture, t: Real[Tensor, " batch"], pose_map: PoseMap, source: Picture) -> EpsVariance:
        """`denoise` straight from the source: a training step's whole pass."""
        return self.denoise(x_t, t, pose_map, self.encode(source))

    def encode(self, source: Picture) -> list[Texture]:
        """The source's textures: one feature map per encoder block, fine to coarse; 18 for the published network.

        The null style is the textures of an all-zero (mid-gray) picture.

        Raises:
            ConfigError: a size that the levels cannot halve.
        """
        self.config.check_size((source.shape[-2], source.shape[-1]))
        return self.encoder(source)

    def keys_values(self, features: Sequence[Texture]) -> list[KeysValues]:
        """What the texture diffusion blocks attend to: free of the noisy picture and of the time."""
        return self.unet.keys_values(features)

    def predict(
        self,
        x_t: NoisyPicture,
        t: Real[Tensor, " batch"],
        pose_map: PoseMap,
        keys_values: Sequence[KeysValues],
        deep: DeepFeatures | None = None,
    ) -> EpsVariance:
        """The noise (or what the config's `prediction` says) in channels 0..2; in 3..5 the learned range: -1 is the
        lower, 1 the upper bound of the variance.

        Args:
            t: timesteps in [0, 1000); fractions are allowed.
            pose_map: all zeros is the null pose.
            deep: coarse features of an earlier step, or where to keep this one's; see `UNet`.

        Raises:
            ConfigError: a size that the levels cannot halve.
        """
        self.config.check_size((x_t.shape[-2], x_t.shape[-1]))
        return self.unet(x_t, t, pose_map, keys_values, deep)

    def denoise(
        self, x_t: NoisyPicture, t: Real[Tensor, " batch"], pose_map: PoseMap, features: Sequence[Texture]
    ) -> EpsVariance:
        """`predict` straight from what `encode` gives."""
        return self.predict(x_t, t, pose_map, self.keys_values(features))

    @classmethod
    def from_pretrained(cls, folder: str | Path) -> Pidm:
        """The model in a folder that `save_pretrained` or `convert` wrote, in evaluation mode, on the CPU.

        Raises:
            WeightsError: a missing file, or keys that do not fit, listed.
            ConfigError: the config is another model's.
        """
        config = PidmConfig.from_folder(folder)
        with torch.device("meta"):  # every value comes from the files: none is drawn before
            model = cls(config)
        model.to_empty(device="cpu")
        for name in NETWORKS:
            state = weights.read_state(folder, name)
            weights.load_into(model.get_submodule(name), state, f"{folder}/{name}{weights.SUFFIX}")
        return model.eval()

    def save_pretrained(self, folder: str | Path, *, dtype: torch.dtype | None = None) -> str:
        """Writes config and weights; gives the folder's sha256."""
        states = {name: self.get_submodule(name).state_dict() for name in NETWORKS}
        return weights.write_folder(folder, self.config.to_json(), states, dtype=dtype)
