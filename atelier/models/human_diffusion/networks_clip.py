"""CLIP's two towers from a local folder, frozen: words and crops in the space that CLIP was trained to share."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Int
from torch import Tensor, nn

from atelier.errors import WeightsError
from atelier.models.human_diffusion.config import HumanDiffusionConfig
from atelier.models.human_diffusion.crops import Crop, CropMask
from atelier.models.human_diffusion.encoders import Encoders, Keys, Values

_MEAN = (0.48145466, 0.4578275, 0.40821073)
_DEVIATION = (0.26862954, 0.26130258, 0.27577711)
"""Of the pictures that CLIP was trained on, RGB in [0, 1]."""


class ClipEncoders(Encoders):
    """CLIP behind the encoders' signature: projected text and picture features as keys, patch tokens as values.

    Args:
        clip: a `CLIPModel` of transformers; frozen here.
        tokenizer: a `CLIPTokenizer`.
        config: says the sizes, which the towers must have.

    Raises:
        WeightsError: towers of other sizes than the config's.
    """

    def __init__(self, clip: nn.Module, tokenizer: Any, config: HumanDiffusionConfig) -> None:
        super().__init__()
        self.clip: Any = clip.eval().requires_grad_(False)
        vision = self.clip.config.vision_config
        held = {
            "key_width": self.clip.config.projection_dim,
            "value_width": vision.hidden_size,
            "crop_size": vision.image_size,
        }
        off = [f"{name} is {size}, must be {getattr(config, name)}" for name, size in held.items()
               if size != getattr(config, name)]  # fmt: skip
        if off:
            raise WeightsError("clip", reason="; ".join(off))
        self.tokenizer = tokenizer
        self.grid = round(config.num_values**0.5)
        self.max_ids = self.clip.config.text_config.max_position_embeddings
        self.register_buffer("mean", torch.tensor(_MEAN).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("deviation", torch.tensor(_DEVIATION).view(1, 3, 1, 1), persistent=False)

    @classmethod
    def from_folder(cls, folder: str | Path, config: HumanDiffusionConfig) -> ClipEncoders:
        """From a folder with a `CLIPModel` and its tokenizer, as `save_pretrained` of transformers writes them.

        Raises:
            WeightsError: the folder lacks one of them, or the sizes are not the config's.
        """
        from transformers import CLIPModel, CLIPTokenizer  # takes seconds: only who loads one pays for it

        try:
            clip = CLIPModel.from_pretrained(str(folder), local_files_only=True, use_safetensors=True)
            tokenizer = CLIPTokenizer.from_pretrained(str(folder), local_files_only=True)
        except (OSError, ValueError) as error:
            raise WeightsError(str(folder), reason=f"is no folder with CLIP and its tokenizer: {error}") from error
        return cls(clip, tokenizer, config)

    def save(self, folder: str | Path) -> None:
        """Writes towers and tokenizer so that `from_folder` reads them."""
        self.clip.save_pretrained(str(folder), safe_serialization=True)
        self.tokenizer.save_pretrained(str(folder))

    def train(self, mode: bool = True) -> ClipEncoders:
        """CLIP stays as it is, whatever is trained around it."""
        super().train(mode)
        self.clip.eval()
        return self

    def tokenize(self, phrases: Sequence[str]) -> Int[Tensor, "phrases ..."]:
        encoded = self.tokenizer(
            list(phrases), padding="max_length", truncation=True, max_length=self.max_ids, return_tensors="pt"
        )
        return encoded["input_ids"]

    def read(self, ids: Int[Tensor, "phrases ..."]) -> Keys:
        # The text tower's attention is causal and its feature is taken at the end token: padding needs no mask.
        return F.normalize(self.clip.get_text_features(ids).pooler_output, dim=-1)

    def see(self, crops: Crop, masks: CropMask) -> tuple[Keys, Values]:
        pixels = ((crops + 1) / 2 - self.get_buffer("mean")) / self.get_buffer("deviation")
        features = self.clip.get_image_features(pixels)
        patches = features.last_hidden_state[:, 1:].transpose(1, 2)
        side = round(patches.shape[2] ** 0.5)
        cells = F.adaptive_avg_pool2d(patches.unflatten(2, (side, side)), self.grid).flatten(2).transpose(1, 2)
        return F.normalize(features.pooler_output, dim=-1), F.layer_norm(cells, (cells.shape[2],))
