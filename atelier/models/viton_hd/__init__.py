"""VITON-HD (CVPR 2021): high-resolution virtual try-on; see the README beside this file."""

from atelier.models.viton_hd.config import VitonHDConfig, viton_hd, viton_hd_closet
from atelier.models.viton_hd.inference import InferenceOptions
from atelier.models.viton_hd.networks import VitonHD, VitonHDOutput, draw_segmentation_noise

__all__ = [
    "InferenceOptions",
    "VitonHD",
    "VitonHDConfig",
    "VitonHDOutput",
    "draw_segmentation_noise",
    "viton_hd",
    "viton_hd_closet",
]
