"""The batch job against bare loops, side by side: `python -m benchmarks.batch` (about 13 minutes; `--quick`: 3).

B0 is the model's loop alone, inputs decoded before, nothing stored. B1 is the loop that an engineer would write:
threads that decode ahead, the model, threads that encode and store. The job is `pipelines.run.run`, with plan, ledger,
published catalog and report. B1 and the job store the same bytes under the same names, or the figures are void.

Each system's seconds over the number of rows are fitted by a line: its slope is the marginal cost of a row, its start
the fixed cost. Imports and the start of Ray stand apart. Each job is run once more when all is made: *nothing to make*.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import statistics
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from atelier.models import registry
from benchmarks.fit import Line, fit
from benchmarks.loops import Threads
from benchmarks.machine import describe
from benchmarks.page import add_output_options, conclude, markdown_table
from benchmarks.protocol import Protocol, Run, Series
from benchmarks.trial import System

FIXED_AIM_S = 10.0
MARGINAL_AIMS = {"50 ms a row": 0.10, "200 ms a row": 0.03}
TITLES: Mapping[System, str] = {"resident": "B0 resident", "prefetching": "B1 prefetching", "job": "job"}
PAUSE_S = 0.1
QUIET = 0.1
"""Largest share of the machine that others may take in a trial, in the median, for a verdict on an aim."""


def series_of(*, quick: bool, repeats: int | None) -> list[Series]:
    """What is run."""
    both: tuple[System, ...] = ("prefetching", "job")
    short, long = (64, 128), (64, 256)
    cores = len(os.sched_getaffinity(0))
    found = [
        Series(name="50 ms a row", systems=both, rows=short if quick else long, seconds_per_row=0.05,
               repeats=repeats or (1 if quick else 3)),
        Series(name="50 ms, ceiling", systems=("resident",), rows=(64,), seconds_per_row=0.05),
        Series(name="50 ms, pause", systems=("prefetching",), rows=(64,), seconds_per_row=0.05, pause_s=PAUSE_S),
    ]  # fmt: skip
    if not quick:
        found += [
            Series(name="200 ms a row", systems=both, rows=(32, 224), seconds_per_row=0.2, repeats=repeats or 3),
            Series(name="no device time", systems=both, rows=(64, 256)),
        ]
        if {"viton_hd_closet", "parser_closet", "pose_closet"} <= set(registry.names()):
            found.append(
                Series(name="viton_hd_closet", systems=both, rows=(32, 96), recipe="viton_hd_closet", size=(256, 192),
                       threads=Threads(compute=cores))
            )  # fmt: skip
    return found


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """The job beside B1 in one series: medians over the rounds, and the range of the marginal ratio.

    Args:
        ratios: marginal cost of the job over B1's, round by round.
        fixed_s: the job's fixed cost beyond B1's.
        again_s: what the job takes once more when it has nothing to make, median over the longest trials.
        steady_ratio: likewise, by the seconds a row between the device's first batch and its last; None where no
            stand-in said when it was busy.
        others: share of the machine that others took, median over the trials.
    """

    series: str
    ratios: tuple[float, ...]
    fixed_s: float
    again_s: float
    steady_ratio: float | None
    others: float

    @property
    def ratio(self) -> float:
        """Median over the rounds."""
        return statistics.median(self.ratios)

    def verdict(self, found: float, aim: float) -> str:
        """Whether an aim is met; a machine that others use gives no verdict."""
        if self.others > QUIET:
            return "no verdict"
        return "met" if found <= aim else "missed"


def line_of(runs: Sequence[Run], series: str, system: System, repeat: int | None = None) -> Line | None:
    """The fitted line of a system; None where it ran one length only."""
    chosen = [run for run in runs if (run.series, run.system) == (series, system) and repeat in (None, run.repeat)]
    points = [(run.measured.rows, run.measured.wall_s) for run in chosen]
    return fit(points) if len({rows for rows, _ in points}) > 1 else None


def compare(runs: Sequence[Run], series: str) -> Comparison | None:
    """None where the job or B1 have no line."""
    rounds = sorted({run.repeat for run in runs if run.series == series})
    pairs = [(line_of(runs, series, "job", each), line_of(runs, series, "prefetching", each)) for each in rounds]
    lines = [(job, loop) for job, loop in pairs if job and loop]
    if not lines:
        return None
    jobs = [run.measured for run in runs if (run.series, run.system) == (series, "job")]
    longest = max(measured.rows for measured in jobs)
    return Comparison(
        series=series,
        ratios=tuple(job.marginal_s / loop.marginal_s for job, loop in lines),
        fixed_s=statistics.median(job.fixed_s - loop.fixed_s for job, loop in lines),
        again_s=statistics.median(measured.again_s for measured in jobs if measured.rows == longest),
        steady_ratio=_steady_ratio(runs, series),
        others=statistics.median(run.footprint.others for run in runs if run.series == series),
    )


def _steady_ratio(runs: Sequence[Run], series: str) -> float | None:
    if not any(run.measured.busy_s for run in runs if run.series == series):
        return None
    return steady_s(runs, series, "job") / steady_s(runs, series, "prefetching")


def steady_s(runs: Sequence[Run], series: str, system: System) -> float:
    """Seconds a row from the device's first batch to its last, median over the longest trials."""
    chosen = [run.measured for run in runs if (run.series, run.system) == (series, system)]
    longest = max(measured.rows for measured in chosen)
    return statistics.median(each.span_s / each.rows for each in chosen if each.rows == longest)


