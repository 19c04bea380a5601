"""Names for the tensors that public signatures take and give: axes in the name, channel order and range beside it.

Dimensions of one name agree within one call; the test suite checks them by jaxtyping's import hook.
"""

from __future__ import annotations

from jaxtyping import Float, UInt8
from torch import Tensor

# What travels between stages: bytes and ids.
PictureBytes = UInt8[Tensor, "batch height width 3"]  # RGB, 0..255
MaskBytes = UInt8[Tensor, "batch height width"]  # {0, 1}
LabelIds = UInt8[Tensor, "batch height width"]  # class ids; the argument's name says of which label set
NoiseBytes = UInt8[Tensor, "batch 1 noise_height noise_width"]  # {0, 1}

# What networks take and give: channels first.
Picture = Float[Tensor, "batch 3 height width"]  # RGB, [-1, 1]
Mask = Float[Tensor, "batch 1 height width"]  # [0, 1], fractional where it was resampled
Layout = Float[Tensor, "batch 7 height width"]  # one-hot: background, paste, upper, hair, left arm, right arm, noise
DividedLayout = Float[Tensor, "batch 8 height width"]  # Layout with the misaligned part of `upper` as an 8th channel
AgnosticParse = Float[Tensor, "batch 13 height width"]  # one-hot of VITON-HD's 13 classes
SegmentationMap = Float[Tensor, "batch 13 map_height map_width"]  # per-class probability (sigmoid) or logit
SegmentationNoise = Float[Tensor, "batch 1 noise_height noise_width"]  # {0, 1}, P(1) = P(Z > 1) = 0.1587

NoisyPicture = Float[Tensor, "batch 3 height width"]  # RGB under noise, unbounded
PoseMap = Float[Tensor, "batch 20 height width"]  # [0, 1]: 3 of the skeleton's colours, 17 distances to limbs
EpsVariance = Float[Tensor, "batch 6 height width"]  # predicted noise, then where between the variance's bounds

Features = Float[Tensor, "batch channels height width"]  # unbounded
Theta = Float[Tensor, "batch 50"]  # 25 x-offsets, then 25 y-offsets of control points, [-1, 1] of half the picture
ControlPoints = Float[Tensor, "batch points 2"]  # (x, y) in [-1, 1] of the picture, before any clamp
Grid = Float[Tensor, "batch height width 2"]  # (x, y) to sample at, [-1, 1] is edge to edge (align_corners=False)
