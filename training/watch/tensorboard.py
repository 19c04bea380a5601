"""Curves and grids as TensorBoard shows them."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
from PIL import Image
from tensorboardX import SummaryWriter

from training.watch.observer import Observer, RunFacts, StepReport, ValidationReport
from training.watch.records import step_numbers, validation_numbers

FOLDER_NAME = "tensorboard"


class TensorBoard(Observer):
    """Writes event files below `tensorboard/`.

    A run that goes on from a checkpoint opens another file that begins with a mark: TensorBoard drops what older files
    hold of the steps after it, and shows each step once.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder / FOLDER_NAME
        self._writer: SummaryWriter | None = None
        self._facts: RunFacts | None = None

    def started(self, facts: RunFacts) -> None:
        self._facts = facts
        # Two starts in one second would else name one file, and the second would empty it.
        suffix = f".{os.getpid()}.{facts.first_step}"
        self._writer = SummaryWriter(str(self._folder), purge_step=facts.first_step + 1, filename_suffix=suffix)
        settings = json.dumps(dict(facts.settings), indent=2, default=str)
        self._writer.add_text("run", f"```\n{settings}\n```", facts.first_step)
        self._writer.flush()

    def stepped(self, report: StepReport) -> None:
        if self._writer is not None and self._facts is not None:
            for name, value in step_numbers(self._facts, report).items():
                self._writer.add_scalar(name, value, report.step)

    def kept(self, step: int, address: str) -> None:
        if self._writer is not None:
            self._writer.flush()

    def validated(self, report: ValidationReport) -> None:
        if self._writer is None:
            return
        for name, value in validation_numbers(report).items():
            self._writer.add_scalar(name, value, report.step)
        if report.grid is not None:
            with Image.open(report.grid) as grid:
                pixels = np.asarray(grid.convert("RGB"))
            self._writer.add_image("validation/grid", pixels, report.step, dataformats="HWC")
        self._writer.flush()

    def stopped(self, step: int, reason: str) -> None:
        if self._writer is not None:
            self._writer.add_text("stopped", reason, step)
            self._writer.close()
