"""The ALIAS generator: ALIgnment-Aware Segment normalization paints the try-on (VITON-HD §3.4)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from atelier.models.layers.noise import Generators, draw_normal
from atelier.models.layers.spectral import SpectralConv2d
from atelier.models.tensors import DividedLayout, Features, Layout, Mask, Picture
from atelier.models.viton_hd.config import VitonHDConfig

ALIAS_INPUTS = 9
"""agnostic person 3, pose image 3, warped garment 3, in this order."""

BlockNoise = Float[Tensor, "norms batch 1 height width"]


class AliasNorm(nn.Module):
    """Normalizes a feature, then scales and shifts it by what the layout says at each pixel.

    One noise map, scaled per channel, is added first; `noise_scale` starts at zero.
    """

    def __init__(self, channels: int, layout_channels: int, hidden: int, *, by_region: bool) -> None:
        super().__init__()
        self.noise_scale = nn.Parameter(torch.zeros(channels))
        self.conv_shared = nn.Sequential(nn.Conv2d(layout_channels, hidden, 3, padding=1), nn.ReLU())
        self.conv_gamma = nn.Conv2d(hidden, channels, 3, padding=1)
        self.conv_beta = nn.Conv2d(hidden, channels, 3, padding=1)
        self.by_region = by_region

    def forward(
        self, x: Features, layout: Float[Tensor, "batch layout_channels height width"], misaligned: Mask, noise: Mask
    ) -> Features:
        """`x` with the layout's modulation; `misaligned` matters where the misaligned region is normalized apart."""
        x = torch.addcmul(x, noise, self.noise_scale.view(1, -1, 1, 1))
        normalized = region_norm(x, misaligned) if self.by_region else F.instance_norm(x)
        hidden = self.conv_shared(layout)
        return torch.addcmul(self.conv_beta(hidden), normalized, 1 + self.conv_gamma(hidden))


def region_norm(x: Features, misaligned: Mask) -> Features:
    """Instance norm of the misaligned region and of the rest, each by its own statistics, summed."""
    area = x.shape[-2] * x.shape[-1]
    total = torch.zeros_like(x)
    for mask in (misaligned, 1 - misaligned):
        count = mask.sum((2, 3), keepdim=True)
        count = torch.where(count == 0, torch.ones_like(count), count)
        region = x * mask
        mean = region.sum((2, 3), keepdim=True) / count
        # The rest is filled with the region's mean, which leaves the mean and shrinks the deviation by √(count/area).
        total = total + F.instance_norm(region + (1 - mask) * mean) * torch.sqrt(count / area)
    return total


class AliasBlock(nn.Module):
    """A residual block of ALIAS norms; `conv_s` and `norm_s` exist where the channel count changes."""

    def __init__(
        self, in_channels: int, out_channels: int, layout_channels: int, hidden: int, *, by_region: bool
    ) -> None:
        super().__init__()
        middle = min(in_channels, out_channels)
        self.has_shortcut = in_channels != out_channels
        self.num_norms = 3 if self.has_shortcut else 2

        def norm(channels: int) -> AliasNorm:
            return AliasNorm(channels, layout_channels, hidden, by_region=by_region)

        self.conv_0 = SpectralConv2d(in_channels, middle, 3, padding=1)
        self.conv_1 = SpectralConv2d(middle, out_channels, 3, padding=1)
        self.norm_0, self.norm_1 = norm(in_channels), norm(middle)
        if self.has_shortcut:
            self.conv_s = SpectralConv2d(in_channels, out_channels, 1, bias=False)
            self.norm_s = norm(in_channels)

    def forward(
        self,
        x: Features,
        layout: Float[Tensor, "batch layout_channels full_height full_width"],
        misaligned: Float[Tensor, "batch 1 full_height full_width"],
        noise: BlockNoise,
    ) -> Float[Tensor, "batch out_channels height width"]:
        """The block's output; layout and misalignment are resized (nearest) to `x`, `noise` has one map per norm."""
        size = x.shape[-2:]
        layout = F.interpolate(layout, size=size, mode="nearest")
        misaligned = F.interpolate(misaligned, size=size, mode="nearest")
        shortcut = x
        if self.has_shortcut:
            shortcut = self.conv_s(self.norm_s(x, layout, misaligned, noise[0]))
        main = self.conv_0(F.leaky_relu(self.norm_0(x, layout, misaligned, noise[-2]), 0.2))
        main = self.conv_1(F.leaky_relu(self.norm_1(main, layout, misaligned, noise[-1]), 0.2))
        return shortcut + main


