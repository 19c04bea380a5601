"""The small crop encoder, and the decoder that holds it to keep colours and textures while it is trained."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from atelier.models.human_diffusion.config import HumanDiffusionConfig
from atelier.models.human_diffusion.crops import Crop, CropMask

_WIDTHS = (32, 48, 64, 96)
_NUM_GROUPS = 8


class CropEncoder(nn.Module):
    """A region's crop as a unit vector in the words' space and as a grid of tokens."""

    def __init__(self, config: HumanDiffusionConfig) -> None:
        super().__init__()
        self.grid = round(config.num_values**0.5)
        layers, width = [], 4
        for next_width in _WIDTHS:
            layers += [nn.Conv2d(width, next_width, 3, stride=2, padding=1), nn.GroupNorm(_NUM_GROUPS, next_width)]
            layers += [nn.SiLU()]
            width = next_width
        self.layers = nn.Sequential(*layers, nn.Conv2d(width, width, 3, padding=1), nn.SiLU())
        self.to_key = nn.Linear(width, config.key_width)
        self.to_values = nn.Linear(width, config.value_width)

    def forward(
        self, crops: Crop, masks: CropMask
    ) -> tuple[Float[Tensor, "crops key_width"], Float[Tensor, "crops num_values value_width"]]:
        """(keys, values): values row by row of the grid."""
        features = self.layers(torch.cat([crops, masks * 2 - 1], 1))
        key = F.normalize(self.to_key(features.mean((2, 3))), dim=-1)
        cells = F.adaptive_avg_pool2d(features, self.grid).flatten(2).transpose(1, 2)
        return key, F.layer_norm(self.to_values(cells), (self.to_values.out_features,))


class CropDecoder(nn.Module):
    """Crops back from their values, a quarter of a side; for training only, never exported."""

    def __init__(self, config: HumanDiffusionConfig) -> None:
        super().__init__()
        self.grid = round(config.num_values**0.5)
        side = config.crop_size // 4
        self.cell = side // self.grid
        self.layers = nn.Sequential(
            nn.Linear(config.value_width, 4 * config.value_width),
            nn.SiLU(),
            nn.Linear(4 * config.value_width, 3 * self.cell**2),
        )

    def forward(self, values: Float[Tensor, "crops num_values value_width"]) -> Float[Tensor, "crops 3 small small"]:
        """RGB in about [-1, 1]."""
        cells = self.layers(values).view(len(values), self.grid, self.grid, 3, self.cell, self.cell)
        side = self.grid * self.cell
        return cells.permute(0, 3, 1, 4, 2, 5).reshape(len(values), 3, side, side)
