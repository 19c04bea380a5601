"""Thin plate splines: a few control points bend the whole picture (Bookstein 1989)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from atelier.models.tensors import ControlPoints, Features, Grid


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
        ticks = torch.linspace(-extent, extent, points_per_side, dtype=torch.float64)
        base = torch.cartesian_prod(ticks, ticks).float()
        num_points = len(base)
        system = torch.zeros(num_points + 3, num_points + 3)
        system[:num_points, :num_points] = _radial(_squared_distances(base, base))
        affine = torch.cat([torch.ones(num_points, 1), base], 1)
        system[:num_points, num_points:] = affine
        system[num_points:, :num_points] = affine.t()
        # Solved in float32 on purpose: the published grids carry its rounding, visible at 1024x768.
        self.register_buffer("kernel_weights", torch.linalg.inv(system)[:, :num_points], persistent=False)
        self.register_buffer("base_points", base, persistent=False)
        self.points_per_side, self.extent = points_per_side, extent
        self._positions: tuple[tuple[int, int, torch.device], Tensor, Tensor] | None = None

    def control_points(self, theta: Float[Tensor, "batch coordinates"]) -> ControlPoints:
        """Where the control points sample: base points plus `theta` (all x-offsets, then all y-offsets)."""
        return self.base_points + theta.unflatten(1, (2, -1)).transpose(1, 2)

    def forward(self, theta: Float[Tensor, "batch coordinates"], size: tuple[int, int]) -> Grid:
        """The sampling grid for a picture of `size` (height, width), in float32."""
        points, radial = self._basis(size)
        num_points = len(self.base_points)
        # float32 throughout: half precision would move garment edges by whole pixels at 1024x768.
        with torch.autocast(theta.device.type, enabled=False):
            coefficients = self.kernel_weights @ self.control_points(theta.float())
            bent, affine = coefficients[:, :num_points], coefficients[:, num_points:]
            straight = affine[:, None, 0] + affine[:, None, 1] * points[:, :1] + affine[:, None, 2] * points[:, 1:]
            grid = straight + radial @ bent
        return grid.unflatten(1, size)

    def _basis(self, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
        """Sampling positions [H*W, 2] and their radial distances to the base points; kept for the last size."""
        key = (*size, self.base_points.device)
        if self._positions is None or self._positions[0] != key:
            height, width = size
            y = torch.linspace(-self.extent, self.extent, height, dtype=torch.float64)
            x = torch.linspace(-self.extent, self.extent, width, dtype=torch.float64)
            points = torch.stack([x.expand(height, width), y[:, None].expand(height, width)], -1).flatten(0, 1)
            points = points.float().to(key[2])
            self._positions = (key, points, _radial(_squared_distances(points, self.base_points)))
        return self._positions[1], self._positions[2]


def warp(picture: Features, grid: Float[Tensor, "batch out_height out_width 2"]) -> Features:
    """`picture` sampled at `grid`, bilinear; beyond its border the border's value."""
    return F.grid_sample(picture, grid, mode="bilinear", padding_mode="border", align_corners=False)


def _squared_distances(points: Tensor, others: Tensor) -> Tensor:
    # By differences, not torch.cdist: its matrix-product route loses digits between near points.
    x, y = (points[:, None, axis] - others[None, :, axis] for axis in (0, 1))
    return x.square() + y.square()


def _radial(squared: Tensor) -> Tensor:
    """U(r) = r² log r², which is 0 at r = 0."""
    return torch.where(squared == 0, 0.0, squared * squared.clamp_min(torch.finfo(squared.dtype).tiny).log())
