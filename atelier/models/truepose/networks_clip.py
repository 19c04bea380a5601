"""CLIP's picture tower from a local folder, frozen, as TruePose's image encoder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from atelier.errors import WeightsError
from atelier.models.truepose.config import TruePoseConfig
from atelier.models.truepose.networks_encoder import ImageEncoder, Tokens

_MEAN = (0.48145466, 0.4578275, 0.40821073)
_DEVIATION = (0.26862954, 0.26130258, 0.27577711)
"""Of the pictures that CLIP was trained on, RGB in [0, 1]."""


class ClipImageEncoder(ImageEncoder):
    """The last hidden state of CLIP's picture tower: the class token, then one for each patch.

    Args:
        clip: a `CLIPVisionModel` of transformers; frozen here.
        config: says the sizes, which the tower must have.

    Raises:
        WeightsError: a tower of other sizes than the config's.
    """

    def __init__(self, clip: nn.Module, config: TruePoseConfig) -> None:
        super().__init__()
        self.clip: Any = clip.eval().requires_grad_(False)
        held = {"encoder_width": self.clip.config.hidden_size, "crop_size": self.clip.config.image_size}
        off = [f"{name} is {size}, must be {getattr(config, name)}" for name, size in held.items()
               if size != getattr(config, name)]  # fmt: skip
        if off:
            raise WeightsError("clip", reason="; ".join(off))
        self.register_buffer("mean", torch.tensor(_MEAN).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("deviation", torch.tensor(_DEVIATION).view(1, 3, 1, 1), persistent=False)

    @classmethod
    def from_folder(cls, folder: str | Path, config: TruePoseConfig) -> ClipImageEncoder:
        """From a folder with a `CLIPVisionModel` or a whole `CLIPModel`, as `save_pretrained` of transformers writes.

        Raises:
            WeightsError: there is none, or its sizes are not the config's.
        """
        from transformers import CLIPVisionModel  # takes seconds: only who loads one pays for it

        try:
            clip = CLIPVisionModel.from_pretrained(str(folder), local_files_only=True, use_safetensors=True)
        except (OSError, ValueError) as error:
            raise WeightsError(str(folder), reason=f"is no folder with CLIP's picture tower: {error}") from error
        return cls(clip, config)

    def save(self, folder: str | Path) -> None:
        """Writes the tower so that `from_folder` reads it."""
        self.clip.save_pretrained(str(folder), safe_serialization=True)

    def train(self, mode: bool = True) -> ClipImageEncoder:
        """CLIP stays as it is, whatever is trained around it."""
        super().train(mode)
        self.clip.eval()
        return self

    def forward(self, views: Float[Tensor, "pictures 3 side side"]) -> Tokens:
        pixels = ((views + 1) / 2 - self.get_buffer("mean")) / self.get_buffer("deviation")
        return self.clip(pixels.to(self.clip.dtype)).last_hidden_state
