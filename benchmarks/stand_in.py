"""A stage that stands in for an accelerator: its device time is a sleep, which holds no core, of a stated length."""

from __future__ import annotations

import os
import struct
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from atelier.recipe import Recipe
from atelier.stages.base import Columns, Faults, StageConfig, TensorStage
from atelier.stages.decode import Decode
from atelier.stages.encode import Encode
from atelier.stages.fetch import Fetch

_INTERVAL = struct.Struct("dd")


@dataclass(frozen=True, kw_only=True)
class StandIn(StageConfig):
    """A stand-in of a sampler; no part of Atelier, only of its measurements.

    Args:
        size: working size (H, W).
        seconds_per_row: how long the device is busy with a row; a batch takes as many rows' time as it is padded to.
        log: file to which every batch's start and end are appended, by the clock that all processes share.
    """

    name = "stand_in"

    size: tuple[int, int]
    seconds_per_row: float = field(metadata={"identity": False})
    log: str = field(metadata={"identity": False})

    def columns(self) -> Columns:
        return Columns.of(StandInStage)

    def build(self, device: torch.device) -> StandInStage:
        """The stage. Whatever its device is called, its tensors stay on the CPU: there is nothing behind the sleep."""
        return StandInStage(self)


class StandInStage(TensorStage):
    """Writes `image`: the garment laid flat over the person, its brightness by the row's seed, so that no two agree."""

    name = "stand_in"
    reads = ("person", "garment", "garment_mask", "seed")
    writes = ("image",)

    def __init__(self, config: StandIn) -> None:
        self.device = torch.device("cpu")
        self._config = config

    def blank(self) -> dict[str, Any]:
        return {"image": np.zeros((*self._config.size, 3), np.uint8)}

    def run_tensors(self, columns: Mapping[str, Any], faults: Faults) -> Mapping[str, torch.Tensor]:
        started = time.monotonic()
        shade = (columns["seed"] % 64).to(torch.uint8).view(-1, 1, 1, 1)
        worn = columns["garment"] // 2 + shade
        image = torch.where(columns["garment_mask"][..., None] > 0, worn, columns["person"])
        # The milliseconds of drawing count as the device's: it is busy as long as stated, whatever they are.
        time.sleep(max(0.0, started + self._config.seconds_per_row * len(image) - time.monotonic()))
        with Path(self._config.log).open("ab") as log:
            os.write(log.fileno(), _INTERVAL.pack(started, time.monotonic()))
        return {"image": image}


def stand_in_recipe(*, size: tuple[int, int], batch_size: int, seconds_per_row: float, log: str) -> Recipe:
    """Try-on as far as the machine around the accelerator can tell: fetch, decode, wait, encode."""
    return Recipe(
        name="stand_in",
        task="try_on",
        size=size,
        inputs=("person", "garment"),
        optional=("garment_mask",),
        batch_size=batch_size,
        stages=(
            Fetch(required=("person", "garment"), optional=("garment_mask",)),
            Decode(size=size),
            StandIn(size=size, seconds_per_row=seconds_per_row, log=log),
            Encode(),
        ),
    )


def intervals(log: str) -> list[tuple[float, float]]:
    """When the device was busy, in order: (start, end) of every batch, in seconds of the monotonic clock."""
    path = Path(log)
    return sorted(_INTERVAL.iter_unpack(path.read_bytes())) if path.is_file() else []
