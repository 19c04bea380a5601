"""Inception v3's blocks (Szegedy et al. 2016) as TensorFlow's 2015 graph has them, under torchvision's key names.

Two things differ from torchvision's own network: an average pool does not count its zero padding, and the last block
pools by maximum.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from atelier.models.tensors import Features


class Convolution(nn.Module):
    """Convolution, batch norm (epsilon 0.001) and ReLU."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: int | tuple[int, int] = 1,
        *,
        stride: int = 1,
        padding: int | tuple[int, int] = 0,
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, kernel, stride=stride, padding=padding, bias=False)
        self.bn = nn.BatchNorm2d(out_channels, eps=0.001)

    def forward(self, x: Features) -> Tensor:
        return F.relu(self.bn(self.conv(x)), inplace=True)


class Grid35(nn.Module):
    """`Mixed_5b` to `Mixed_5d`: 1x1, 5x5, two 3x3, and a pool."""

    def __init__(self, in_channels: int, pooled: int) -> None:
        super().__init__()
        self.branch1x1 = Convolution(in_channels, 64)
        self.branch5x5_1 = Convolution(in_channels, 48)
        self.branch5x5_2 = Convolution(48, 64, 5, padding=2)
        self.branch3x3dbl_1 = Convolution(in_channels, 64)
        self.branch3x3dbl_2 = Convolution(64, 96, 3, padding=1)
        self.branch3x3dbl_3 = Convolution(96, 96, 3, padding=1)
        self.branch_pool = Convolution(in_channels, pooled)

    def forward(self, x: Features) -> Tensor:
        five = self.branch5x5_2(self.branch5x5_1(x))
        three = self.branch3x3dbl_3(self.branch3x3dbl_2(self.branch3x3dbl_1(x)))
        return torch.cat([self.branch1x1(x), five, three, self.branch_pool(_average(x))], 1)


class To17(nn.Module):
    """`Mixed_6a`: down to half the side."""

    def __init__(self, in_channels: int) -> None:
        super().__init__()
        self.branch3x3 = Convolution(in_channels, 384, 3, stride=2)
        self.branch3x3dbl_1 = Convolution(in_channels, 64)
        self.branch3x3dbl_2 = Convolution(64, 96, 3, padding=1)
        self.branch3x3dbl_3 = Convolution(96, 96, 3, stride=2)

    def forward(self, x: Features) -> Tensor:
        three = self.branch3x3dbl_3(self.branch3x3dbl_2(self.branch3x3dbl_1(x)))
        return torch.cat([self.branch3x3(x), three, F.max_pool2d(x, 3, 2)], 1)


class Grid17(nn.Module):
    """`Mixed_6b` to `Mixed_6e`: 7x7 convolutions taken apart into rows and columns."""

    def __init__(self, in_channels: int, width: int) -> None:
        super().__init__()
        self.branch1x1 = Convolution(in_channels, 192)
        self.branch7x7_1 = Convolution(in_channels, width)
        self.branch7x7_2 = _row(width, width)
        self.branch7x7_3 = _column(width, 192)
        self.branch7x7dbl_1 = Convolution(in_channels, width)
        self.branch7x7dbl_2 = _column(width, width)
        self.branch7x7dbl_3 = _row(width, width)
        self.branch7x7dbl_4 = _column(width, width)
        self.branch7x7dbl_5 = _row(width, 192)
        self.branch_pool = Convolution(in_channels, 192)

    def forward(self, x: Features) -> Tensor:
        single = self.branch7x7_3(self.branch7x7_2(self.branch7x7_1(x)))
        double = self.branch7x7dbl_3(self.branch7x7dbl_2(self.branch7x7dbl_1(x)))
        double = self.branch7x7dbl_5(self.branch7x7dbl_4(double))
        return torch.cat([self.branch1x1(x), single, double, self.branch_pool(_average(x))], 1)


class To8(nn.Module):
    """`Mixed_7a`: down to half the side."""

    def __init__(self, in_channels: int) -> None:
        super().__init__()
        self.branch3x3_1 = Convolution(in_channels, 192)
        self.branch3x3_2 = Convolution(192, 320, 3, stride=2)
        self.branch7x7x3_1 = Convolution(in_channels, 192)
        self.branch7x7x3_2 = _row(192, 192)
        self.branch7x7x3_3 = _column(192, 192)
        self.branch7x7x3_4 = Convolution(192, 192, 3, stride=2)

    def forward(self, x: Features) -> Tensor:
        seven = self.branch7x7x3_3(self.branch7x7x3_2(self.branch7x7x3_1(x)))
        three = self.branch3x3_2(self.branch3x3_1(x))
        return torch.cat([three, self.branch7x7x3_4(seven), F.max_pool2d(x, 3, 2)], 1)


class Grid8(nn.Module):
    """`Mixed_7b` and `Mixed_7c`: branches that fork into a row and a column.

    Args:
        by_maximum: the last block pools so; TensorFlow's 2015 graph does, the paper doesn't.
    """

    def __init__(self, in_channels: int, *, by_maximum: bool) -> None:
        super().__init__()
        self.by_maximum = by_maximum
        self.branch1x1 = Convolution(in_channels, 320)
        self.branch3x3_1 = Convolution(in_channels, 384)
        self.branch3x3_2a = Convolution(384, 384, (1, 3), padding=(0, 1))
        self.branch3x3_2b = Convolution(384, 384, (3, 1), padding=(1, 0))
        self.branch3x3dbl_1 = Convolution(in_channels, 448)
        self.branch3x3dbl_2 = Convolution(448, 384, 3, padding=1)
        self.branch3x3dbl_3a = Convolution(384, 384, (1, 3), padding=(0, 1))
        self.branch3x3dbl_3b = Convolution(384, 384, (3, 1), padding=(1, 0))
        self.branch_pool = Convolution(in_channels, 192)

    def forward(self, x: Features) -> Tensor:
        single = self.branch3x3_1(x)
        double = self.branch3x3dbl_2(self.branch3x3dbl_1(x))
        forks = [
            self.branch3x3_2a(single),
            self.branch3x3_2b(single),
            self.branch3x3dbl_3a(double),
            self.branch3x3dbl_3b(double),
        ]
        pooled = F.max_pool2d(x, 3, 1, 1) if self.by_maximum else _average(x)
        return torch.cat([self.branch1x1(x), *forks, self.branch_pool(pooled)], 1)


def _row(in_channels: int, out_channels: int) -> Convolution:
    return Convolution(in_channels, out_channels, (1, 7), padding=(0, 3))


def _column(in_channels: int, out_channels: int) -> Convolution:
    return Convolution(in_channels, out_channels, (7, 1), padding=(3, 0))


def _average(x: Tensor) -> Tensor:
    return F.avg_pool2d(x, 3, 1, 1, count_include_pad=False)
