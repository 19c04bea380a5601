"""PIDM (CVPR 2023): person image synthesis by diffusion; see the README beside this file."""

from atelier.models.pidm.config import PidmConfig, pidm_256, pidm_512, pidm_closet
from atelier.models.pidm.networks import Pidm

__all__ = ["Pidm", "PidmConfig", "pidm_256", "pidm_512", "pidm_closet"]
