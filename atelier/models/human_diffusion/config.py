"""What a HumanDiffusion is built from: sizes, widths, and which of the paper's parts it has."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from atelier.errors import ConfigError
from atelier.models.human_diffusion.closet_words import CLOSET_WORDS
from atelier.models.layers.config import ModelConfig, check_last_timestep

EncoderKind = Literal["clip", "small"]
Prediction = Literal["eps", "v"]
NoiseSchedule = Literal["linear", "scaled_linear", "cosine"]


@dataclass(frozen=True, kw_only=True)
class HumanDiffusionConfig(ModelConfig):
    """Sizes are (height, width) in pixels of the picture, strides its pixels per position.

    The paper states no sizes: the defaults are our reading, shaped like a latent diffusion model of 2022 at the size
    that DeepFashion-MultiModal's users train at.
    """

    model = "human_diffusion"

    working_size: tuple[int, int] = (512, 256)
    """What the weights are trained for; other sizes run, `check_size` says which."""

    encoder: EncoderKind = "clip"
    """Of words and crops: CLIP from a local folder, or a small one inside the model."""
    crop_size: int = 224
    """Side of the square that a region's crop is resized to."""
    key_width: int = 768
    """Of the space that words and crops share."""
    value_width: int = 1024
    num_values: int = 4
    """Tokens that a crop is remembered by; a square number: a grid over the crop."""
    max_words: int = 16
    num_buckets: int = 4096
    """Of the small text encoder's hashed character n-grams."""
    text_width: int = 128
    """Of the small text encoder."""
    known_words: tuple[str, ...] = ()
    """Words the weights were trained on: others are warned about. Empty: no claim, as for CLIP."""

    latent_channels: int = 4
    latent_stride: int = 8
    """Of the autoencoder; 1: the model works on pixels and has none."""
    patch: int = 1
    """Positions of the latents, or pixels, on a side that the UNet takes as one."""
    width: int = 320
    """Channels of the finest level."""
    multipliers: tuple[int, ...] = (1, 2, 4, 4)
    """Channels of each level in multiples of `width`, fine to coarse; one halving lies between two levels."""
    num_blocks: int = 2
    """Residual blocks of a level, on either way."""
    num_groups: int = 32
    """Of every group norm; divides the channels of every level."""
    head_width: int = 64
    """Channels of an attention head; levels whose channels it does not divide have one head."""
    self_attention_strides: tuple[int, ...] = (16, 32, 64)
    """Where picture tokens also attend to each other."""
    token_width: int = 768
    """Of region tokens, as the alignment blocks read them."""

    stylized_memory: bool = True
    """SMR; False is its ablation: words alone."""
    top_k: int = 8
    """Crops retrieved for a region."""
    temperature: float = 0.07
    """Of the softmax over retrieved crops' similarities."""
    image_share: float = 0.5
    """Of a crop's picture key in its similarity to words; the rest is its own words' key."""
    aligned: bool = True
    """MCA; False is its ablation: cross-attention to all regions' tokens without the pose map, and no modulation."""
    retrieved_strides: tuple[int, ...] = (8, 16)
    """Levels that attend to retrieved tokens beside the regions' own: the fine ones."""

    prediction: Prediction = "eps"
    num_timesteps: int = 1000
    noise_schedule: NoiseSchedule = "scaled_linear"
    last_timestep: int = field(default=0, metadata={"identity": False})
    """The least noise that sampling visits: what the network takes the picture for there is the picture. 0 is as
    published; more is ours, for small weights, whose last steps add grain where they should add detail."""

    def __post_init__(self) -> None:
        for name in ("self_attention_strides", "retrieved_strides"):
            if strangers := sorted(set(getattr(self, name)) - set(self.strides)):
                raise ConfigError(f"{name}: {strangers} are none of the levels' strides, which are {self.strides}")
        if int(self.num_values**0.5) ** 2 != self.num_values:
            raise ConfigError(f"num_values: is {self.num_values}, must be a square number: a grid over the crop")
        for multiplier in self.multipliers:
            if multiplier * self.width % self.num_groups:
                raise ConfigError(f"num_groups: {self.num_groups} does not divide {multiplier} x {self.width} channels")
        if not 0 <= self.image_share <= 1:
            raise ConfigError(f"image_share: is {self.image_share}, must be in [0, 1]")
        check_last_timestep(self.last_timestep, self.num_timesteps)
        self.check_size(self.working_size)

    @property
    def strides(self) -> list[int]:
        """Pixels of the picture per position of each level, fine to coarse."""
        return [self.latent_stride * self.patch * 2**level for level in range(len(self.multipliers))]

    @property
    def widths(self) -> list[int]:
        """Channels of each level, fine to coarse."""
        return [self.width * multiplier for multiplier in self.multipliers]

    @property
    def num_retrieved(self) -> int:
        """Retrieved tokens of a region."""
        return self.top_k * self.num_values if self.stylized_memory else 0

    def latent_shape(self, size: tuple[int, int]) -> tuple[int, int, int]:
        """(channels, height, width) of what is denoised for a picture of a size.

        Raises:
            ConfigError: as `check_size`.
        """
        self.check_size(size)
        return self.latent_channels, size[0] // self.latent_stride, size[1] // self.latent_stride

    def check_size(self, size: tuple[int, int]) -> None:
        """Refuses a picture size whose halvings do not come out even.

        Raises:
            ConfigError: names the size and the multiple.
        """
        height, width = size
        multiple = self.strides[-1]
        if min(size) < multiple or height % multiple or width % multiple:
            raise ConfigError(f"working_size: is {height}x{width}, both sides must be multiples of {multiple}")


def human_diffusion() -> HumanDiffusionConfig:
    """The large one: latents of Stable Diffusion's autoencoder, CLIP ViT-L/14, 512x256."""
    return HumanDiffusionConfig()


def human_diffusion_closet() -> HumanDiffusionConfig:
    """A small one for 128x96 that trains on a CPU: pixels in patches of 2x2, encoders of its own, no autoencoder."""
    return HumanDiffusionConfig(
        working_size=(128, 96),
        encoder="small",
        crop_size=32,
        key_width=64,
        value_width=64,
        num_values=4,
        num_buckets=2048,
        text_width=96,
        known_words=CLOSET_WORDS,
        latent_channels=3,
        latent_stride=1,
        patch=2,
        width=48,
        multipliers=(1, 2, 2, 3),
        num_blocks=1,
        num_groups=8,
        head_width=48,
        self_attention_strides=(8, 16),
        token_width=96,
        top_k=4,
        retrieved_strides=(2, 4),
        prediction="v",
        noise_schedule="linear",
        last_timestep=400,
    )
