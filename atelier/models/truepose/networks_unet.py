"""TargetNet and SourceNet: diffusers' `UNet2DConditionModel`, walked through block by block.

The walk is ours so that the pose can be added after the first convolution, attention can be told of the source, and
coarse features can be kept from one step for later ones.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from jaxtyping import Float, Real
from torch import Tensor

from atelier.errors import WeightsError
from atelier.models.diffusion.reuse import DeepFeatures
from atelier.models.layers.autoencoder import Latents
from atelier.models.truepose.config import TruePoseConfig

Finest = Float[Tensor, "batch finest latent_height latent_width"]
"""Features at the latents' size."""
UNet = Any
"""A `UNet2DConditionModel`: importing diffusers takes seconds, so only who builds one does."""


def build_unet(config: TruePoseConfig) -> UNet:
    """A UNet with fresh weights."""
    from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel

    return UNet2DConditionModel(**config.unet_settings())


def read_unet(folder: str | Path, config: TruePoseConfig) -> UNet:
    """The UNet in a folder that `UNet2DConditionModel.save_pretrained` wrote, such as Stable Diffusion's `unet`.

    Raises:
        WeightsError: there is none, or it is built otherwise than the config says.
    """
    from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel

    try:
        unet: Any = UNet2DConditionModel.from_pretrained(
            str(folder), local_files_only=True, use_safetensors=True, low_cpu_mem_usage=False
        )
    except (OSError, ValueError) as error:
        raise WeightsError(str(folder), reason=f"is no folder with a UNet2DConditionModel: {error}") from error
    wanted = config.unet_settings()
    off = [
        f"{name} is {held}, must be {wanted[name]}"
        for name, held in ((name, _plain(unet.config[name])) for name in wanted)
        if held != wanted[name]
    ]
    if off:
        raise WeightsError(str(folder), reason="; ".join(off))
    return unet


def attention_blocks(unet: UNet) -> list[Any]:
    """The blocks with self- and cross-attention (`attn1`, `attn2`), in the order of the forward pass."""
    from diffusers.models.attention import BasicTransformerBlock

    parts = [*unet.down_blocks, *([] if unet.mid_block is None else [unet.mid_block]), *unet.up_blocks]
    return [module for part in parts for module in part.modules() if isinstance(module, BasicTransformerBlock)]


def attention_grids(config: TruePoseConfig, latents: tuple[int, int]) -> Mapping[int, tuple[int, int]]:
    """(height, width) of each level's positions, by how many they are."""
    height, width = latents
    grids = {}
    for _ in config.widths:
        grids[height * width] = (height, width)
        height, width = -(-height // 2), -(-width // 2)
    return grids


def walk(
    unet: UNet,
    x: Latents,
    timestep: Real[Tensor, " batch"],
    tokens: Tensor | None,
    attending: Mapping[str, Any],
    *,
    added: Finest | None = None,
    deep: DeepFeatures | None = None,
) -> Finest:
    """The features before the last norm and convolution.

    Args:
        tokens: for cross-attention; None where `attending` tells of them.
        attending: keyword arguments of every attention processor.
        added: to the features after the first convolution.
        deep: where it holds features, everything coarser than the finest level is taken from there and not computed;
            where it is empty, they are kept in it.
    """
    time = unet.time_embedding(unet.time_proj(timestep).to(x.dtype))
    features = unet.conv_in(x)
    if added is not None:
        features = features + added
    skips: list[Tensor] = [features]
    more: dict[str, Any] = {"encoder_hidden_states": tokens, "cross_attention_kwargs": dict(attending)}

    def go(block: Any, features: Tensor, **others: Any) -> Any:
        attends = more if getattr(block, "has_cross_attention", False) else {}
        return block(hidden_states=features, temb=time, **others, **attends)

    def down(blocks: Any, features: Tensor) -> Tensor:
        for block in blocks:
            features, left = go(block, features)
            skips.extend(left)
        return features

    def up(blocks: Any, features: Tensor) -> Tensor:
        for block in blocks:
            size = None if block.upsamplers is None else skips[-len(block.resnets) - 1].shape[2:]
            joined = tuple(_taken(skips, len(block.resnets)))
            features = go(block, features, res_hidden_states_tuple=joined, upsample_size=size)
        return features

    features = down(unet.down_blocks[:1], features)
    finest = len(unet.up_blocks[-1].resnets)
    if deep is not None and deep.features is not None:
        features, skips = deep.features, skips[:finest]
    else:
        features = down(unet.down_blocks[1:], features)
        if unet.mid_block is not None:
            attends = more if getattr(unet.mid_block, "has_cross_attention", False) else {}
            features = unet.mid_block(features, time, **attends)
        features = up(unet.up_blocks[:-1], features)
        if deep is not None:
            deep.features = features
    return up(unet.up_blocks[-1:], features)


def predicted(unet: UNet, features: Finest) -> Latents:
    """What the last norm and convolution make of the features."""
    return unet.conv_out(unet.conv_act(unet.conv_norm_out(features)))


def _taken(skips: list[Tensor], count: int) -> Iterator[Tensor]:
    """The last skips, taken away, in their order."""
    taken = skips[-count:]
    del skips[-count:]
    yield from taken


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
