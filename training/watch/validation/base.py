"""What a validation is: rows that nothing is trained on, through the very stages that batch and serving run."""

from __future__ import annotations

import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

import numpy as np
import torch
from PIL import Image
from torch import nn

from atelier.errors import ConfigError
from training.steps.base import TrainStep
from training.watch.observer import ValidationReport
from training.watch.undisturbed import undisturbed
from training.watch.validation.grid import grid_picture

FOLDER_NAME, PICTURES_NAME = "validation", "newest"


@dataclass(frozen=True, kw_only=True)
class DrawnRow:
    """One row of the grid.

    Args:
        cells: uint8 RGB [H, W, 3], one under each heading.
        note: what this row scores, in few words.
        picture: the stage's own answer, uint8 RGB, kept as it is beside the grid; None where it is no picture.
    """

    item_id: str
    cells: tuple[np.ndarray, ...]
    note: str
    picture: np.ndarray | None = None


@dataclass(frozen=True, kw_only=True)
class Drawn:
    """All rows, and figures over them; a row that a stage gave up counts with a black picture and in `failed`."""

    headings: tuple[str, ...]
    rows: tuple[DrawnRow, ...]
    metrics: Mapping[str, float]


@dataclass(frozen=True, kw_only=True)
class Validation(ABC):
    """Which rows are drawn and how; a frozen dataclass for each kind of network.

    Args:
        num_rows: the same ones every time; drawn by the closet from seeds that are never trained on, where no data set
            brings them.
        seed: of drawn rows.
    """

    num_rows: int = 8
    seed: int = 0

    def __post_init__(self) -> None:
        if self.num_rows < 1:
            raise ConfigError(f"validation: num_rows: is {self.num_rows}, must be at least 1")

    @property
    def source(self) -> str:
        """Which rows these are, in words."""
        return f"{self.num_rows} drawn rows, seed {self.seed}"

    def beside(self, data: str | None) -> Self:
        """This validation on the held-out rows that a run's own data brings; itself where it brings none.

        Args:
            data: address of the run's data; None where it is drawn.
        """
        return self

    def among(self, runs: Path) -> Self:
        """This validation with what it reads beside the weights, where that lies in the folder of earlier runs."""
        return self

    @abstractmethod
    def draw(self, weights: Path, device: torch.device) -> Drawn:
        """The rows as the inference stage makes them.

        Args:
            weights: the folder that the step's `export` wrote.
            device: where the stage runs.
        """


def validate(
    validation: Validation,
    export: Callable[[Path], object],
    *,
    run: str,
    step: int,
    folder: Path,
    device: torch.device,
) -> ValidationReport:
    """Draws a validation's rows with exported weights, leaves a grid of them, and changes nothing in training.

    Args:
        export: writes the averaged weights into a folder, as `python -m training export` does.
        folder: of the run's log: `validation/step-<step>.png` is the grid; `validation/newest/<item>.png` are the
            pictures themselves, pixel for pixel, of the newest validation alone.
    """
    started = time.perf_counter()
    with undisturbed(), tempfile.TemporaryDirectory() as place:
        export(Path(place))
        drawn = validation.draw(Path(place), device)
    grids = folder / FOLDER_NAME
    (grids / PICTURES_NAME).mkdir(parents=True, exist_ok=True)
    for row in drawn.rows:
        if row.picture is not None:
            _save(Image.fromarray(row.picture), grids / PICTURES_NAME / f"{row.item_id}.png")
    grid = grids / f"step-{step:08d}.png"
    title = f"{run} · step {step:,} · {source_of(drawn, validation)}"
    _save(grid_picture(drawn.headings, drawn.rows, drawn.metrics, title=title), grid)
    return ValidationReport(step=step, metrics=drawn.metrics, grid=grid, seconds=time.perf_counter() - started)


def source_of(drawn: Drawn, validation: Validation) -> str:
    """Which rows were drawn, in words: a test split may have fewer than were asked for."""
    return replace(validation, num_rows=len(drawn.rows)).source


def validating(
    validation: Validation, step: TrainStep, *, run: str, folder: Path, device: torch.device
) -> Callable[[int, nn.ModuleDict], ValidationReport]:
    """A run's validation as its loop calls it: with the steps done and the averaged networks, whole.

    The weights go through float16, as exported ones do: what the grid shows is what the export will make.
    """

    def draw(num_steps_done: int, networks: nn.ModuleDict) -> ValidationReport:
        def export(to: Path) -> object:
            return step.export(networks, to, torch.float16)

        return validate(validation, export, run=run, step=num_steps_done, folder=folder, device=device)

    return draw


def _save(picture: Image.Image, path: Path) -> None:
    partial = path.with_name(f"{path.name}.partial")
    picture.save(partial, format="PNG")
    partial.replace(path)