def main() -> None:
    """Runs, prints, writes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="only 50 ms a row, shorter and once")
    parser.add_argument("--repeats", type=int, help="rounds of the series that have an aim")
    add_output_options(parser, "batch")
    options = parser.parse_args()
    console, machine, runs = Console(), describe(), []
    with tempfile.TemporaryDirectory() as folder:
        protocol = Protocol(Path(folder), lambda line: console.print(line, style="dim", highlight=False))
        for series in series_of(quick=options.quick, repeats=options.repeats):
            runs.extend(protocol.run(series))
    names = list(dict.fromkeys(run.series for run in runs))
    comparisons = [found for name in names if (found := compare(runs, name))]
    figures = {"machine": machine, "runs": [_plain(run) for run in runs],
               "comparisons": [dataclasses.asdict(found) for found in comparisons]}  # fmt: skip
    tables = [_systems(runs, names), _comparisons(comparisons), _notes(runs)]
    conclude(options, "batch", figures, tables, console=console)


def _plain(run: Run) -> dict[str, Any]:
    values = dataclasses.asdict(run)
    values["measured"]["pictures"] = len(run.measured.pictures)
    return values


def _systems(runs: Sequence[Run], names: Sequence[str]) -> Table:
    table = markdown_table(
        "series", "system", "fixed s", "marginal ms/row", "steady ms/row", "busy of span", "CPU ms/row", "peak MiB"
    )
    for name in names:
        for system, title in TITLES.items():
            chosen = [run for run in runs if (run.series, run.system) == (name, system)]
            if not chosen:
                continue
            line = line_of(runs, name, system)
            fitted = (f"{line.fixed_s:.1f}", f"{1000 * line.marginal_s:.1f}") if line else ("", "")
            stand_in = chosen[0].measured.busy_s > 0
            longest = max(run.measured.rows for run in chosen)
            whole = [run for run in chosen if run.measured.rows == longest]
            busy = statistics.median(run.measured.busy_s / run.measured.span_s for run in whole)
            cpu = _cpu_line(chosen)
            table.add_row(
                name,
                title,
                *fitted,
                f"{1000 * steady_s(runs, name, system):.1f}" if stand_in else "",
                f"{busy:.1%}" if stand_in else "",
                f"{1000 * cpu.marginal_s:.0f}" if cpu else "",
                f"{statistics.median(run.footprint.peak_bytes for run in whole) / 2**20:.0f}",
            )
    return table


def _cpu_line(runs: Sequence[Run]) -> Line | None:
    points = [(run.measured.rows, run.footprint.cpu_s) for run in runs]
    return fit(points) if len({rows for rows, _ in points}) > 1 else None


def _comparisons(comparisons: Sequence[Comparison]) -> Table:
    table = markdown_table(
        "job against B1",
        "marginal",
        "range over rounds",
        "aim",
        "steady",
        "fixed cost beyond B1's",
        "aim",
        "nothing to make",
        "aim",
    )
    for found in comparisons:
        aim = MARGINAL_AIMS.get(found.series)
        table.add_row(
            found.series,
            f"{found.ratio - 1:+.1%}",
            f"{min(found.ratios) - 1:+.1%} to {max(found.ratios) - 1:+.1%}",
            f"{aim:.0%}: {found.verdict(found.ratio - 1, aim)}" if aim else "",
            "" if found.steady_ratio is None else f"{found.steady_ratio - 1:+.1%}",
            f"{found.fixed_s:.1f} s",
            f"{FIXED_AIM_S:g} s: {found.verdict(found.fixed_s, FIXED_AIM_S)}" if aim else "",
            f"{found.again_s:.1f} s",
            f"{FIXED_AIM_S:g} s: {found.verdict(found.again_s, FIXED_AIM_S)}" if aim else "",
        )
    return table


def _notes(runs: Sequence[Run]) -> str:
    starts = [run.measured.ray_init_s for run in runs if run.system == "job"]
    others = [run.footprint.others for run in runs]
    return (
        f"Ray itself started in {statistics.median(starts):.1f} s (not in the fixed cost). {len(runs)} trials, each in "
        f"a process of its own; every picture of B1 and the job was compared by sha256, all equal. Others took "
        f"{min(others):.0%} to {max(others):.0%} of the machine's CPU meanwhile, {statistics.median(others):.0%} in "
        f"the median; above {QUIET:.0%} no aim gets a verdict."
    )


if __name__ == "__main__":
    main()
