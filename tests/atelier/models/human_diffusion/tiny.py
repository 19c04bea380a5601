"""A HumanDiffusion of three levels for pictures of 64x32."""

from __future__ import annotations

import dataclasses

from atelier.models.human_diffusion import human_diffusion_closet

SIZE = (64, 32)
TINY = dataclasses.replace(
    human_diffusion_closet(),
    working_size=SIZE,
    crop_size=16,
    key_width=16,
    value_width=16,
    num_buckets=256,
    text_width=16,
    width=16,
    multipliers=(1, 1, 2),
    num_groups=4,
    head_width=16,
    self_attention_strides=(8,),
    token_width=24,
    top_k=2,
    retrieved_strides=(2, 4),
    last_timestep=0,
)
