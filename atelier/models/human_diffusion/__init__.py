"""HumanDiffusion (2022): a person from a free sentence and a pose map; see the README beside this file."""

from atelier.models.human_diffusion.config import HumanDiffusionConfig, human_diffusion, human_diffusion_closet
from atelier.models.human_diffusion.networks import HumanDiffusion
from atelier.models.human_diffusion.phrases import Description, parse

__all__ = [
    "Description",
    "HumanDiffusion",
    "HumanDiffusionConfig",
    "human_diffusion",
    "human_diffusion_closet",
    "parse",
]
