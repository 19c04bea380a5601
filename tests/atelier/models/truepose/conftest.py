"""A filled tiny TruePose and what it is told, shared by its tests."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from atelier.models.truepose import TruePose
from tests.atelier.models.truepose.truepose_tiny import SIZE, TINY, filled, parses


@pytest.fixture(scope="session")
def model() -> TruePose:
    return filled(TruePose(TINY)).eval().requires_grad_(False)


@pytest.fixture(scope="session")
def source() -> Tensor:
    return torch.rand(3, 3, *SIZE, generator=torch.Generator().manual_seed(0)) * 2 - 1


@pytest.fixture(scope="session")
def parse() -> Tensor:
    return parses(3)


@pytest.fixture(scope="session")
def pose() -> Tensor:
    return torch.rand(3, 20, *SIZE, generator=torch.Generator().manual_seed(1))
