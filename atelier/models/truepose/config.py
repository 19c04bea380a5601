"""What a TruePose is built from: sizes, widths, and which of the paper's parts it has."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from atelier.errors import ConfigError
from atelier.models.layers.config import ModelConfig, check_last_timestep

EncoderKind = Literal["clip", "small"]
Prediction = Literal["eps", "v"]
PoseKind = Literal["skeleton", "pose_map"]
NoiseSchedule = Literal["linear", "scaled_linear", "cosine"]
_POSE_CHANNELS = {"skeleton": 3, "pose_map": 20}


@dataclass(frozen=True, kw_only=True)
class TruePoseConfig(ModelConfig):
    """Sizes are (height, width) in pixels of the picture, strides its pixels per position.

    The paper's text is not public to us: the defaults are our reading, with the networks of Stable Diffusion 1.5 and
    CLIP ViT-L/14, so that a training can begin from published weights.
    """

    model = "truepose"

    working_size: tuple[int, int] = (512, 352)
    """What the weights are trained for; other sizes run, `check_size` says which."""

    widths: tuple[int, ...] = (320, 640, 1280, 1280)
    """Of either UNet: channels of each level, fine to coarse; one halving lies between two levels."""
    attention: tuple[bool, ...] = (True, True, True, False)
    """Levels whose blocks attend."""
    middle: bool = True
    """Whether there are blocks between the two ways of a UNet."""
    num_blocks: int = 2
    """Residual blocks of a level going down; going up there is one more."""
    num_heads: int = 8
    num_groups: int = 32
    """Of every group norm of the UNets; divides the channels of every level."""
    token_width: int = 768
    """Of image tokens, as cross-attention reads them."""

    latent_channels: int = 4
    latent_scale: float = 0.18215
    """Latents times this have a deviation of about 1."""
    autoencoder_widths: tuple[int, ...] = (128, 256, 512, 512)
    """Channels of each level, fine to coarse; the latents' stride is one halving for each level but the first."""
    autoencoder_blocks: int = 2
    autoencoder_groups: int = 32
    autoencoder_attention: bool = True
    """Whether positions of the coarsest level attend to each other."""

    pose: PoseKind = "skeleton"
    """How the target's pose is drawn: OpenPose's skeleton, or PIDM's map, which adds distances to the limbs."""
    guider_widths: tuple[int, ...] = (16, 32, 96, 256)
    """Of the target pose guider: one a halving down to the latents' stride, and the first at full size."""

    encoder: EncoderKind = "clip"
    """Of whole picture and crops: CLIP's picture tower from a local folder, or a small one inside the model."""
    encoder_width: int = 1024
    """Of the encoder's tokens."""
    crop_size: int = 224
    """Side of the square that the encoder sees."""

    fusion: bool = True
    """HPFA; False is its ablation: plain reference attention."""
    face_share: float = 0.125
    garment_share: float = 0.5
    """Of a layer's source tokens: how many the face and the garment may select at most; where they have more, every
    n-th is taken."""
    alignment: bool = True
    """CAA; False is its ablation: tokens of the whole source alone, and nothing ties attention to regions."""

    prediction: Prediction = "eps"
    num_timesteps: int = 1000
    noise_schedule: NoiseSchedule = "scaled_linear"
    zero_terminal_snr: bool = False
    """The last timestep is pure noise; for `v`."""
    last_timestep: int = field(default=0, metadata={"identity": False})
    """The least noise that sampling visits: what the network takes the picture for there is the picture. 0 is as
    published; more is ours, for small weights, whose last steps add grain where they should add detail."""

    def __post_init__(self) -> None:
        if len(self.attention) != len(self.widths):
            raise ConfigError(f"attention: says {len(self.attention)} levels, widths {len(self.widths)}")
        if len(self.guider_widths) != len(self.autoencoder_widths):
            raise ConfigError(
                f"guider_widths: has {len(self.guider_widths)} sizes, must have the autoencoder's"
                f" {len(self.autoencoder_widths)}: both end at the latents' stride"
            )
        for width in self.widths:
            if width % self.num_groups or width % self.num_heads:
                raise ConfigError(
                    f"widths: {width} channels are not divided by {self.num_groups} groups and {self.num_heads} heads"
                )
        for name in ("face_share", "garment_share"):
            if not 0 < (share := getattr(self, name)) <= 1:
                raise ConfigError(f"{name}: is {share}, must be in (0, 1]")
        if self.zero_terminal_snr and self.prediction == "eps":
            raise ConfigError("zero_terminal_snr: needs prediction 'v'; in pure noise eps says nothing of the picture")
        check_last_timestep(self.last_timestep, self.num_timesteps)
        self.check_size(self.working_size)

    @property
    def latent_stride(self) -> int:
        """Pixels of the picture per latent on a side."""
        return 2 ** (len(self.autoencoder_widths) - 1)

    @property
    def pose_channels(self) -> int:
        """Of the drawn pose."""
        return _POSE_CHANNELS[self.pose]

    @property
    def least_side(self) -> int:
        """Pixels that leave the coarsest level one position."""
        return self.latent_stride * 2 ** (len(self.widths) - 1)

    def latent_shape(self, size: tuple[int, int]) -> tuple[int, int, int]:
        """(channels, height, width) of what is denoised for a picture of a size.

        Raises:
            ConfigError: as `check_size`.
        """
        self.check_size(size)
        return self.latent_channels, size[0] // self.latent_stride, size[1] // self.latent_stride

    def check_size(self, size: tuple[int, int]) -> None:
        """Refuses a picture size that the latents, or their first halving, do not come out even for.

        Later halvings need not: of the 64x44 latents of 512x352 the coarsest level has 8x6 positions, and on the way up
        each level takes its skips' size.

        Raises:
            ConfigError: names the size and the multiple.
        """
        height, width = size
        multiple = 2 * self.latent_stride
        if min(size) < self.least_side or height % multiple or width % multiple:
            raise ConfigError(
                f"working_size: is {height}x{width}, both sides must be multiples of {multiple}"
                f" and at least {self.least_side}"
            )

    def unet_settings(self) -> dict[str, Any]:
        """Of diffusers' `UNet2DConditionModel`; the same for TargetNet and SourceNet."""
        down = ["CrossAttnDownBlock2D" if attends else "DownBlock2D" for attends in self.attention]
        up = ["CrossAttnUpBlock2D" if attends else "UpBlock2D" for attends in reversed(self.attention)]
        return {
            "in_channels": self.latent_channels,
            "out_channels": self.latent_channels,
            "down_block_types": down,
            "mid_block_type": "UNetMidBlock2DCrossAttn" if self.middle else None,
            "up_block_types": up,
            "block_out_channels": list(self.widths),
            "layers_per_block": self.num_blocks,
            "norm_num_groups": self.num_groups,
            "cross_attention_dim": self.token_width,
            "attention_head_dim": self.num_heads,  # diffusers' name for how many there are
        }

    def autoencoder_settings(self) -> dict[str, Any]:
        """Of diffusers' `AutoencoderKL`."""
        num_levels = len(self.autoencoder_widths)
        return {
            "down_block_types": ["DownEncoderBlock2D"] * num_levels,
            "up_block_types": ["UpDecoderBlock2D"] * num_levels,
            "block_out_channels": list(self.autoencoder_widths),
            "layers_per_block": self.autoencoder_blocks,
            "norm_num_groups": self.autoencoder_groups,
            "latent_channels": self.latent_channels,
            "scaling_factor": self.latent_scale,
            "mid_block_add_attention": self.autoencoder_attention,
        }


def truepose() -> TruePoseConfig:
    """The large one: two UNets and the autoencoder of Stable Diffusion 1.5, CLIP ViT-L/14, 512x352."""
    return TruePoseConfig()


def truepose_closet() -> TruePoseConfig:
    """A small one for 128x96 that trains on a CPU: latents at stride 4, an encoder of its own."""
    return TruePoseConfig(
        working_size=(128, 96),
        widths=(48, 64, 64),
        attention=(True, True, True),
        middle=False,
        num_blocks=1,
        num_heads=2,
        num_groups=8,
        token_width=64,
        latent_scale=1.0,
        autoencoder_widths=(24, 32, 48),
        autoencoder_blocks=1,
        autoencoder_groups=8,
        autoencoder_attention=False,
        pose="pose_map",
        guider_widths=(16, 24, 32),
        encoder="small",
        encoder_width=64,
        crop_size=32,
        prediction="v",
        zero_terminal_snr=True,
        last_timestep=300,
    )
