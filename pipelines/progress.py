"""How a run is seen while it goes: a live line on a terminal, plain lines elsewhere, events in the log."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from atelier.rows import Outcome
from pipelines.logs import event

_EVERY_S = 10.0


class RunProgress:
    """Counts outcomes, and says how many, how fast and how long still.

    Args:
        total: units to make.
        live: draw a bar (a terminal); otherwise a line every ten seconds.
        quiet: only the log's events.
    """

    def __init__(self, total: int, *, console: Console, quiet: bool = False) -> None:
        self.total, self.counts, self.num_made = total, Counter[str](), 0
        self._console, self._quiet = console, quiet
        self._started_s = self._said_s = time.monotonic()
        self._first_s: float | None = None
        self._num_first = 0
        self._num_said = -1
        self._bar = _bar(console) if console.is_terminal and not quiet else None
        self._task: TaskID | None = self._bar.add_task("starting", total=total, rate="") if self._bar else None

    def ended(self, outcomes: Sequence[Outcome]) -> None:
        """Takes outcomes in."""
        now = time.monotonic()
        for outcome in outcomes:
            self.counts[outcome.status] += 1
            self.num_made += outcome.made
            if outcome.status != "ok":
                event(
                    "row", outcome.detail, item_id=outcome.item_id, variant=outcome.variant, status=outcome.status,
                    stage=outcome.stage, code=outcome.code,
                )  # fmt: skip
        if outcomes and self._first_s is None:
            self._first_s, self._num_first = now, self.num_ended
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, completed=self.num_ended, description=self._counted(), rate=self._pace())
        elif outcomes and now - self._said_s >= _EVERY_S:
            self._say(now)

    @property
    def num_ended(self) -> int:
        """Units with an outcome so far."""
        return self.counts.total()

    def rate(self) -> float:
        """Units a second since the first outcomes: what came before was start-up. 0 where it can't be said yet."""
        if self._first_s is None or self.num_ended == self._num_first:
            return 0.0
        return (self.num_ended - self._num_first) / max(1e-6, time.monotonic() - self._first_s)

    def _say(self, now: float) -> None:
        self._said_s, self._num_said = now, self.num_ended
        line = f"{self.num_ended:,} of {self.total:,} units, {self._counted()}{self._pace()}"
        if not self._quiet:
            self._console.print(line, highlight=False)
        event("progress", line, ended=self.num_ended, total=self.total, counts=dict(self.counts), rate=self.rate())

    def _counted(self) -> str:
        return ", ".join(f"{count:,} {status}" for status, count in sorted(self.counts.items())) or "starting"

    def _pace(self) -> str:
        rate = self.rate()
        if not rate:
            return ""
        left_s = (self.total - self.num_ended) / rate
        return f", {rate:.1f} a second, {_duration(left_s)} left"

    def __enter__(self) -> Self:
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._bar is not None:
            self._bar.stop()
        elif self.num_ended != self._num_said:
            self._say(time.monotonic())


def _bar(console: Console) -> Progress:
    columns = (BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}{task.fields[rate]}"))
    return Progress(*columns, TimeElapsedColumn(), console=console)


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
