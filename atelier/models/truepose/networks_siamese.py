"""The Siamese network: SourceNet reads the source once, TargetNet denoises with what it read."""

from __future__ import annotations

import copy
from typing import Any

import torch
from jaxtyping import Bool, Real
from torch import Tensor, nn

from atelier.models.diffusion.reuse import DeepFeatures
from atelier.models.layers.autoencoder import Latents
from atelier.models.truepose.config import TruePoseConfig
from atelier.models.truepose.networks_alignment import Aligning, ViewTokens, token_keys_values
from atelier.models.truepose.networks_encoder import Tokens
from atelier.models.truepose.networks_fusion import (
    Fusing,
    Fusion,
    Reading,
    ReadingTokens,
    Told,
    region_keys_values,
    source_keys_values,
)
from atelier.models.truepose.networks_guider import DrawnPose, PoseGuider
from atelier.models.truepose.networks_unet import (
    UNet,
    attention_blocks,
    attention_grids,
    build_unet,
    predicted,
    walk,
)
from atelier.models.truepose.regions import REGIONS, RegionMasks
from atelier.models.truepose.views import Present

Source = Told
"""What `Siamese.see` makes of a source: all that TargetNet is told but the pose."""

TARGET_NET, SOURCE_NET, CONDITIONS = "target_net", "source_net", "conditions"
"""Children of `Siamese` and the stems of their files."""


class Conditions(nn.Module):
    """What is neither UNet's: the pose guider, HPFA's gates, and the projection of the encoder's tokens."""

    def __init__(self, config: TruePoseConfig, target_net: UNet) -> None:
        super().__init__()
        self.guider = PoseGuider(config)
        self.tokens = ViewTokens(config)
        self.fusion = Fusion(target_net) if config.fusion else None


class Siamese(nn.Module):
    """Two identical UNets and what joins them: `see` once a source, `tell` once a pose, `forward` at every step.

    Args:
        unet: what both UNets start as; None draws fresh weights for each.
    """

    def __init__(self, config: TruePoseConfig, *, unet: UNet | None = None) -> None:
        super().__init__()
        self.config = config
        self.target_net: UNet = build_unet(config) if unet is None else unet
        self.source_net: UNet = build_unet(config) if unet is None else copy.deepcopy(unet)
        self.conditions = Conditions(config, self.target_net)
        for index, block in enumerate(attention_blocks(self.target_net)):
            block.attn1.set_processor(Fusing(index))
            block.attn2.set_processor(Aligning(index))
        for block in attention_blocks(self.source_net):
            block.attn1.set_processor(Reading())
            block.attn2.set_processor(ReadingTokens())

    def see(self, latents: Latents, masks: RegionMasks, tokens: Tokens, present: Present) -> Source:
        """What TargetNet attends to: SourceNet's features at every layer, those of face and garment, image tokens.

        SourceNet reads the clean source at timestep 0; it knows neither the noise nor the time of a step.

        Args:
            masks: at the picture's size.
            tokens, present: of the views, `[batch · views, ...]` and `[batch, views]`.
        """
        image_tokens = self.conditions.tokens(tokens, present)
        bank: list[Tensor] = []
        now = torch.zeros(len(latents), device=latents.device)
        walk(self.source_net, latents, now, image_tokens[:, 0], {"bank": bank})
        source: dict[str, Any] = source_keys_values(self.target_net, bank)
        if self.conditions.fusion is not None:
            grids = attention_grids(self.config, (latents.shape[2], latents.shape[3]))
            wanted = {number: grids[number] for number in {part.shape[1] for part in bank}}
            source |= region_keys_values(source, masks, wanted, self.config)
        return {**source, "tokens": token_keys_values(self.target_net, image_tokens)}

    def tell(self, source: Source, pose: DrawnPose) -> Told:
        """The source and the pose that it is to take."""
        return {**source, "pose": self.conditions.guider(pose)}

    def forward(
        self,
        x_t: Latents,
        timestep: Real[Tensor, " batch"],
        told: Told,
        deep: DeepFeatures | None = None,
        shares: list[Tensor] | None = None,
    ) -> Latents:
        """The prediction, of the shape of `x_t`.

        Args:
            told: from `tell`.
            deep: coarse features of an earlier step, or where to keep this one's.
            shares: gets each cross-attention layer's attention by view, in training.
        """
        attending = {"told": told, "gates": self.conditions.fusion, "shares": shares}
        features = walk(self.target_net, x_t, timestep, None, attending, added=told["pose"].to(x_t), deep=deep)
        return predicted(self.target_net, features)


def without(told: Told, *, source: Bool[Tensor, " batch"] | bool, pose: Bool[Tensor, " batch"] | bool) -> Told:
    """Told nothing of some rows' source or pose, or of all rows'.

    A source that is not told of has zeros for keys and values: attention finds nothing there. So is a pose's part in
    the first features.

    Args:
        source, pose: which rows are not told of it.
    """
    kept_source, kept_pose = (_kept(dropped, told["pose"]) for dropped in (source, pose))

    def without_source(part: Any) -> Any:
        return {
            name: value if name == "bias" else [kept_source[:, None, None].to(one) * one for one in value]
            for name, value in part.items()
        }

    made: dict[str, Any] = without_source({name: told[name] for name in ("keys", "values", "bias") if name in told})
    made["tokens"] = without_source(told["tokens"])
    for region in REGIONS:
        if region in told:
            part = dict(told[region])
            present = part.pop("present")
            made[region] = {**without_source(part), "present": present * kept_source[:, None, None].to(present)}
    return {**made, "pose": told["pose"] * kept_pose[:, None, None, None].to(told["pose"])}


def _kept(dropped: Bool[Tensor, " batch"] | bool, like: Tensor) -> Tensor:
    if isinstance(dropped, bool):
        return torch.full((len(like),), float(not dropped), device=like.device)
    return (~dropped).float()
