"""What a VITON-HD is built from: sizes and widths, published or small."""

from __future__ import annotations

from dataclasses import dataclass

from atelier.errors import ConfigError
from atelier.models.layers.config import ModelConfig


@dataclass(frozen=True, kw_only=True)
class VitonHDConfig(ModelConfig):
    """Sizes are (height, width) in pixels. The defaults are the published network's."""

    model = "viton_hd"

    working_size: tuple[int, int] = (1024, 768)
    """What the weights are trained for; other sizes run, `check_size` says which."""

    segmentation_size: tuple[int, int] = (256, 192)
    """The segmentation generator's fixed input and output."""
    segmentation_widths: tuple[int, ...] = (64, 128, 256, 512, 1024)
    """Channels of the U-Net from its full resolution down."""
    blur_kernel: int = 15
    blur_sigma: float = 3.0
    """Smooths the upsampled segmentation before its argmax, in pixels of the working size."""

    matching_size: tuple[int, int] = (256, 192)
    """The geometric matching module's fixed input, whatever the picture's size."""
    matching_widths: tuple[int, ...] = (64, 128, 256, 512)
    """Channels of the feature extractors' four halvings; the last holds for the correlated features too."""
    regression_widths: tuple[int, int, int, int] = (512, 256, 128, 64)
    grid_extent: float = 0.9
    """Control points and sampling grid span ± this; see `ThinPlateSpline`."""

    alias_widths: tuple[int, ...] = (1024, 1024, 1024, 512, 256, 128, 64, 32)
    """Output channels of the ALIAS blocks, coarse to fine; one doubling lies between two blocks."""
    alias_hidden: int = 128
    """Channels between the layout and a normalization's scale and shift."""
    alias_injected: int = 16
    """Channels that the input, resized to a block's resolution, adds to the running feature."""
    num_misaligned_blocks: int = 5
    """How many blocks, from the coarsest, normalize the misaligned region apart; the others use instance norm."""

    def __post_init__(self) -> None:
        num_halvings = len(self.segmentation_widths) - 1
        _check_multiple("segmentation_size", self.segmentation_size, 2**num_halvings)
        _check_multiple("matching_size", self.matching_size, 32)
        if len(self.matching_widths) != 4:
            raise ConfigError(f"matching_widths: {len(self.matching_widths)} given, must be 4: one for each halving")
        if self.blur_kernel % 2 == 0:
            raise ConfigError(f"blur_kernel: is {self.blur_kernel}, must be odd")
        if not 0 <= self.num_misaligned_blocks <= len(self.alias_widths):
            allowed = f"0..{len(self.alias_widths)}"
            raise ConfigError(f"num_misaligned_blocks: is {self.num_misaligned_blocks}, must be {allowed}")
        self.check_size(self.working_size)

    @property
    def size_multiple(self) -> int:
        """Both sides of a picture must be a multiple of this: one doubling between two ALIAS blocks."""
        return 2 ** (len(self.alias_widths) - 1)

    def check_size(self, size: tuple[int, int]) -> None:
        """Refuses a picture size that the generator would silently change.

        Raises:
            ConfigError: says which sizes are allowed.
        """
        _check_multiple("working_size", size, self.size_multiple)
        if size == (self.size_multiple, self.size_multiple):
            raise ConfigError(
                f"working_size: is {size[0]}x{size[1]}, which leaves one pixel at the coarsest block, where nothing can"
                f" be normalized; double at least one side"
            )


def viton_hd() -> VitonHDConfig:
    """The published network: 154 M parameters, 1024x768."""
    return VitonHDConfig()


def viton_hd_closet() -> VitonHDConfig:
    """A small one for 256x192 that trains on a CPU: six ALIAS blocks, so that sides are multiples of 32."""
    return VitonHDConfig(
        working_size=(256, 192),
        segmentation_size=(128, 96),
        segmentation_widths=(16, 32, 64, 96, 128),
        blur_kernel=7,
        blur_sigma=1.5,
        matching_size=(256, 192),
        matching_widths=(16, 32, 64, 96),
        regression_widths=(96, 64, 48, 32),
        # The last block reads as many channels as it writes (12 + 8): no shortcut to normalize at full size, the
        # dearest block by far, and the injected colours pass it by unchanged.
        alias_widths=(96, 96, 64, 40, 12, 20),
        alias_hidden=16,
        alias_injected=8,
        num_misaligned_blocks=4,
    )


def _check_multiple(name: str, size: tuple[int, int], multiple: int) -> None:
    height, width = size
    if height < multiple or width < multiple or height % multiple or width % multiple:
        near = " or ".join(
            f"{h}x{w}"
            for h, w in dict.fromkeys(
                ((_down(height, multiple), _down(width, multiple)), (_up(height, multiple), _up(width, multiple)))
            )
        )
        raise ConfigError(
            f"{name}: is {height}x{width}, both sides must be multiples of {multiple}; the nearest are {near}"
        )


def _down(side: int, multiple: int) -> int:
    return max(side // multiple, 1) * multiple


def _up(side: int, multiple: int) -> int:
    return max(-(-side // multiple), 1) * multiple
