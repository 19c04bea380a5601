"""The geometric matching module: where each point of the garment goes on the person (VITON-HD §3.3)."""

from __future__ import annotations

from typing import cast

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from atelier.models.geometry.tps import ThinPlateSpline
from atelier.models.tensors import Features, Grid, Theta
from atelier.models.viton_hd import summation
from atelier.models.viton_hd.config import VitonHDConfig

PERSON_INPUTS = 7
"""upper region of the layout 1, pose image 3, agnostic person 3, in this order."""
GARMENT_INPUTS = 3
"""The garment, not masked."""
POINTS_PER_SIDE = 5


class FeatureExtraction(nn.Module):
    """Four halvings and two flat convolutions; each is convolution, ReLU, then batch norm, in that order."""

    def __init__(self, in_channels: int, widths: tuple[int, ...]) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for width in widths:
            layers += [nn.Conv2d(in_channels, width, 4, stride=2, padding=1), nn.ReLU(), nn.BatchNorm2d(width)]
            in_channels = width
        layers += [nn.Conv2d(in_channels, in_channels, 3, padding=1), nn.ReLU(), nn.BatchNorm2d(in_channels)]
        layers += [nn.Conv2d(in_channels, in_channels, 3, padding=1), nn.ReLU()]
        self.model = nn.Sequential(*layers)

    def forward(self, x: Features) -> Float[Tensor, "batch features rows columns"]:
        """Features at a sixteenth of the input's size."""
        return self.model(x)


class FeatureRegression(nn.Module):
    """Control point offsets from the correlation map; here batch norm comes before the ReLU."""

    def __init__(self, in_channels: int, widths: tuple[int, int, int, int], num_cells: int, out_features: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for width, kernel, stride in zip(widths, (4, 4, 3, 3), (2, 2, 1, 1), strict=True):
            layers += [nn.Conv2d(in_channels, width, kernel, stride, padding=1), nn.BatchNorm2d(width), nn.ReLU()]
            in_channels = width
        self.conv = nn.Sequential(*layers)
        self.linear = nn.Linear(in_channels * num_cells, out_features)

    def forward(self, x: Float[Tensor, "batch cells rows columns"]) -> Theta:
        """Offsets within ±1; in evaluation on a CPU with the published code's last digits, see `summation`."""
        if self.training or x.device.type != "cpu" or torch.compiler.is_compiling():
            return torch.tanh(self.linear(self.conv(x).flatten(1)))
        for layer in self.conv:
            keeps_size = isinstance(layer, nn.Conv2d) and layer.stride == (1, 1)  # those that halve add up alike anyway
            x = summation.convolve(cast(nn.Conv2d, layer), x) if keeps_size else layer(x)
        # In float64: libraries differ in the last digit of every hundredth float32 tanh.
        return torch.tanh(summation.project(self.linear, x.flatten(1)).double()).to(x.dtype)


class GMM(nn.Module):
    """Geometric Matching Module: theta from the person's layout and the flat garment, both at `matching_size`."""

    def __init__(self, config: VitonHDConfig) -> None:
        super().__init__()
        height, width = config.matching_size
        self.extractionA = FeatureExtraction(PERSON_INPUTS, config.matching_widths)
        self.extractionB = FeatureExtraction(GARMENT_INPUTS, config.matching_widths)
        self.regression = FeatureRegression(
            in_channels=(height // 16) * (width // 16),
            widths=config.regression_widths,
            num_cells=(height // 64) * (width // 64),
            out_features=2 * POINTS_PER_SIDE**2,
        )
        self.tps = ThinPlateSpline(POINTS_PER_SIDE, config.grid_extent)

    def forward(
        self, person: Float[Tensor, "batch 7 height width"], garment: Float[Tensor, "batch 3 height width"]
    ) -> Theta:
        """25 x-offsets, then 25 y-offsets, of the control points."""
        return self.regression(correlation(self.extractionA(person), self.extractionB(garment)))

    def grid(self, theta: Theta, size: tuple[int, int]) -> Grid:
        """Where each pixel of a picture of `size` looks into the flat garment."""
        return self.tps(theta, size)


def correlation(
    person: Float[Tensor, "batch features rows columns"], garment: Float[Tensor, "batch features rows columns"]
) -> Float[Tensor, "batch cells rows columns"]:
    """Cosine of every person cell (channels, column by column) with every garment cell (positions)."""
    rows, columns = garment.shape[-2:]
    person, garment = F.normalize(person, dim=1), F.normalize(garment, dim=1)
    cells = person.permute(0, 3, 2, 1).flatten(1, 2)  # column by column, as the published weights expect
    return summation.product(cells, garment.flatten(2)).unflatten(2, (rows, columns))
