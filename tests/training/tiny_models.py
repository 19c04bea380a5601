"""Networks of a few thousand weights, for pictures of 64x64."""

from __future__ import annotations

from atelier.models.parsing.config import ParsingNetConfig
from atelier.models.pose.config import PoseNetConfig
from atelier.models.viton_hd import VitonHDConfig

SIZE = (64, 64)
VITON_HD = VitonHDConfig(
    working_size=SIZE,
    segmentation_size=(32, 32),
    segmentation_widths=(8, 12, 16),
    blur_kernel=3,
    blur_sigma=0.8,
    matching_size=SIZE,
    matching_widths=(8, 8, 12, 12),
    regression_widths=(12, 12, 8, 12),
    alias_widths=(12, 8, 8, 12),
    alias_hidden=4,
    alias_injected=4,
    num_misaligned_blocks=2,
)
PARSER = ParsingNetConfig(input_size=SIZE, widths=(8, 8, 12, 12, 12), decoder_widths=(12, 8, 8, 8))
POSE = PoseNetConfig(input_size=SIZE, widths=(8, 8, 12, 12, 12), decoder_widths=(12, 8, 8))
