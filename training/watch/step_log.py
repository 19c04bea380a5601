"""The log for machines: one JSON object a line, each step once, however often the run was taken up again."""

from __future__ import annotations

import dataclasses
import errno
import json
import logging
import math
import os
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from training.disk import is_of_the_disk
from training.watch.observer import Observer, RunFacts, StepReport, ValidationReport
from training.watch.shares import achieved_share, peak_for

log = logging.getLogger(__name__)

FILE_NAME = "steps.jsonl"


class StepLog(Observer):
    """Appends to `steps.jsonl`: lines of event `started`, `step`, `noticed`, `kept`, `validated` and `stopped`.

    Where a run goes on from a checkpoint, the lines of steps after it are cut when it starts: those steps are made
    again. Numbers have all their digits, so that two runs can be compared bit for bit; what is no finite number is a
    string, as JSON has none.

    Lines that a full disk refuses are kept and written before the next one that it takes: the log has each step then
    too, and the run goes on for as long as its checkpoints may fail.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / FILE_NAME
        self._facts: RunFacts | None = None
        self._unwritten = b""

    def started(self, facts: RunFacts) -> None:
        self._facts = facts
        self._path.parent.mkdir(parents=True, exist_ok=True)
        num_cut = _cut_after(facts.first_step, self._path)
        peak = peak_for(facts)
        record = dataclasses.asdict(facts)
        self._write("started", facts.first_step, {**record, "num_lines_cut": num_cut, "peak": dataclasses.asdict(peak)})

    def stepped(self, report: StepReport) -> None:
        record = dataclasses.asdict(report)
        del record["ids"]  # a function of seed and step; `divergence.json` names them where they matter
        record |= {"share_of_peak": achieved_share(self._facts, report) if self._facts else None}
        self._write("step", report.step, {name: value for name, value in record.items() if value not in (None, {}, ())})

    def noticed(self, step: int, reason: str) -> None:
        self._write("noticed", step, {"reason": reason})

    def kept(self, step: int, address: str) -> None:
        self._write("kept", step, {"address": address})

    def validated(self, report: ValidationReport) -> None:
        grid = None if report.grid is None else report.grid.name
        self._write("validated", report.step, {"metrics": report.metrics, "grid": grid, "seconds": report.seconds})

    def stopped(self, step: int, reason: str) -> None:
        self._write("stopped", step, {"reason": reason})

    def _write(self, event: str, step: int, fields: Mapping[str, Any]) -> None:
        line = {"event": event, "step": step, "time": datetime.now(UTC).isoformat(timespec="milliseconds"), **fields}
        is_first_refused = not self._unwritten
        self._unwritten += (json.dumps(_plain(line), ensure_ascii=False, default=str) + "\n").encode()
        try:
            _append(self._path, self._unwritten)
            self._unwritten = b""
        except OSError as error:
            if not is_of_the_disk(error):
                raise
            if is_first_refused:
                log.warning("%s: %s; its lines wait for room", self._path, error.strerror)


def read_steps(folder: Path) -> list[dict[str, Any]]:
    """The `step` lines of a log folder, in their order."""
    lines = (folder / FILE_NAME).read_text(encoding="utf-8").splitlines()
    return [record for record in _whole(lines) if record["event"] == "step"]


def _append(path: Path, lines: bytes) -> None:
    """Writes lines whole or not at all."""
    with path.open("ab", buffering=0) as file:
        end = file.tell()
        if file.write(lines) != len(lines):
            file.truncate(end)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))


def _cut_after(step: int, path: Path) -> int:
    """Takes out what was logged after a step, and a last line that was torn; gives how many lines went."""
    if not path.exists():
        return 0
    lines = path.read_text(encoding="utf-8").splitlines()
    kept = [record for record in _whole(lines) if record["step"] <= step]
    partial = path.with_name(f"{path.name}.partial")
    try:
        partial.write_text("".join(json.dumps(record, ensure_ascii=False) + "\n" for record in kept), encoding="utf-8")
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    return len(lines) - len(kept)


def _whole(lines: Iterable[str]) -> Iterable[dict[str, Any]]:
    for line in lines:
        try:
            yield json.loads(line)
        except ValueError:  # the process was killed while it wrote this line
            continue


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value
