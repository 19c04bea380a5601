"""How long what a crowd waits for takes, told by what has ended."""

from __future__ import annotations

import statistics
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_LATEST = 20
_FIRST_GUESS_S = 1.0


class Pace:
    """Of calls that wait in one queue: whoever comes now waits about as long as the latest who have come through.

    Args:
        clock: seconds that only go forward.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._took_s: deque[float] = deque(maxlen=_LATEST)

    @contextmanager
    def one(self) -> Iterator[None]:
        """A call; counted when it ends, unless it ends in an error."""
        started = self._clock()
        yield
        self._took_s.append(self._clock() - started)

    @property
    def expected_s(self) -> float:
        """Seconds that a call takes, its wait included: the median of the latest; at least 1."""
        return max(1.0, statistics.median(self._took_s) if self._took_s else _FIRST_GUESS_S)
