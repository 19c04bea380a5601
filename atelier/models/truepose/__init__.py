"""TruePose (2025): a person's picture in another pose, by two UNets; see the README beside this file."""

from atelier.models.truepose.config import TruePoseConfig, truepose, truepose_closet
from atelier.models.truepose.networks import TruePose

__all__ = ["TruePose", "TruePoseConfig", "truepose", "truepose_closet"]
