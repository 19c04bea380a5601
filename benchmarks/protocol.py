"""What is run in which order: each trial in a fresh process, systems by turns, so that a busy hour hits all alike."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from benchmarks import catalogs
from benchmarks.footprint import Footprint, start, watch
from benchmarks.loops import Threads
from benchmarks.machine import load
from benchmarks.trial import Measurement, System, Trial

DRAWN_ITEMS = 16


@dataclass(frozen=True, kw_only=True)
class Series:
    """Trials of one cost a row, of several lengths, by turns.

    Args:
        name: by which the tables call it.
        systems: who takes part.
        rows: lengths of the catalogs; at least two for a line.
        repeats: how often all of it is run.
        seconds_per_row: of the stand-in; None runs the recipe of Atelier's that `recipe` names.
        size: working size (H, W).
        pause_s, threads: of B1.
    """

    name: str
    systems: Sequence[System]
    rows: Sequence[int]
    repeats: int = 1
    seconds_per_row: float = 0.0
    recipe: str = "stand_in"
    size: tuple[int, int] = (512, 384)
    pause_s: float = 0.0
    threads: Threads = field(default_factory=Threads)


@dataclass(frozen=True, kw_only=True)
class Run:
    """One trial that was run.

    Args:
        repeat: which round of its series.
        load: the load average at its start.
    """

    series: str
    system: System
    repeat: int
    load: float
    measured: Measurement
    footprint: Footprint


class Protocol:
    """Runs series below a folder.

    Args:
        folder: for catalogs and outputs; an output is deleted once it has been measured.
        tell: is told what is about to run.
    """

    def __init__(self, folder: Path, tell: Callable[[str], None]) -> None:
        self._folder, self._tell = folder, tell
        self._drawn: dict[tuple[int, int], str] = {}

    def run(self, series: Series) -> Iterator[Run]:
        """The runs of a series as they end.

        Raises:
            ValueError: two systems stored different pictures: what they took says nothing then.
        """
        stored: dict[int, Mapping[str, str]] = {}
        for repeat in range(series.repeats):
            for rows in series.rows:
                # The other way round every second time: whoever comes second finds the files in the page cache.
                for system in series.systems if repeat % 2 == 0 else tuple(reversed(series.systems)):
                    self._tell(f"{series.name}: {system}, {rows} rows, round {repeat + 1} of {series.repeats}")
                    run = self._one(series, system, rows, repeat)
                    if system != "resident":
                        check_same(stored.setdefault(rows, run.measured.pictures), run.measured.pictures, system)
                    yield run

    def _one(self, series: Series, system: System, rows: int, repeat: int) -> Run:
        folder = self._folder / "trial"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        trial = Trial(
            system=system,
            recipe=series.recipe,
            rows=rows,
            catalog=catalogs.lengthen(self._catalog(series.size), rows),
            folder=str(folder),
            seconds_per_row=series.seconds_per_row,
            size=series.size,
            pause_s=series.pause_s,
            threads=series.threads,
            num_accelerators=int(series.recipe == "stand_in"),
        )
        before = load()
        measured, footprint = apart(trial, folder)
        return Run(
            series=series.name, system=system, repeat=repeat, load=before, measured=measured, footprint=footprint
        )

    def _catalog(self, size: tuple[int, int]) -> str:
        if size not in self._drawn:
            self._drawn[size] = catalogs.draw(self._folder / "{}x{}".format(*size), size=size, items=DRAWN_ITEMS)
        return self._drawn[size]


def apart(trial: Trial, folder: Path) -> tuple[Measurement, Footprint]:
    """Runs a trial in a process of its own.

    Raises:
        RuntimeError: it failed; with the end of what it said.
    """
    spec, result, said = folder / "trial.json", folder / "measured.json", folder / "said.txt"
    spec.write_text(json.dumps(asdict(trial)))
    environment = os.environ | {"OMP_NUM_THREADS": "1", "RAY_USAGE_STATS_ENABLED": "0"}
    with said.open("wb") as out:
        command = [sys.executable, "-m", "benchmarks.trial", str(spec), str(result)]
        process = start(command, out, environment=environment)
        footprint = watch(process)
    if process.returncode:
        raise RuntimeError(f"trial {trial} failed:\n{said.read_text(errors='replace')[-4000:]}")
    values: dict[str, Any] = json.loads(result.read_text())
    return Measurement(**values), footprint


def check_same(expected: Mapping[str, str], found: Mapping[str, str], system: str) -> None:
    """Raises `ValueError` unless the same objects hold the same bytes."""
    if expected == found:
        return
    other = [path for path in expected.keys() & found.keys() if expected[path] != found[path]]
    raise ValueError(
        f"void: {system} stored other pictures: {len(expected.keys() - found.keys())} missing, "
        f"{len(found.keys() - expected.keys())} too many, {len(other)} of other bytes, e.g. {sorted(other)[:1]}"
    )
