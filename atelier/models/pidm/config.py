"""What a PIDM is built from: sizes and widths, published or small, and the noise it is trained on."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from atelier.errors import ConfigError
from atelier.models.layers.config import ModelConfig, check_last_timestep

POSE_CHANNELS = 20
"""Of a pose map: 3 of the coloured skeleton, 17 of distances to limbs."""
Prediction = Literal["eps", "v"]
Guidance = Literal["none", "released", "disentangled", "nested"]


@dataclass(frozen=True, kw_only=True)
class PidmConfig(ModelConfig):
    """Sizes are (height, width) in pixels. The defaults are the published network's at 256x256."""

    model = "pidm"

    working_size: tuple[int, int] = (256, 256)
    """What the weights are trained for; other sizes run, `check_size` says which."""

    patch: int = 1
    """Pixels on a side that both networks take as one; 1 as published, more is ours, for small weights: a quarter of
    the work at 2."""
    width: int = 128
    """Channels of the finest level."""
    multipliers: tuple[int, ...] = (1, 1, 2, 2, 4, 4)
    """Channels of each level in multiples of `width`, fine to coarse; one halving lies between two levels."""
    num_blocks: int = 2
    """Residual blocks of a level going down; going up there is one more."""
    texture_strides: tuple[int, ...] = (8, 16, 32)
    """Where texture diffusion blocks are: pixels of the picture per position; one down, one up, and one in the middle
    where the coarsest level is among them. Without any there is no encoder, and the source is concatenated to the noisy
    picture: the baseline that the paper's blocks are held against, as we read it."""
    num_groups: int = 32
    """Of every group norm; divides the channels of every level."""
    dropout: float = 0.1

    num_timesteps: int = 1000
    """Of the linear noise schedule, betas 1e-4 to 2e-2."""
    prediction: Prediction = "eps"
    """What the network's first three channels are: the noise, as published, or `alpha eps - sigma x0` (ours, for small
    weights). At the last timesteps a picture is 1/130 of its noise, and an eps that is wrong by 0.01 makes a picture
    that is wrong by 1.3: a network that saw some 100,000 pictures begins every sampling run with a wrong colour and
    keeps it. An error of v is no larger in the picture."""
    last_timestep: int = field(default=0, metadata={"identity": False})
    """The least noise that sampling visits: what the network takes the picture for there is the picture. 0 is as
    published; more is ours, for small weights, whose last steps add grain where they should add detail."""
    clip: bool = False
    """Whether sampling holds the estimated picture in [-1, 1] at every step; the released DDIM does not."""
    guidance: Guidance = "released"
    """What sampling does unless told otherwise. `disentangled`, the paper's Eq. 6, needs weights that were trained with
    the pose dropped; the released ones were not."""

    def __post_init__(self) -> None:
        if self.patch < 1:
            raise ConfigError(f"patch: is {self.patch}, must be at least 1")
        strides = [self._stride(level) for level in range(len(self.multipliers))]
        if strangers := sorted(set(self.texture_strides) - set(strides)):
            raise ConfigError(f"texture_strides: {strangers} are none of the levels' strides, which are {strides}")
        if self.width % 2 or self.num_blocks < 1:
            raise ConfigError(f"width: is {self.width}, num_blocks: is {self.num_blocks}; must be even and at least 1")
        for multiplier in self.multipliers:
            if multiplier * self.width % self.num_groups:
                raise ConfigError(f"num_groups: {self.num_groups} does not divide {multiplier} x {self.width} channels")
        check_last_timestep(self.last_timestep, self.num_timesteps)
        self.check_size(self.working_size)

    @property
    def time_width(self) -> int:
        """Of the time's vector."""
        return 4 * self.width

    @property
    def size_multiple(self) -> int:
        """Both sides of a picture must be a multiple of this: one halving between two levels."""
        return self._stride(len(self.multipliers) - 1)

    def has_texture(self, level: int) -> bool:
        """Whether a level has texture diffusion blocks; 0 is the finest."""
        return self._stride(level) in self.texture_strides

    def _stride(self, level: int) -> int:
        return self.patch * 2**level

    def check_size(self, size: tuple[int, int]) -> None:
        """Refuses a picture size whose halvings do not come out even.

        Raises:
            ConfigError: names the size and the multiple.
        """
        height, width = size
        multiple = self.size_multiple
        if min(size) < multiple or height % multiple or width % multiple:
            raise ConfigError(f"working_size: is {height}x{width}, both sides must be multiples of {multiple}")


def pidm_256() -> PidmConfig:
    """The published network: 162 M parameters at work, 256x256."""
    return PidmConfig()


def pidm_512() -> PidmConfig:
    """The published network at the paper's larger size, 512x352."""
    return PidmConfig(working_size=(512, 352))


def pidm_closet() -> PidmConfig:
    """A small one for 128x96 that trains on a CPU: pixels in patches of 2x2; textures at strides 4, 8 and 16, as the
    published 32 would leave 4x3."""
    return PidmConfig(
        working_size=(128, 96),
        patch=2,
        width=24,
        multipliers=(1, 2, 3, 4, 4),
        num_blocks=1,
        texture_strides=(4, 8, 16),
        num_groups=8,
        dropout=0.0,
        prediction="v",
        clip=True,
        guidance="disentangled",
    )
