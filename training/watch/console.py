"""A run as a person sees it go by: a live panel on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import time
from collections.abc import Mapping

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from training.watch.divergence import TOTAL
from training.watch.observer import Observer, RunFacts, StepReport, ValidationReport
from training.watch.shares import achieved_share, peak_for, slowed_by_precision

_SMOOTHING = 0.2
"""Weight of the newest report in the pace that the time left is told from."""


class ConsoleProgress(Observer):
    """Tells samples a second, time left, losses, memory and the achieved share of the device's peak.

    Args:
        every_s: off a terminal, the seconds between two lines.
    """

    def __init__(self, console: Console, *, every_s: float = 10.0) -> None:
        self._console, self._every_s = console, every_s
        self._facts: RunFacts | None = None
        self._step_s: float | None = None
        self._said_s = float("-inf")
        self._unsaid: str | None = None
        self._left_out: set[tuple[str, str]] = set()
        self._bar = Progress(
            TextColumn("[bold]{task.description}"),
            BarColumn(bar_width=None),
            MofNCompleteColumn(),
            TaskProgressColumn(),
            TextColumn("{task.fields[left]}"),
            TimeElapsedColumn(),
            console=console,
            expand=True,
        )
        self._live: Live | None = None

    def started(self, facts: RunFacts) -> None:
        self._facts = facts
        self._say(_opening(facts))
        if times := slowed_by_precision(facts):
            self._say(
                f"a large matrix product takes this processor {times:.1f} times as long in {facts.precision} as in "
                "float32: a run begun with --precision float32 is faster"
            )
        self._bar.add_task(facts.run, total=facts.num_steps, completed=facts.first_step, left="")
        if self._console.is_terminal:
            self._live = Live(self._bar, console=self._console, refresh_per_second=4, transient=True)
            self._live.start()

    def stepped(self, report: StepReport) -> None:
        if self._facts is None:
            return
        self._step_s = (
            report.step_s if self._step_s is None else self._step_s + _SMOOTHING * (report.step_s - self._step_s)
        )
        left_s = (self._facts.num_steps - report.step) * self._step_s + report.pauses_left_s
        left = f"{duration(left_s)} left"
        self._say_left_out(report)
        pace, losses = self._pace(report), _losses(report.losses)
        if self._live is not None:
            self._bar.update(self._bar.task_ids[0], completed=report.step, left=left)
            self._live.update(Group(self._bar, Text(f"  {pace}", "dim"), _loss_table(report)))
            return
        line = f"step {report.step:,} of {self._facts.num_steps:,} · {left} · {pace} · {losses}"
        now = time.monotonic()
        self._unsaid = line
        # The last step's at once, ahead of what is told of its validation and checkpoint.
        if now - self._said_s >= self._every_s or report.step == self._facts.num_steps:
            self._said_s, self._unsaid = now, None
            self._say(line)

    def noticed(self, step: int, reason: str) -> None:
        self._say(f"step {step:,}: {reason}: a checkpoint now")

    def kept(self, step: int, address: str) -> None:
        self._say(f"step {step:,}: checkpoint in {address}")

    def validated(self, report: ValidationReport) -> None:
        metrics = " · ".join(f"{name} {value:.4g}" for name, value in report.metrics.items())
        where = f" · {report.grid}" if report.grid is not None else ""
        self._say(f"step {report.step:,}: held-out rows: {metrics} · {report.seconds:.1f} s{where}")

    def stopped(self, step: int, reason: str) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None
        if self._unsaid is not None:
            self._say(self._unsaid)
        self._say(f"step {step:,}: {reason}")

    def _pace(self, report: StepReport) -> str:
        parts = [f"{report.samples_per_s:,.1f} samples/s"]
        if self._facts is not None and (share := achieved_share(self._facts, report)) is not None:
            parts.append(f"{share:.1%} of peak")
        if report.step_s > 0 and (waited := report.waited_s / report.step_s) >= 0.01:
            parts.append(f"{waited:.0%} waiting for data")
        parts.append(f"{report.memory.resident_bytes / 2**30:.1f} GiB")
        if report.memory.accelerator_peak_bytes:
            parts.append(f"{report.memory.accelerator_peak_bytes / 2**30:.1f} GiB peak on the accelerator")
        return " · ".join(parts)

    def _say_left_out(self, report: StepReport) -> None:
        for player, terms in report.left_out.items():
            for term, why in terms.items():
                if (player, term) not in self._left_out:
                    self._left_out.add((player, term))
                    self._say(f"{player} goes without {term}: {why}")

    def _say(self, line: str) -> None:
        self._console.print(line, highlight=False, markup=False, soft_wrap=True)


def duration(seconds: float) -> str:
    """Seconds in the two largest units that say something."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    for large, large_name, small, small_name in ((days, "d", hours, "h"), (hours, "h", minutes, "min")):
        if large:
            return f"{large} {large_name} {small} {small_name}"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def _opening(facts: RunFacts) -> str:
    parts = [facts.run]
    parts.append(f"from step {facts.first_step:,}" if facts.first_step else "from the start")
    parts.append(f"to {facts.num_steps:,}")
    parts.append(f"{facts.batch_size:,} samples a step")
    workers = f"{facts.num_workers} workers on" if facts.num_workers > 1 else "on"
    parts.append(f"{workers} {facts.device} in {facts.precision}")
    if total := sum(facts.num_parameters.values()):
        parts.append(f"{total / 1e6:,.1f} M parameters")
    if facts.flops_per_step is not None:
        peak = peak_for(facts)
        parts.append(f"{facts.flops_per_step / 1e9:,.1f} GFLOP a step and worker")
        parts.append(f"peak {peak.flops_per_s / 1e12:,.3g} TFLOP/s ({peak.source})")
    return " · ".join(parts)


def _losses(losses: Mapping[str, Mapping[str, float]]) -> str:
    return " · ".join(f"{player} {_loss(terms)}" for player, terms in losses.items())


def _loss(terms: Mapping[str, float]) -> str:
    parts = ", ".join(f"{term} {value:.4g}" for term, value in terms.items() if term != TOTAL)
    if TOTAL not in terms:
        return parts
    return f"{terms[TOTAL]:.4g}" + (f" ({parts})" if len(terms) > 2 else "")


def _loss_table(report: StepReport) -> Table:
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(width=1)
    for player, terms in report.losses.items():
        parts = [f"[dim]{term}[/] {value:.4g}" for term, value in terms.items() if term != TOTAL]
        table.add_row("", player, f"[bold]{terms.get(TOTAL, float('nan')):.4g}", *parts)
    return table
