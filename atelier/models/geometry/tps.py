"""Thin plate splines: a few control points bend the whole picture (Bookstein 1989)."""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from jaxtyping import Float
from safetensors.torch import load_file
from torch import Tensor, nn

from atelier.models.tensors import ControlPoints, Features, Grid

_PUBLISHED = (5, 0.9)
_PUBLISHED_WEIGHTS = Path(__file__).with_name("tps_5x5.safetensors")


class ThinPlateSpline(nn.Module):
    """Sampling grids from offsets of a regular grid of control points.

    Control points and sampling positions both span ±`extent`. Below 1 this is the published VITON-HD's choice: zero
    offsets then zoom in by 1/`extent`, and trained weights count on it.

    The points are numbered column by column (x is constant over each run of `points_per_side`): the published code
    swaps the two axes of its mesh, and weights trained on it order their offsets so.
    """

    kernel_weights: Tensor
    base_points: Tensor

    def __init__(self, points_per_side: int = 5, extent: float = 0.9) -> None:
        super().__init__()
        self.points_per_side, self.extent = points_per_side, extent
        ticks = torch.linspace(-extent, extent, points_per_side, dtype=torch.float64)
        base = torch.cartesian_prod(ticks, ticks)
        self.register_buffer("base_points", base.float(), persistent=False)
        self.register_buffer("kernel_weights", _kernel_weights(base, points_per_side, extent), persistent=False)
        self._positions: tuple[tuple[int, int, torch.device], Tensor, Tensor] | None = None

    def control_points(self, theta: Float[Tensor, "batch coordinates"]) -> ControlPoints:
        """Where the control points sample: base points plus `theta` (all x-offsets, then all y-offsets)."""
        return self.base_points + theta.unflatten(1, (2, -1)).transpose(1, 2)

    def forward(self, theta: Float[Tensor, "batch coordinates"], size: tuple[int, int]) -> Grid:
        """The sampling grid for a picture of `size` (height, width), in float32."""
        points, radial = self._basis(size)
        num_points = len(self.base_points)
        # float32, whatever the networks run in: half precision would move garment edges by whole pixels at 1024x768.
        with torch.autocast(theta.device.type, enabled=False):
            targets = self.control_points(theta.float())
            # Summed point by point, and the picture's positions by rows: a matrix product adds in another order on
            # every machine, and the generator's coarse instance norms blow the last digits up.
            coefficients = torch.zeros_like(self.kernel_weights[:, :2])
            for index in range(num_points):
                coefficients = coefficients + self.kernel_weights[:, index, None] * targets[:, index, None]
            axes = [
                row[num_points, axis]
                + row[num_points + 1, axis] * points[:, 0]
                + row[num_points + 2, axis] * points[:, 1]
                + (row[:num_points, axis] * radial).sum(-1)
                for row in coefficients
                for axis in (0, 1)
            ]
        return torch.stack(axes, -1).view(*size, -1, 2).permute(2, 0, 1, 3)

    def _basis(self, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
        """Sampling positions [H*W, 2] and their radial distances to the base points; kept for the last size."""
        device = self.base_points.device
        if self._positions is None or self._positions[0] != (*size, device):
            height, width = size
            y = torch.linspace(-self.extent, self.extent, height, dtype=torch.float64)
            x = torch.linspace(-self.extent, self.extent, width, dtype=torch.float64)
            points = torch.stack([x.expand(height, width), y[:, None].expand(height, width)], -1).flatten(0, 1).float()
            radial = _radial(_squared_distances(points, self.base_points.cpu()))
            self._positions = ((*size, device), points.to(device), radial.to(device))
        return self._positions[1], self._positions[2]


def warp(
    picture: Features, grid: Float[Tensor, "batch out_height out_width 2"]
) -> Float[Tensor, "batch channels out_height out_width"]:
    """`picture` sampled at `grid`, bilinear; beyond its border the border's value."""
    return F.grid_sample(picture, grid, mode="bilinear", padding_mode="border", align_corners=False)


def _kernel_weights(base: Tensor, points_per_side: int, extent: float) -> Tensor:
    """[points + 3, points]: what turns control points into kernel and affine coefficients."""
    if (points_per_side, extent) == _PUBLISHED:
        # The published code inverts in float32, where the last digits are the machine's; these are the digits that the
        # reference outputs of the parity test were taken with.
        return load_file(_PUBLISHED_WEIGHTS)["kernel_weights"]
    num_points = len(base)
    system = torch.zeros(num_points + 3, num_points + 3, dtype=torch.float64)
    affine = torch.cat([torch.ones(num_points, 1, dtype=torch.float64), base], 1)
    system[:num_points, :num_points] = _radial(_squared_distances(base, base))
    system[:num_points, num_points:] = affine
    system[num_points:, :num_points] = affine.t()
    return torch.linalg.inv(system)[:, :num_points].float()


def _squared_distances(points: Tensor, others: Tensor) -> Tensor:
    # By differences, not torch.cdist: its matrix-product route loses digits between near points.
    x, y = (points[:, None, axis] - others[None, :, axis] for axis in (0, 1))
    return x.square() + y.square()


def _radial(squared: Tensor) -> Tensor:
    """U(r) = r² log r², which is 0 at r = 0."""
    return torch.where(squared == 0, 0.0, squared * squared.clamp_min(torch.finfo(squared.dtype).tiny).log())
