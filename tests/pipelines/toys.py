"""Real stages of a few lines, which the tests of the batch plane place, run and break."""

from __future__ import annotations

import ctypes
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from atelier.recipe import Recipe
from atelier.seeds import generators
from atelier.stages.base import Columns, Faults, RowStage, StageConfig, TensorStage
from atelier.stages.chain import column
from atelier.stages.decode import Decode
from atelier.stages.encode import Encode
from atelier.stages.fetch import Fetch
from pipelines.job import CatalogJob

SIZE = (64, 48)


@dataclass(frozen=True, kw_only=True)
class Trap(StageConfig):
    """A `parse` that does to its worker what an item's id says."""

    name = "parse"

    def columns(self) -> Columns:
        return Columns.of(TrapStage)

    def build(self, device: torch.device) -> TrapStage:
        return TrapStage()


class TrapStage(RowStage):
    name = "parse"
    reads = ("person",)
    writes = ("parse",)

    def blank(self) -> dict[str, Any]:
        return {"parse": np.zeros(SIZE, np.uint8)}

    def run_row(self, row: Mapping[str, Any]) -> Mapping[str, Any]:
        match row["item_id"].partition("-")[0]:
            case "segfault":
                ctypes.string_at(0)
            case "hang":
                time.sleep(10_000)
            case "stuck":
                ctypes.PyDLL(None).sleep(10_000)  # holds the interpreter's lock
            case "leave":
                sys.exit(0)
            case "bug":
                raise ZeroDivisionError("a bug in a stage")
        return self.blank()


@dataclass(frozen=True, kw_only=True)
class Grain(StageConfig):
    """A `synthesize` that lays the unit's own noise over the person, with a score and a note of the noise.

    Args:
        seconds: that a batch takes.
        log: file that gets a line for each batch it samples.
    """

    name = "synthesize"

    seconds: float = field(default=0.0, metadata={"identity": False})
    log: str = field(default="", metadata={"identity": False})

    def columns(self) -> Columns:
        return Columns.of(GrainStage)

    def build(self, device: torch.device) -> GrainStage:
        return GrainStage(self, device)


class GrainStage(TensorStage):
    name = "synthesize"
    reads = ("person", "garment", "parse", "seed")
    writes = ("image", "score_grain", "notes")

    def __init__(self, config: Grain, device: torch.device) -> None:
        self.device, self._config = device, config

    def blank(self) -> dict[str, Any]:
        return {"image": np.zeros((*SIZE, 3), np.uint8), "score_grain": np.float32(np.nan), "notes": ""}

    def run_tensors(self, columns: Mapping[str, Any], faults: Faults) -> Mapping[str, Any]:
        if self._config.log:
            with Path(self._config.log).open("a") as file:
                file.write("batch\n")
        time.sleep(self._config.seconds)
        shape = columns["person"].shape[1:]
        noise = torch.stack(
            [torch.randint(0, 64, shape, generator=g) for g in generators(columns["seed"].tolist(), "grain")]
        )
        scores = noise.flatten(1).float().mean(1)
        return {
            "image": ((columns["person"].long() + noise) // 2).to(torch.uint8),
            "score_grain": scores,
            "notes": column([f"grain: is {score:.3f} in the mean" for score in scores]),
        }


@dataclass(frozen=True, kw_only=True)
class Meet(StageConfig):
    """A `pose` that waits until the stages of all its `guests`, in processes of their own, have come to `folder`."""

    name = "pose"

    folder: str = field(metadata={"identity": False})
    me: str = field(metadata={"identity": False})
    guests: tuple[str, ...] = field(metadata={"identity": False})

    def columns(self) -> Columns:
        return Columns.of(MeetStage)

    def build(self, device: torch.device) -> MeetStage:
        return MeetStage(self)


class MeetStage(RowStage):
    name = "pose"
    reads = ("person",)
    writes = ()

    def __init__(self, config: Meet) -> None:
        self._config = config

    def blank(self) -> dict[str, Any]:
        return {}

    def run_row(self, row: Mapping[str, Any]) -> Mapping[str, Any]:
        folder = Path(self._config.folder)
        folder.joinpath(self._config.me).touch()
        until = time.monotonic() + 60
        while not all(folder.joinpath(guest).exists() for guest in self._config.guests):
            if time.monotonic() > until:
                raise TimeoutError("the others never came")
            time.sleep(0.05)
        return {}


def toy_recipe(*, seconds: float = 0.0, log: str = "", quality: int = 90) -> Recipe:
    """A try-on that is none, in milliseconds a row."""
    return Recipe(
        name="toy",
        task="try_on",
        size=SIZE,
        inputs=("person", "garment"),
        optional=("garment_mask",),
        batch_size=4,
        stages=(
            Fetch(required=("person", "garment"), optional=("garment_mask",)),
            Decode(size=SIZE),
            Trap(),
            Grain(seconds=seconds, log=log),
            Encode(quality=quality),
        ),
    )


def toy_job(*, seconds: float = 0.0, log: str = "", quality: int = 90, **settings: Any) -> CatalogJob:
    """A job of the toy recipe; two batches a block."""
    recipe = toy_recipe(seconds=seconds, log=log, quality=quality)
    return CatalogJob(name="toy", recipes=(recipe,), rows_per_block=settings.pop("rows_per_block", 8), **settings)


def draw_toy(folder: Path, item_ids: Sequence[str], *, suffix: str = "") -> Path:
    """A catalog of noise on white, each item with a picture of its own; gives its address."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = ["item_id,task,person,garment"]
    for item_id in item_ids:
        for part in ("person", "garment"):
            draw_picture(folder / f"{item_id}-{part}.png", f"{item_id}{part}{suffix}")
        lines.append(f"{item_id},try_on,{item_id}-person.png,{item_id}-garment.png")
    catalog = folder / "catalog.csv"
    catalog.write_text("\n".join(lines) + "\n")
    return catalog


def draw_picture(path: Path, text: str) -> None:
    """A picture that depends on a text."""
    pixels = np.full((*SIZE, 3), 255, np.uint8)
    middle = np.random.default_rng(list(text.encode())).integers(0, 200, (32, 24, 3))
    pixels[16:48, 12:36] = middle
    Image.fromarray(pixels).save(path)
