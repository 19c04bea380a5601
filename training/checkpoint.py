"""Where a run stands, on disk: enough to go on as if it had never stopped."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from atelier.errors import ConfigError

FILE_NAME = "checkpoint.pt"


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """Steps made, and the states of networks, averages and optimizers.

    Random numbers are functions of seed and step, so none of their state is kept.
    """

    run: str
    num_steps_done: int
    networks: dict[str, Any]
    averages: dict[str, Any]
    optimizers: dict[str, Any]

    def write(self, folder: Path) -> None:
        """Replaces the folder's checkpoint at once, so that a torn one is never met."""
        folder.mkdir(parents=True, exist_ok=True)
        partial = folder / f"{FILE_NAME}.partial"
        torch.save(self.__dict__, partial)
        partial.replace(folder / FILE_NAME)

    @classmethod
    def read(cls, folder: Path) -> Checkpoint:
        """The folder's checkpoint, on the CPU.

        Raises:
            ConfigError: there is none.
        """
        path = folder / FILE_NAME
        if not path.is_file():
            raise ConfigError(f"{folder}: holds no checkpoint ({FILE_NAME}) to go on from")
        return cls(**torch.load(path, map_location="cpu", weights_only=True))
