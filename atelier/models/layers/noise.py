"""Random draws that belong to a row: a picture does not depend on its batch mates, its device or a retry."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from atelier.errors import ConfigError

Generators = torch.Generator | Sequence[torch.Generator]


def draw_normal(num_rows: int, shape: Sequence[int], generator: Generators) -> Tensor:
    """Standard normal [num_rows, *shape], drawn on the CPU.

    Args:
        generator: one for the whole batch (the draw of the published code), or one per row.

    Raises:
        ConfigError: another number of generators than rows, or a generator that is not on the CPU.
    """
    if isinstance(generator, torch.Generator):
        return torch.randn((num_rows, *shape), generator=_on_cpu(generator))
    if len(generator) != num_rows:
        raise ConfigError(f"generator: {len(generator)} given for a batch of {num_rows}; give one, or one per row")
    return torch.cat([torch.randn((1, *shape), generator=_on_cpu(row)) for row in generator])


def _on_cpu(generator: torch.Generator) -> torch.Generator:
    if generator.device.type != "cpu":
        raise ConfigError(f"generator: is on {generator.device}, must be on cpu: seeds mean the same on every device")
    return generator
