"""How long what a crowd waits for takes, told by what has ended."""

from __future__ import annotations

import math
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
        self._began_s: dict[object, float] = {}

    @contextmanager
    def one(self) -> Iterator[None]:
        """A call; counted when it ends, unless it ends in an error."""
        one, started = object(), self._clock()
        self._began_s[one] = started
        try:
            yield
        finally:
            del self._began_s[one]
        self._took_s.append(self._clock() - started)

    @property
    def expected_s(self) -> float:
        """Seconds that a call takes, its wait included: the median of the latest; at least 1."""
        return max(1.0, statistics.median(self._took_s) if self._took_s else _FIRST_GUESS_S)

    @property
    def next_s(self) -> float:
        """Seconds until the first of those inside should end; infinite where there is none, or all have taken longer
        than others did.
        """
        now, takes = self._clock(), self._of_one_inside_s
        left = (takes - (now - began) for began in self._began_s.values())
        return min((one for one in left if one > 0), default=math.inf)

    @property
    def _of_one_inside_s(self) -> float:
        """How long those take that are met inside: long calls are met more often than short ones, by as much as they
        are longer.
        """
        half_s = sum(self._took_s) / 2
        for took in sorted(self._took_s):
            half_s -= took
            if half_s <= 0:
                return took
        return _FIRST_GUESS_S
