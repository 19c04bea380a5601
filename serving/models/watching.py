"""Looking on for those who wait for a batch: what each is told of its steps, and when nobody waits any more."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass

import numpy as np

from atelier.stages.base import Batch
from atelier.stages.watch import LoopStep
from serving.models.asked import Ask, Progress, Sample
from serving.models.batcher import Wanted

MOST_PARTIALS = 6
"""Of one loop: enough to see a picture come, few enough to cost next to nothing."""

Told = Callable[[Progress], None]
"""Takes an ask's progress in."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Follower:
    """Who follows an ask.

    Args:
        tell: called in the thread that makes.
    """

    tell: Told
    with_partials: bool


@dataclass(frozen=True, kw_only=True, eq=False)
class Row:
    """A row to make.

    Args:
        columns: as they were read, one row.
        ask: that it is part of.
        sample: its number in its ask.
    """

    columns: Batch
    ask: Ask
    sample: int
    entered_s: float
    follower: Follower | None


@dataclass(frozen=True, kw_only=True, eq=False)
class Made:
    """A row that the device has made.

    Args:
        sample: its file, which is being written.
    """

    columns: Batch
    sample: Future[Sample]


class BatchWatch:
    """A `Watch` on the loop of one batch.

    Args:
        wanted: which rows somebody still waits for; the loop stops when there is none.
        preview: a small file out of a small picture of a row.
        stepped: told that a step was made, and in how many seconds; None for a loop's first, before which the rest of
            the recipe ran.
    """

    def __init__(
        self,
        rows: Sequence[Row],
        wanted: Wanted,
        *,
        preview: Callable[[Batch, np.ndarray], bytes],
        stepped: Callable[[float | None], None],
    ) -> None:
        self._rows, self._wanted, self._preview, self._stepped = rows, wanted, preview, stepped
        self._began_s = self._first_s = self._last_s = time.monotonic()

    def begun(self) -> None:
        """Tells those who follow that they wait for the device no longer."""
        for follower, numbers in self._followed().items():
            follower.tell(self._progress(numbers, step=0, num_steps=0))

    def stopped(self) -> bool:
        return not any(self._wanted())

    def stepped(self, step: LoopStep) -> None:
        now = time.monotonic()
        self._stepped(now - self._last_s if step.num_done > 1 else None)
        self._last_s = now
        if step.num_done == 1:
            self._first_s = now
        step_s = (now - self._first_s) / (step.num_done - 1) if step.num_done > 1 else 0.0
        followed = self._followed()
        shown = {number for follower, numbers in followed.items() if follower.with_partials for number in numbers}
        partials = self._partials(step, shown) if step.num_done in partial_steps(step.num_steps) else {}
        for follower, numbers in followed.items():
            coming = {self._rows[number].sample: partials[number] for number in numbers if number in partials}
            progress = self._progress(numbers, step=step.num_done, num_steps=step.num_steps)
            follower.tell(dataclasses.replace(progress, step_s=step_s, partials=coming))

    def _followed(self) -> Mapping[Follower, Sequence[int]]:
        """Who follows, each with the numbers of the rows that it still waits for."""
        followed: dict[Follower, list[int]] = {}
        for number, (row, is_wanted) in enumerate(zip(self._rows, self._wanted(), strict=True)):
            if row.follower is not None and is_wanted:
                followed.setdefault(row.follower, []).append(number)
        return followed

    def _progress(self, numbers: Sequence[int], *, step: int, num_steps: int) -> Progress:
        rows = [self._rows[number] for number in numbers]
        queued_s = self._began_s - min(row.entered_s for row in rows)
        samples = tuple(row.sample for row in rows)
        return Progress(step=step, num_steps=num_steps, samples=samples, queued_s=queued_s, step_s=0.0)

    def _partials(self, step: LoopStep, shown: set[int]) -> Mapping[int, bytes]:
        if not shown:
            return {}
        pictures = step.preview()
        return {number: self._preview(self._rows[number].columns, pictures[number]) for number in sorted(shown)}


class FirstSteps:
    """A `Watch` that ends a loop after so many steps: those that warm up what the steps to come would use."""

    def __init__(self, num_steps: int) -> None:
        self._left = num_steps

    def stopped(self) -> bool:
        return self._left <= 0

    def stepped(self, step: LoopStep) -> None:
        self._left -= 1


def partial_steps(num_steps: int) -> set[int]:
    """The steps after which a partial picture is made, of 1..`num_steps`; after the last comes the picture itself."""
    parts = MOST_PARTIALS + 1
    return {round(num_steps * part / parts) for part in range(1, parts)} - {0, num_steps}
