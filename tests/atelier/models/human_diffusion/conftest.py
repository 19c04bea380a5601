"""What the tests of HumanDiffusion share: a tiny model whose every part says something, and a person to make."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from torch import Tensor, nn

from atelier.closet import Look, draw_look, outfit_for
from atelier.memory import Memory
from atelier.memory_builder import MemoryBuilder
from atelier.models.human_diffusion import HumanDiffusion, HumanDiffusionConfig, parse
from atelier.models.human_diffusion.encoders import Encoders
from atelier.models.human_diffusion.remembering import remember
from atelier.models.layers.pixels import picture_from_bytes
from atelier.weights import state_digest
from tests.atelier.models.human_diffusion.tiny import SIZE, TINY

NUM_LOOKS = 6


def stirred(model: nn.Module) -> nn.Module:
    """The model with what starts at zero drawn at random too: else its conditions would not reach the picture."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            if not parameter.abs().sum():
                parameter.normal_(std=0.05, generator=generator)
    return model


@pytest.fixture(scope="session")
def tiny_config() -> HumanDiffusionConfig:
    """Three levels, one of them coarse."""
    return dataclasses.replace(TINY, num_timesteps=50)


def make(config: HumanDiffusionConfig, encoders: Encoders | None = None) -> HumanDiffusion:
    """A stirred model of a config, in evaluation mode; with another model's encoders it takes its memory."""
    torch.manual_seed(0)
    model = HumanDiffusion(config, encoders=encoders)
    stirred(model)
    return model.eval()


@pytest.fixture(scope="session")
def model(tiny_config: HumanDiffusionConfig) -> HumanDiffusion:
    return make(tiny_config)


@pytest.fixture(scope="session")
def looks() -> list[Look]:
    return [draw_look(person=seed, outfit=outfit_for(seed), pose=seed, size=SIZE) for seed in range(NUM_LOOKS)]


@pytest.fixture(scope="session")
def pictures(looks: list[Look]) -> Tensor:
    return picture_from_bytes(torch.stack([torch.from_numpy(look.image) for look in looks]))


@pytest.fixture(scope="session")
def pose_maps(looks: list[Look]) -> Tensor:
    return torch.stack([torch.from_numpy(look.parse_multimodal) for look in looks])


@pytest.fixture(scope="session")
def memory(model: HumanDiffusion, looks: list[Look], pictures: Tensor, pose_maps: Tensor) -> Memory:
    builder = MemoryBuilder()
    descriptions = [parse(look.caption) for look in looks]
    remembered = remember(model.encoders, pictures, pose_maps, descriptions, crop_size=model.config.crop_size)
    builder.add([f"look-{index}" for index in range(NUM_LOOKS)], remembered)
    return builder.build(max_bytes=1_000_000, encoders_digest=state_digest(model.encoders))


def seeds(*numbers: int) -> list[torch.Generator]:
    """One generator a row."""
    return [torch.Generator().manual_seed(number) for number in numbers]
