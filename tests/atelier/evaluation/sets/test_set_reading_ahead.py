"""Sets are read ahead, in order, and never whole."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from atelier.evaluation.sets.ahead import ahead

NUM_THREADS = 3


def test_order_is_kept_and_few_items_are_held() -> None:
    asked = 0
    taken = 0
    held: list[int] = []

    def items() -> Iterator[int]:
        nonlocal asked
        for number in range(100):
            asked += 1
            held.append(asked - taken)
            yield number

    squares = []
    for square in ahead(lambda number: number * number, items(), num_threads=NUM_THREADS):
        taken += 1
        squares.append(square)
    assert squares == [number * number for number in range(100)]
    assert max(held) <= 2 * NUM_THREADS


def test_an_error_comes_through_and_ends_the_reading() -> None:
    started = threading.Semaphore(0)

    def fails_at_five(number: int) -> int:
        started.release()
        if number == 5:
            raise OSError("the fifth cannot be read")
        return number

    results = []
    with pytest.raises(OSError, match="the fifth"):
        for result in ahead(fails_at_five, range(1000), num_threads=NUM_THREADS):
            results.append(result)
    assert results == [0, 1, 2, 3, 4]
    begun = 0
    while started.acquire(blocking=False):
        begun += 1
    assert begun <= 5 + 2 * NUM_THREADS + 1
