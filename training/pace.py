"""What a step takes, apart from what stands between steps now and then; and what of that is still to come."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Paced:
    """Since the last time it was asked.

    Args:
        step_s: mean seconds a step, pauses left out.
        waited_s: of them, the mean seconds of waiting for data.
        pauses_left_s: what the pauses to come will take in all, if each takes as long as the last of its kind.
    """

    step_s: float
    waited_s: float
    pauses_left_s: float


class Pace:
    """Clocks a loop.

    Args:
        step: steps done.
        num_steps: of the whole run.
        every_steps: kind of pause → how often it comes; 0 never does.
    """

    def __init__(self, step: int, num_steps: int, every_steps: Mapping[str, int]) -> None:
        self._num_steps, self._every_steps = num_steps, every_steps
        self._last_s: dict[str, float] = {}
        self._start(step)

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Waits for data inside."""
        begun = time.monotonic()
        yield
        self._waited_s += time.monotonic() - begun

    @contextmanager
    def pausing(self, kind: str) -> Iterator[None]:
        """Makes no step inside."""
        begun = time.monotonic()
        yield
        self._last_s[kind] = time.monotonic() - begun
        self._paused_s += self._last_s[kind]

    def at(self, step: int) -> Paced:
        """The pace up to a step, at least one after the last that was asked for; the next begins here."""
        num_steps = step - self._step
        seconds = time.monotonic() - self._time - self._paused_s
        paced = Paced(
            step_s=seconds / num_steps, waited_s=self._waited_s / num_steps, pauses_left_s=self._pauses_left_s(step)
        )
        self._start(step)
        return paced

    def _start(self, step: int) -> None:
        self._step, self._time, self._waited_s, self._paused_s = step, time.monotonic(), 0.0, 0.0

    def _pauses_left_s(self, step: int) -> float:
        """With the one that ends the run, whenever its turn would be; this step's own are still to come."""
        return sum(
            last_s * (self._num_steps // every - (step - 1) // every + (self._num_steps % every > 0))
            for kind, last_s in self._last_s.items()
            if (every := self._every_steps[kind])
        )