class ALIASGenerator(nn.Module):
    """Coarse to fine: a block, a doubling, the input again at the new size, the next block."""

    def __init__(self, config: VitonHDConfig) -> None:
        super().__init__()
        widths, injected = config.alias_widths, config.alias_injected
        self.block_names = tuple(_block_name(index) for index in range(len(widths)))
        previous = widths[0]
        for index, (name, width) in enumerate(zip(self.block_names, widths, strict=True)):
            first, by_region = index == 0, index < config.num_misaligned_blocks
            self.add_module(f"conv_{index}", nn.Conv2d(ALIAS_INPUTS, widths[0] if first else injected, 3, padding=1))
            block = AliasBlock(
                in_channels=previous if first else previous + injected,
                out_channels=width,
                layout_channels=8 if by_region else 7,
                hidden=config.alias_hidden,
                by_region=by_region,
            )
            self.add_module(name, block)
            previous = width
        self.conv_img = nn.Conv2d(previous, 3, 3, padding=1)

    def forward(
        self,
        x: Float[Tensor, "batch 9 height width"],
        layout: Layout,
        divided_layout: DividedLayout,
        misaligned: Mask,
        noise: Sequence[Tensor],
    ) -> Picture:
        """The try-on picture.

        Args:
            x: agnostic person, pose image and warped garment.
            layout: for the finer blocks.
            divided_layout: for the coarser blocks, which also get `misaligned`.
            misaligned: the misalignment mask.
            noise: from `draw_noise`, one [norms, B, 1, h, w] per block.
        """
        feature = None
        for index, name in enumerate(self.block_names):
            scale = 2 ** (len(self.block_names) - 1 - index)
            size = (x.shape[-2] // scale, x.shape[-1] // scale)
            injected = self.get_submodule(f"conv_{index}")(F.interpolate(x, size=size, mode="nearest"))
            if feature is None:
                feature = injected
            else:
                feature = torch.cat([F.interpolate(feature, scale_factor=2, mode="nearest"), injected], 1)
            block = self._block(name)
            feature = block(feature, divided_layout if block.norm_0.by_region else layout, misaligned, noise[index])
        assert feature is not None
        return torch.tanh(self.conv_img(F.leaky_relu(feature, 0.2)))

    def draw_noise(self, num_rows: int, size: tuple[int, int], generator: Generators) -> list[Tensor]:
        """All the noise of one forward pass, on the CPU, in the order and shapes of the published code.

        Every norm draws one map of (width, height) a row, also in evaluation; a block's shortcut norm draws first.
        """
        noise = []
        for index, name in enumerate(self.block_names):
            scale = 2 ** (len(self.block_names) - 1 - index)
            shape = (size[1] // scale, size[0] // scale, 1)
            draws = [draw_normal(num_rows, shape, generator) for _ in range(self._block(name).num_norms)]
            noise.append(torch.stack(draws).transpose(2, 4))
        return noise

    def _block(self, name: str) -> AliasBlock:
        block = self.get_submodule(name)
        assert isinstance(block, AliasBlock)
        return block


def _block_name(index: int) -> str:
    return ("head_0", "G_middle_0", "G_middle_1")[index] if index < 3 else f"up_{index - 3}"
