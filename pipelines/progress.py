"""How a run is seen while it goes: a live line on a terminal, plain lines elsewhere, events in the log."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)
from rich.text import Text

from atelier.rows import Outcome
from pipelines.logs import event

_EVERY_S = 10.0
_SETTLING_S = 5.0
"""Blocks of rows that end together say nothing of how long the next takes."""
_WINDOW_S = 120.0
_NUM_KEPT = 4


class _Pace:
    """How fast one recipe's units end lately; `num_left` of them have not."""

    def __init__(self, num_left: int) -> None:
        self.num_left = num_left
        self._ends: deque[tuple[float, int]] = deque()

    @property
    def has_begun(self) -> bool:
        return bool(self._ends)

    def ended(self, count: int, now: float) -> None:
        self.num_left -= count
        self._ends.append((now, count))
        while len(self._ends) > _NUM_KEPT and now - self._ends[0][0] > _WINDOW_S:
            self._ends.popleft()

    def rate(self, now: float) -> float | None:
        """Units a second since the oldest end of the window: what came before was start-up. None: can't be said yet."""
        if len(self._ends) < 2 or (span := now - self._ends[0][0]) < _SETTLING_S:
            return None
        return sum(count for _, count in islice(self._ends, 1, None)) / span


class RunProgress:
    """Counts outcomes, and says how many, how fast and how long still.

    A recipe's pace is its own: a sampler's units take a hundred times what another's do. The time left is that of the
    recipes at work, which end side by side; what has not begun has no pace yet, so it is *at least* that time.

    Args:
        to_make: units to make, by recipe.
        console: on a terminal a bar is drawn, otherwise a line is printed every ten seconds.
        quiet: only the log's events.
        clock: seconds that only grow.
    """

    def __init__(
        self,
        to_make: Mapping[str, int],
        *,
        console: Console,
        quiet: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.total, self.counts, self.num_made = sum(to_make.values()), Counter[str](), 0
        self._paces = {recipe: _Pace(count) for recipe, count in to_make.items()}
        self._console, self._quiet, self._clock = console, quiet, clock
        self._said_s = clock()
        self._num_said = -1
        self._bar = self._draw() if console.is_terminal and not quiet else None
        self._task: TaskID | None = self._bar.add_task("starting", total=self.total) if self._bar else None

    def ended(self, outcomes: Sequence[Outcome]) -> None:
        """Takes outcomes in."""
        now = self._clock()
        for outcome in outcomes:
            self.counts[outcome.status] += 1
            self.num_made += outcome.made
            if outcome.status != "ok":
                event(
                    "row", outcome.detail, item_id=outcome.item_id, variant=outcome.variant, status=outcome.status,
                    stage=outcome.stage, code=outcome.code,
                )  # fmt: skip
        for recipe, count in Counter(outcome.recipe for outcome in outcomes).items():
            self._paces[recipe].ended(count, now)
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, completed=self.num_ended, description=self._counted())
        elif outcomes and now - self._said_s >= _EVERY_S:
            self._say(now)

    @property
    def num_ended(self) -> int:
        """Units with an outcome so far."""
        return self.counts.total()

    def rate(self, now: float) -> float | None:
        """Units a second that end lately, of the recipes at work; None where it can't be said yet."""
        return sum(rate for _, rate in at_work) if (at_work := self._at_work(now)) else None

    def left_s(self, now: float) -> float | None:
        """Seconds that the recipes at work still take at that pace; None where it can't be said yet."""
        return max((num_left / rate for num_left, rate in self._at_work(now)), default=None)

    def _at_work(self, now: float) -> list[tuple[int, float]]:
        """Units left and pace of each recipe at work; empty where one's can't be said."""
        at_work = [pace for pace in self._paces.values() if pace.has_begun and pace.num_left > 0]
        found = [(pace.num_left, rate) for pace in at_work if (rate := pace.rate(now))]
        return found if len(found) == len(at_work) else []

    def _say(self, now: float) -> None:
        self._said_s, self._num_said = now, self.num_ended
        said = (f"{self.num_ended:,} of {self.total:,} units", self._counted(), self._pace(now))
        line = ", ".join(filter(None, said))
        if not self._quiet:
            self._console.print(line, highlight=False)
        event(
            "progress", line, ended=self.num_ended, total=self.total, counts=dict(self.counts), rate=self.rate(now),
            left_s=self.left_s(now),
        )  # fmt: skip

    def _counted(self) -> str:
        return ", ".join(f"{count:,} {status}" for status, count in sorted(self.counts.items())) or "starting"

    def _pace(self, now: float) -> str:
        rate, left_s = self.rate(now), self.left_s(now)
        if not rate or left_s is None:
            return ""
        waits = any(pace.num_left and not pace.has_begun for pace in self._paces.values())
        pace = f"{rate:.1f} a second" if rate >= 1 else f"{60 * rate:.1f} a minute"
        return f"{pace}, {'at least ' if waits else ''}{_duration(left_s)} left"

    def _draw(self) -> Progress:
        columns = (BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}"), _Words(self._pace, self._clock))
        return Progress(*columns, TimeElapsedColumn(), console=self._console)

    def __enter__(self) -> Self:
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._bar is not None:
            self._bar.stop()
        elif self.num_ended != self._num_said:
            self._say(self._clock())


class _Words(ProgressColumn):
    """Says something of now each time that the bar is drawn: a pace must not stand while nothing ends."""

    max_refresh = 1.0

    def __init__(self, words: Callable[[float], str], clock: Callable[[], float]) -> None:
        super().__init__()
        self._words, self._clock = words, clock

    def render(self, task: Task) -> Text:
        return Text(self._words(self._clock()))


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
