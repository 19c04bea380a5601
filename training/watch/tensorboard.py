"""Curves and grids as TensorBoard shows them."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from PIL import Image
from tensorboardX import summary
from tensorboardX.event_file_writer import EventsWriter
from tensorboardX.proto.event_pb2 import Event, SessionLog  # pyright: ignore[reportAttributeAccessIssue]

from training.watch.observer import Observer, RunFacts, StepReport, ValidationReport
from training.watch.records import step_numbers, validation_numbers

FOLDER_NAME = "tensorboard"
_SHOWN_EVERY_S = 60.0


class TensorBoard(Observer):
    """Writes event files below `tensorboard/`.

    A run that goes on from a checkpoint opens another file that begins with a mark: TensorBoard drops what older files
    hold of the steps after it, and shows each step once. Where a disk is full, curves have a gap until the next
    checkpoint that is whole, from which another file goes on.
    """

    may_fail: ClassVar[bool] = True

    def __init__(self, folder: Path) -> None:
        self._folder = folder / FOLDER_NAME
        # Written in the loop's own thread: tensorboardX's SummaryWriter has one of its own, which a full disk ends;
        # its queue then fills, and the run waits for ever.
        self._events: EventsWriter | None = None
        self._facts: RunFacts | None = None
        self._shown = 0.0

    def started(self, facts: RunFacts) -> None:
        self._facts = facts
        settings = json.dumps(dict(facts.settings), indent=2, default=str)
        self._open(facts.first_step)
        self._write(facts.first_step, [summary.text("run", f"```\n{settings}\n```")])
        self._show()

    def stepped(self, report: StepReport) -> None:
        if self._facts is not None:
            self._write(report.step, _scalars(step_numbers(self._facts, report)))
        if time.monotonic() - self._shown > _SHOWN_EVERY_S:
            self._show()

    def kept(self, step: int, address: str) -> None:
        if self._events is None:
            self._open(step)
        self._show()

    def validated(self, report: ValidationReport) -> None:
        self._write(report.step, _scalars(validation_numbers(report)))
        if report.grid is not None:
            with Image.open(report.grid) as grid:
                pixels = np.asarray(grid.convert("RGB"))
            self._write(report.step, [summary.image("validation/grid", pixels, dataformats="HWC")])
        self._show()

    def stopped(self, step: int, reason: str) -> None:
        self._write(step, [summary.text("stopped", reason)])
        self._show()
        if self._events is not None:
            self._events.close()

    def _open(self, step: int) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        # Two starts in one second would else name one file, and the second would empty it.
        self._events = EventsWriter(str(self._folder / "events"), f".{os.getpid()}.{step}")
        self._put(Event(step=step + 1, session_log=SessionLog(status=SessionLog.START)))

    def _write(self, step: int, summaries: list[Any]) -> None:
        for one in summaries:
            self._put(Event(step=step, summary=one))

    def _put(self, event: Event) -> None:
        event.wall_time = time.time()
        if self._events is not None:
            try:
                self._events.write_event(event)
            except OSError:
                self._events = None  # half an event may be in it
                raise

    def _show(self) -> None:
        """What was written is seen by others."""
        self._shown = time.monotonic()
        if self._events is not None:
            try:
                self._events.flush()
            except OSError:
                self._events = None
                raise


def _scalars(numbers: dict[str, float]) -> list[Any]:
    return [summary.scalar(name, value) for name, value in numbers.items()]
